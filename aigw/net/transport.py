"""TCP transports that try to send at once: a write that the kernel takes whole costs one system call and no event.

At once, or (a little) at the end of the reactor's turn, if that is dealing with several events: see `aigw.net.reactor`.
This holds only while nothing else is under way on the connection: nothing buffered, no closing, no TLS started, no pull
producer. Otherwise, and for what the kernel does not take, the stock methods work as they always do, so buffering,
back-pressure, closing and TLS stay Twisted's. Nothing here calls a protocol.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure

MOST_HELD = 16_384
"""Bytes that a connection holds back until the end of a turn. More are worth a send of their own."""


class EagerConnection(tcp.Connection):
    """What `EagerServer` and `EagerClient` have in common.

    Each `write` is a send, unless it is held back: writes that are known together are cheaper as one, or as one
    `writeSequence`. What is held back stands in Twisted's own buffer.
    """

    _local: IPv4Address | IPv6Address | None = None
    _remote: IPv4Address | IPv6Address | None = None
    _holds = False

    def write(self, data: bytes) -> None:
        """Send what the kernel takes now; what it does not take is buffered, as `ITransport.write` has it."""
        if isinstance(data, bytes) and 0 < len(data) <= self.SEND_LIMIT and self._is_free():
            if self._holds:
                self._hold(data)
                return
            if not self._tempDataLen and not self.dataBuffer:
                held = getattr(self.reactor, "held", None)
                if held is not None and len(data) <= MOST_HELD:
                    held.append(self)
                    self._holds = True
                    self._hold(data)
                else:
                    self._send_or_buffer(data)
                return
        super().write(data)  # type: ignore[no-untyped-call]

    def send_held(self) -> None:
        """The turn is over: send what was held back."""
        if not self._holds:
            return
        self._holds = False
        if self._is_free() and not self.dataBuffer:
            data = b"".join(self._tempDataBuffer)
            self._tempDataBuffer, self._tempDataLen = [], 0
            self._send_or_buffer(data)
        elif self.connected and not self._aborting:
            self.startWriting()  # type: ignore[no-untyped-call]

    def _hold(self, data: bytes) -> None:
        self._tempDataBuffer.append(data)
        self._tempDataLen += len(data)
        if self._tempDataLen > MOST_HELD:
            self.send_held()

    def _send_or_buffer(self, data: bytes) -> None:
        sent = self._send(data)
        if sent != len(data):
            super().write(data[sent:])  # type: ignore[no-untyped-call]

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """The same for several pieces, with one send for all."""
        pieces = list(iovec)
        if self._is_free() and {*map(type, pieces)} == {bytes}:
            self.write(b"".join(pieces))
        else:
            super().writeSequence(pieces)  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:
        """Close when all is sent; if it is, without waiting until more could be.

        From a peer that reads slowly that event is long in coming. Twisted has it at hand when it sends what was
        written just before, and so closes at once.
        """
        if self._is_free() and not self._tempDataLen and not self.dataBuffer:
            self.reactor.callLater(0, self._finish)  # type: ignore[attr-defined]
        super().loseConnection()  # type: ignore[no-untyped-call]

    def _finish(self) -> None:
        """Do what the event would do."""
        why = self.doWrite() if self.connected else None  # type: ignore[no-untyped-call]
        if why:
            self.connectionLost(Failure(why))

    def getHost(self) -> IPv4Address | IPv6Address:
        """Our end's address, asked of the kernel once: it does not change while connected."""
        if self._local is not None:
            return self._local
        address: IPv4Address | IPv6Address = super().getHost()  # type: ignore[no-untyped-call]
        if self.connected:
            self._local = address
        return address

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The other end's address."""
        if self._remote is None:
            self._remote = super().getPeer()  # type: ignore[no-untyped-call]
        return self._remote

    def _is_free(self) -> bool:
        """Whether nothing but what is buffered is in the way of a byte, and sending it now keeps no event from somebody
        who waits for it.
        """
        return bool(
            self.connected
            and not self.disconnecting
            and not self._writeDisconnecting
            and not self._aborting
            and not self.TLS
            and (self.producer is None or self.streamingProducer)
        )

    def _send(self, data: bytes) -> int:
        """How many bytes the kernel took. A broken connection takes none, and the event that tells so is on its way."""
        try:
            return self.socket.send(data)
        except (BlockingIOError, BrokenPipeError):
            return 0
        except OSError as e:
            if e.errno != errno.ENOBUFS:
                self.doRead = self._read_to_the_error  # type: ignore[method-assign]
            return 0

    def _read_to_the_error(self) -> ConnectionDone | ConnectionLost | None:
        """Read what came before the error that `_send` met.

        The kernel tells each error once. Without this, the reader who should have got it would see a clean end.
        """
        why = super().doRead()
        return None if why is None else CONNECTION_LOST


class EagerServer(EagerConnection, tcp.Server):
    """A connection that was accepted."""


class EagerClient(EagerConnection, tcp.Client):
    """A connection that was opened."""


class EagerPort(tcp.Port):
    """Listens, and makes an `EagerServer` of each connection."""

    transport = EagerServer


class EagerTLSPort(EagerPort):
    """The same, and calls itself TLS in the log: what TLS there is, is its factory's."""

    _type = "TLS"


class EagerConnector(tcp.Connector):
    """Opens an `EagerClient`."""

    def _makeTransport(self) -> EagerClient:
        return EagerClient(  # type: ignore[no-untyped-call]
            self.host, self.port, self.bindAddress, self, self.reactor
        )
