from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from aigw.errors import RouteNotFound, UpstreamCutShort, UpstreamReset
from aigw.exchange import Attempt, Exchange, Outcome, Timeline, Usage
from aigw.model.route import Route
from aigw.observe.exposition import OPENMETRICS, TEXT, expose
from aigw.observe.metrics import Metrics, overhead
from aigw.ports import CallLabels, Meter

MakeExchange = Callable[..., Exchange]

CALL = CallLabels("vllm-route", "llm", "", "vllm", "ai_stream", "gpt-3", "llama-4")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(build={"version": "1.2.3"})


def text(metrics: Metrics) -> str:
    return b"".join(expose(metrics.registry, TEXT)).decode()


def families(metrics: Metrics) -> dict[str, Metric]:
    return {m.name: m for m in parse_text(text(metrics))}


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    """The one sample of this name that has these labels."""
    found = [
        s.value
        for m in parse_text(text(metrics))
        for s in m.samples
        if s.name == sample and labels.items() <= s.labels.items()
    ]
    assert len(found) < 2, found
    return found[0] if found else None


def finish(metrics: Metrics, exchange: Exchange, status: int = 200, **ending: Any) -> None:
    metrics(exchange, status, ending.get("outcome", Outcome.DONE), ending.get("error"), 100)


def test_names_and_labels_are_those_of_apisix(metrics: Metrics, make_exchange: MakeExchange) -> None:
    finish(metrics, make_exchange(consumer="jack"))
    metrics.active(1, CALL)
    lines = text(metrics).splitlines()
    call = (
        'route_id="vllm-route",service_id="llm",consumer="jack",node="vllm",'
        'request_type="ai_stream",request_llm_model="gpt-3",llm_model="llama-4"'
    )
    assert (
        'apisix_http_status{code="200",route="vllm-route",matched_uri="/v1/chat/completions",matched_host="gw.example",'
        'service="llm",consumer="jack",node="vllm",request_type="ai_stream",request_llm_model="gpt-3",'
        'llm_model="llama-4",response_source="upstream",route_id="vllm-route",service_id="llm"} 1'
    ) in lines
    assert f'apisix_llm_latency_bucket{{type="total",{call},le="1000"}} 0' in lines
    assert f'apisix_llm_latency_bucket{{type="total",{call},le="2000"}} 1' in lines
    assert f'apisix_llm_latency_bucket{{type="ttft",{call},le="500"}} 1' in lines
    assert f"apisix_llm_prompt_tokens{{{call}}} 8" in lines
    assert f"apisix_llm_completion_tokens{{{call}}} 300" in lines
    assert f'apisix_llm_prompt_tokens_dist_bucket{{{call},le="10"}} 1' in lines
    assert f'apisix_llm_completion_tokens_dist_bucket{{{call},le="1000000"}} 1' in lines
    assert f'apisix_llm_completion_tokens_dist_bucket{{{call},le="+Inf"}} 1' in lines
    assert f"apisix_llm_active_connections{{{call.replace('jack', '')}}} 1" in lines
    assert "# TYPE apisix_http_status counter" in lines
    assert "# TYPE aigw_requests_in_flight gauge" not in lines
    assert 'aigw_build_info{version="1.2.3"} 1' in lines


def test_counts_add_up(metrics: Metrics, make_exchange: MakeExchange) -> None:
    for _ in range(3):
        finish(metrics, make_exchange())
    assert value(metrics, "apisix_http_status_total", code="200") == 3
    assert value(metrics, "apisix_llm_prompt_tokens_total") == 24
    assert value(metrics, "apisix_llm_completion_tokens_dist_sum") == 900
    assert value(metrics, "apisix_llm_latency_sum", type="total") == pytest.approx(4500)
    assert value(metrics, "apisix_llm_latency_sum", type="ttft") == pytest.approx(750)
    assert value(metrics, "aigw_gateway_overhead_seconds_count") == 3
    assert value(metrics, "aigw_gateway_overhead_seconds_sum") == pytest.approx(3 * 0.0025)


def test_buckets_are_cumulative_and_inclusive(metrics: Metrics, make_exchange: MakeExchange) -> None:
    for tokens in (1, 10, 11, 2_000_000):
        finish(metrics, make_exchange(usage=Usage(prompt_tokens=tokens)))
    by_bound = {le: value(metrics, "apisix_llm_prompt_tokens_dist_bucket", le=le) for le in ("1", "10", "50", "+Inf")}
    assert by_bound == {"1": 1, "10": 2, "50": 3, "+Inf": 4}


def test_first_token_is_for_streams_only(metrics: Metrics, make_exchange: MakeExchange) -> None:
    finish(metrics, make_exchange(request_type="ai_chat"))
    assert value(metrics, "apisix_llm_latency_count", type="total") == 1
    assert value(metrics, "apisix_llm_latency_count", type="ttft") is None


