"""Which route takes a request. A Router is immutable: a change makes another one, and requests in flight keep theirs.

The order in which routes are tried for a request; the first that accepts it takes it:

1. the more specific path pattern (`aigw.routing.patterns` says which that is);
2. of routes with the same pattern, the higher ``priority``;
3. then the more specific host: an exact one, then the longer wildcard, then routes for any host;
4. then a route that asks for methods before one that does not, then one with ``vars``, then one with ``remote_addrs``;
5. then the smaller id.

So a request that no route of the most specific pattern accepts is still offered to the routes of the next one.

``*.x.org`` takes any host that ends in ``.x.org`` (``a.x.org``, ``b.a.x.org``, not ``x.org``), as in APISIX. Methods
are compared as they are: GET does not imply HEAD.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from aigw.routing.candidates import Candidate, Candidates, Match, arrange, candidates_of, joined, left
from aigw.routing.entry import Entry, entry_of
from aigw.routing.explain import explain
from aigw.routing.facts import Facts
from aigw.routing.patterns import Shape, parse_pattern
from aigw.routing.persistent import PersistentMap
from aigw.routing.tree import Tree

__all__ = ["Entry", "Facts", "Match", "Router", "entry_of"]


@attrs.frozen(eq=False, repr=False)
class Router:
    """Entries by id, and arranged by path. `put` and `remove` cost microseconds and leave this Router as it is."""

    _entries: PersistentMap[Entry] = attrs.field(factory=PersistentMap)
    _enabled: Tree[Candidates] = attrs.field(factory=Tree)
    _disabled: Tree[Candidates] = attrs.field(factory=Tree)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Router:
        """A Router with all of these; of several with one id, the last.

        :raises ValueError: as `put`.
        """
        by_id = {entry.id: entry for entry in entries}
        enabled = _planted(entry for entry in by_id.values() if entry.enabled)
        disabled = _planted(entry for entry in by_id.values() if not entry.enabled)
        return cls(PersistentMap(by_id), enabled, disabled)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, id: str) -> Entry | None:
        """The entry of this id, or None."""
        return self._entries.get(id)

    def put(self, entry: Entry) -> Router:
        """A Router that has this entry, in place of the one with the same id if there is one.

        :raises ValueError: for a pattern, network or expression that can't be understood.
        """
        candidates = candidates_of(entry)
        rest = self.remove(entry.id)
        entries = rest._entries.set(entry.id, entry)
        if entry.enabled:
            return Router(entries, _sown(rest._enabled, candidates), rest._disabled)
        return Router(entries, rest._enabled, _sown(rest._disabled, candidates))

    def remove(self, id: str) -> Router:
        """A Router without the entry of this id (this one, if it has none)."""
        entry = self._entries.get(id)
        if entry is None:
            return self
        entries = self._entries.remove(id)
        if entry.enabled:
            return Router(entries, _weeded(self._enabled, entry), self._disabled)
        return Router(entries, self._enabled, _weeded(self._disabled, entry))

    def match(self, facts: Facts) -> Match | None:
        """The route that takes a request; None if none does."""
        plain = True
        for candidates, taken in self._enabled.lookup(facts.path):
            for candidate in candidates if isinstance(candidates, tuple) else candidates.at(facts.host):
                plain = plain and candidate.plain
                for _, holds in candidate.conditions:
                    if not holds(facts):
                        break
                else:
                    return candidate.matched(taken, plain)
        return None

    def explain(self, facts: Facts, limit: int = 100) -> list[tuple[str, str]]:
        """(id, why it does not take the request) of the entries with a pattern that takes the path, in their order.

        The one that `match` gives is not among them; disabled ones are last; no more than ``limit``.
        """
        return explain(facts, self._enabled, self._disabled, limit)


def _planted(entries: Iterable[Entry]) -> Tree[Candidates]:
    found: dict[Shape, list[Candidate]] = {}
    for entry in entries:
        for shape, candidate in candidates_of(entry).items():
            found.setdefault(shape, []).append(candidate)
    return Tree((shape, arrange(candidates)) for shape, candidates in found.items())


def _sown(tree: Tree[Candidates], candidates: dict[Shape, Candidate]) -> Tree[Candidates]:
    for shape, candidate in candidates.items():
        tree = tree.set(shape, joined(tree.get(shape) or (), candidate))
    return tree


def _weeded(tree: Tree[Candidates], entry: Entry) -> Tree[Candidates]:
    for shape in {parse_pattern(pattern).shape for pattern in entry.patterns}:
        rest = left(tree.get(shape) or (), entry)
        tree = tree.set(shape, rest) if rest else tree.remove(shape)
    return tree
