"""The composition root: every object of a gateway is built here, by hand, in the order in which they are needed."""

from __future__ import annotations

import itertools
import random
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from aigw import __version__
from aigw.assembly import Assembly
from aigw.balancing.pool import Memory
from aigw.configuration import Configuration
from aigw.control import control_site
from aigw.keys import AdminKey, admin_key, data_key, viewer_key
from aigw.net.sockets import eager_sockets
from aigw.observe.access_log import AccessLog, access_log
from aigw.observe.metrics import Metrics
from aigw.parts import Defaults, Parts
from aigw.plugins import CATALOGUE, CONFIGS
from aigw.ports import Store
from aigw.proxy.limits import Limits
from aigw.proxy.site import ProxySite, proxy_site
from aigw.registry import Registry
from aigw.settings import Settings
from aigw.stores.memory import MemoryStore
from aigw.stores.sealing import Sealer
from aigw.stores.sqlite import SqliteStore
from aigw.upstream.clients import Clients
from aigw.upstream.endpoints import Endpoints


@attrs.frozen(kw_only=True, eq=False)
class App:
    """A gateway that does not listen yet. ``sites``: face -> protocol factory."""

    configuration: Configuration
    registry: Registry
    proxy: ProxySite
    sites: dict[str, Any]
    clients: Clients
    access_log: AccessLog | None
    admin_key: AdminKey
    viewer_key: AdminKey | None


def build(settings: Settings, data: Path, reactor: Any, ready: Callable[[], bool]) -> App:
    """Read the keys and the store, and put a gateway together.

    ``data``: the data directory. ``ready``: what ``/readyz`` tells.

    :raises StoreError: if a key or the store can't be used.
    :raises OSError: if the access log can't be written.
    """
    from aigw.admin.app import admin_resource  # imports klein, which installs the reactor
    from aigw.admin.site import admin_site

    key = admin_key(data, settings.admin_key_file, settings.environ)
    viewer = viewer_key(data, settings.viewer_key_file, settings.environ, key)
    path = data / "aigw.sqlite"
    sealer = Sealer(data_key(data, settings.environ, path))
    log = access_log(settings.access_log, reactor)

    registry = Registry()
    store: Store = MemoryStore() if settings.demo else SqliteStore(path, reactor.callFromThread)
    configuration = Configuration(store=store, sealer=sealer, registry=registry, plugins=CONFIGS, clock=reactor)
    configuration.load()

    metrics = Metrics(build={"version": __version__})
    clients = Clients(reactor, Endpoints(eager_sockets(reactor)))
    defaults = Defaults(priority_order=settings.priority_order)
    parts = Parts(
        clock=reactor,
        now=time.time,
        environ=settings.environ,
        clients=clients,
        memory=Memory(random.random),
        meter=metrics,
        defaults=defaults,
    )
    assembly = Assembly(group=settings.gateway_group, registry=registry, catalogue=CATALOGUE, parts=parts)

    proxy = proxy_site(
        lookup=assembly,
        clock=reactor,
        limits=Limits(),
        observers=[metrics, *([log] if log is not None else [])],
        ids=_request_ids(),
    )
    metrics.watch(lambda: proxy.in_flight)
    admin = admin_resource(
        configuration=configuration,
        registry=registry,
        catalogue=CATALOGUE,
        sealer=sealer,
        admin_key=key,
        viewer_key=viewer,
        default_group="default",
        defaults=defaults,
        now=time.time,
        clock=reactor,
    )
    return App(
        configuration=configuration,
        registry=registry,
        proxy=proxy,
        sites={
            "admin": admin_site(admin, reactor),
            "proxy": proxy,
            "control": control_site(metrics.registry, ready, reactor),
        },
        clients=clients,
        access_log=log,
        admin_key=key,
        viewer_key=viewer,
    )


def _request_ids() -> Callable[[], str]:
    """Ids that no other process has: they need not be secret, so one random number does for all of them."""
    prefix, numbers = secrets.token_hex(10), itertools.count(1)
    return lambda: f"{prefix}{next(numbers):012x}"
