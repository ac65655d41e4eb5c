"""Request bodies on their way out: in one piece while they are small, else at the pace of the connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

ONE_PIECE = 65536
"""The largest body, in bytes, that leaves together with its head in one write."""


@implementer(IBodyProducer)
class BytesBody:
    """A body that is here already. The only kind that can be sent again."""

    __slots__ = ("_slices", "data", "length")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.length = len(data)
        self._slices: _Slices | None = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it all; fires when that is done."""
        self._slices = _Slices(self.data, consumer)
        return self._slices.start()

    def pauseProducing(self) -> None:
        """Write no more for now."""
        if self._slices is not None:
            self._slices.pause()

    def resumeProducing(self) -> None:
        """Go on."""
        if self._slices is not None:
            self._slices.resume()

    def stopProducing(self) -> None:
        """Write no more; the Deferred never fires then."""
        if self._slices is not None:
            self._slices.pause()
            self._slices = None


class _Slices:
    """Bytes being written slice by slice, so that no second copy of all of them ever exists."""

    def __init__(self, data: bytes, consumer: IConsumer) -> None:
        self._data = data
        self._consumer = consumer
        self._position = 0
        self._paused = False
        self._done: Deferred[None] = Deferred()

    def start(self) -> Deferred[None]:
        self._write()
        return self._done

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._write()

    def _write(self) -> None:
        while not self._paused and self._position < len(self._data):
            start = self._position
            self._position += ONE_PIECE
            self._consumer.write(self._data[start : self._position])
        if self._position >= len(self._data) and not self._done.called:
            self._done.callback(None)


@implementer(IConsumer, IPushProducer)
class Upload:
    """A body being sent piece by piece: what its producer writes to, and what the transport pauses.

    ``ended``: called once with None, or with why the body can't be sent; not after `stop`.
    """

    def __init__(self, body: IBodyProducer, transport: Any, ended: Callable[[Failure | None], None]) -> None:
        self._body = body
        self._transport = transport
        self._ended = ended
        self._active = True
        self._chunked = body.length is UNKNOWN_LENGTH
        self._left: int = 0 if self._chunked else body.length

    def start(self) -> None:
        """Begin; the head is written already."""
        self._transport.registerProducer(self, True)
        if self._active:
            producing: Deferred[Any] = maybeDeferred(self._body.startProducing, self)
            producing.addCallbacks(self._produced, self._end)

    def write(self, data: bytes) -> None:
        """From the producer: some of the body."""
        if not self._active or not data:
            return
        if self._chunked:
            self._transport.writeSequence([b"%x\r\n" % len(data), data, b"\r\n"])
            return
        self._left -= len(data)
        if self._left >= 0:
            self._transport.write(data)
        else:
            self._body.stopProducing()
            self._end(Failure(ValueError("a body's producer wrote more than the length it told")))

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Refused: a body's producer is its own push producer."""
        raise RuntimeError("the producer of this body is known already")

    def unregisterProducer(self) -> None:
        """Nothing to do: the end of `IBodyProducer.startProducing` says it."""

    def pauseProducing(self) -> None:
        """From the transport: it has enough for now."""
        if self._active:
            self._body.pauseProducing()

    def resumeProducing(self) -> None:
        """From the transport: it wants more."""
        if self._active:
            self._body.resumeProducing()

    def stopProducing(self) -> None:
        """From the transport: it is gone."""
        if self._active:
            self._active = False
            self._body.stopProducing()

    def stop(self) -> None:
        """From the connection: the rest is not wanted."""
        if self._active:
            self._transport.unregisterProducer()
            self.stopProducing()

    def _produced(self, _: object) -> None:
        if self._left > 0:
            self._end(Failure(ValueError("a body's producer wrote less than the length it told")))
            return
        if self._active and self._chunked:
            self._transport.write(b"0\r\n\r\n")
        self._end(None)

    def _end(self, reason: Failure | None) -> None:
        if self._active:
            self._active = False
            self._transport.unregisterProducer()
            self._ended(reason)
