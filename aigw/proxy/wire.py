"""How a reply becomes bytes on one connection, and how the connection tells to wait.

Each call of `Wire.send` and `Wire.end` is at most one write to the transport.
"""

# mypy: allow-untyped-calls
# (the stock classes that are extended here have no annotations)
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.web.http import RESPONSES

from aigw.errors import GatewayError
from aigw.exchange import Exchange, Reply
from aigw.proxy.errors import render_error
from aigw.proxy.headers import outgoing_lines

if TYPE_CHECKING:
    from aigw.proxy.channel import Channel
    from aigw.proxy.request import Request

BODILESS = frozenset({204, 304})
"""Statuses whose replies have no body (RFC 9110 section 6.4.1), beside those to HEAD."""


class Wire(Protocol):
    """Where one reply goes. `open` comes first; then `send`s; then `end` and `finish`, or `cut`, or `abort`."""

    @property
    def delimited(self) -> bool:
        """Does the client know how many bytes will come? Then not a single other one may be sent."""

    @property
    def paused(self) -> bool:
        """Does the client not take what was written before?"""

    def open(self, reply: Reply, exchange: Exchange, length: int | None, *, bodiless: bool = False) -> None:
        """Have the head of ``reply`` ready for the first `send`, with Server, Date and what frames the body.

        ``length``: of the body, if it is known.
        """

    def whole(self, reply: Reply, exchange: Exchange) -> None:
        """`open` and `end` in one, for a reply that is complete and may have a body."""

    def send(self, data: bytes) -> None:
        """Some of the body; ``b""`` sends the head, if that is still waiting."""

    def forward(self, chunk: bytes) -> bool:
        """`send` what an HTTP chunk carries; false = that takes more than sending the chunk itself, and is not done."""

    def end(self, data: bytes) -> None:
        """The rest of the body."""

    def finish(self) -> None:
        """The reply is over; the connection may go on."""

    def cut(self) -> None:
        """The reply ends here, and the client must not take it for complete."""

    def abort(self) -> None:
        """The client is not worth waiting for."""

    def attach(self, producer: IPushProducer) -> None:
        """Tell ``producer`` when to pause and when to resume."""

    def detach(self) -> None:
        """Tell it no more."""


class Http1Wire:
    """A reply over HTTP/1.0 or 1.1 (RFC 9112 section 6)."""

    delimited = False
    _head = b""
    _chunked = False
    _until_close = False

    def __init__(self, request: Request, channel: Channel) -> None:
        self._request = request
        self._channel = channel

    @property
    def paused(self) -> bool:
        """Is the transport's buffer full?"""
        return self._channel.paused

    def open(self, reply: Reply, exchange: Exchange, length: int | None, *, bodiless: bool = False) -> None:
        """Choose the framing: Content-Length, else chunked, else (HTTP/1.0) until the connection closes."""
        self.delimited = length is not None or bodiless
        self._chunked = not self.delimited and self._request.version == b"HTTP/1.1"
        self._until_close = not self.delimited and not self._chunked
        framing = b"Content-Length: %d\r\n" % length if length is not None and reply.status != 204 else b""
        if self._chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        if self._until_close:
            self._channel.persistent = False
        self._head = self._head_of(reply, exchange, framing)

    def whole(self, reply: Reply, exchange: Exchange) -> None:
        """One write."""
        head = self._head_of(reply, exchange, b"Content-Length: %d\r\n" % len(reply.body))
        self._channel.write(head + reply.body)

    def _head_of(self, reply: Reply, exchange: Exchange, framing: bytes) -> bytes:
        channel = self._channel
        if not channel.keeps_alive:
            channel.persistent = False
            framing += b"Connection: close\r\n"
        lines = outgoing_lines(reply.headers, exchange)
        return b"%b%b%b%b\r\n" % (_status_line(reply.status), lines, channel.face.signature(), framing)

    def send(self, data: bytes) -> None:
        """One chunk, or bare bytes."""
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data
        if self._head:
            framed, self._head = self._head + framed, b""
        if framed:
            self._channel.write(framed)

    def forward(self, chunk: bytes) -> bool:
        """Chunks are sent as they are, once the head is out."""
        if not self._chunked or self._head:
            return False
        self._channel.transport.write(chunk)
        return True

    def end(self, data: bytes) -> None:
        """The last bytes, and the last chunk with them."""
        if self._chunked:
            head, self._head = self._head, b""
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            self._channel.write(b"%b%b0\r\n\r\n" % (head, chunk))
        else:
            self.send(data)

    def finish(self) -> None:
        """Next request, please."""
        self._request.leave()

    def cut(self) -> None:
        """Close without the last chunk, or short of the length; where only the close would tell, reset instead."""
        if self._until_close:
            self.abort()
        else:
            self._channel.persistent = False
            self._request.leave()

    def abort(self) -> None:
        """Reset the connection."""
        self._channel.abortConnection()

    def attach(self, producer: IPushProducer) -> None:
        """By way of the channel, which the transport tells."""
        self._channel.attach(producer)

    def detach(self) -> None:
        """Leave the channel."""
        self._channel.detach()


def http1_refusal(error: GatewayError, signature: bytes) -> bytes:
    """A whole reply to a client that has not sent, or will not get to send, a request one could refer to."""
    reply = render_error(error)
    fields = b"".join([b"%b: %b\r\n" % field for field in reply.headers])
    framing = b"Content-Length: %d\r\nConnection: close\r\n" % len(reply.body)
    return b"%b%b%b%b\r\n%b" % (_status_line(reply.status), fields, signature, framing, reply.body)


@functools.lru_cache(maxsize=512)
def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, RESPONSES.get(status, b""))
