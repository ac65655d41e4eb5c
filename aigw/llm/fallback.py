"""The only fallback in the project: a chain of Deferreds that tries one candidate after another.

It ends where the client's first byte begins: what it fires with is relayed, whatever becomes of it.
"""

from __future__ import annotations

import attrs
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


class Suits:
    """Tells which instances can have a request. Others are passed over; ``misfit``: why the first of them was."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.misfit: BadRequest | None = None

    def __call__(self, target: Target) -> bool:
        try:
            target.look_at(self._call)
        except BadRequest as error:
            self.misfit = self.misfit or error
            return False
        return True


@attrs.define(eq=False, init=False)
class Chain:
    """The attempts of one request, one after another."""

    exchange: Exchange
    call: Call
    backend: Backend
    candidates: Candidates[Target]
    _suits: Suits | None
    _attempt: Try

    def __init__(self, exchange: Exchange, call: Call, backend: Backend) -> None:
        self.exchange = exchange
        self.call = call
        self.backend = backend
        audience = backend.audience(OPAQUE if call.opaque else call.dialect.name)
        self._suits = Suits(call) if audience.choosy else None
        self.candidates = Candidates(backend.pool, without=audience.mute, suits=self._suits)

    def answer(self) -> Deferred[Reply]:
        """The first reply that needs no other instance, or the last one's; fails with the last one's error. If none can
        have the request, the client is told why the first one could not.
        """
        turn = self.candidates.next_candidate(self.backend.clock.seconds())
        if turn is None:
            misfit = None if self._suits is None else self._suits.misfit
            return fail(misfit or NoInstance("no instance of this route is available"))
        return self._try(turn)

    def _try(self, turn: Turn[Target]) -> Deferred[Reply]:
        self._attempt = attempt = Try(self.exchange, self.call, self.backend, self.candidates, turn)
        try:
            trying = attempt.reply()
        except GatewayError as error:
            trying = fail(error)
        return trying.addCallbacks(self._answered, self._failed)

    def _answered(self, reply: Reply) -> Reply | Deferred[Reply]:
        now, attempt = self.backend.clock.seconds(), self._attempt
        attempt.note(now, None)
        reason = attempt.turn.answered(now, reply.status, self._rest(reply) if reply.status == 429 else None)
        after = None if reason is None else self._next(attempt.turn, reason, now)
        if after is None:
            return reply.afterwards(attempt.over)
        attempt.over(Outcome.DONE, None)
        _discard(reply)
        return self._try(after)

    def _failed(self, failure: Failure) -> Failure | Deferred[Reply]:
        now, attempt = self.backend.clock.seconds(), self._attempt
        error, turn = failure.value, attempt.turn
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
            self.backend.meter.fell_back(self.backend.site.route_id, turn.instance.name, reason)
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
