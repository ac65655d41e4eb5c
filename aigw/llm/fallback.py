"""The only fallback in the project: a chain of Deferreds that tries one candidate after another.

It ends where the client's first byte begins: what it fires with is relayed, whatever becomes of it.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from aigw.balancing.candidates import Candidates, Turn
from aigw.balancing.fallback import Reason
from aigw.balancing.retry_after import retry_after
from aigw.errors import BadRequest, GatewayError, NoInstance
from aigw.exchange import Exchange, Outcome, Reply
from aigw.llm.attempt import Try
from aigw.llm.backend import Backend
from aigw.llm.call import OPAQUE, Call, read_call
from aigw.llm.target import Target
from aigw.upstream.body import UpstreamBody

log = Logger()

MOMENT = 0.001
"""Seconds; an attempt with less time than that is none."""


def answer(exchange: Exchange, backend: Backend) -> Deferred[Reply]:
    """What the instances of a plugin make of a request.

    :raises GatewayError: if it can't be understood.
    """
    return Chain(exchange, read_call(exchange, passes=backend.passes), backend).answer()


class Chain:
    """The attempts of one request."""

    def __init__(self, exchange: Exchange, call: Call, backend: Backend) -> None:
        self.exchange = exchange
        self.call = call
        self.backend = backend
        audience = backend.audience(OPAQUE if call.opaque else call.dialect.name)
        suits = self._suits if audience.choosy else None
        self.candidates = Candidates(backend.pool, without=audience.mute, suits=suits)
        self._misfit: BadRequest | None = None

    def answer(self) -> Deferred[Reply]:
        """The first reply that needs no other instance, or the last one's; fails with the last one's error."""
        turn = self.candidates.next_candidate(self.backend.parts.clock.seconds())
        if turn is None:
            return fail(self._misfit or NoInstance("no instance of this route is available"))
        return self._try(turn)

    def _suits(self, target: Target) -> bool:
        """Can the instance have this request? One that can't is passed over, and if none can, the client is told why
        the first one could not.
        """
        try:
            target.look_at(self.call)
        except BadRequest as error:
            self._misfit = self._misfit or error
            return False
        return True

    def _try(self, turn: Turn[Target]) -> Deferred[Reply]:
        attempt = Try(self.exchange, self.call, self.backend, self.candidates, turn)
        try:
            trying = attempt.reply()
        except GatewayError as error:
            trying = fail(error)
        trying.addCallbacks(self._answered, self._failed, callbackArgs=(attempt,), errbackArgs=(attempt,))
        return trying

    def _answered(self, reply: Reply, attempt: Try) -> Reply | Deferred[Reply]:
        now, turn = self.backend.parts.clock.seconds(), attempt.turn
        attempt.note(now, None)
        reason = turn.answered(now, reply.status, self._rest(reply) if reply.status == 429 else None)
        after = self._next(turn, reason, now) if reason is not None else None
        if after is None:
            return reply.afterwards(attempt.over)
        attempt.over(Outcome.DONE, None)
        _discard(reply)
        return self._try(after)

    def _failed(self, failure: Failure, attempt: Try) -> Failure | Deferred[Reply]:
        now, turn = self.backend.parts.clock.seconds(), attempt.turn
        error = failure.value
        attempt.note(now, error.code if isinstance(error, GatewayError) else "client_left")
        if not isinstance(error, GatewayError):
            attempt.over(Outcome.CLIENT_LEFT, None)
            return failure
        reason = turn.failed(now, error)
        attempt.over(Outcome.UPSTREAM_BROKE, None)
        after = self._next(turn, reason, now) if reason is not None and not self._is_late(turn, now) else None
        return failure if after is None else self._try(after)

    def _is_late(self, turn: Turn[Target], now: float) -> bool:
        """Is the time of the whole request over? Another attempt could only fail, and would be blamed for it."""
        total = turn.instance.deadlines.total
        return total is not None and now >= self.exchange.timeline.started + total - MOMENT

    def _next(self, turn: Turn[Target], reason: Reason, now: float) -> Turn[Target] | None:
        after = self.candidates.next_candidate(now)
        if after is not None:
            self.backend.parts.meter.fell_back(self.backend.site.route_id, turn.instance.name, reason)
            log.info(
                "route {route}: instance {instance} did not answer ({reason}), trying {next}",
                route=self.backend.site.route_id,
                instance=turn.instance.name,
                reason=reason,
                next=after.instance.name,
                request_id=self.exchange.id,
            )
        return after

    def _rest(self, reply: Reply) -> float | None:
        """The seconds of a ``Retry-After``."""
        values = [value for name, value in reply.headers if name.lower() == b"retry-after"]
        return retry_after(values[0], self.backend.parts.now()) if values else None


def _discard(reply: Reply) -> None:
    """Nobody will read this reply; its connection may be used again."""
    if isinstance(reply.source, UpstreamBody):
        reply.source.discard()
