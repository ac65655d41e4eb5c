"""What every balancing algorithm is: a choice among candidates, and a memory of what came of earlier choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Instance(Protocol):
    """What balancing knows of an instance. ``weight`` 0: only when nothing else of its tier is left."""

    @property
    def name(self) -> str:
        """Unique among the instances that are balanced together."""

    @property
    def weight(self) -> int:
        """Its share of the traffic of its tier, relative to the others'."""

    @property
    def priority(self) -> int:
        """Instances of equal priority are one tier."""


T = TypeVar("T", bound=Instance)


def share(instance: Instance) -> int:
    """The weight to calculate with: instances of weight 0 meet only each other, and then they are equals."""
    return instance.weight or 1


class Balancer:
    """One algorithm at work. Its memory goes by the names of instances, so that it outlives a change of them."""

    def reconfigure(self, instances: Sequence[Instance]) -> None:
        """These are the instances from now on; forget the others."""

    def pick(self, candidates: Sequence[T], now: float, key: bytes) -> T:
        """Choose one of the candidates: at least one, all of one tier, either all weighted or all of weight 0.

        ``key``: what requests that belong together have in common; only a consistent hash looks at it.
        """
        raise NotImplementedError

    def started(self, name: str, now: float) -> None:
        """An attempt at this instance began."""

    def answered(self, name: str, now: float, latency: float) -> None:
        """It answered with success ``latency`` seconds after the attempt began (a stream: with its first event)."""

    def ended(self, name: str, now: float) -> None:
        """The attempt is over, however it went; exactly one for each `started`."""