def test_no_route_and_no_instance(metrics: Metrics, make_exchange: MakeExchange) -> None:
    timeline = Timeline(started=100.0, first_byte=100.001, finished=100.001)
    exchange = make_exchange(route=None, attempts=[], timeline=timeline, request_type="", request_model="", model="")
    finish(metrics, exchange, 404, error=RouteNotFound("404 Route Not Found"))
    assert value(metrics, "apisix_http_status_total", code="404", route="", request_type="traditional_http") == 1
    assert value(metrics, "apisix_http_status_total", response_source="apisix", node="") == 1
    assert "apisix_llm_latency" not in families(metrics)
    assert value(metrics, "aigw_gateway_overhead_seconds_sum") == pytest.approx(0.001)


def test_no_answer_from_any_instance_is_no_latency(metrics: Metrics, make_exchange: MakeExchange) -> None:
    exchange = make_exchange(
        attempts=[Attempt(instance="vllm", error="upstream_reset")],
        timeline=Timeline(started=1.0, upstream_started=1.1, finished=1.2),
        usage=Usage(),
    )
    finish(metrics, exchange, 502, error=UpstreamReset("gone"))
    assert value(metrics, "apisix_http_status_total", code="502", response_source="apisix", node="vllm") == 1
    assert "apisix_llm_latency" not in families(metrics)


def test_a_relayed_error_is_the_upstreams(metrics: Metrics, make_exchange: MakeExchange) -> None:
    attempts = [Attempt(instance="vllm", error="upstream_timeout"), Attempt(instance="cloud", status=429)]
    finish(metrics, make_exchange(attempts=attempts), 429)
    assert value(metrics, "apisix_http_status_total", code="429", response_source="upstream", node="cloud") == 1


def test_streams_cut(metrics: Metrics, make_exchange: MakeExchange) -> None:
    finish(metrics, make_exchange(), outcome=Outcome.UPSTREAM_BROKE, error=UpstreamCutShort("half"))
    finish(metrics, make_exchange(), outcome=Outcome.CLIENT_LEFT)
    labels = {"route_id": "vllm-route", "node": "vllm"}
    assert value(metrics, "aigw_streams_cut_total", **labels, reason="upstream_cut_short") == 1
    assert len(families(metrics)["aigw_streams_cut"].samples) == 1


def test_meter(metrics: Metrics) -> None:
    meter: Meter = metrics
    meter.active(1, CALL)
    meter.active(1, CALL)
    meter.active(-1, CALL)
    assert value(metrics, "apisix_llm_active_connections") == 1
    meter.fell_back("r", "vllm", "http_429")
    meter.fell_back("r", "vllm", "http_429")
    assert value(metrics, "aigw_fallbacks_total", route_id="r", node="vllm", reason="http_429") == 2
    for state, expected in (("open", 1), ("half_open", 1), ("closed", 0)):
        meter.circuit_changed("r", "vllm", state)  # type: ignore[arg-type]
        assert value(metrics, "aigw_circuit_open", route_id="r", node="vllm") == expected


def test_in_flight_is_asked_for_at_each_scrape(metrics: Metrics) -> None:
    numbers = iter([3, 5])
    metrics.watch(lambda: next(numbers))
    assert value(metrics, "aigw_requests_in_flight") == 3
    assert value(metrics, "aigw_requests_in_flight") == 5


def test_process_metrics_are_there(metrics: Metrics) -> None:
    assert families(metrics)["process_resident_memory_bytes"].samples[0].value > 0


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({"uri": "/a/*"}, ("/a/*", "")),
        ({"uris": ["/a", "/b"], "hosts": ["x.example", "y.example"]}, ("", "")),
    ],
)
def test_what_matched_is_told_where_it_is_known(
    metrics: Metrics, make_exchange: MakeExchange, make_resource: Any, patterns: Any, expected: tuple[str, str]
) -> None:
    finish(metrics, make_exchange(route=make_resource(Route(**patterns))))
    assert value(metrics, "apisix_http_status_total", matched_uri=expected[0], matched_host=expected[1]) == 1


def test_a_changed_route_is_seen(metrics: Metrics, make_exchange: MakeExchange, make_resource: Any) -> None:
    for index, service in enumerate(("one", "two")):
        finish(metrics, make_exchange(route=make_resource(Route(uri="/a", service_id=service), index=index)))
    assert value(metrics, "apisix_http_status_total", service="one") == 1
    assert value(metrics, "apisix_http_status_total", service="two") == 1


@pytest.mark.parametrize("tokens", [-5, 10**9 + 1, 10**400])
def test_a_lie_about_usage_is_not_counted(metrics: Metrics, make_exchange: MakeExchange, tokens: int) -> None:
    finish(metrics, make_exchange(usage=Usage(prompt_tokens=tokens, completion_tokens=tokens)))
    assert value(metrics, "apisix_llm_prompt_tokens_total") == 0
    assert value(metrics, "apisix_llm_completion_tokens_dist_count") is None


