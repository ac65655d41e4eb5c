"""Why routes do not take a request, in words for an operator. Slow beside matching.

The values in ``vars`` may be secrets, and so may what they are compared with: only the index of the condition that
fails is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from aigw.routing.candidates import Candidate, Candidates, HostIndex, host_rank, standing
from aigw.routing.expression import compile_vars
from aigw.routing.facts import Facts
from aigw.routing.patterns import parse_pattern
from aigw.routing.tree import Tree


def explain(facts: Facts, enabled: Tree[Candidates], disabled: Tree[Candidates], limit: int) -> list[tuple[str, str]]:
    """See `aigw.routing.router.Router.explain`."""
    return list(islice(_losses(facts, enabled, disabled), limit))


def _losses(facts: Facts, enabled: Tree[Candidates], disabled: Tree[Candidates]) -> Iterator[tuple[str, str]]:
    winner: Candidate | None = None
    for candidate in _considered(enabled, facts):
        reason = _refusal(candidate, facts)
        if winner is not None:
            yield candidate.entry.id, reason or _precedence(winner, candidate, facts)
        elif reason is not None:
            yield candidate.entry.id, reason
        else:
            winner = candidate
    for candidate in _considered(disabled, facts):
        yield candidate.entry.id, "status: 0 disables it"


def _considered(tree: Tree[Candidates], facts: Facts) -> Iterator[Candidate]:
    """Each entry that has a pattern for the path, once; of those with one pattern, those that take the host first."""
    seen: set[str] = set()
    for candidates, _ in tree.lookup(facts.path):
        for candidate in _everyone(candidates, facts.host):
            if candidate.entry.id not in seen:
                seen.add(candidate.entry.id)
                yield candidate


def _everyone(candidates: Candidates, host: str) -> Iterator[Candidate]:
    if isinstance(candidates, HostIndex):
        yield from candidates.at(host)
        yield from candidates.everywhere()
    else:
        yield from candidates


def _refusal(candidate: Candidate, facts: Facts) -> str | None:
    """What the request lacks for this route; None if nothing."""
    entry = candidate.entry
    if host_rank(entry, facts.host) < 0:
        return f'hosts: "{facts.host}" is none of {_some(entry.hosts)}'
    failed = next((field for field, holds in candidate.conditions if not holds(facts)), None)
    if failed == "methods":
        return f"methods: {facts.method} is none of {_some(sorted(entry.methods))}"
    if failed == "remote_addrs":
        return f'remote_addrs: "{facts.remote_addr}" is in none of {_some(entry.networks)}'
    return _unmet(candidate, facts) if failed else None


def _unmet(candidate: Candidate, facts: Facts) -> str:
    """Which condition of an expression does not hold, if it is a plain list of them."""
    for index, condition in enumerate(candidate.entry.vars):
        if isinstance(condition, str):
            break
        if not compile_vars([condition])(facts):
            return f"vars[{index}]: does not hold"
    return "vars: does not hold"


def _precedence(winner: Candidate, loser: Candidate, facts: Facts) -> str:
    """Why the winner stands before a route that would have taken the request, too."""
    first, second = winner.entry, loser.entry
    if parse_pattern(winner.pattern).shape != parse_pattern(loser.pattern).shape:
        return f"uri: {winner.pattern} of {first.id} is more specific than {loser.pattern}"
    if first.priority != second.priority:
        return f"priority: {second.priority} is less than {first.priority} of {first.id}"
    if host_rank(first, facts.host) != host_rank(second, facts.host):
        return f"hosts: those of {first.id} are more specific"
    if standing(first)[:-1] != standing(second)[:-1]:
        return f"conditions: {first.id} comes first by them"
    return f"id: {first.id} comes first"


def _some(items: Iterable[str]) -> str:
    """At most five of them, for a message."""
    shown = list(islice(items, 6))
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
