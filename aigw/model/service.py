"""A service: what several routes share."""

from __future__ import annotations

from typing import Annotated, Literal

import attrs
from msgspec import Meta

from aigw.model.fields import Description, Host, Id, Labels, Name, Plugins


@attrs.frozen(kw_only=True)
class Service:
    """Plugins and hosts under those of its routes (https://apisix.apache.org/docs/apisix/admin-api/#service)."""

    id: Id | None = None
    name: Name | None = None
    desc: Description | None = None
    labels: Labels | None = None
    hosts: Annotated[list[Host], Meta(min_length=1)] | None = None
    status: Literal[0, 1] = 1
    plugins: Plugins = attrs.field(factory=dict, repr=False)
    create_time: int | None = None
    update_time: int | None = None
