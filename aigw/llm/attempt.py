"""One attempt at one instance: what it is sent, and how long the head of its answer is awaited.

Whatever goes wrong here before there is a Reply is a `GatewayError` that another instance may make good.
"""

from __future__ import annotations

import functools
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from aigw.balancing.candidates import Candidates, Turn
from aigw.balancing.deadlines import attempt_deadline
from aigw.errors import GatewayError, UpstreamTimeout
from aigw.exchange import Attempt, Exchange, Outcome, Reply
from aigw.llm.answer import Answer
from aigw.llm.backend import Backend
from aigw.llm.call import OPAQUE, Call
from aigw.llm.signing import Signer
from aigw.llm.target import Target
from aigw.llm.ways import PASSTHROUGH, Way
from aigw.ports import CallLabels, Clock
from aigw.received import derived_of
from aigw.upstream.headers import HeaderBlock
from aigw.upstream.timeouts import Timeout

MOST_DERIVED = 8
"""Header blocks, and a route, that are kept with a client's head: each connection has one, and there are thousands."""

_WITH_BODY = ("POST", "PUT", "PATCH")


@attrs.define(eq=False, init=False)
class Try:
    """One attempt. ``candidates``: who could still take over. ``turn``: by which balancing knows it."""

    exchange: Exchange
    call: Call
    backend: Backend
    candidates: Candidates[Target]
    turn: Turn[Target]
    target: Target
    started: float
    clock: Clock
    way: Way
    hide_usage: bool
    sent_headers: HeaderBlock | None
    _record: Attempt
    _labels: CallLabels
    _streams: bool
    _head: Deferred[Any]
    _timeout: Timeout | None
    _wait: float | None
    _expired: bool

    def __init__(
        self, exchange: Exchange, call: Call, backend: Backend, candidates: Candidates[Target], turn: Turn[Target]
    ) -> None:
        self.exchange = exchange
        self.call = call
        self.backend = backend
        self.candidates = candidates
        self.turn = turn
        self.target = turn.instance
        self.started = turn.started
        self.clock = backend.clock
        self.hide_usage = self._expired = False
        self.sent_headers = None
        self._timeout = None
        self._record = Attempt(instance=turn.instance.name)

    def now(self) -> float:
        """Epoch seconds."""
        return self.backend.parts.now()

    def reply(self) -> Deferred[Reply]:
        """The instance's answer, whatever its status; fails with an `UpstreamError` if none can be relayed.

        :raises GatewayError: if nothing can be sent.
        """
        self._begin()
        target = self.target
        self.way = way = target.way(self.call.dialect.name)
        url, data = self._outgoing(way)
        headers = self._headers_to_send()
        if target.signer is None:
            self._head = self._send(url, data, headers)
        else:
            self._head = self._send_signed(target.signer, url, data, headers)
        self._start_timeout()
        return self._head.addCallbacks(self._answered, self._unanswered)

    def note(self, now: float, error: str | None) -> None:
        """Write down for the log what came of it. ``error``: a code."""
        self._record.error = error
        self._record.duration_ms = (now - self.started) * 1000

    def over(self, outcome: Outcome, error: GatewayError | None) -> None:
        """The attempt is over, its reply included."""
        now, turn = self.clock.seconds(), self.turn
        if outcome is Outcome.UPSTREAM_BROKE and error is not None:
            turn.failed(now, error)
        turn.ended(now)
        self.backend.meter.active(-1, self._labels)
        self.backend.show_circuit(self.target.name)

    def _begin(self) -> None:
        """Have the log, the metrics and later plugins know who is asked, and for what."""
        exchange, call, backend, target = self.exchange, self.call, self.backend, self.target
        exchange.attempts.append(self._record)
        exchange.model = model = target.model_for(call)
        self._streams = streams = target.streams(call)
        if not call.opaque:
            exchange.request_type = "ai_stream" if streams else "ai_chat"
        timeline = exchange.timeline
        timeline.upstream_head = None
        if timeline.upstream_started is None:
            timeline.upstream_started = self.started
        self._labels = labels = CallLabels(
            route_id=backend.site.route_id,
            service_id=backend.site.service_id,
            consumer=exchange.consumer,
            node=target.name,
            request_type=exchange.request_type,
            request_llm_model=exchange.request_model,
            llm_model=model,
        )
        backend.meter.active(+1, labels)
        backend.show_circuit(target.name)

    def _outgoing(self, way: Way) -> tuple[bytes, bytes]:
        """Where the request goes, and its body there."""
        target, call, exchange = self.target, self.call, self.exchange
        if call.opaque:
            return target.passed_url(exchange.path, exchange.target), exchange.body
        body, prepared, decided = call.body, call.prepared, target.decided
        if way.converter is not None:
            body = call.converted(way, exchange.model)
        if decided or way.converter is not None:
            prepared = way.dialect.prepare(body.changed(decided) if decided else body)
        self.hide_usage = not prepared.client_asked_usage and way.converter is None
        if call.dialect.name == PASSTHROUGH:
            url = target.passed_url(exchange.path, exchange.target)
        else:
            url = target.url(way.dialect.name, streams=self._streams, model=exchange.model)
        return url, way.shape_for(call.body).outgoing(body, prepared.sets)

    def _send(self, url: bytes, data: bytes, headers: HeaderBlock) -> Deferred[Any]:
        self.sent_headers = headers
        method = self.exchange.method.decode("ascii")
        has_body = data or method in _WITH_BODY
        head: Deferred[Any] = self.target.client.request(method, url, headers=headers, data=data if has_body else None)
        return head

    def _send_signed(self, signer: Signer, url: bytes, data: bytes, headers: HeaderBlock) -> Deferred[Any]:
        signed = signer.sign(self.exchange.method.decode("ascii"), url, headers, data)
        if isinstance(signed, Deferred):
            return signed.addCallback(functools.partial(self._send, url, data))
        return self._send(url, data, signed)

    def _headers_to_send(self) -> HeaderBlock:
        """The client's, as far as they go along, and ours; worked out once for heads that come again and again."""
        derived = derived_of(self.exchange.headers)
        key = (self.target, OPAQUE) if self.call.opaque else self.target
        block: HeaderBlock | None = derived.get(key)
        if block is None:
            block = self.target.headers_for(self.exchange.headers, opaque=self.call.opaque)
            if len(derived) < MOST_DERIVED:
                derived[key] = block
        return block

    def _start_timeout(self) -> None:
        timeouts, deadlines = self.backend.timeouts, self.target.deadlines
        wait = first_byte = deadlines.first_byte
        if deadlines.attempt is not None or deadlines.total is not None:
            wait = self._time_left(first_byte)
        if wait is not None:
            self._wait = wait
            self._timeout = timeouts.start_one_of(first_byte, wait, self._expire)

    def _stop_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.stop()
            self._timeout = None  # it refers to us: what a request needed goes at once, not when garbage is collected

    def _expire(self) -> None:
        self._expired = True
        self._head.cancel()

    def _unanswered(self, failure: Failure) -> Failure:
        self._stop_timeout()
        if self._expired and failure.check(CancelledError):
            return Failure(UpstreamTimeout(f"the upstream sent no status within {self._wait:g} s"))
        return failure

    def _answered(self, response: Any) -> Reply | Deferred[Reply]:
        """The head of the response is here, and often all of it."""
        self._stop_timeout()
        self.exchange.timeline.upstream_head = self.clock.seconds()
        self._record.status = response.code
        if response.code == 401 and self.target.signer is not None and self.sent_headers is not None:
            self.target.signer.refused(self.sent_headers)
        return Answer(attempt=self, response=response).reply()

    def _time_left(self, phase: float | None) -> float | None:
        """Seconds for a phase that begins now, within the attempt's and the request's deadline; None = no limit."""
        end = self.deadline()
        left = None if end is None else max(0.0, end - self.clock.seconds())
        return min((t for t in (phase, left) if t is not None), default=None)

    def deadline(self) -> float | None:
        """The clock time by which all of the answer has to be here; None = it need not be."""
        return attempt_deadline(self.target.deadlines, self.started, self.exchange.timeline.started)
