"""A proxy face in memory: the real site and channel on a transport that fills up, closes and aborts like TCP."""

# mypy: allow-untyped-calls
# (twisted.internet.testing has no annotations)
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor, ISSLTransport, ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import alsoProvides, implementer

from aigw.errors import BadRequest, GatewayError
from aigw.exchange import Exchange, Outcome, Reply, Sink
from aigw.model.snapshot import Resource
from aigw.pipeline import Matched
from aigw.proxy.limits import Limits
from aigw.proxy.site import ProxySite, proxy_site

ROUTE = Resource(kind="routes", id="r1", document={}, value=None, plugins={}, created_index=1, modified_index=1)
Handle = Callable[[Exchange], Awaitable[Reply]]


@implementer(IHalfCloseableDescriptor)
class Transport(StringTransport):
    """``writes``: what went out, call by call. With ``capacity`` set, it is full beyond so many bytes until `taken`."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(lenient=True)
        self.clock = clock
        self.writes: list[bytes] = []
        self.capacity: int | None = None
        self.aborted = self.half_closed = self.lost = False
        self._unread = 0
        self._told_to_pause = False
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        assert not self.half_closed, data
        if self.lost or self.disconnecting:
            return
        self.writes.append(data)
        super().write(data)
        self._unread += len(data)
        if self.capacity is not None and self._unread > self.capacity and self.producer is not None:
            self._told_to_pause = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def taken(self) -> None:
        """The client has read everything."""
        self._unread = 0
        if self._told_to_pause and self.producer is not None:
            self._told_to_pause = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            self.lose()

    def loseConnection(self) -> None:
        if not self.disconnecting:
            super().loseConnection()
            if self.capacity is None or self._unread == 0:
                self.clock.callLater(0, self.lose)

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def readConnectionLost(self, reason: Failure) -> None:
        """For real transports only."""

    def writeConnectionLost(self, reason: Failure) -> None:
        """For real transports only."""

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True
        self.clock.callLater(0, self.lose)

    def lose(self) -> None:
        """The connection is gone."""
        if not self.lost:
            self.lost = True
            producer, self.producer = self.producer, None
            if producer is not None:
                producer.stopProducing()
            self.protocol.connectionLost(Failure(ConnectionDone()))


@attrs.frozen(kw_only=True)
class Got:
    """One reply as a client reads it. ``complete``: framing said that this was all."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool


def read_replies(data: bytes, *, head_only: bool = False) -> list[Got]:
    """All replies in ``data``, read by length and chunk framing, strictly."""
    replies = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        version, status, _ = lines[0].split(b" ", 2)
        assert version == b"HTTP/1.1"
        pairs = [line.decode("latin-1").split(": ", 1) for line in lines[1:]]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), pairs
        if head_only or status in (b"204", b"304", b"100"):
            body, complete = b"", True
        elif "content-length" in headers:
            length = int(headers["content-length"])
            body, data = data[:length], data[length:]
            complete = len(body) == length
        elif "transfer-encoding" in headers:
            body, data, complete = _read_chunks(data)
        else:
            body, data, complete = data, b"", False
        replies.append(Got(status=int(status), headers=headers, body=body, complete=complete))
    return replies


