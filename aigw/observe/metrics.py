"""Counting requests for Prometheus: a look-up and some additions each; everything else waits for a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
from prometheus_client import CollectorRegistry, Metric, ProcessCollector

from aigw.errors import GatewayError
from aigw.exchange import Exchange, Outcome, Timeline
from aigw.model.snapshot import Resource
from aigw.observe.families import CALL, Families
from aigw.observe.series import LABEL_BYTES, OTHER, Family, Labels, LabelSets, Row
from aigw.ports import CallLabels, CircuitState

MOST_TOKENS = 10**9
"""A usage beyond it is a mistake of the instance, and would drown the counter for good."""

MOST_KINDS = 4096
"""How many kinds of requests are remembered."""


@attrs.frozen
class _Call:
    """The rows that share one set of `CallLabels`: a call finds them all with one look-up."""

    total: Row
    ttft: Row
    prompt: Row
    prompt_dist: Row
    completion: Row
    completion_dist: Row
    active: Row


@attrs.frozen
class _Kind:
    """Where requests count that differ in no label. ``call``: None if no instance was tried."""

    status: Row
    call: _Call | None


class Metrics:
    """Observes finished requests, is the `aigw.ports.Meter` of those under way, and shows both in ``registry``.

    ``build``: labels of ``aigw_build_info``, such as the version. ``label_sets``: about how many sets of label values
    a metric may have before values become ``other``.
    """

    def __init__(self, *, build: Mapping[str, str], label_sets: int = 1000) -> None:
        self._families = Families(label_sets, tuple(build))
        self._families.build.row(tuple(build.values()))[0] = 1
        self._overhead = self._families.overhead.row(())
        self._calls = LabelSets(CALL, label_sets, self._new_call)
        self._known_calls = self._calls.known
        self._kinds: dict[object, _Kind] = {}
        self._in_flight: Callable[[], int] | None = None
        self._workers: Callable[[], int] | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def __call__(
        self, exchange: Exchange, status: int, outcome: Outcome, error: GatewayError | None, bytes_sent: int
    ) -> None:
        """Count one request that is over."""
        route, attempts = exchange.route, exchange.attempts
        node, answered = None, False
        if attempts:
            last = attempts[-1]
            node, answered = last.instance, last.status == status
        # All that labels are made of, as it is: what it is made into never changes, for no series is ever forgotten.
        seen = (
            None if route is None else route.id,
            0 if route is None else route.modified_index,
            exchange.consumer,
            node,
            exchange.request_type,
            exchange.request_model,
            exchange.model,
            status,
            answered,
        )
        kind = self._kinds.get(seen) or self._new_kind(seen, exchange, status)
        kind.status[0] += 1
        self._families.overhead.observe(self._overhead, overhead(exchange.timeline))
        if kind.call is not None:
            self._count_call(kind.call, exchange)
        if outcome is Outcome.UPSTREAM_BROKE:
            reason = error.code if error is not None else "unknown"
            self._families.streams_cut.row((_route_labels(route)[0], node or "", reason))[0] += 1

    def active(self, delta: int, labels: CallLabels) -> None:
        """A call to an instance began (+1) or ended (-1, with the same labels)."""
        (self._known_calls.get(labels) or self._calls.get(labels)).active[0] += delta

    def fell_back(self, route_id: str, instance: str, reason: str) -> None:
        """``instance`` was given up for the next one."""
        self._families.fallbacks.row((route_id, instance, reason))[0] += 1

    def circuit_changed(self, route_id: str, instance: str, state: CircuitState) -> None:
        """The circuit in front of ``instance`` is now in ``state``; half open counts as open."""
        self._families.circuit.row((route_id, instance))[0] = 0 if state == "closed" else 1

    @property
    def added_up(self) -> list[Family]:
        """The metrics of which several processes' values make a sum; the others are about the gateway as a whole."""
        families = self._families
        whole = (families.circuit, families.in_flight, families.build, families.workers, families.worker_ends)
        return [family for family in families if family not in whole]

    def worker_ended(self, reason: str) -> None:
        """A worker has ended that should not have; ``reason``: a short word."""
        self._families.worker_ends.row((reason,))[0] += 1

    def watch(self, in_flight: Callable[[], int]) -> None:
        """Ask ``in_flight`` for the number of unfinished requests at every scrape."""
        self._in_flight = in_flight

    def watch_workers(self, serving: Callable[[], int]) -> None:
        """Ask ``serving`` for the number of workers that serve at every scrape."""
        self._workers = serving

    def collect(self) -> Iterator[Metric]:
        """All families, for ``registry``."""
        if self._workers is not None:
            self._families.workers.row(())[0] = self._workers()
        if self._in_flight is not None:
            self._families.in_flight.row(())[0] = self._in_flight()
        for family in self._families:
            yield family.metric()

    def _count_call(self, call: _Call, exchange: Exchange) -> None:
        families, t, usage = self._families, exchange.timeline, exchange.usage
        began = t.upstream_started
        if began is not None and t.upstream_head is not None:
            if t.finished is not None:
                families.latency.observe(call.total, (t.finished - began) * 1000 if t.finished > began else 0.0)
            if t.first_token is not None and exchange.request_type == "ai_stream":
                families.latency.observe(call.ttft, (t.first_token - began) * 1000 if t.first_token > began else 0.0)
        if 0 < usage.prompt_tokens <= MOST_TOKENS:
            call.prompt[0] += usage.prompt_tokens
            families.prompt_dist.observe(call.prompt_dist, usage.prompt_tokens)
        if 0 < usage.completion_tokens <= MOST_TOKENS:
            call.completion[0] += usage.completion_tokens
            families.completion_dist.observe(call.completion_dist, usage.completion_tokens)

    def _new_kind(self, seen: object, exchange: Exchange, status: int) -> _Kind:
        kind = _Kind(
            self._families.status.row(_status_labels(exchange, status)),
            self._calls.get(_call_labels(exchange)) if exchange.attempts else None,
        )
        # Models are the client's choice: long ones are not kept here, nor ever more of them.
        if max(len(exchange.request_model), len(exchange.model)) <= LABEL_BYTES:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            self._kinds[seen] = kind
        return kind

    def _new_call(self, labels: Labels) -> _Call:
        families = self._families
        return _Call(
            total=families.latency.row(("total", *labels)),
            ttft=families.latency.row(("ttft", *labels)),
            prompt=families.prompt.row(labels),
            prompt_dist=families.prompt_dist.row(labels),
            completion=families.completion.row(labels),
            completion_dist=families.completion_dist.row(labels),
            active=families.active.row(labels),
        )


