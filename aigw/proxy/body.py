"""Where a request body is kept while it arrives: in memory, bounded for itself and together with all others."""

from __future__ import annotations

from aigw.errors import BodyTooLarge, NotServing

_PIECES = 256
_SMALL = 4096


class BodyMemory:
    """The bytes that all request bodies of the face hold together."""

    def __init__(self, limit: int) -> None:
        self.held = 0
        self._limit = limit

    def take(self, size: int) -> None:
        """:raises NotServing: if that would be too much; then nothing is taken."""
        if self.held + size > self._limit:
            raise NotServing("too much is being sent to the gateway at once", headers=((b"Retry-After", b"1"),))
        self.held += size

    def give(self, size: int) -> None:
        """Have ``size`` bytes back."""
        self.held -= size


class Body:
    """One request's body. ``received``: its bytes so far, which `discard` stops keeping but not counting."""

    received = 0
    _held = 0
    _kept = True
    _latest_size = 0

    def __init__(self, limit: int, memory: BodyMemory) -> None:
        self._limit = limit
        self._memory = memory
        self._pieces: list[bytes] = []
        self._latest: list[bytes] = []

    def expect(self, length: int) -> None:
        """:raises BodyTooLarge: if a body of this length is over the limit."""
        if length > self._limit:
            raise BodyTooLarge(f"the request body is larger than {self._limit} bytes")

    def add(self, data: bytes) -> None:
        """Take the next piece.

        :raises GatewayError: if there is no room for it (`BodyTooLarge`, `NotServing`).
        """
        if self.count(data):
            self._keep(data)

    def count(self, data: bytes) -> bytes:
        """What of ``data`` is to be kept, for a caller who keeps it himself because it is all there is.

        :raises GatewayError: as `add` does.
        """
        size = len(data)
        self.received += size
        if self.received > self._limit:
            self.expect(self.received)
        if not self._kept:
            return b""
        self._memory.take(size)
        self._held += size
        return data

    def discard(self) -> None:
        """Keep nothing from now on, and nothing of what is there."""
        self._kept = False
        self._pieces, self._latest = [], []
        self.release()

    def join(self) -> bytes:
        """All of it, which is then kept here no longer, but still counts until `release`."""
        pieces = self._pieces + self._latest
        self._pieces, self._latest = [], []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def release(self) -> None:
        """Nobody needs it any more. Idempotent."""
        self._memory.give(self._held)
        self._held = 0

    def _keep(self, data: bytes) -> None:
        """A piece costs 40 bytes beside its own, so many small ones are joined from time to time."""
        self._latest.append(data)
        self._latest_size += len(data)
        if len(self._latest) == _PIECES:
            small = self._latest_size < _PIECES * _SMALL
            self._pieces += [b"".join(self._latest)] if small else self._latest
            self._latest, self._latest_size = [], 0