def _read_chunks(data: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        if size == b"0":
            assert data.startswith(b"\r\n")
            return body, data[2:], True
        length = int(size, 16)
        assert data[length : length + 2] == b"\r\n"
        body, data = body + data[:length], data[length + 2 :]
    return body, b"", False


class Client:
    """One connection to the gateway."""

    def __init__(self, site: ProxySite, clock: Clock, *, tls: str | None = None, capacity: int | None = None) -> None:
        self.clock = clock
        self.transport = Transport(clock)
        self.transport.capacity = capacity
        if tls is not None:
            alsoProvides(self.transport, ISSLTransport)
            alsoProvides(self.transport, ITCPTransport)
            self.transport.negotiatedProtocol = tls.encode() or None  # type: ignore[attr-defined]
            self.transport.setTcpNoDelay = lambda on: None  # type: ignore[attr-defined]
        self.channel: Any = site.buildProtocol(None)
        self.refused = self.channel is None
        if not self.refused:
            self.transport.protocol = self.channel
            self.channel.makeConnection(self.transport)

    def send(self, data: bytes) -> Client:
        if not self.transport.lost:
            self.channel.dataReceived(data)
        return self

    def get(self, target: bytes = b"/", *fields: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> Client:
        return self.send(head(method, target, *fields, version=version))

    def post(self, body: bytes, target: bytes = b"/", *fields: bytes) -> Client:
        return self.send(head(b"POST", target, b"Content-Length: %d" % len(body), *fields) + body)

    @property
    def got(self) -> bytes:
        return bytes(self.transport.value())

    @property
    def replies(self) -> list[Got]:
        return read_replies(self.got)

    @property
    def reply(self) -> Got:
        (reply,) = self.replies
        return reply

    @property
    def closed(self) -> bool:
        """Will the client see the end of the connection?"""
        return self.transport.disconnecting or self.transport.half_closed or self.transport.lost

    def leave(self) -> None:
        self.transport.lose()


def head(method: bytes, target: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"%b %b HTTP/%b" % (method, target, version), b"Host: gateway", *fields, b"", b""])


@attrs.frozen(kw_only=True)
class Seen:
    """What an observer was told."""

    exchange: Exchange
    status: int
    outcome: Outcome
    error: GatewayError | None
    sent: int


class FakeSource:
    """A reply body that the test delivers; ``calls``: what the relay asked of it."""

    def __init__(self, *at_once: bytes) -> None:
        self.calls: list[str] = []
        self.sink: Sink | None = None
        self._at_once = at_once

    def start(self, sink: Sink) -> None:
        self.calls.append("start")
        self.sink = sink
        for data in self._at_once:
            sink.write(data)

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def abort(self) -> None:
        self.calls.append("abort")

    def write(self, data: bytes) -> None:
        assert self.sink is not None
        self.sink.write(data)

    def finish(self) -> None:
        assert self.sink is not None
        sink, self.sink = self.sink, None
        sink.finished()

    def break_(self, error: GatewayError) -> None:
        assert self.sink is not None
        sink, self.sink = self.sink, None
        sink.broke(error)


class Gateway:
    """The face. ``handler``: behind every route; the path says what there is: ``/none``, ``/bad``, ``/bug``, ``/tiny``
    (bodies of at most 10 bytes), anything else a plain route.
    """

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.handler: Handle = echo
        self.exchanges: list[Exchange] = []
        self.seen: list[Seen] = []
        self.site = proxy_site(
            lookup=self, clock=self.clock, limits=Limits(**limits), observers=[self._observe], ids=self._id
        )

    def connect(self, **options: Any) -> Client:
        return Client(self.site, self.clock, **options)

    def reply_with(self, reply: Reply) -> None:
        async def handler(exchange: Exchange) -> Reply:
            return reply

        self.handler = handler

    def find(self, method: bytes, target: bytes, headers: Headers, remote_addr: str, scheme: str) -> Matched | None:
        path = target.partition(b"?")[0]
        if path == b"/none":
            return None
        if path == b"/bad":
            raise BadRequest("bad target")
        if path == b"/bug":
            raise RuntimeError("a bug in the router")
        max_body = 10 if path == b"/tiny" else None
        return Matched(
            handler=self._handle,
            resource=ROUTE,
            params={"p": "1"},
            path=path.decode(),
            host="gateway",
            max_body=max_body,
        )

    def advance(self, seconds: float) -> None:
        """Second by second, as the sweeper sees it."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
        self.clock.advance(seconds % 1)

    def _handle(self, exchange: Exchange) -> Awaitable[Reply]:
        self.exchanges.append(exchange)
        return self.handler(exchange)

    def _observe(
        self, exchange: Exchange, status: int, outcome: Outcome, error: GatewayError | None, sent: int
    ) -> None:
        self.seen.append(Seen(exchange=exchange, status=status, outcome=outcome, error=error, sent=sent))

    def _id(self) -> str:
        return f"id-{len(self.exchanges)}"


async def echo(exchange: Exchange) -> Reply:
    """Says what arrived."""
    body = b" ".join([exchange.method, exchange.target, exchange.body])
    return Reply(status=200, headers=[(b"Content-Type", b"text/plain")], body=body)


@pytest.fixture
def gateway() -> Gateway:
    """With the default limits."""
    return Gateway()


@pytest.fixture(scope="session")
def make_gateway() -> type[Gateway]:
    """``make_gateway(limit=...)``."""
    return Gateway


@pytest.fixture(scope="session")
def make_source() -> type[FakeSource]:
    """``make_source(*chunks_delivered_at_once)``."""
    return FakeSource


@pytest.fixture(scope="session")
def read() -> Callable[..., list[Got]]:
    """All replies in some bytes."""
    return read_replies


@pytest.fixture(scope="session")
def make_client() -> type[Client]:
    """``make_client(site, clock)``."""
    return Client
