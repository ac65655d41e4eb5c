"""Messages between two processes: frames of 32 bits of length and so many bytes, over a socket pair."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from aigw.workers.messages import MAX_FRAME, Message, encode


@implementer(IPushProducer)
class Channel(Int32StringReceiver):
    """One end. ``reads``: the type of the messages that come; anything else that comes ends the connection.

    ``heard``: takes each message; a ValueError says that it makes no sense, and ends the connection as well. ``lost``:
    called once, when the other end is gone. ``full``: the other end is slow; what can wait or be lost should.
    """

    log = Logger()
    transport: Any
    MAX_LENGTH = MAX_FRAME

    def __init__(self, reads: Any, heard: Callable[[Any], object], lost: Callable[[], object]) -> None:
        self._decode = msgspec.msgpack.Decoder(reads).decode
        self._heard = heard
        self._lost = lost
        self._outbox: deque[Iterator[bytes]] = deque()
        self._open = False
        self.full = False

    def send(self, message: Message) -> None:
        """Say something, behind all that was said before."""
        self.send_frames([encode(message)])

    def send_frames(self, frames: Iterable[bytes]) -> None:
        """Say several things that are encoded already; those that come from an iterator are made when there is room."""
        self._outbox.append(iter(frames))
        self._pump()

    def close(self) -> None:
        """Say nothing more; what was said still gets there."""
        if self._open:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def connectionMade(self) -> None:
        """Say what was said before there was a connection."""
        self._open = True
        self.transport.registerProducer(self, True)
        self._pump()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other end is gone."""
        self._open = False
        self._outbox.clear()
        self._lost()

    def stringReceived(self, string: bytes) -> None:
        """A frame."""
        try:
            self._heard(self._decode(string))
        except (msgspec.MsgspecError, ValueError) as e:
            self._refuse(str(e))

    def lengthLimitExceeded(self, length: int) -> None:
        """A frame that is too long."""
        self._refuse(f"a frame of {length} bytes")

    def pauseProducing(self) -> None:
        """The other end is slow."""
        self.full = True

    def resumeProducing(self) -> None:
        """It has read what there was."""
        self.full = False
        self._pump()

    def stopProducing(self) -> None:
        """It is gone; `connectionLost` says so too."""
        self.full = True

    def _pump(self) -> None:
        while self._open and self._outbox and not self.full:
            frame = next(self._outbox[0], None)
            if frame is None:
                self._outbox.popleft()
            else:
                self.sendString(frame)  # type: ignore[no-untyped-call]

    def _refuse(self, reason: str) -> None:
        self.log.error("what came from the other process makes no sense: {reason}", reason=reason[:500])
        self._open = False
        self.transport.abortConnection()
