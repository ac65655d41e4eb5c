"""One stream of an HTTP/2 connection: its request, and the wire of its reply. Needs ``twisted[http2]``."""

# mypy: allow-untyped-calls
# (the stock classes that are extended here have no annotations)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from h2.errors import ErrorCodes
from twisted.internet.interfaces import IPushProducer
from twisted.web._http2 import H2Stream
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers

from aigw.errors import GatewayError
from aigw.exchange import Exchange, HeaderList, Reply
from aigw.proxy.face import SERVER
from aigw.proxy.head import check_http2
from aigw.proxy.headers import outgoing
from aigw.proxy.request import Request
from aigw.proxy.wire import Wire

if TYPE_CHECKING:
    from aigw.proxy.http2 import Http2Channel


class Http2Request(Request):
    """One stream's request."""

    connection: Http2Channel
    stream_id: int
    _told_length: int | None = None
    _left_at: float | None = None

    def __init__(self, stream: H2Stream, queued: bool = False) -> None:
        super().__init__(stream, getattr(stream.getPeer(), "host", ""), stream.isSecure())
        self.requestHeaders = Headers()

    def stream_opened(self, connection: Http2Channel, stream: H2Stream) -> None:
        """The head is there."""
        self.connection, self.stream_id = connection, stream.streamID
        method, path = stream.command or b"", stream.path or b""
        try:
            self.head_received(method, path, b"HTTP/2", self.requestHeaders, self._told_length)
        except GatewayError as error:
            self.refuse(error)

    def check(self) -> None:
        """HTTP/2 has no head that was read strictly before."""
        headers = self.requestHeaders
        check_http2(self.method, self.uri, {n.lower(): v for n, v in headers.getAllRawHeaders()}, self._face.limits)
        headers.setRawHeaders(b"host", headers.getRawHeaders(b"host", [])[:1])

    def reject(self, error: GatewayError) -> None:
        """The other streams are not to blame."""
        self.refuse(error)

    def wire(self) -> Wire:
        """The stream."""
        return Http2Wire(self)

    def leave(self) -> None:
        """The reply is queued; the stream lives until it is sent."""
        self._left_at = self._face.clock.seconds()
        stream, self.channel = self.channel, None
        if stream is not None:
            stream.requestDone(self)

    def sweep(self, now: float) -> None:
        """Look for a missed deadline."""
        super().sweep(now)
        if self._left_at is not None and now - self._left_at >= self._face.limits.send_timeout:
            self.connection.reset(self.stream_id, ErrorCodes.CANCEL)

    # What the stream calls

    def gotLength(self, length: int | None) -> None:
        """The stream tells it before the head is complete."""
        self._told_length = length

    def parseCookies(self) -> None:
        """Cookies are nobody's business here."""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of it is there."""
        self.complete()


class Http2Wire:
    """A reply over one stream: DATA frames need no framing of ours."""

    delimited = False
    paused = False

    def __init__(self, request: Http2Request) -> None:
        self._request = request
        self._stream: Any = request.channel
        self._head: tuple[int, HeaderList] | None = None

    def open(self, reply: Reply, exchange: Exchange, length: int | None, *, bodiless: bool = False) -> None:
        """A length is only told, not relied on."""
        self.delimited = length is not None
        told = [(b"Content-Length", b"%d" % length)] if length is not None and reply.status != 204 else []
        own = [(b"Server", SERVER), (b"Date", self._request.connection.face.date())]
        self._head = reply.status, outgoing(reply.headers, exchange) + own + told

    def whole(self, reply: Reply, exchange: Exchange) -> None:
        """HEADERS and DATA."""
        self.open(reply, exchange, len(reply.body))
        self.end(reply.body)

    def send(self, data: bytes) -> None:
        """HEADERS, if they are still waiting, and DATA."""
        if self._head is not None:
            (status, fields), self._head = self._head, None
            headers = Headers()
            for name, value in fields:
                headers.addRawHeader(name, value)
            self._stream.writeHeaders(b"HTTP/2", b"%d" % status, RESPONSES.get(status, b""), headers)
        if data:
            self._stream.write(data)

    def forward(self, chunk: bytes) -> bool:
        """Never: HTTP/2 has no chunks."""
        return False

    def end(self, data: bytes) -> None:
        """`finish` sends END_STREAM."""
        self.send(data)

    def finish(self) -> None:
        """The stream ends when its queue is empty."""
        self._request.leave()

    def cut(self) -> None:
        """RST_STREAM, behind what is queued."""
        connection = self._request.connection
        deadline = connection.face.clock.seconds() + connection.face.limits.send_timeout
        connection.face.clock.callLater(0, connection.cut, self._request.stream_id, deadline)

    def abort(self) -> None:
        """RST_STREAM."""
        self._request.connection.reset(self._request.stream_id, ErrorCodes.CANCEL)

    def attach(self, producer: IPushProducer) -> None:
        """The stream tells it when its window, or the transport, is full."""
        self._stream.registerProducer(producer, True)

    def detach(self) -> None:
        """No more."""
        self._stream.unregisterProducer()
