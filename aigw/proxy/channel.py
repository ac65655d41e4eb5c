"""One connection of a client: HTTP/1 here, HTTP/2 handed on to `aigw.proxy.http2` where TLS negotiated it.

Every head is read strictly (`aigw.proxy.head`) before the stock parser gets it, byte for byte, and the stock parser
gets exactly one request at a time. `Channel._hand_over` is where a fast path could take a plain head instead.
"""

# mypy: allow-untyped-calls
# (the stock classes that are extended here have no annotations)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableDescriptor, IHandshakeListener, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from aigw.errors import BadRequest, GatewayError, RequestTimeout
from aigw.proxy.chunked import Dechunker
from aigw.proxy.head import Head, head_size, read_head
from aigw.proxy.phases import Phase
from aigw.proxy.wire import http1_refusal

if TYPE_CHECKING:
    from aigw.proxy.face import Face
    from aigw.proxy.http2 import Http2Channel
    from aigw.proxy.request import Request
    from aigw.proxy.site import ProxySite

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHandshakeListener)
class Channel(http.HTTPChannel):
    """``phase``: where it is. ``paused``: the client does not take what was written. ``secure``: there is TLS below.

    Deadlines of `Phase.BODY` and `Phase.ANSWER` are the request's business (`Request.sweep`).
    """

    log = Logger()
    site: ProxySite
    requests: list[Request]
    transport: Any

    # The connection's life

    def connectionMade(self) -> None:
        """A client has connected; a TLS handshake may still be ahead."""
        face: Face = self.site.face
        self._face = face
        self.maxHeaders = face.limits.header_count
        self.MAX_LENGTH = self.totalHeadersSize = face.limits.request_line + face.limits.header_section
        self.paused = False
        self.secure = ISSLTransport.providedBy(self.transport)
        self._input = b""
        self._seen = 0
        self._blank_seen = False
        self._busy = False
        self._overrun = False
        self._refused = False
        self._head: Head | None = None
        self._body_left = 0
        self._dechunker: Dechunker | None = None
        self._http2: Http2Channel | None = None
        super().connectionMade()
        self._enter(Phase.HANDSHAKE if self.secure else Phase.IDLE)
        self.site.opened(self)

    def handshakeCompleted(self) -> None:
        """TLS is set up, and with it which HTTP the client wants."""
        self._enter(Phase.IDLE)
        if getattr(self.transport, "negotiatedProtocol", None) == b"h2":
            from aigw.proxy.http2 import Http2Channel

            self._http2 = Http2Channel.taking_over(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, and so is whoever waits for something from it."""
        self.phase = Phase.CLOSING
        if self._http2 is not None:
            self._http2.connectionLost(reason)
        else:
            super().connectionLost(reason)
        self.site.closed(self)

    def sweep(self, now: float) -> None:
        """Look for missed deadlines."""
        if self._http2 is not None:
            self._http2.sweep(now)
            return
        for request in tuple(self.requests):
            request.sweep(now)
        if now >= self._deadline:
            self._expire()

    def drain(self) -> None:
        """Close as soon as nothing is going on; `requestDone` does if something is."""
        if self._http2 is not None:
            self._http2.drain()
        elif self.phase is Phase.IDLE:
            self.loseConnection()
        elif self.phase is Phase.HANDSHAKE:
            self.abortConnection()

    def loseConnection(self) -> None:
        """Close when everything is written. A refused client may still be sending: it is listened to for a while, or
        the kernel would answer its bytes with a reset that overtakes our reply (RFC 9112 section 9.6).
        """
        transport = self.transport
        if self._refused and not self.secure and IHalfCloseableDescriptor.providedBy(transport):
            transport.loseWriteConnection()  # type: ignore[attr-defined]  # the interface forgot it
            return
        if not self._refused:
            self._enter(Phase.CLOSING)
        super().loseConnection()

    def abortConnection(self) -> None:
        """Close now."""
        self._enter(Phase.CLOSING)
        self.transport.abortConnection()

    def isSecure(self) -> bool:
        """Is there TLS below? Asked for each request."""
        return self.secure

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._deadline = self._face.clock.seconds() + self.site.patience[phase]

    def _expire(self) -> None:
        if self.phase is Phase.HEAD:
            self.refuse(RequestTimeout("the request head took too long"))
        elif self.phase is Phase.IDLE:
            self.loseConnection()
        else:
            self.abortConnection()

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        """Some bytes of one or several requests."""
        if self.phase is Phase.HANDSHAKE:
            self.handshakeCompleted()
        if self._http2 is not None:
            self._http2.dataReceived(data)
        elif self.phase is not Phase.CLOSING and not self._overrun:
            self._input = self._input + data if self._input else data
            self._advance()

    def _advance(self) -> None:
        """Take from the input what can be taken. Never nested: an answer given at once comes back here."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._input and self._take():
                pass
        finally:
            self._busy = False

    def _take(self) -> bool:
        """Take something from the input; false = it has to wait."""
        if self.phase is Phase.BODY:
            return self._take_body()
        if self.phase is Phase.ANSWER:
            return self._hold()
        if self.phase is Phase.CLOSING:
            self._input = b""
            return False
        if self.phase is Phase.IDLE:
            self._seen = 0
            self._enter(Phase.HEAD)
        try:
            return self._take_head()
        except GatewayError as error:
            self.refuse(error)
            return False

    def _take_head(self) -> bool:
        if not self._blank_seen and b"\r\n".startswith(self._input[:2]):
            return self._skip_blank_line()
        size = head_size(self._input, self._seen, self._face.limits)
        self._seen = len(self._input)
        if not size:
            return False
        block, self._input = self._input[:size], self._input[size:]
        self._blank_seen = False
        self._head = read_head(block, self._face.limits)
        self._hand_over(block)
        return True

    def _skip_blank_line(self) -> bool:
        """One empty line before a request is forgiven (RFC 9112 section 2.2)."""
        if len(self._input) < 2:
            return False
        self._input, self._blank_seen = self._input[2:], True
        self._enter(Phase.IDLE)
        return True

    def _hand_over(self, block: bytes) -> None:
        super().dataReceived(block)

    def _take_body(self) -> bool:
        if self._dechunker is not None:
            return self._take_chunks(self._dechunker)
        piece, self._input = self._input[: self._body_left], self._input[self._body_left :]
        self._body_left -= len(piece)
        super().dataReceived(piece)
        return True

    def _take_chunks(self, dechunker: Dechunker) -> bool:
        data, self._input = self._input, b""
        try:
            piece = dechunker.feed(data)
        except GatewayError as error:
            self.refuse(error)
            return False
        if piece:
            self.requests[-1].handleContentChunk(piece)
        if dechunker.finished and self.phase is Phase.BODY:
            self._input = dechunker.surplus
            self.allContentReceived()
        return True

    def _hold(self) -> bool:
        """Keep what comes behind the request that is being answered. Never stop reading, or nobody would notice that
        the client is gone; so what is too much is dropped, and the connection closes after the answer.
        """
        if len(self._input) > self._face.limits.pipeline:
            self._overrun = True
            self._input = b""
        return False

    def refuse(self, error: GatewayError) -> None:
        """Say why, and never take another byte from this connection for a request."""
        if self._refused:
            return
        self._refused = True
        self.persistent = False
        self._input = b""
        self._enter(Phase.CLOSING)
        self._deadline = self._face.clock.seconds() + self._face.limits.linger_timeout
        if self.requests:
            self.requests[-1].refuse(error)
        else:
            self.log.debug("refused {peer}: {error}", peer=self.getPeer(), error=error.message)
            self.transport.write(http1_refusal(error, self._face.date()))
            self.loseConnection()

    # What the stock parser calls

    def allHeadersReceived(self) -> None:
        """It has made a request of a head that we have read."""
        head, request = self._head, self.requests[-1]
        assert head is not None
        self._enter(Phase.BODY)
        self.persistent = head.persistent
        self._dechunker = Dechunker() if head.length is None else None
        self._body_left = head.length or 0
        try:
            request.head_received(head.method, head.target, head.version, head.length)
            if head.expects_continue and request.refusal is not None:
                raise request.refusal
        except GatewayError as error:
            self.refuse(error)
        else:
            if head.expects_continue:
                self.transport.write(CONTINUE)

    def allContentReceived(self) -> None:
        """The request is complete."""
        if self.phase is Phase.BODY:
            self._enter(Phase.ANSWER)
            super().allContentReceived()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """It has found something that we let pass; there should be no such thing."""
        self.refuse(BadRequest("malformed request"))

    # What the reply calls

    @property
    def keeps_alive(self) -> bool:
        """May the connection serve another request, as far as is known now?"""
        return bool(self.persistent) and not self._overrun and not self._face.draining

    def requestDone(self, request: Request) -> None:
        """The reply is written."""
        self.persistent = self.keeps_alive
        if self.persistent:
            self._enter(Phase.IDLE)
        super().requestDone(request)
        self._advance()

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self.paused = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """It is empty."""
        self.paused = False
        super().resumeProducing()
