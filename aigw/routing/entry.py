"""What a route gives to the router: only what decides whether it takes a request, and what to do then (opaque)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import attrs


@attrs.frozen(kw_only=True)
class Entry:
    """One route, as the router knows it.

    ``patterns``: of paths, see `aigw.routing.patterns`. ``hosts``: exact, or a suffix after ``*``. ``networks``:
    addresses and CIDRs. ``vars``: see `aigw.routing.expression`. Empty ones restrict nothing. ``priority``: higher
    comes first, among routes with the same pattern. ``enabled``: else it takes nothing. ``target``: the router hands
    it back untouched.
    """

    id: str
    patterns: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()
    vars: Sequence[Any] = ()
    priority: int = 0
    enabled: bool = True
    target: object = None


class Described(Protocol):
    """What the router wants to know of a route; `aigw.model.route.Route` is one."""

    @property
    def patterns(self) -> tuple[str, ...]: ...
    @property
    def host_patterns(self) -> tuple[str, ...]: ...
    @property
    def methods(self) -> Sequence[str] | None: ...
    @property
    def networks(self) -> tuple[str, ...]: ...
    @property
    def vars(self) -> Sequence[Any] | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def status(self) -> int: ...


def entry_of(route_id: str, route: Described, service_hosts: tuple[str, ...], target: object) -> Entry:
    """The entry of a route; its own hosts win over its service's (APISIX does the same)."""
    return Entry(
        id=route_id,
        patterns=route.patterns,
        hosts=route.host_patterns or service_hosts,
        methods=_methods(tuple(route.methods or ())),
        networks=route.networks,
        vars=route.vars or (),
        priority=route.priority,
        enabled=route.status == 1,
        target=target,
    )


@functools.lru_cache(maxsize=1024)
def _methods(names: tuple[str, ...]) -> frozenset[str]:
    """One set for all routes that have the same methods: 100,000 of them would be felt by the garbage collector."""
    return frozenset(names)
