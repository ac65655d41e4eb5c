"""The least busy, and the quickest: algorithms that learn from attempts rather than from keys."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import attrs

from aigw.balancing.balancer import Balancer, Instance, T, share
from aigw.balancing.roundrobin import RoundRobin

FADING = 10.0
"""Seconds in which a latency fades to 1/e of itself."""
FORGOTTEN = 3 * FADING
"""Seconds after which a latency says nothing any more."""


class _Learning(Balancer):
    """Counts attempts under way; equals take turns by weight."""

    def __init__(self) -> None:
        self._turns = RoundRobin()
        # Only names with attempts under way are in it, so that those may end after their instance is gone.
        self._under_way: Counter[str] = Counter()

    def reconfigure(self, instances: Sequence[Instance]) -> None:
        self._turns.reconfigure(instances)

    def started(self, name: str, now: float) -> None:
        self._under_way[name] += 1

    def ended(self, name: str, now: float) -> None:
        if self._under_way[name] > 1:
            self._under_way[name] -= 1
        else:
            del self._under_way[name]

    def _least(self, candidates: Sequence[T], costs: Sequence[tuple[int, float]], now: float, key: bytes) -> T:
        least = min(costs)
        equals = [candidate for candidate, cost in zip(candidates, costs, strict=True) if cost == least]
        return equals[0] if len(equals) == 1 else self._turns.pick(equals, now, key)


class LeastConnections(_Learning):
    """The fewest attempts under way, in proportion to the weight."""

    def pick(self, candidates: Sequence[T], now: float, key: bytes) -> T:
        """The least busy candidate."""
        costs = [(0, self._under_way[c.name] / share(c)) for c in candidates]
        return self._least(candidates, costs, now, key)


@attrs.define
class _Latency:
    """A moving average, in seconds: it jumps to a peak at once and comes down slowly. ``seen``: its last change."""

    seconds: float
    seen: float

    def at(self, now: float) -> float:
        """What is left of it."""
        return self.seconds * self._kept(now)

    def saw(self, seconds: float, now: float) -> None:
        """Take one more observation in."""
        kept = self._kept(now)
        self.seconds = max(seconds, self.seconds * kept + seconds * (1 - kept))
        self.seen = now

    def _kept(self, now: float) -> float:
        return math.exp(-max(0.0, now - self.seen) / FADING)


class LeastLatency(_Learning):
    """The smallest expected latency: a peak-sensitive average, times the attempts under way, over the weight.

    A latency fades with time, so who was slow once is asked again. Who is not known (any more) is asked first, but by
    one request at a time: a crowd must not find out together.
    """

    def __init__(self) -> None:
        super().__init__()
        self._latencies: dict[str, _Latency] = {}

    def reconfigure(self, instances: Sequence[Instance]) -> None:
        """Forget the latencies of those that are gone."""
        super().reconfigure(instances)
        names = {instance.name for instance in instances}
        self._latencies = {name: seen for name, seen in self._latencies.items() if name in names}

    def pick(self, candidates: Sequence[T], now: float, key: bytes) -> T:
        """The candidate that is likely to answer first."""
        return self._least(candidates, [self._cost(candidate, now) for candidate in candidates], now, key)

    def answered(self, name: str, now: float, latency: float) -> None:
        """Learn from one answer."""
        known = self._latencies.get(name)
        if known is None:
            self._latencies[name] = _Latency(latency, now)
        else:
            known.saw(latency, now)

    def _cost(self, instance: Instance, now: float) -> tuple[int, float]:
        busy = self._under_way[instance.name]
        known = self._latencies.get(instance.name)
        if known is not None and now - known.seen < FORGOTTEN:
            return 1, known.at(now) * (busy + 1) / share(instance)
        return (2, busy / share(instance)) if busy else (0, 0.0)
