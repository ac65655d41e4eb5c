"""The only fallback in the project: a chain of Deferreds that tries one candidate after another.

It ends where the client's first byte begins: what it fires with is relayed, whatever becomes of it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from aigw.balancing.candidates import Candidates, Turn
from aigw.balancing.fallback import Reason
from aigw.balancing.health import Condition, available
from aigw.balancing.pool import Pool
from aigw.balancing.retry_after import retry_after
from aigw.errors import BadRequest, GatewayError, NoInstance
from aigw.exchange import Attempt, Exchange, Outcome, Reply
from aigw.llm.attempt import Try
from aigw.llm.call import OPAQUE, Call, read_call
from aigw.llm.endpoint import has_path
from aigw.llm.target import Target
from aigw.parts import Parts
from aigw.pipeline import PluginSite
from aigw.ports import CallLabels, CircuitState
from aigw.upstream.body import UpstreamBody
from aigw.upstream.timeouts import Timeouts

log = Logger()

MOMENT = 0.001
"""Seconds; an attempt with less time than that is none."""


@attrs.frozen(kw_only=True, eq=False)
class Backend:
    """What the requests of one plugin on one route share. ``circuits``: the state that the meter was told last."""

    site: PluginSite
    pool: Pool[Target]
    timeouts: Timeouts = attrs.field(init=False)
    circuits: dict[str, CircuitState] = attrs.field(factory=dict)
    _mute: dict[str, frozenset[str]] = attrs.field(factory=dict)
    _choosy: dict[str, bool] = attrs.field(factory=dict)

    @timeouts.default
    def _new_timeouts(self) -> Timeouts:
        return Timeouts(self.parts.clock)

    @property
    def parts(self) -> Parts:
        """The gateway's parts."""
        parts: Parts = self.site.parts
        return parts

    @functools.cached_property
    def targets(self) -> list[Target]:
        """The instances, whatever their tiers."""
        return [target for tier in self.pool.tiers for target in tier]

    def mute(self, dialect: str) -> frozenset[str]:
        """Names of the instances that do not speak a dialect; none if no instance does (one of them says so then)."""
        if dialect not in self._mute:
            mute = frozenset(target.name for target in self.targets if not _takes(target, dialect))
            self._mute[dialect] = frozenset() if len(mute) == len(self.targets) else mute
        return self._mute[dialect]

    def is_choosy(self, dialect: str) -> bool:
        """Does it take a look at a request to tell whether an instance can have it?"""
        if dialect not in self._choosy:
            self._choosy[dialect] = any(target.is_choosy(dialect) for target in self.targets)
        return self._choosy[dialect]

    @functools.cached_property
    def passes(self) -> bool:
        """Is there an instance that takes requests of all kinds?"""
        return any(_takes(target, OPAQUE) for target in self.targets)

    def show_circuit(self, instance: str) -> None:
        """Tell the meter if an instance's circuit has changed."""
        if self.pool.healths[instance].open_until is None and self.circuits.get(instance) == "closed":
            return
        condition = available(self.pool.healths[instance], self.parts.clock.seconds()).condition
        state = _STATES.get(condition, "closed")
        if self.circuits.get(instance) != state:
            self.circuits[instance] = state
            self.parts.meter.circuit_changed(self.site.route_id, instance, state)


def _takes(target: Target, dialect: str) -> bool:
    """An endpoint with a path takes what is posted there, and nothing else."""
    return not has_path(target.endpoint) if dialect == OPAQUE else target.speaks(dialect)


