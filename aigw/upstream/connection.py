"""One connection to an upstream: one request at a time, and the flow of its reply's body.

It knows what to do with bytes and ends; whether it's kept, and whether a request is tried again, its keeper decides.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.python.failure import Failure
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from aigw.errors import GatewayError, UpstreamCutShort, UpstreamReset, UpstreamUnreachable
from aigw.exchange import Forward
from aigw.upstream.chunked import ChunkedDecoder
from aigw.upstream.failures import translate
from aigw.upstream.head import Head
from aigw.upstream.origin import Origin
from aigw.upstream.repeated import Repeated
from aigw.upstream.request import Request
from aigw.upstream.response import ABORTED, DONE, Response
from aigw.upstream.sending import ONE_PIECE, BytesBody, Upload
from aigw.upstream.wire import ReplyParser

_UNFRAMED = Failure(PotentialDataLoss("only the end of the connection told where the body ends"))


class Lane:
    """What the connections to one origin have in common.

    ``connections``: how many there are. ``idle``: those that rest, the one used last at the end. ``repeated``: the head
    of their last reply.
    """

    __slots__ = ("connections", "idle", "repeated")

    def __init__(self) -> None:
        self.connections = 0
        self.idle: list[Connection] = []
        self.repeated = Repeated()


class Keeper(Protocol):
    """The pool, as a connection sees it."""

    def made(self, connection: Connection) -> None:
        """It is connected."""

    def rested(self, connection: Connection, request: Request, head: Head) -> None:
        """Its request is done and it can take another one."""

    def unanswered(self, connection: Connection, request: Request) -> bool:
        """It was lost before a byte of an answer. True: the keeper sends the request again."""

    def retire(self, connection: Connection) -> None:
        """It is of no further use: have it closed."""

    def lost(self, connection: Connection) -> None:
        """It is closed."""


@implementer(IHandshakeListener)
class Connection(protocol.Protocol):
    """A connection to ``origin``.

    ``reused_at``: clock time at which it took a request that is not its first, else None. ``idle_until``: clock time
    to which it may rest. ``lane``: what it has in common with others. All three are the keeper's, which sets the last
    when it is told of the connection.
    """

    def __init__(self, origin: Origin, keeper: Keeper) -> None:
        self.origin = origin
        self.reused_at: float | None = None
        self.idle_until = 0.0
        self.lane: Lane
        self._peer = origin.label
        self._keeper = keeper
        self._transport: Any = None
        self._ready: Deferred[None] | None = Deferred(self._give_up)
        self._request: Request | None = None
        self._parser: ReplyParser | None = None  # of the request's answer, once a byte of it has come
        self._response: Response | None = None
        self._upload: Upload | None = None
        self._forward: tuple[ChunkedDecoder, Forward] | None = None
        self._paused = False
        self._aborted = False

    # Beginning.

    def connectionMade(self) -> None:
        """TCP is connected."""
        self._transport = self.transport
        self._keeper.made(self)
        if set_no_delay := getattr(self.transport, "setTcpNoDelay", None):
            set_no_delay(True)
        if not self.origin.secure:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """Requests can be sent."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.callback(None)

    def ready(self) -> Deferred[None]:
        """Fires when requests can be sent; to be asked once. Cancelling it closes the connection."""
        return self._ready or succeed(None)

    def _give_up(self, _: Deferred[None]) -> None:
        self._ready = None
        self.cancel()

    # A request.

    def send(self, request: Request) -> None:
        """Send a request; whatever comes of it, it is told."""
        request.carrier = self
        self._request = request
        body = request.body
        if body is None:
            self._transport.write(request.head)
        elif isinstance(body, BytesBody) and body.length <= ONE_PIECE:
            self._transport.write(request.head + body.data)
        else:
            self._transport.write(request.head)
            self._upload = Upload(body, self._transport, self._uploaded)
            self._upload.start()

    def cancel(self) -> None:
        """Close at once; the request gets no answer, a response is told of the end."""
        if not self._aborted:
            self._aborted = True
            self._request = self._parser = self._forward = None
            if self._upload is not None:
                self._upload.stop()
            self._transport.abortConnection()

    def close(self) -> None:
        """Close properly."""
        self._transport.loseConnection()

    def _uploaded(self, problem: Failure | None) -> None:
        self._upload = None
        if problem is not None:
            self.abandon(problem)

    def abandon(self, reason: Failure | GatewayError) -> None:
        """Close at once, and tell whoever waits for an answer, or for the rest of one, why."""
        request, response = self._request, self._response
        self._response = None
        self.cancel()
        if response is not None:
            response.finish(reason if isinstance(reason, Failure) else Failure(reason))
        elif request is not None:
            request.fail(reason)

    # Its answer.

    def dataReceived(self, data: bytes) -> None:
        """Some bytes of an answer, if one is awaited."""
        if self._forward is not None:
            chunks, forward = self._forward
            if (carried := chunks.whole(data)) and forward(data, carried):
                return
        request, parser = self._request, self._parser
        if request is None:
            if not self._aborted:
                self._keeper.retire(self)
            return
        if parser is None:
            self._first_received(request, data)
            return
        body = parser.feed(data)
        response = self._response
        if response is None:
            self._head_received(request, parser, body)
            return
        if body:
            response.receive(body)
        if self._request is request:
            if parser.complete and parser.head is not None:
                self._complete(request, parser.head, parser.excess, response)
            elif parser.error is not None:
                self.abandon(parser.error)

    def _first_received(self, request: Request, data: bytes) -> None:
        """The first bytes of an answer, which often are all of it."""
        bodiless = request.method == b"HEAD"
        if not bodiless and (again := self.lane.repeated.whole_in(data)):
            self._answer(request, *again)
            return
        parser = self._parser = ReplyParser(self._peer, bodiless=bodiless)
        body = parser.feed(data)
        if parser.head is not None and parser.complete and not parser.excess:
            self.lane.repeated.learn(data, parser.head, body)
        self._head_received(request, parser, body)

    def _head_received(self, request: Request, parser: ReplyParser, body: bytes) -> None:
        if parser.head is not None:
            self._answer(request, parser.head, body, parser)
        elif parser.error is not None:
            self.abandon(parser.error)

    def _answer(self, request: Request, head: Head, body: bytes, parser: ReplyParser | None = None) -> None:
        """The head is in. What more is in is looked at first: a short reply is complete before anybody sees it.

        ``parser``: what reads on, if the reply need not be complete.
        """
        self._response = response = Response(head, request, self, body)
        request.sent()
        if self._upload is not None and head.code >= 300:
            self._upload.stop()  # it was refused: an answer this early doesn't want the rest of the body
        if parser is None or parser.complete:
            self._complete(request, head, parser is not None and parser.excess, response)
        elif parser.error is not None:
            self.abandon(parser.error)
        request.answer(response)
        if self._request is request and not response.wants_more:
            self.pause()  # the rest is still to come, and nobody is there to take it

    def _complete(self, request: Request, head: Head, excess: bool, response: Response) -> None:
        """The answer is complete: rest, if the connection is known to be in step, or go."""
        self._request = self._response = self._parser = self._forward = None
        if self._paused:
            self.resume()
        if self._upload is not None:
            self.cancel()
        elif head.persistent and not excess and request.profile.keepalive:
            self._keeper.rested(self, request, head)
        else:
            self._keeper.retire(self)
        response.finish(DONE)

    def forward_to(self, forward: Forward) -> None:
        """Ask ``forward`` first, from now to the end of the answer, if that comes in chunks."""
        if self._parser is not None and self._parser.chunks is not None:
            self._forward = self._parser.chunks, forward

    def pause(self) -> None:
        """Stop reading. Idempotent."""
        if not self._paused:
            self._paused = True
            self._transport.pauseProducing()

    def resume(self) -> None:
        """Go on reading. Idempotent."""
        if self._paused:
            self._paused = False
            self._transport.resumeProducing()

    # The end.

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        """It's closed."""
        self._keeper.lost(self)
        if self._upload is not None:
            self._upload.stop()
        request, response, ready = self._request, self._response, self._ready
        self._request = self._response = self._ready = None
        if ready is not None:
            ready.errback(self._refusal(reason))
        elif response is not None:
            response.finish(self._last_word(reason))
        elif request is not None and not (self._parser is None and self._keeper.unanswered(self, request)):
            request.fail(self._loss(reason))

    def _refusal(self, reason: Failure) -> GatewayError:
        if reason.check(ConnectionClosed):
            return UpstreamUnreachable(f"{self._peer} closed the connection during the TLS handshake")
        return translate(reason, self._peer)

    def _last_word(self, reason: Failure) -> Failure:
        """What a response whose body was still arriving is told."""
        if self._aborted:
            return ABORTED
        if reason.check(ConnectionDone) and self._parser is not None and self._parser.close():
            return _UNFRAMED
        return Failure(self._loss(reason))

    def _loss(self, reason: Failure) -> GatewayError:
        if self._parser is None:
            return translate(reason, self._peer)
        if self.origin.secure or reason.check(ConnectionDone):
            # On TLS an end without close_notify comes here as a lost connection.
            return UpstreamCutShort(f"{self._peer} closed the connection before its reply was complete")
        return UpstreamReset(f"{self._peer} broke the connection before its reply was complete")
