"""The topic of healths: an instance that rests, or whose circuit is open, does so for all workers."""

from __future__ import annotations

import attrs
import msgspec

from aigw.balancing.health import CLOSED, HealthChange
from aigw.balancing.sharing import Digest, Ledger, SharedHealths
from aigw.workers.topics import Tell, Topics

TOPIC = "health"


class Told(msgspec.Struct, array_like=True, frozen=True):
    """An account's health has changed. ``echo``: whoever hears this has said it."""

    name: bytes
    change: HealthChange
    echo: bool = False


_decode = msgspec.msgpack.Decoder(Told).decode
_encode = msgspec.msgpack.Encoder().encode


class HealthHub:
    """The parent's part: the ledger, and who is probing.

    A worker that dies while its request is an instance's probe takes the probe with it: another one may begin.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._ledger = Ledger()
        self._members: set[int] = set()
        self._probing: dict[bytes, int] = {}

    def joined(self, member: int) -> None:
        """See `aigw.workers.topics.Hub`."""
        self._members.add(member)
        for name, change in self._ledger.known():
            self._tell(member, _encode(Told(name, change)))

    def heard(self, member: int, body: bytes) -> None:
        """See `aigw.workers.topics.Hub`."""
        told = _decode(body)
        if told.change.circuit is not None:
            if told.change.circuit.probing:
                self._probing[told.name] = member
            else:
                self._probing.pop(told.name, None)
        self._learn(member, told.name, told.change)

    def left(self, member: int) -> None:
        """See `aigw.workers.topics.Hub`."""
        self._members.discard(member)
        for name in [name for name, who in self._probing.items() if who == member]:
            del self._probing[name]
            circuit = self._ledger.get(name).circuit or CLOSED
            self._learn(None, name, HealthChange(circuit=attrs.evolve(circuit, probing=False)))

    def _learn(self, member: int | None, name: bytes, change: HealthChange) -> None:
        self._ledger.learn(name, change)
        for other in self._members:
            self._tell(other, _encode(Told(name, change, other == member)))


def shared_healths(topics: Topics, digest: Digest) -> SharedHealths:
    """A worker's part."""

    def hear(body: bytes) -> None:
        told = _decode(body)
        healths.learn(told.name, told.change, echo=told.echo)

    say = topics.open(TOPIC, hear)
    healths = SharedHealths(digest, lambda name, change: say(_encode(Told(name, change))))
    return healths
