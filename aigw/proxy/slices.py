"""A complete body as a Source, for one that is too long to be written at once."""

from __future__ import annotations

from aigw.exchange import Sink


class Slices:
    """Delivers ``body`` in slices of ``size`` bytes, the next one as soon as nobody is paused."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body = body
        self._size = size
        self._position = 0
        self._flowing = False
        self._sink: Sink | None = None

    def start(self, sink: Sink) -> None:
        """Deliver the first."""
        self._sink = sink
        self.resume()

    def pause(self) -> None:
        """Wait."""
        self._flowing = False

    def resume(self) -> None:
        """Deliver until paused, or to the end."""
        if self._flowing:
            return
        self._flowing = True
        while self._flowing and self._sink is not None:
            self._deliver(self._sink)

    def abort(self) -> None:
        """Deliver no more."""
        self._sink = None
        self._body = b""

    def _deliver(self, sink: Sink) -> None:
        piece = self._body[self._position : self._position + self._size]
        self._position += len(piece)
        sink.write(piece)
        if self._sink is not None and self._position >= len(self._body):
            self.abort()
            sink.finished()
