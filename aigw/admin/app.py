"""The admin face, put together. Importing this module imports Klein, which installs the reactor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.web.resource import IResource

from aigw.admin.door import Door
from aigw.admin.edge import Edge
from aigw.admin.masking import Masks
from aigw.admin.resources import Resources
from aigw.admin.schemas import Schemas
from aigw.admin.views import Views
from aigw.admin.writing import Writer
from aigw.configuration import Configuration
from aigw.keys import AdminKey
from aigw.ports import Clock
from aigw.registry import Registry


def admin_resource(
    *,
    configuration: Configuration,
    registry: Registry,
    catalogue: Mapping[str, Any],
    sealer: Masks,
    admin_key: AdminKey,
    viewer_key: AdminKey | None,
    default_group: str,
    defaults: Any,
    now: Callable[[], float],
    clock: Clock,
) -> IResource:
    """The root resource of an admin site; everything it answers is under ``/apisix/admin/``.

    ``catalogue``: plugin name -> plugin class. ``defaults``: handed on to the plugins' advice. ``now``: epoch seconds.
    """
    configs = {name: plugin.Config for name, plugin in catalogue.items()}
    writer = Writer(configs=configs, masks=sealer, defaults=defaults, now=now)
    resources = Resources(
        configuration=configuration,
        registry=registry,
        writer=writer,
        views=Views(configs, sealer),
        clock=clock,
    )
    edge = Edge(default_group)
    Schemas(catalogue=catalogue, writer=writer).mount(edge)
    resources.mount(edge)
    return Door(edge.app.resource(), admin_key, viewer_key)