def _status_labels(exchange: Exchange, status: int) -> Labels:
    """As `families.STATUS` names them."""
    route, last = exchange.route, exchange.attempts[-1] if exchange.attempts else None
    route_id, service_id = _route_labels(route)
    return (
        str(status) if 100 <= status <= 599 else OTHER,
        route_id,
        "" if route is None else _only(route.value.patterns),
        "" if route is None else _only(route.value.host_patterns),
        service_id,
        exchange.consumer,
        "" if last is None else last.instance,
        exchange.request_type or "traditional_http",
        exchange.request_model,
        exchange.model,
        "upstream" if last is not None and last.status == status else "apisix",
        route_id,
        service_id,
    )


def _call_labels(exchange: Exchange) -> CallLabels:
    return CallLabels(
        *_route_labels(exchange.route),
        exchange.consumer,
        exchange.attempts[-1].instance,
        exchange.request_type,
        exchange.request_model,
        exchange.model,
    )


def _route_labels(route: Resource | None) -> tuple[str, str]:
    """Its id and its service's."""
    return ("", "") if route is None else (route.id, route.value.service_id or "")


def overhead(timeline: Timeline) -> float:
    """Seconds that the gateway itself took: until the first attempt, and from the first token to the first byte.

    Of a request that no instance was tried for, all the time until its reply began.
    """
    t = timeline
    if t.upstream_started is None:
        end = t.first_byte if t.first_byte is not None else t.finished
        return 0.0 if end is None else max(0.0, end - t.started)
    seconds = 0.0
    if t.upstream_started > t.started:
        seconds = t.upstream_started - t.started
    if t.first_byte is not None and t.first_token is not None and t.first_byte > t.first_token:
        seconds += t.first_byte - t.first_token
    return seconds


def _only(patterns: tuple[str, ...]) -> str:
    """The pattern that matched, where that is known: when there is just one."""
    return patterns[0] if len(patterns) == 1 else ""
