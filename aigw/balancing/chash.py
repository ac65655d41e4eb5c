"""Consistent hashing: equal keys meet the same instance, and a change of instances moves as few keys as it must.

A ring in the manner of ketama: each instance owns points in proportion to its weight, a key belongs to the owner of the
next point. Who is no candidate is walked over: its keys spread over the others, and the others' keys stay.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import attrs

from aigw.balancing.balancer import Balancer, Instance, T, share

POINTS_PER_WEIGHT = 160
MOST_POINTS = 16 * POINTS_PER_WEIGHT
"""Of one instance. Where the heaviest of a tier is over it, the weights of that tier are scaled down together."""

_DIGEST = struct.Struct(">8Q")


@attrs.frozen
class _Ring:
    """``points`` ascending; ``owners[i]`` is the name that owns ``points[i]``."""

    points: Sequence[int]
    owners: Sequence[str]


class ConsistentHash(Balancer):
    """The same key, the same instance, in every process and after every restart."""

    def __init__(self) -> None:
        self._rings: dict[int, _Ring] = {}

    def reconfigure(self, instances: Sequence[Instance]) -> None:
        """One ring per tier."""
        groups: dict[int, list[Instance]] = {}
        for instance in instances:
            groups.setdefault(instance.priority, []).append(instance)
        self._rings = {priority: _ring(group) for priority, group in groups.items()}

    def pick(self, candidates: Sequence[T], now: float, key: bytes) -> T:
        """The candidate that owns the first point at or after the key's, going round."""
        ring = self._rings.get(candidates[0].priority)
        if ring is None or len(candidates) == 1:
            return candidates[0]
        named = {candidate.name: candidate for candidate in candidates}
        for owner in _walk(ring, key):
            if owner in named:
                return named[owner]
        return candidates[0]


def _walk(ring: _Ring, key: bytes) -> Iterator[str]:
    start = bisect_left(ring.points, int.from_bytes(blake2b(key, digest_size=8).digest(), "big"))
    for index in range(start, start + len(ring.owners)):
        yield ring.owners[index % len(ring.owners)]


def _ring(instances: Sequence[Instance]) -> _Ring:
    heaviest = max(share(instance) for instance in instances) * POINTS_PER_WEIGHT
    owned: list[tuple[int, str]] = []
    for instance in instances:
        points = share(instance) * POINTS_PER_WEIGHT
        if heaviest > MOST_POINTS:
            points = max(1, points * MOST_POINTS // heaviest)
        owned.extend((point, instance.name) for point in _points(instance.name, points))
    owned.sort()
    return _Ring([point for point, _ in owned], [name for _, name in owned])


def _points(name: str, number: int) -> list[int]:
    """The first ``number`` points of a name; more points include fewer, so a gain of weight moves no other key."""
    seed = name.encode("utf-8", "surrogatepass")
    points: list[int] = []
    for block in range(-(-number // 8)):
        points.extend(_DIGEST.unpack(blake2b(seed, digest_size=64, salt=block.to_bytes(8, "big")).digest()))
    return points[:number]
