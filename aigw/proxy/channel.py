"""One connection of a client: HTTP/1 here, HTTP/2 handed on to `aigw.proxy.http2` where TLS negotiated it.

No parser but ours sees a byte: heads are read strictly by `aigw.proxy.head`, bodies are framed here and by
`aigw.proxy.chunked`. There is one request at a time; what a client sends ahead waits.
"""

# mypy: allow-untyped-calls
# (what Twisted has below this has no annotations)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IHandshakeListener,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from aigw.errors import GatewayError, RequestTimeout
from aigw.proxy.chunked import Dechunker
from aigw.proxy.head import Head, Repeated, head_size, read_head
from aigw.proxy.phases import ANSWER, BODY, CLOSING, FOREVER, HANDSHAKE, HEAD, IDLE, Phase
from aigw.proxy.request import Request
from aigw.proxy.wire import http1_refusal

if TYPE_CHECKING:
    from aigw.proxy.http2 import Http2Channel
    from aigw.proxy.site import ProxySite

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHandshakeListener, IPushProducer)
class Channel(Protocol):
    """``phase``: where it is. ``persistent``: it may serve another request. ``paused``: the client does not take what
    was written. ``secure``: there is TLS below.

    It is its transport's producer for as long as it lives, and tells whoever writes a reply. Deadlines of `Phase.BODY`
    and `Phase.ANSWER` are the request's business (`Request.sweep`).
    """

    log = Logger()
    transport: Any
    phase: Phase = IDLE
    persistent = True
    paused = False
    secure = False
    _remote_addr: str | None = None
    _request: Request | None = None
    _reply: IPushProducer | None = None
    _input = b""
    _seen = 0
    _blank_seen = False
    _busy = False
    _overrun = False
    _refused = False
    _deadline = FOREVER
    _body_left = 0
    _dechunker: Dechunker | None = None
    _http2: Http2Channel | None = None
    _repeated: Repeated | None = None
    _fresh = 0

    def __init__(self, site: ProxySite) -> None:
        self.site = site
        self.face = site.face
        self._patience = site.patience

    # The connection's life

    def connectionMade(self) -> None:
        """A client has connected; a TLS handshake may still be ahead."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.secure = ISSLTransport.providedBy(self.transport)
        self._enter(HANDSHAKE if self.secure else IDLE)
        self.site.opened(self)

    def handshakeCompleted(self) -> None:
        """TLS is set up, and with it which HTTP the client wants."""
        self._enter(IDLE)
        if getattr(self.transport, "negotiatedProtocol", None) == b"h2":
            from aigw.proxy.http2 import Http2Channel

            self._http2 = Http2Channel.taking_over(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, and so is whoever waits for something from it."""
        self.phase = CLOSING
        if self._http2 is not None:
            self._http2.connectionLost(reason)
        elif self._request is not None:
            self._request.connectionLost(reason)
        self.site.closed(self)

    def sweep(self, now: float) -> None:
        """Look for missed deadlines."""
        if self._http2 is not None:
            self._http2.sweep(now)
            return
        if self._request is not None:
            self._request.sweep(now)
        if now >= self._deadline:
            self._expire()

    def drain(self) -> None:
        """Close as soon as nothing is going on; `request_done` does if something is."""
        if self._http2 is not None:
            self._http2.drain()
        elif self.phase is IDLE:
            self.loseConnection()
        elif self.phase is HANDSHAKE:
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
            self._enter(CLOSING)
        transport.unregisterProducer()  # TLS does not close while there is one
        transport.loseConnection()

    def abortConnection(self) -> None:
        """Close now."""
        self._enter(CLOSING)
        self.transport.abortConnection()

    @property
    def remote_addr(self) -> str:
        """The client's address; a Unix socket's peer has none."""
        if self._remote_addr is None:
            self._remote_addr = getattr(self.transport.getPeer(), "host", "")
        return self._remote_addr

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        patience = self._patience[phase]
        self._deadline = FOREVER if patience == FOREVER else self.face.clock.seconds() + patience

    def _expire(self) -> None:
        if self.phase is HEAD:
            self.refuse(RequestTimeout("the request head took too long"))
        elif self.phase is IDLE:
            self.loseConnection()
        else:
            self.abortConnection()

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        """Some bytes of one or several requests."""
        if self.phase is HANDSHAKE:
            self.handshakeCompleted()
        if self._http2 is not None:
            self._http2.dataReceived(data)
        elif self.phase is not CLOSING and not self._overrun:
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
        except GatewayError as error:
            self.refuse(error)
        finally:
            self._busy = False

    def _take(self) -> bool:
        """Take something from the input; false = it has to wait.

        :raises GatewayError: if it must be refused.
        """
        phase = self.phase
        if phase is IDLE or phase is HEAD:
            return self._take_head()
        if phase is BODY:
            return self._take_body()
        if phase is ANSWER:
            return self._hold()
        self._input = b""
        return False

    def _take_head(self) -> bool:
        data, limits = self._input, self.face.limits
        if self._repeated is not None and (size := self._repeated.size_in(data)):
            self._input, self._blank_seen, self._seen, self._fresh = data[size:], False, 0, 0
            self._begin(self._repeated.head)
            return True
        if not self._blank_seen and b"\r\n".startswith(data[:2]):
            return self._skip_blank_line()
        size = head_size(data, self._seen, limits)
        if not size:
            self._seen = len(data)
            if self.phase is IDLE:
                self._enter(HEAD)
            return False
        self._input, self._blank_seen, self._seen, self._fresh = data[size:], False, 0, self._fresh + 1
        block = data[:size]
        head = read_head(block, limits)
        self._repeated = Repeated.of(block, head, self._fresh)
        self._begin(head)
        return True

    def _skip_blank_line(self) -> bool:
        """One empty line before a request is forgiven (RFC 9112 section 2.2)."""
        if len(self._input) < 2:
            if self.phase is IDLE:
                self._enter(HEAD)
            return False
        self._input, self._blank_seen = self._input[2:], True
        self._enter(IDLE)
        return True

    def _begin(self, head: Head) -> None:
        """A head is there: have a request made of it, and get ready for its body."""
        length = head.length
        self.phase, self._deadline = BODY, FOREVER
        self.persistent = head.persistent
        self._request = request = Request(self, self.remote_addr, self.secure)
        request.head_received(head.method, head.target, head.version, head.headers, length)
        if length is not None and length <= len(self._input):
            body, self._input = self._input[:length], self._input[length:]
            self.phase = ANSWER
            request.whole_body(body)
            return
        self._dechunker = Dechunker() if length is None else None
        self._body_left = length or 0
        if head.expects_continue:
            if request.refusal is not None:
                raise request.refusal
            self.transport.write(CONTINUE)

    def _take_body(self) -> bool:
        request, data = self._request, self._input
        assert request is not None
        if self._dechunker is not None:
            return self._take_chunks(request, self._dechunker)
        left = self._body_left
        if len(data) <= left:
            self._input = b""
        else:
            data, self._input = data[:left], data[left:]
        self._body_left = left - len(data)
        request.handleContentChunk(data)
        if not self._body_left and self.phase is BODY:
            self.phase = ANSWER
            request.complete()
        return True

    def _take_chunks(self, request: Request, dechunker: Dechunker) -> bool:
        data, self._input = self._input, b""
        piece = dechunker.feed(data)
        if piece:
            request.handleContentChunk(piece)
        if dechunker.finished and self.phase is BODY:
            self._input = dechunker.surplus
            self.phase = ANSWER
            request.complete()
        return True

    def _hold(self) -> bool:
        """Keep what comes behind the request that is being answered. Never stop reading, or nobody would notice that
        the client is gone; so what is too much is dropped, and the connection closes after the answer.
        """
        if len(self._input) > self.face.limits.pipeline:
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
        self._enter(CLOSING)
        self._deadline = self.face.clock.seconds() + self.face.limits.linger_timeout
        if self._request is not None:
            self._request.refuse(error)
        else:
            self.log.debug("refused {peer}: {error}", peer=self.remote_addr, error=error.message)
            self.transport.write(http1_refusal(error, self.face.signature()))
            self.loseConnection()

    # What the reply calls

    @property
    def keeps_alive(self) -> bool:
        """May the connection serve another request, as far as is known now?"""
        return self.persistent and not self._overrun and not self.face.draining

    def write(self, data: bytes) -> None:
        """Some of the reply."""
        self.transport.write(data)

    def attach(self, producer: IPushProducer) -> None:
        """Tell ``producer`` when the client takes nothing more, and when it does again."""
        self._reply = producer

    def detach(self) -> None:
        """Tell nobody."""
        self._reply = None

    def request_done(self) -> None:
        """The reply is written."""
        self._request = None
        self.persistent = self.keeps_alive
        if self.persistent:
            self._enter(IDLE)
            if self._input:
                self._advance()
        else:
            self.loseConnection()

    # What the transport calls

    def pauseProducing(self) -> None:
        """Its buffer is full."""
        self.paused = True
        if self._reply is not None:
            self._reply.pauseProducing()

    def resumeProducing(self) -> None:
        """It is empty."""
        self.paused = False
        if self._reply is not None:
            self._reply.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone."""
        if self._reply is not None:
            self._reply.stopProducing()
