"""The routes of one path pattern, in the order in which they are tried; found by host, however many there are."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, pairwise
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from aigw.routing.conditions import Condition, method_conditions, network_conditions
from aigw.routing.entry import Entry
from aigw.routing.expression import vars_conditions
from aigw.routing.patterns import Shape, parse_pattern
from aigw.routing.tree import Tree

_NO_PARAMS: Mapping[str, str] = MappingProxyType({})


class Match(NamedTuple):
    """The route that takes a request, and what the parameters of its path took (``id`` -> ``7``).

    ``plain``: method, path and host alone decided that, so that it takes all requests that have the same.
    """

    entry: Entry
    params: Mapping[str, str]
    plain: bool


class Candidate:
    """One pattern of one route: ``names`` of its parameters, ``conditions`` beside its path and host.

    ``plain``: of these, they look at the method only.
    """

    __slots__ = ("conditions", "entry", "names", "pattern", "plain")

    def __init__(self, entry: Entry, pattern: str, names: tuple[str, ...], conditions: tuple[Condition, ...]) -> None:
        self.entry = entry
        self.pattern = pattern
        self.names = names
        self.conditions = conditions
        self.plain = all(condition.field == "methods" for condition in conditions)

    def matched(self, taken: tuple[str, ...], plain: bool) -> Match:
        """The match, when the parameters took these segments; ``plain``: so are all candidates that were tried."""
        params = MappingProxyType(dict(zip(self.names, taken, strict=True))) if taken else _NO_PARAMS
        return Match(self.entry, params, plain)


Row = tuple[Candidate, ...]
"""Candidates for the same host, in their order."""


def candidates_of(entry: Entry) -> dict[Shape, Candidate]:
    """A candidate for each pattern of a route (one of those that differ in the names of parameters only).

    :raises ValueError: naming the field, for a pattern, network or expression that can't be understood.
    """
    conditions = method_conditions(entry.methods) + network_conditions(entry.networks) + vars_conditions(entry.vars)
    found: dict[Shape, Candidate] = {}
    for text in entry.patterns:
        shape, names = parse_pattern(text)
        found.setdefault(shape, Candidate(entry, text, names, conditions))
    return found


class HostIndex:
    """Candidates of one pattern, some of which are for certain hosts only.

    Hosts stand reversed in a tree of their own, so that a wildcard is a prefix there, and "an exact one, then the
    longer wildcard" is the tree's own order.
    """

    __slots__ = ("_any", "_named")

    def __init__(self, any_host: Row, named: Tree[Row]) -> None:
        self._any = any_host
        self._named = named

    def at(self, host: str) -> Iterable[Candidate]:
        """The candidates for a host, in their order."""
        rows = [row for row, _ in self._named.lookup(host[::-1])]
        if self._any:
            rows.append(self._any)
        if all(upper[-1].entry.priority >= lower[0].entry.priority for upper, lower in pairwise(rows)):
            return chain.from_iterable(rows)
        return heapq.merge(*rows, key=_by_priority)

    def everywhere(self) -> Iterator[Candidate]:
        """All candidates, for whatever host."""
        yield from chain(self._any, *self._named.values())

    def joined(self, candidate: Candidate) -> HostIndex:
        """An index with one more candidate."""
        named = self._named
        if not candidate.entry.hosts:
            return HostIndex(_inserted(self._any, candidate), named)
        for host in _host_shapes(candidate.entry):
            named = named.set(host, _inserted(named.get(host) or (), candidate))
        return HostIndex(self._any, named)

    def left(self, entry: Entry) -> Candidates:
        """What remains without the candidate of an entry."""
        named = self._named
        for host in _host_shapes(entry):
            row = _without(named.get(host) or (), entry)
            named = named.set(host, row) if row else named.remove(host)
        any_host = self._any if entry.hosts else _without(self._any, entry)
        return HostIndex(any_host, named) if named else any_host


Candidates: TypeAlias = "Row | HostIndex"
"""All candidates of one pattern; a plain row if none of them asks for a host, as is usual."""


def arrange(candidates: Iterable[Candidate]) -> Candidates:
    """Candidates of one pattern, put in order."""
    any_host: list[Candidate] = []
    named: dict[Shape, list[Candidate]] = {}
    for candidate in candidates:
        if not candidate.entry.hosts:
            any_host.append(candidate)
        for host in _host_shapes(candidate.entry):
            named.setdefault(host, []).append(candidate)
    row = tuple(sorted(any_host, key=_standing))
    if not named:
        return row
    return HostIndex(row, Tree((host, tuple(sorted(found, key=_standing))) for host, found in named.items()))


def joined(candidates: Candidates, candidate: Candidate) -> Candidates:
    """The candidates of a pattern with one more."""
    if isinstance(candidates, HostIndex):
        return candidates.joined(candidate)
    if candidate.entry.hosts:
        return HostIndex(candidates, Tree()).joined(candidate)
    return _inserted(candidates, candidate)


def left(candidates: Candidates, entry: Entry) -> Candidates:
    """The candidates of a pattern without the one of an entry; ``()`` if it was the last."""
    return candidates.left(entry) if isinstance(candidates, HostIndex) else _without(candidates, entry)


def host_rank(entry: Entry, host: str) -> int:
    """How specific the most specific of an entry's hosts that takes ``host`` is; 0 for any host, -1 if none does."""
    reverse = host[::-1]
    ranks = [
        2 * len(text) + (not open) if open or reverse == text else -1
        for (text,), open in _host_shapes(entry)
        if reverse.startswith(text)
    ]
    return max(ranks, default=-1) if entry.hosts else 0


def standing(entry: Entry) -> tuple[int, bool, bool, bool, str]:
    """The order of routes with the same pattern and host: `aigw.routing.router` documents it."""
    return (-entry.priority, not entry.methods, not entry.vars, not entry.networks, entry.id)


def _standing(candidate: Candidate) -> tuple[int, bool, bool, bool, str]:
    return standing(candidate.entry)


def _by_priority(candidate: Candidate) -> int:
    return -candidate.entry.priority


def _inserted(row: Row, candidate: Candidate) -> Row:
    at = bisect.bisect(row, _standing(candidate), key=_standing)
    return (*row[:at], candidate, *row[at:])


def _without(row: Row, entry: Entry) -> Row:
    """A row without the candidate of an entry that is in it."""
    at = bisect.bisect_left(row, standing(entry), key=_standing)
    return row[:at] + row[at + 1 :]


def _host_shapes(entry: Entry) -> list[Shape]:
    """The hosts of an entry as the index has them."""
    return list(dict.fromkeys(_host_shape(host) for host in entry.hosts))


def _host_shape(host: str) -> Shape:
    """``*.x.org`` -> what begins with ``gro.x.``; an IPv6 address is in brackets there, as in a Host header."""
    name = host.lower().removeprefix("*")
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    return Shape((name[::-1],), host.startswith("*"))
