"""Counting requests for Prometheus: a few dict look-ups each; everything else waits for a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric, ProcessCollector

from aigw.errors import GatewayError
from aigw.exchange import Exchange, Outcome, Timeline
from aigw.model.snapshot import Resource
from aigw.observe.families import CALL, Families
from aigw.observe.series import OTHER, Family, Labels, LabelSets, Row
from aigw.ports import CallLabels, CircuitState

MOST_TOKENS = 10**9
"""A usage beyond it is a mistake of the instance, and would drown the counter for good."""

MOST_ROUTES = 10_000
"""How many routes' labels are remembered."""


class _Call(NamedTuple):
    """The rows that share one set of `CallLabels`: a request finds them all with one look-up."""

    total: Row
    ttft: Row
    prompt: Row
    prompt_dist: Row
    completion: Row
    completion_dist: Row
    active: Row


class _RouteLabels(NamedTuple):
    route_id: str
    service_id: str
    uri: str
    host: str


_NO_ROUTE = _RouteLabels("", "", "", "")


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
        self._routes: dict[str, tuple[int, _RouteLabels]] = {}
        self._in_flight: Callable[[], int] | None = None
        self._workers: Callable[[], int] | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def __call__(
        self, exchange: Exchange, status: int, outcome: Outcome, error: GatewayError | None, bytes_sent: int
    ) -> None:
        """Count one request that is over."""
        route = self._route_labels(exchange.route)
        node = exchange.attempts[-1].instance if exchange.attempts else ""
        self._count_status(exchange, status, route, node)
        self._families.overhead.observe(self._overhead, overhead(exchange.timeline))
        if exchange.attempts:
            self._count_call(exchange, route, node)
        if outcome is Outcome.UPSTREAM_BROKE:
            reason = error.code if error is not None else "unknown"
            self._families.streams_cut.row((route.route_id, node, reason))[0] += 1

    def active(self, delta: int, labels: CallLabels) -> None:
        """A call to an instance began (+1) or ended (-1, with the same labels)."""
        self._calls.get(labels).active[0] += delta

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

    def _count_status(self, exchange: Exchange, status: int, route: _RouteLabels, node: str) -> None:
        answered = bool(exchange.attempts) and exchange.attempts[-1].status == status
        labels = (
            str(status) if 100 <= status <= 599 else OTHER,
            route.route_id,
            route.uri,
            route.host,
            route.service_id,
            exchange.consumer,
            node,
            exchange.request_type or "traditional_http",
            exchange.request_model,
            exchange.model,
            "upstream" if answered else "apisix",
            route.route_id,
            route.service_id,
        )
        self._families.status.row(labels)[0] += 1

    def _count_call(self, exchange: Exchange, route: _RouteLabels, node: str) -> None:
        call = self._calls.get(
            CallLabels(
                route.route_id,
                route.service_id,
                exchange.consumer,
                node,
                exchange.request_type,
                exchange.request_model,
                exchange.model,
            )
        )
        families, t, usage = self._families, exchange.timeline, exchange.usage
        if t.upstream_started is not None and t.upstream_head is not None:
            if t.finished is not None:
                families.latency.observe(call.total, max(0.0, t.finished - t.upstream_started) * 1000)
            if t.first_token is not None and exchange.request_type == "ai_stream":
                families.latency.observe(call.ttft, max(0.0, t.first_token - t.upstream_started) * 1000)
        if 0 < usage.prompt_tokens <= MOST_TOKENS:
            call.prompt[0] += usage.prompt_tokens
            families.prompt_dist.observe(call.prompt_dist, usage.prompt_tokens)
        if 0 < usage.completion_tokens <= MOST_TOKENS:
            call.completion[0] += usage.completion_tokens
            families.completion_dist.observe(call.completion_dist, usage.completion_tokens)

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

    def _route_labels(self, route: Resource | None) -> _RouteLabels:
        if route is None:
            return _NO_ROUTE
        known = self._routes.get(route.id)
        if known is not None and known[0] == route.modified_index:
            return known[1]
        if len(self._routes) >= MOST_ROUTES:
            self._routes.clear()
        labels = _RouteLabels(
            route.id,
            route.value.service_id or "",
            _only(route.value.patterns),
            _only(route.value.host_patterns),
        )
        self._routes[route.id] = (route.modified_index, labels)
        return labels


def overhead(timeline: Timeline) -> float:
    """Seconds that the gateway itself took: until the first attempt, and from the first token to the first byte.

    Of a request that no instance was tried for, all the time until its reply began.
    """
    t = timeline
    if t.upstream_started is None:
        end = t.first_byte if t.first_byte is not None else t.finished
        return 0.0 if end is None else max(0.0, end - t.started)
    relaying = 0.0 if t.first_byte is None or t.first_token is None else t.first_byte - t.first_token
    return max(0.0, t.upstream_started - t.started) + max(0.0, relaying)


def _only(patterns: tuple[str, ...]) -> str:
    """The pattern that matched, where that is known: when there is just one."""
    return patterns[0] if len(patterns) == 1 else ""
