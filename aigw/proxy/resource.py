"""What happens between a complete request and the end of its reply.

Every request ends here exactly once: its reply's aftermaths run, in order, and then the face's observers, whoever
failed and whoever left.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from aigw.errors import GatewayError
from aigw.exchange import Exchange, Outcome, Reply
from aigw.pipeline import Handler
from aigw.proxy.errors import internal_error, render_error
from aigw.proxy.face import Face
from aigw.proxy.relay import Relay
from aigw.proxy.wire import Wire

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left before there was an answer."""


class Answer:
    """One request being answered. Begin with one of `handle`, `refuse` and `client_left`; ends with ``done``."""

    log = Logger()

    def __init__(self, *, exchange: Exchange, wire: Wire, face: Face, done: Callable[[], None]) -> None:
        self._exchange = exchange
        self._wire = wire
        self._face = face
        self._done: Callable[[], None] | None = done
        self._handling: Deferred[None] | None = None
        self._relay: Relay | None = None
        self._reply: Reply | None = None
        self._left = False

    def handle(self, handler: Handler) -> None:
        """Have the onion make the reply, and relay it."""
        try:
            replying = handler(self._exchange)
            handling = replying if isinstance(replying, Deferred) else Deferred.fromCoroutine(replying)
        except Exception:  # noqa: BLE001  # the edge: whatever went wrong, the client gets an answer
            handling = fail()
        self._handling = handling.addCallbacks(self._replied, self._refused).addErrback(self._broken)

    def refuse(self, error: GatewayError) -> None:
        """Reply with an error, whose traceback would keep the request in memory with whoever keeps the error."""
        self._start(render_error(error), error.with_traceback(None))

    def client_left(self) -> None:
        """Stop whatever is going on for the client. Idempotent."""
        if self._left:
            return
        self._left = True
        if self._relay is not None:
            self._relay.client_left()
        elif self._handling is not None:
            self._handling.cancel()
        else:
            self._over(Outcome.CLIENT_LEFT, None)

    def sweep(self, now: float) -> None:
        """Look for a missed deadline."""
        if self._relay is not None:
            self._relay.sweep(now)

    def _refused(self, failure: Failure) -> None:
        """There is no reply. Of a bug, the log is told everything and the client nothing."""
        error = failure.value
        if not isinstance(error, GatewayError):
            if not (self._left and failure.check(CancelledError)):
                self.log.failure("request {id} failed", failure, id=self._exchange.id)
            error = internal_error()
        if self._left:
            self._over(Outcome.CLIENT_LEFT, None)
        else:
            self.refuse(error)

    def _replied(self, reply: Reply) -> None:
        if self._left:
            self._dispose(reply)
        else:
            self._start(reply, None)

    def _broken(self, failure: Failure) -> None:
        """The relay itself failed: nothing can be said to the client any more."""
        self.log.failure("request {id}: its relay failed", failure, id=self._exchange.id)
        self._over(Outcome.UPSTREAM_BROKE, internal_error())
        if self._relay is not None:
            self._relay.client_left()
        self._wire.abort()

    def _dispose(self, reply: Reply) -> None:
        """Nobody is there to have it."""
        self._reply = reply
        if reply.source is not None:
            self._face.guard(self._exchange, reply.source.abort)
        self._over(Outcome.CLIENT_LEFT, None)

    def _start(self, reply: Reply, error: GatewayError | None) -> None:
        self._reply = reply
        self._relay = Relay(
            reply=reply, error=error, exchange=self._exchange, wire=self._wire, face=self._face, over=self._over
        )
        self._relay.start()

    def _over(self, outcome: Outcome, error: GatewayError | None) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        exchange, face = self._exchange, self._face
        exchange.timeline.finished = face.clock.seconds()
        for aftermath in self._reply.aftermaths if self._reply is not None else ():
            face.guard(exchange, aftermath, outcome, error)
        status = self._relay.status if self._relay is not None else CLIENT_CLOSED_REQUEST
        sent = self._relay.sent if self._relay is not None else 0
        face.observe(exchange, status, outcome, error, sent)
        done()
