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

from aigw.balancing.health import WELL, Health, Standing

MOST_KNOWN = 10_000
"""How many accounts' standings are remembered: those that changed last."""

Digest = Callable[[bytes], bytes]
"""Makes of a secret 16 bytes that tell it from others, and nothing about it; the same in all processes of a gateway."""

Tell = Callable[[bytes, Standing], object]


def keyed_digest(key: bytes) -> Digest:
    """A `Digest`. ``key``: up to 64 bytes."""
    return lambda secret: blake2b(secret, key=key, digest_size=16).digest()


unkeyed_digest = keyed_digest(b"")
"""For where no digest leaves the process."""


class Ledger:
    """The standing of each account that is, or lately was, unwell; by name."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._standings: dict[bytes, Standing] = {}
        self._most = most

    def learn(self, name: bytes, told: Standing) -> Standing:
        """A change that came after all others. Returns what holds now."""
        standing = told.after(self._standings.pop(name, WELL))
        if standing != WELL:
            self._standings[name] = standing
        if len(self._standings) > self._most:
            del self._standings[next(iter(self._standings))]
        return standing

    def get(self, name: bytes) -> Standing:
        """What holds for an account."""
        return self._standings.get(name, WELL)

    def known(self) -> Iterable[tuple[bytes, Standing]]:
        """All of them, as they are now."""
        return list(self._standings.items())


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

    def learn(self, name: bytes, standing: Standing, *, echo: bool) -> None:
        """The ledger's process tells of a change; ``echo``: it was ours."""
        self._ledger.learn(name, standing)
        if echo:
            self._on_their_way[name] -= 1
            if self._on_their_way[name] <= 0:
                del self._on_their_way[name]
        health = self._healths.get(name)
        if health is None:
            return
        if name in self._on_their_way:
            health.adopt(attrs.evolve(health.standing, rest_until=standing.rest_until))
        else:
            health.adopt(standing)

    def _changed(self, name: bytes, standing: Standing) -> None:
        self._on_their_way[name] += 1
        self._ledger.learn(name, standing)
        self._tell(name, standing)
