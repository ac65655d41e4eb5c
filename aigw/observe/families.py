"""The metrics there are, as data.

Names, labels and buckets are those of APISIX's ``prometheus`` plugin where it has the metric
(https://apisix.apache.org/docs/apisix/plugins/prometheus/); the others begin with ``aigw_``.
"""

from __future__ import annotations

from collections.abc import Iterator

from aigw.observe.series import Family, Labels
from aigw.ports import CallLabels

LATENCY_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000)
TOKENS = (1, 10, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000)
OVERHEAD_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)

CALL = CallLabels._fields
INSTANCE = ("route_id", "node")
STATUS = (
    *("code", "route", "matched_uri", "matched_host", "service", "consumer", "node"),
    *("request_type", "request_llm_model", "llm_model", "response_source"),
    *("route_id", "service_id"),
)
"""APISIX's, in its order; then what the other metrics call ``route`` and ``service``, so that they can be joined."""


class Families:
    """One `Family` per metric, iterated in the order of exposition.

    ``limit``: about how many label sets each may have. ``build``: label names of ``aigw_build_info``.
    """

    def __init__(self, limit: int, build: Labels) -> None:
        def counter(name: str, help: str, labels: Labels) -> Family:
            return Family(name, help, "counter", labels, limit=limit)

        def gauge(name: str, help: str, labels: Labels = ()) -> Family:
            return Family(name, help, "gauge", labels, limit=limit)

        def histogram(name: str, help: str, bounds: tuple[float, ...], labels: Labels = ()) -> Family:
            # The type label takes two values for every set of the others.
            return Family(name, help, "histogram", labels, bounds=bounds, limit=limit * (2 if "type" in labels else 1))

        self.status = counter("apisix_http_status", "Requests by the status code of their reply", STATUS)
        self.latency = histogram(
            "apisix_llm_latency",
            "Milliseconds from the first attempt to the end of the reply (total) or the first token of a stream (ttft)",
            LATENCY_MS,
            ("type", *CALL),
        )
        self.prompt = counter("apisix_llm_prompt_tokens", "Prompt tokens consumed", CALL)
        self.prompt_dist = histogram("apisix_llm_prompt_tokens_dist", "Prompt tokens of a request", TOKENS, CALL)
        self.completion = counter("apisix_llm_completion_tokens", "Completion tokens generated", CALL)
        self.completion_dist = histogram(
            "apisix_llm_completion_tokens_dist", "Completion tokens of a request", TOKENS, CALL
        )
        self.active = gauge("apisix_llm_active_connections", "Calls to LLM instances under way", CALL)
        self.overhead = histogram(
            "aigw_gateway_overhead_seconds", "Time of a request not spent waiting for an instance", OVERHEAD_S
        )
        self.fallbacks = counter("aigw_fallbacks_total", "Instances given up for the next one", (*INSTANCE, "reason"))
        self.streams_cut = counter(
            "aigw_streams_cut_total", "Replies that an instance broke off after they had begun", (*INSTANCE, "reason")
        )
        self.circuit = gauge("aigw_circuit_open", "1 while an instance is avoided or on probation, else 0", INSTANCE)
        self.in_flight = gauge("aigw_requests_in_flight", "Requests without a complete reply")
        self.workers = gauge("aigw_workers", "Worker processes that serve")
        self.worker_ends = counter("aigw_worker_ends_total", "Workers that ended and were replaced", ("reason",))
        self.build = gauge("aigw_build_info", "What is running", build)

    def __iter__(self) -> Iterator[Family]:
        return iter(vars(self).values())
