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
from aigw.proxy.wire import BODILESS, Wire

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left before there was an answer."""


class Answer:
    """One request being answered. Begin with one of `handle`, `refuse` and `client_left`; ends with ``done``."""

    log = Logger()
    _handling: Deferred[None] | None = None
    _relay: Relay | None = None
    _reply: Reply | None = None
    _left = False
    _status = CLIENT_CLOSED_REQUEST
    _sent = 0

    def __init__(self, *, exchange: Exchange, wire: Wire, face: Face, done: Callable[[], None]) -> None:
        self._exchange = exchange
        self._wire = wire
        self._face = face
        self._done: Callable[[], None] | None = done

    def handle(self, handler: Handler) -> None:
        """Have the onion make the reply, and relay it."""
        try:
            replying = handler(self._exchange)
            handling = replying if isinstance(replying, Deferred) else Deferred.fromCoroutine(replying)
        except Exception:  # noqa: BLE001  # the edge: whatever went wrong, the client gets an answer
            handling = fail()
        self._handling = handling.addCallbacks(self._replied, self._refused)

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
        try:
            if self._left:
                self._over(Outcome.CLIENT_LEFT, None)
            else:
                self.refuse(error)
        except Exception:  # noqa: BLE001  # the edge: the client must not wait for ever
            self._broken()

    def _replied(self, reply: Reply) -> None:
        try:
            if self._left:
                self._dispose(reply)
            else:
                self._start(reply, None)
        except Exception:  # noqa: BLE001  # the edge: as in `_refused`; another pair of callbacks would take longer
            self._broken()

    def _broken(self) -> None:
        """The relay itself failed: nothing can be said to the client any more."""
        self.log.failure("request {id}: its relay failed", id=self._exchange.id)
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
        if self._fits_one_write(reply):
            self._send(reply, error)
        else:
            self._make_relay(reply, error).start()

    def _fits_one_write(self, reply: Reply) -> bool:
        """Is it complete, short, and what a client may get as it is? Then there is nothing to relay."""
        return (
            reply.source is None
            and not reply.stages
            and len(reply.body) <= self._face.limits.write_size
            and 200 <= reply.status <= 599
            and reply.status not in BODILESS
            and self._exchange.method != b"HEAD"
        )

    def _send(self, reply: Reply, error: GatewayError | None) -> None:
        """What a `Relay` would do; one is only needed to wait for a client that is slow."""
        wire, size = self._wire, len(reply.body)
        self._status, self._sent = reply.status, size
        self._exchange.timeline.first_byte = self._face.clock.seconds()
        wire.whole(reply, self._exchange)
        if self._left:
            self._over(Outcome.CLIENT_LEFT, None)
        elif wire.paused:
            self._make_relay(reply, error).was_sent(size)
        else:
            self._over(Outcome.DONE, error)
            wire.finish()

    def _make_relay(self, reply: Reply, error: GatewayError | None) -> Relay:
        self._relay = relay = Relay(
            reply=reply, error=error, exchange=self._exchange, wire=self._wire, face=self._face, over=self._over
        )
        return relay

    def _over(self, outcome: Outcome, error: GatewayError | None) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        exchange, face, relay = self._exchange, self._face, self._relay
        exchange.timeline.finished = face.clock.seconds()
        if self._reply is not None and self._reply.aftermaths:
            face.conclude(exchange, self._reply.aftermaths, outcome, error)
        status, sent = (self._status, self._sent) if relay is None else (relay.status, relay.sent)
        face.observe(exchange, status, outcome, error, sent)
        done()