_STATES: Mapping[Condition, CircuitState] = {
    Condition.OPEN: "open",
    Condition.HALF_OPEN: "half_open",
    Condition.PROBING: "half_open",
}


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
        self.parts = backend.parts
        dialect = OPAQUE if call.opaque else call.dialect.name
        suits = self._suits if backend.is_choosy(dialect) else None
        self.candidates = Candidates(backend.pool, without=backend.mute(dialect), suits=suits)
        self._misfit: BadRequest | None = None

    def answer(self) -> Deferred[Reply]:
        """The first reply that needs no other instance, or the last one's; fails with the last one's error."""
        turn = self.candidates.next_candidate(self.parts.clock.seconds())
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
        now = self.parts.clock.seconds()
        target, exchange = turn.instance, self.exchange
        exchange.attempts.append(Attempt(instance=target.name))
        exchange.model = target.model_for(self.call)
        if not self.call.opaque:
            exchange.request_type = "ai_stream" if target.streams(self.call) else "ai_chat"
        exchange.timeline.upstream_head = None
        if exchange.timeline.upstream_started is None:
            exchange.timeline.upstream_started = now
        labels = self._labels(target)
        self.parts.meter.active(+1, labels)
        self.backend.show_circuit(target.name)
        attempt = Try(
            exchange=exchange,
            call=self.call,
            target=target,
            clock=self.parts.clock,
            now=self.parts.now,
            timeouts=self.backend.timeouts,
            candidates=self.candidates,
            started=now,
            turn=turn,
            labels=labels,
        )
        try:
            trying = attempt.reply()
        except GatewayError as error:
            trying = fail(error)
        trying.addCallbacks(self._answered, self._failed, callbackArgs=(attempt,), errbackArgs=(attempt,))
        return trying

    def _record(self, attempt: Try, now: float, error: str | None) -> None:
        record = self.exchange.attempts[-1]
        record.status, record.error = attempt.status, error
        record.duration_ms = round((now - attempt.started) * 1000, 3)

    def _answered(self, reply: Reply, attempt: Try) -> Reply | Deferred[Reply]:
        now = self.parts.clock.seconds()
        self._record(attempt, now, None)
        turn = attempt.turn
        reason = turn.answered(now, reply.status, self._rest(reply) if reply.status == 429 else None)
        after = self._next(turn, reason, now) if reason is not None else None
        if after is None:
            return reply.afterwards(functools.partial(self._over, attempt))
        self._over(attempt, Outcome.DONE, None)
        _discard(reply)
        return self._try(after)

    def _failed(self, failure: Failure, attempt: Try) -> Failure | Deferred[Reply]:
        now = self.parts.clock.seconds()
        error, turn = failure.value, attempt.turn
        self._record(attempt, now, error.code if isinstance(error, GatewayError) else "client_left")
        if not isinstance(error, GatewayError):
            self._over(attempt, Outcome.CLIENT_LEFT, None)
            return failure
        reason = turn.failed(now, error)
        self._over(attempt, Outcome.UPSTREAM_BROKE, None)
        after = self._next(turn, reason, now) if reason is not None and not self._is_late(turn, now) else None
        return failure if after is None else self._try(after)

    def _is_late(self, turn: Turn[Target], now: float) -> bool:
        """Is the time of the whole request over? Another attempt could only fail, and would be blamed for it."""
        total = turn.instance.deadlines.total
        return total is not None and now >= self.exchange.timeline.started + total - MOMENT

    def _next(self, turn: Turn[Target], reason: Reason, now: float) -> Turn[Target] | None:
        after = self.candidates.next_candidate(now)
        if after is not None:
            self.parts.meter.fell_back(self.backend.site.route_id, turn.instance.name, reason)
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
        return retry_after(values[0], self.parts.now()) if values else None

    def _over(self, attempt: Try, outcome: Outcome, error: GatewayError | None) -> None:
        """The attempt is over, its reply included."""
        now, turn = self.parts.clock.seconds(), attempt.turn
        if outcome is Outcome.UPSTREAM_BROKE and error is not None:
            turn.failed(now, error)
        turn.ended(now)
        self.parts.meter.active(-1, attempt.labels)
        self.backend.show_circuit(turn.instance.name)

    def _labels(self, target: Target) -> CallLabels:
        exchange = self.exchange
        return CallLabels(
            route_id=self.backend.site.route_id,
            service_id=self.backend.site.service_id,
            consumer=exchange.consumer,
            node=target.name,
            request_type=exchange.request_type,
            request_llm_model=exchange.request_model,
            llm_model=exchange.model,
        )


def _discard(reply: Reply) -> None:
    """Nobody will read this reply; its connection may be used again."""
    if isinstance(reply.source, UpstreamBody):
        reply.source.discard()
