"""The composition root: every object of a gateway is built here, by hand, in the order in which they are needed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.interfaces import IListeningPort

from aigw import __version__
from aigw.balancing.sharing import keyed_digest
from aigw.configuration import Configuration
from aigw.control import control_site
from aigw.datapath import DataPath, Scope
from aigw.keys import AdminKey, admin_key, data_key, viewer_key
from aigw.observe.access_log import AccessLog, access_log
from aigw.observe.metrics import Metrics
from aigw.parts import Defaults
from aigw.plugins import CATALOGUE, CONFIGS
from aigw.ports import Store
from aigw.registry import Registry
from aigw.settings import Settings
from aigw.stores.memory import MemoryStore
from aigw.stores.sealing import Sealer
from aigw.stores.sqlite import SqliteStore
from aigw.workers.parent import Workers


@attrs.frozen(kw_only=True, eq=False)
class Surroundings:
    """What a gateway is told of its process. ``ready``: what ``/readyz`` tells. ``proxy_ports``: where the proxy face
    listens, by now. ``gave_up``: told why the gateway can't go on.
    """

    reactor: Any
    ready: Callable[[], bool]
    proxy_ports: Callable[[], Sequence[IListeningPort]]
    gave_up: Callable[[str], object]


@attrs.frozen(kw_only=True, eq=False)
class App:
    """A gateway that does not listen yet. ``serving``: the proxy face. ``sites``: face -> protocol factory."""

    configuration: Configuration
    registry: Registry
    serving: DataPath | Workers
    sites: dict[str, Any]
    admin_key: AdminKey
    viewer_key: AdminKey | None


def build(settings: Settings, data: Path, around: Surroundings) -> App:
    """Read the keys and the store, and put a gateway together. ``data``: the data directory.

    :raises StoreError: if a key or the store can't be used.
    :raises OSError: if the access log can't be written.
    """
    from aigw.admin.app import admin_resource  # imports klein, which installs the reactor
    from aigw.admin.site import admin_site

    reactor = around.reactor
    key = admin_key(data, settings.admin_key_file, settings.environ)
    viewer = viewer_key(data, settings.viewer_key_file, settings.environ, key)
    path = data / "aigw.sqlite"
    sealer = Sealer(data_key(data, settings.environ, path))

    registry = Registry()
    metrics = Metrics(build={"version": __version__})
    workers = _workers(settings, registry, metrics, around) if settings.workers > 1 else None
    log = access_log(settings.access_log, reactor) if workers is None else None

    store: Store = MemoryStore() if settings.demo else SqliteStore(path, reactor.callFromThread)
    configuration = Configuration(
        store=store,
        sealer=sealer,
        registry=registry,
        plugins=CONFIGS,
        clock=reactor,
        settled=None if workers is None else workers.settled,
    )
    configuration.load()

    serving = workers or _data_path(settings, registry, metrics, log, reactor)
    metrics.watch(lambda: serving.in_flight)

    admin = admin_resource(
        configuration=configuration,
        registry=registry,
        catalogue=CATALOGUE,
        sealer=sealer,
        admin_key=key,
        viewer_key=viewer,
        default_group="default",
        defaults=Defaults(priority_order=settings.priority_order),
        now=time.time,
        clock=reactor,
    )
    return App(
        configuration=configuration,
        registry=registry,
        serving=serving,
        sites={
            "admin": admin_site(admin, reactor),
            "proxy": serving.site,
            "control": control_site(
                metrics.registry, around.ready, reactor, None if workers is None else workers.refresh
            ),
        },
        admin_key=key,
        viewer_key=viewer,
    )


def _data_path(
    settings: Settings, registry: Registry, metrics: Metrics, log: AccessLog | None, reactor: Any
) -> DataPath:
    """The proxy face, in this process."""
    scope = Scope(
        group=settings.gateway_group,
        priority_order=settings.priority_order,
        environ=settings.environ,
        digest=keyed_digest(secrets.token_bytes(32)),
    )
    return DataPath(scope, registry=registry, metrics=metrics, access_log=log, reactor=reactor)


def _workers(settings: Settings, registry: Registry, metrics: Metrics, around: Surroundings) -> Workers:
    """The proxy face, in other processes."""
    return Workers(
        settings,
        registry=registry,
        metrics=metrics,
        reactor=around.reactor,
        ports=around.proxy_ports,
        gave_up=around.gave_up,
    )
