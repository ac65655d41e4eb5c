"""Healths kept in step between the processes of one gateway: who rests, whose circuit is open, who is being probed.

Only changes are told. All of them go through one process, the `Ledger`, whose order is everybody's: the last change it
heard of holds for all. What a process does not know yet (its route had no request so far) waits here until it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from hashlib import blake2b
from weakref import WeakValueDictionary

import attrs

from aigw.balancing.health import CLOSED, Circuit, Health, HealthChange, later

MOST_KNOWN = 10_000
"""How many accounts' standings are remembered: those that changed last."""

Digest = Callable[[bytes], bytes]
"""Makes of a secret 16 bytes that tell it from others, and nothing about it; the same in all processes of a gateway."""

Tell = Callable[[bytes, HealthChange], object]


def keyed_digest(key: bytes) -> Digest:
    """A `Digest`. ``key``: up to 64 bytes."""
    return lambda secret: blake2b(secret, key=key, digest_size=16).digest()


unkeyed_digest = keyed_digest(b"")
"""For where no digest leaves the process."""


class Ledger:
    """What is known of each account that is, or lately was, unwell; by name."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._known: dict[bytes, tuple[float | None, Circuit]] = {}
        self._most = most

    def learn(self, name: bytes, change: HealthChange) -> None:
        """A change that came after all others. A rest is never shortened."""
        rest_until, circuit = self._known.pop(name, (None, CLOSED))
        rest_until = later(change.rest_until, rest_until)
        circuit = circuit if change.circuit is None else change.circuit
        if rest_until is not None or circuit != CLOSED:
            self._known[name] = rest_until, circuit
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def get(self, name: bytes) -> HealthChange:
        """What holds for an account, as the change from a new health to it."""
        rest_until, circuit = self._known.get(name, (None, CLOSED))
        return HealthChange(rest_until=rest_until, circuit=circuit)

    def known(self) -> Iterable[tuple[bytes, HealthChange]]:
        """All of them."""
        return [(name, self.get(name)) for name in self._known]


class SharedHealths:
    """One process's healths. ``tell``: takes changes to the ledger's process, which tells all, also us: the echo.

    Until the echo of our last change is back, what is said of the circuit was said before that, and is passed over.
    """

    def __init__(self, digest: Digest, tell: Tell) -> None:
        self._digest = digest
        self._tell = tell
        self._ledger = Ledger()
        self._healths: WeakValueDictionary[bytes, Health] = WeakValueDictionary()
        self._on_their_way: Counter[bytes] = Counter()

    def follow(self, identity: Hashable, health: Health) -> None:
        """Keep a new health in step with those of the same identity elsewhere."""
        name = self._digest(repr(identity).encode())
        self._healths[name] = health
        health.adopt(self._ledger.get(name))
        health.on_change = partial(self._changed, name)

    def learn(self, name: bytes, change: HealthChange, *, echo: bool) -> None:
        """The ledger's process tells of a change; ``echo``: it was ours."""
        self._ledger.learn(name, change)
        if echo and change.circuit is not None:
            self._on_their_way[name] -= 1
            if self._on_their_way[name] <= 0:
                del self._on_their_way[name]
        health = self._healths.get(name)
        if health is not None:
            health.adopt(attrs.evolve(change, circuit=None) if name in self._on_their_way else change)

    def _changed(self, name: bytes, change: HealthChange) -> None:
        if change.circuit is not None:
            self._on_their_way[name] += 1
        self._ledger.learn(name, change)
        self._tell(name, change)