def test_a_clock_set_back_takes_nothing_from_a_sum(metrics: Metrics, make_exchange: MakeExchange) -> None:
    timeline = Timeline(
        started=100.0, upstream_started=99.0, upstream_head=98.0, first_token=97.0, first_byte=96.0, finished=95.0
    )
    finish(metrics, make_exchange(timeline=timeline))
    assert value(metrics, "apisix_llm_latency_sum", type="total") == 0
    assert value(metrics, "aigw_gateway_overhead_seconds_sum") == 0


def test_a_strange_status_is_other(metrics: Metrics, make_exchange: MakeExchange) -> None:
    finish(metrics, make_exchange(), 999)
    assert value(metrics, "apisix_http_status_total", code="other") == 1


def test_invented_models_blur_models_and_nothing_else(make_exchange: MakeExchange, make_resource: Any) -> None:
    metrics = Metrics(build={}, label_sets=100)
    for i in range(5000):
        finish(metrics, make_exchange(request_model=f"invented-{i}", model=f"invented-{i}"))
    calls = [s.labels for s in families(metrics)["apisix_llm_prompt_tokens"].samples]
    assert len(calls) <= 100
    assert value(metrics, "apisix_llm_prompt_tokens_total", request_llm_model="other") == 8 * (5000 - 75)

    quiet = make_resource(Route(uri="/quiet"), "quiet-route")
    finish(metrics, make_exchange(route=quiet, attempts=[Attempt(instance="second", status=200)]))
    assert value(metrics, "apisix_llm_prompt_tokens_total", route_id="quiet-route", node="second") == 8
    assert value(metrics, "apisix_llm_latency_count", route_id="quiet-route", type="ttft") == 1
    assert value(metrics, "apisix_http_status_total", route_id="quiet-route", code="200") == 1


def test_every_family_is_bounded(make_exchange: MakeExchange) -> None:
    metrics = Metrics(build={}, label_sets=40)
    for i in range(500):
        exchange = make_exchange(attempts=[Attempt(instance=f"i{i}", status=200 + i)], consumer=f"c{i}")
        finish(metrics, exchange, 200 + i % 3, outcome=Outcome.UPSTREAM_BROKE)
        metrics.active(1, CALL._replace(node=f"i{i}"))
        metrics.active(-1, CALL._replace(node=f"i{i}"))
        metrics.fell_back(f"r{i}", "vllm", f"reason-{i}")
        metrics.circuit_changed("r", f"i{i}", "open")
    series = {
        name: len({tuple(v for k, v in s.labels.items() if k != "le") for s in m.samples})
        for name, m in families(metrics).items()
    }
    assert series.pop("apisix_llm_latency") <= 2 * (40 + 1)
    assert max(series.values()) <= 40 + 3
    assert sum(s.value for s in families(metrics)["apisix_llm_active_connections"].samples) == 0
    assert sum(s.value for s in families(metrics)["apisix_http_status"].samples) == 500


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("a" * 200, "a" * 128),
        ("ü" * 100, "ü" * 64),
        ("x" + "€" * 100, "x" + "€" * 42),
        ("\ud83d", "?"),
        ("a\nb\r\x1b[31m\x9b\u2028c", "a?b??[31m??c"),
        ('quote " back \\ n \\n', 'quote " back \\ n \\n'),
        ("", ""),
        ('"} 1\napisix_http_status{code="200"', '"} 1?apisix_http_status{code="200"'),
    ],
)
@pytest.mark.parametrize(("content_type", "parse"), [(TEXT, parse_text), (OPENMETRICS, parse_openmetrics)])
def test_hostile_labels_stay_labels(
    metrics: Metrics, make_exchange: MakeExchange, model: str, label: str, content_type: bytes, parse: Any
) -> None:
    for _ in range(2):
        finish(metrics, make_exchange(request_model=model))
    exposed = b"".join(expose(metrics.registry, content_type)).decode()
    samples = [s for m in parse(exposed) for s in m.samples if "request_llm_model" in s.labels]
    assert {s.labels["request_llm_model"] for s in samples} == {label}


def test_models_that_become_equal_are_one_series(metrics: Metrics, make_exchange: MakeExchange) -> None:
    for model in ("m\ud83d", "m\n", "m?"):
        finish(metrics, make_exchange(request_model=model))
    assert value(metrics, "apisix_llm_prompt_tokens_total", request_llm_model="m?") == 24


@pytest.mark.parametrize(
    ("timeline", "seconds"),
    [
        (Timeline(started=10.0), 0.0),
        (Timeline(started=10.0, finished=10.5), 0.5),
        (Timeline(started=10.0, first_byte=10.25, finished=19.0), 0.25),
        (Timeline(started=10.0, upstream_started=10.25, finished=19.0), 0.25),
        (Timeline(started=10.0, upstream_started=10.25, first_token=12.0, first_byte=12.5, finished=19.0), 0.75),
        (Timeline(started=10.0, upstream_started=10.25, first_token=12.0, first_byte=11.0, finished=19.0), 0.25),
    ],
)
def test_overhead(timeline: Timeline, seconds: float) -> None:
    assert overhead(timeline) == pytest.approx(seconds)
