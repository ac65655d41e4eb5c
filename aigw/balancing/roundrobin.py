"""Smooth weighted round robin: exact proportions over every cycle, and no bursts inside one.

The algorithm is nginx's: each candidate earns its weight at every pick, the richest is picked and pays what all of them
earned together. Who is no candidate (tried already, unwell) neither earns nor pays, so nobody comes back with a claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from aigw.balancing.balancer import Balancer, Instance, T, share


class RoundRobin(Balancer):
    """Weighted turns. A pick costs O(candidates)."""

    def __init__(self) -> None:
        self._credits: dict[str, int] = {}
        self._cycles: dict[str, int] = {}

    def reconfigure(self, instances: Sequence[Instance]) -> None:
        """Keep the survivors' credits, in proportion to a cycle of their tier: large old ones starve small weights."""
        totals: Counter[int] = Counter()
        for instance in instances:
            totals[instance.priority] += share(instance)
        cycles = {instance.name: totals[instance.priority] for instance in instances}
        self._credits = {
            name: self._credits[name] * cycle // self._cycles.get(name, cycle)
            for name, cycle in cycles.items()
            if name in self._credits
        }
        self._cycles = cycles

    def pick(self, candidates: Sequence[T], now: float, key: bytes) -> T:
        """The richest candidate; among equals the one written first."""
        if len(candidates) == 1:
            return candidates[0]  # who would pay what it earns
        credits = self._credits
        earned = 0
        for candidate in candidates:
            weight = share(candidate)
            earned += weight
            credits[candidate.name] = credits.get(candidate.name, 0) + weight
        richest = max(candidates, key=lambda candidate: credits[candidate.name])
        credits[richest.name] -= earned
        return richest
