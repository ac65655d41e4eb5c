"""A route: which requests it takes and what is done with them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import attrs
from msgspec import Meta

from aigw.model.fields import Address, Description, Host, Id, Labels, Method, Name, Plugins, Uri, check_address
from aigw.routing.expression import compile_vars
from aigw.routing.patterns import check_pattern

Uris = Annotated[list[Uri], Meta(min_length=1, max_length=64)]


@attrs.frozen(kw_only=True)
class Route:
    """One route as the operator wrote it (https://apisix.apache.org/docs/apisix/admin-api/#route).

    Its paths stand in exactly one of ``uri``, ``uris`` (APISIX) and ``paths`` (API7); `patterns` is what they mean.
    """

    id: Id | None = None
    name: Name | None = None
    desc: Description | None = None
    labels: Labels | None = None
    uri: Uri | None = None
    uris: Uris | None = None
    paths: Uris | None = None
    methods: Annotated[list[Method], Meta(min_length=1)] | None = None
    host: Host | None = None
    hosts: Annotated[list[Host], Meta(min_length=1)] | None = None
    remote_addr: Address | None = None
    remote_addrs: Annotated[list[Address], Meta(min_length=1)] | None = None
    vars: list[Any] | None = None
    priority: int = 0
    status: Literal[0, 1] = 1
    service_id: Id | None = None
    plugins: Plugins = attrs.field(factory=dict, repr=False)
    create_time: int | None = None
    update_time: int | None = None

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: ``field: what is wrong`` for what spans fields."""
        given = [f for f in ("uri", "uris", "paths") if getattr(self, f) is not None]
        if not given:
            raise ValueError("uri: required: one of uri, uris, paths")
        if len(given) > 1:
            raise ValueError(f"{given[1]}: means the same as {given[0]}; give one of them")
        for one, several in (("host", "hosts"), ("remote_addr", "remote_addrs")):
            if getattr(self, one) is not None and getattr(self, several) is not None:
                raise ValueError(f"{several}: means the same as {one}; give one of them")
        self._check_patterns(given[0])
        if self.vars is not None:
            compile_vars(self.vars)
        if self.remote_addr is not None:
            check_address("remote_addr", self.remote_addr)
        for i, address in enumerate(self.remote_addrs or ()):
            check_address(f"remote_addrs[{i}]", address)

    def _check_patterns(self, field: str) -> None:
        for i, pattern in enumerate(self.patterns):
            try:
                check_pattern(pattern)
            except ValueError as e:
                raise ValueError(f"{field}: {e}" if field == "uri" else f"{field}[{i}]: {e}") from None

    @property
    def patterns(self) -> tuple[str, ...]:
        """The path patterns, whichever field they were written in."""
        return tuple(self.uris or self.paths or ([self.uri] if self.uri else ()))

    @property
    def host_patterns(self) -> tuple[str, ...]:
        """Lower-case host patterns; empty = any host."""
        return tuple(h.lower() for h in self.hosts or ([self.host] if self.host else ()))

    @property
    def networks(self) -> tuple[str, ...]:
        """Client addresses or CIDRs; empty = any."""
        return tuple(self.remote_addrs or ([self.remote_addr] if self.remote_addr else ()))
