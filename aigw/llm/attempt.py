"""One attempt at one instance: what it is sent, and how long the head of its answer is awaited.

Whatever goes wrong here before there is a Reply is a `GatewayError` that another instance may make good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from aigw.balancing.candidates import Candidates, Turn
from aigw.balancing.deadlines import attempt_deadline
from aigw.errors import UpstreamTimeout
from aigw.exchange import Exchange, Reply
from aigw.llm.answer import Answer
from aigw.llm.call import OPAQUE, Call
from aigw.llm.endpoint import JSON, outgoing_headers
from aigw.llm.target import Target
from aigw.llm.ways import PASSTHROUGH, Way
from aigw.ports import CallLabels, Clock
from aigw.received import derived_of
from aigw.upstream.headers import HeaderBlock
from aigw.upstream.timeouts import Timeout, Timeouts

MOST_DERIVED = 8
"""Header blocks, and a route, that are kept with a client's head: each connection has one, and there are thousands."""

_WITH_BODY = ("POST", "PUT", "PATCH")


@attrs.define(kw_only=True, eq=False)
class Try:
    """One attempt. ``candidates``: who could still take over. ``status``: the upstream's, once it is there.

    ``turn``, ``labels``: by which balancing and metrics know it.
    """

    exchange: Exchange
    call: Call
    target: Target
    clock: Clock
    now: Callable[[], float]
    timeouts: Timeouts
    candidates: Candidates[Target]
    started: float
    turn: Turn[Target]
    labels: CallLabels
    status: int | None = None
    hide_usage: bool = False
    sent_headers: HeaderBlock | None = None
    _timeout: Timeout | None = None
    _wait: float | None = None
    _expired: bool = False
    way: Way = attrs.field(init=False)
    _head: Deferred[Any] = attrs.field(init=False)

    def reply(self) -> Deferred[Reply]:
        """The instance's answer, whatever its status; fails with an `UpstreamError` if none can be relayed.

        :raises GatewayError: if nothing can be sent.
        """
        target, call, exchange = self.target, self.call, self.exchange
        self.way = way = target.way(call.dialect.name)
        if call.opaque:
            url, data = target.passed_url(exchange.path, exchange.target), exchange.body
        else:
            url, data = self._outgoing(way)
        method = exchange.method.decode("ascii")
        headers = self._headers_to_send()
        signed = headers if target.signer is None else target.signer.sign(method, url, headers, data)
        if isinstance(signed, Deferred):
            self._head = signed.addCallback(lambda ready: self._send(method, url, ready, data))
        else:
            self._head = self._send(method, url, signed, data)
        self._start_timeout(target.deadlines.first_byte)
        return self._head.addCallbacks(self._answered, self._unanswered)

    def _outgoing(self, way: Way) -> tuple[bytes, bytes]:
        """Where the request goes, and its body there."""
        target, call, exchange = self.target, self.call, self.exchange
        body, prepared, decided = call.body, call.prepared, target.decided
        if way.converter is not None:
            body = call.converted(way, exchange.model)
        if decided or way.converter is not None:
            prepared = way.dialect.prepare(body.changed(decided) if decided else body)
        self.hide_usage = not prepared.client_asked_usage and way.converter is None
        if call.dialect.name == PASSTHROUGH:
            url = target.passed_url(exchange.path, exchange.target)
        else:
            url = target.url(way.dialect.name, streams=target.streams(call), model=exchange.model)
        return url, way.shape_for(call.body).outgoing(body, prepared.sets)

    def _send(self, method: str, url: bytes, headers: HeaderBlock, data: bytes) -> Deferred[Any]:
        self.sent_headers = headers
        head: Deferred[Any] = self.target.client.request(
            method, url, headers=headers, data=data if data or method in _WITH_BODY else None
        )
        return head

    def _headers_to_send(self) -> HeaderBlock:
        """The client's, as far as they go along, and ours; worked out once for heads that come again and again."""
        target, client = self.target, self.exchange.headers
        derived = derived_of(client)
        opaque = self.call.opaque
        key = (target, OPAQUE) if opaque else target
        block: HeaderBlock | None = derived.get(key)
        if block is None:
            defaults = [] if opaque else JSON
            more = [(name.encode(), value.encode()) for name, value in target.provider.headers.items()]
            block = outgoing_headers(
                client, target.headers, target.header_names, target.brings_own_key, [*defaults, *more]
            )
            if len(derived) < MOST_DERIVED:
                derived[key] = block
        return block

    def _start_timeout(self, first_byte: float | None) -> None:
        self._wait = wait = self._time_left(first_byte)
        if wait is not None:
            start = self.timeouts.start if wait == first_byte else self.timeouts.start_alone
            self._timeout = start(wait, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._head.cancel()

    def _unanswered(self, failure: Failure) -> Failure:
        if self._timeout is not None:
            self._timeout.stop()
        if self._expired and failure.check(CancelledError):
            return Failure(UpstreamTimeout(f"the upstream sent no status within {self._wait:g} s"))
        return failure

    def _answered(self, response: Any) -> Reply | Deferred[Reply]:
        """The head of the response is here, and often all of it."""
        if self._timeout is not None:
            self._timeout.stop()
        self.exchange.timeline.upstream_head = self.clock.seconds()
        self.status = response.code
        if response.code == 401 and self.target.signer is not None and self.sent_headers is not None:
            self.target.signer.refused(self.sent_headers)
        return Answer(attempt=self, response=response).reply()

    def _time_left(self, phase: float | None) -> float | None:
        """Seconds for a phase that begins now, within the attempt's and the request's deadline; None = no limit."""
        deadlines = self.target.deadlines
        if deadlines.attempt is None and deadlines.total is None:
            return phase
        end = self.deadline()
        left = None if end is None else max(0.0, end - self.clock.seconds())
        return min((t for t in (phase, left) if t is not None), default=None)

    def deadline(self) -> float | None:
        """The clock time by which all of the answer has to be here; None = it need not be."""
        return attempt_deadline(self.target.deadlines, self.started, self.exchange.timeline.started)
