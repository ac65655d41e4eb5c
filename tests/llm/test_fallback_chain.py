"""ai-proxy-multi: who is tried, who next, and what the client gets in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.web.client import ResponseFailed

from aigw.errors import (
    InstanceUnusable,
    NotServing,
    UnsupportedDialect,
    UpstreamBadReply,
    UpstreamCutShort,
    UpstreamError,
    UpstreamReplyTooLarge,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from aigw.exchange import Outcome
from aigw.parts import Defaults
from aigw.plugins.ai_proxy_multi import MOST_INSTANCES
from aigw.testing import openai
from aigw.testing.gateway import Client, MemoryGateway

Several = Callable[..., MemoryGateway]
STREAM = {"messages": [], "stream": True}


def host(gateway: MemoryGateway) -> str:
    """Who was asked last."""
    return gateway.models.last.url.split("/")[2]


def hosts(gateway: MemoryGateway) -> list[str]:
    return [asked.url.split("/")[2] for asked in gateway.asked]


def answer_all(gateway: MemoryGateway, requests: int) -> list[str]:
    """Send so many requests, each answered at once; who was asked."""
    for _ in range(requests):
        gateway.ask()
        gateway.models.last.answer()
    return hosts(gateway)


# Which results go on to another instance.

STATUSES: list[tuple[dict[str, Any], int, str | None]] = [
    # configuration, status of the first model, why the next one is asked
    ({"fallback_strategy": ["http_429", "http_5xx"]}, 429, "http_429"),
    ({"fallback_strategy": ["http_429", "http_5xx"]}, 500, "http_5xx"),
    ({"fallback_strategy": ["http_429", "http_5xx"]}, 599, "http_5xx"),
    ({"fallback_strategy": ["http_429", "http_5xx"]}, 200, None),
    ({"fallback_strategy": ["http_429", "http_5xx"]}, 400, None),
    ({"fallback_strategy": ["http_429", "http_5xx"]}, 404, None),
    ({"fallback_strategy": "http_5xx"}, 503, "http_5xx"),
    ({"fallback_strategy": "http_5xx"}, 429, None),
    ({"fallback_strategy": "http_429"}, 429, "http_429"),
    ({"fallback_strategy": "http_429"}, 500, None),
    ({"fallback_strategy": "rate_limiting"}, 429, None),
    ({"fallback_strategy": "instance_health_and_rate_limiting"}, 500, None),
    ({"fallback_strategy": None}, 500, None),
    ({"fallback_strategy": []}, 500, None),
    ({"fallback_strategy": None, "fallback_http_statuses": [404, 500]}, 404, "status"),
    ({"fallback_strategy": None, "fallback_http_statuses": [404, 500]}, 500, "status"),
    ({"fallback_strategy": None, "fallback_http_statuses": [404, 500]}, 401, None),
    ({"fallback_strategy": "http_429", "fallback_http_statuses": [401]}, 401, "status"),
]


@pytest.mark.parametrize(("fields", "status", "reason"), STATUSES)
def test_by_status(several_models: Several, fields: dict[str, Any], status: int, reason: str | None) -> None:
    gateway = several_models("first", "second", **fields)
    client = gateway.ask()
    gateway.models.last.answer(status)
    if reason is None:
        assert (client.status, hosts(gateway)) == (status, ["first"])
        assert gateway.meter.fallbacks == []
    else:
        gateway.models.last.answer(200, b"{}")
        assert (client.status, client.body, hosts(gateway)) == (200, b"{}", ["first", "second"])
        assert client.attempts == [("first", status, None), ("second", 200, None)]
        assert gateway.meter.fallbacks == [("r", "first", reason)]
    assert gateway.meter.under_way == 0


ERRORS: list[tuple[UpstreamError, str]] = [
    (UpstreamUnreachable("refused"), "transport"),
    (UpstreamReset("reset"), "transport"),
    (UpstreamCutShort("cut"), "transport"),
    (UpstreamBadReply("garbage"), "transport"),
    (UpstreamReplyTooLarge("too large"), "transport"),
    (UpstreamTimeout("late"), "timeout"),
]


@pytest.mark.parametrize(("error", "reason"), ERRORS)
@pytest.mark.parametrize(
    ("fields", "covered"),
    [
        ({"fallback_strategy": ["http_5xx"]}, {502, 504}),
        ({"fallback_strategy": ["http_429"]}, set()),
        ({"fallback_strategy": None, "fallback_http_statuses": [502]}, {502}),
        ({"fallback_strategy": None, "fallback_http_statuses": [504]}, {504}),
    ],
)
def test_by_what_goes_wrong(
    several_models: Several, error: UpstreamError, reason: str, fields: dict[str, Any], covered: set[int]
) -> None:
    gateway = several_models("first", "second", **fields)
    client = gateway.ask()
    gateway.models.last.fail(error)
    if error.status in covered:
        gateway.models.last.answer()
        assert client.status == 200
        assert client.attempts == [("first", None, error.code), ("second", 200, None)]
        assert gateway.meter.fallbacks == [("r", "first", reason)]
    else:
        assert client.error is error
        assert len(gateway.asked) == 1
    assert gateway.meter.under_way == 0


def test_a_redirect_goes_on(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask()
    gateway.models.last.begin(302)
    gateway.models.last.answer()
    assert client.attempts == [("first", 302, "upstream_bad_reply"), ("second", 200, None)]


def test_a_silent_model_goes_on_at_its_deadline(several_models: Several) -> None:
    gateway = several_models("first", "second", timeout=1000)
    client = gateway.ask()
    gateway.clock.advance(1)
    assert gateway.asked[0].cancelled
    assert host(gateway) == "second"
    gateway.models.last.answer()
    assert client.status == 200
    assert client.exchange.attempts[0].duration_ms == 1000.0
    assert client.exchange.timeline.upstream_started == 0


@pytest.mark.parametrize("part", [b"", b'{"choices"'])
def test_an_answer_that_stalls_or_breaks_before_it_is_whole_goes_on(several_models: Several, part: bytes) -> None:
    for breaks in (False, True):
        gateway = several_models("first", "second", timeout=1000)
        client = gateway.ask()
        response = gateway.models.last.begin(200, "application/json")
        if part:
            response.send(part)
        if breaks:
            response.end(ResponseFailed([]))
        else:
            gateway.clock.advance(1)
            assert response.aborted
        gateway.models.last.answer(200, b"{}")
        assert (client.status, client.body) == (200, b"{}")


def test_an_instance_that_is_not_configured_right_goes_on(several_models: Several) -> None:
    unusable = {"name": "first", "auth": {"header": {"Authorization": "Bearer $env://MISSING"}}}
    gateway = several_models(unusable, "second")
    client = gateway.ask()
    assert hosts(gateway) == ["second"]
    gateway.models.last.answer()
    assert client.attempts == [("first", None, "instance_unusable"), ("second", 200, None)]


def test_nobody_is_configured_right(several_models: Several) -> None:
    auth = {"header": {"Authorization": "Bearer $env://MISSING"}}
    gateway = several_models({"name": "first", "auth": auth}, {"name": "second", "auth": auth})
    client = gateway.ask()
    assert isinstance(client.error, InstanceUnusable)
    assert client.status == 503
    assert client.error.message == "instance second can't be called: environment variable MISSING is not set"


def test_as_many_as_there_may_be_are_tried_even_if_all_fail_at_once(several_models: Several) -> None:
    auth = {"header": {"Authorization": "Bearer $env://MISSING"}}
    gateway = several_models(*({"name": str(n), "auth": auth} for n in range(MOST_INSTANCES)))
    client = gateway.ask()
    assert isinstance(client.error, InstanceUnusable)
    assert len(client.attempts) == MOST_INSTANCES
    assert gateway.meter.under_way == 0


def test_what_a_client_did_wrong_does_not_go_on(several_models: Several) -> None:
    deepseek = {"provider": "deepseek", "override": {}}
    gateway = several_models({"name": "first", **deepseek}, {"name": "second", **deepseek})
    client = gateway.ask({"input": "x"}, "/v1/embeddings")
    assert isinstance(client.error, UnsupportedDialect)
    assert gateway.asked == []


def test_a_gateway_that_is_leaving_asks_nobody_else(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask()
    gateway.models.last.fail(NotServing("the gateway is shutting down"))
    assert client.status == 503
    assert len(gateway.asked) == 1


# Each gets what is its own.


def test_each_instance_gets_its_own_request(several_models: Several) -> None:
    gateway = several_models(
        {"name": "first", "options": {"model": "llama"}},
        {"name": "second", "provider": "openai", "options": {"model": "gpt"}, "override": {}},
        {"name": "third", "auth": {}},
    )
    client = gateway.ask({"messages": [], "max_tokens": 5, "model": "x"}, headers={"authorization": "Bearer client"})
    gateway.models.last.answer(500)
    gateway.models.last.answer(500)
    assert [(asked.url, asked.json, asked.header("authorization")) for asked in gateway.asked] == [
        (
            "http://first/v1/chat/completions",
            {"messages": [], "max_tokens": 5, "model": "llama"},
            ["Bearer key-of-first"],
        ),
        (
            "https://api.openai.com/v1/chat/completions",
            {"messages": [], "max_completion_tokens": 5, "model": "gpt"},
            ["Bearer key-of-second"],
        ),
        ("http://third/v1/chat/completions", {"messages": [], "max_tokens": 5, "model": "x"}, ["Bearer client"]),
    ]
    gateway.models.last.answer()
    assert client.exchange.model == "x"
    assert [(labels.node, labels.llm_model) for labels in gateway.meter.begun] == [
        ("first", "llama"),
        ("second", "gpt"),
        ("third", "x"),
    ]


# Everything failed.


def test_the_last_ones_answer_reaches_the_client(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask()
    gateway.models.last.answer(500, b"first's", {"Content-Type": "text/html", "X-Request-Id": "1"})
    gateway.models.last.answer(429, b"second's", {"Retry-After": "3", "X-Request-Id": "2"})
    assert (client.status, client.body) == (429, b"second's")
    assert client.headers == {"content-type": "application/json", "retry-after": "3", "x-request-id": "2"}
    assert client.outcome is Outcome.DONE
    assert gateway.meter.under_way == 0


def test_the_last_ones_error_reaches_the_client(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask()
    gateway.models.last.answer(429)
    gateway.models.last.fail(UpstreamUnreachable("second:80 refused the connection"))
    assert (client.status, str(client.error)) == (502, "second:80 refused the connection")
    assert client.attempts == [("first", 429, None), ("second", None, "upstream_unreachable")]
    assert client.exchange.timeline.upstream_head is None


def test_the_last_ones_credentials_do_not(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask()
    gateway.models.last.answer(500)
    gateway.models.last.answer(500, b"what is key-of-second?")
    assert client.body == b"what is ****?"


def test_the_connection_of_an_answer_that_nobody_reads_is_used_again_or_closed(several_models: Several) -> None:
    gateway = several_models("first", "second")
    for size in (1000, 100_000):
        client = gateway.ask()
        response = gateway.asked[-1].begin(500)
        assert host(gateway) == "second"
        response.send(b"x" * size)
        assert response.aborted == (size > 64 * 1024)
        assert response.reading
        response.end()
        gateway.models.last.answer()
        assert client.status == 200
    assert gateway.timers == []


def test_an_answer_that_nobody_reads_may_not_last_for_ever(several_models: Several) -> None:
    gateway = several_models("first", "second", timeout=1000)
    gateway.ask()
    response = gateway.models.last.begin(500)
    gateway.models.last.answer()
    gateway.clock.advance(1)
    assert response.aborted


# In which order.


def test_turns_follow_the_weights(several_models: Several) -> None:
    gateway = several_models(*({"name": n, "weight": w, "priority": 0} for n, w in (("a", 2), ("b", 1), ("spare", 0))))
    assert answer_all(gateway, 6) == ["a", "b", "a", "a", "b", "a"]


def test_a_weight_of_0_is_for_when_nothing_else_is_left(several_models: Several) -> None:
    gateway = several_models(*({"name": n, "weight": w, "priority": 0} for n, w in (("spare", 0), ("a", 1))), "next")
    gateway.ask()
    gateway.models.last.answer(500)
    gateway.models.last.answer(500)
    gateway.models.last.answer()
    assert hosts(gateway) == ["a", "spare", "next"]


@pytest.mark.parametrize(
    ("fields", "defaults", "order"),
    [
        ({}, "lowest_first", ["low", "high"]),
        ({}, "highest_first", ["high", "low"]),
        ({"priority_order": "lowest_first"}, "highest_first", ["low", "high"]),
        ({"priority_order": "highest_first"}, "lowest_first", ["high", "low"]),
        ({"priority_order": None}, "highest_first", ["high", "low"]),
    ],
)
def test_which_priority_is_first(
    several_models: Several, fields: dict[str, Any], defaults: Any, order: list[str]
) -> None:
    described = several_models({"name": "high", "priority": 2}, {"name": "low", "priority": 1}, **fields)
    plugins = described.registry.snapshot("default").of("routes")["r"].document["plugins"]
    gateway = MemoryGateway(defaults=Defaults(priority_order=defaults))
    gateway.put(plugins)
    gateway.ask()
    gateway.models.last.answer(500)
    gateway.models.last.answer()
    assert hosts(gateway) == order


def test_each_instance_is_asked_once(several_models: Several) -> None:
    gateway = several_models(*({"name": name, "priority": 0} for name in "abc"))
    client = gateway.ask()
    for _ in "abc":
        gateway.models.last.answer(500)
    assert sorted(hosts(gateway)) == ["a", "b", "c"]
    assert client.status == 500


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (1, 2), (2, 3), (9, 3), (None, 3)])
def test_max_retries(several_models: Several, retries: int | None, asked: int) -> None:
    gateway = several_models("a", "b", "c", max_retries=retries)
    client = gateway.ask()
    while client.waits():
        gateway.models.last.answer(500)
    assert len(gateway.asked) == asked


@pytest.mark.parametrize(("seconds", "goes_on"), [(0.5, True), (1.0, True), (1.001, False)])
@pytest.mark.parametrize("status", [500, None])
def test_a_failure_that_took_too_long_is_the_last(
    several_models: Several, seconds: float, goes_on: bool, status: int | None
) -> None:
    gateway = several_models("a", "b", retry_on_failure_within_ms=1000)
    client = gateway.ask()
    gateway.clock.advance(seconds)
    if status is None:
        gateway.models.last.fail(UpstreamReset("gone"))
    else:
        gateway.models.last.answer(status, b"what is key-of-a?")
    assert (len(gateway.asked) == 2) == goes_on
    assert client.waits() == goes_on
    if not goes_on and status is not None:
        assert client.body == b"what is ****?"


def test_connections_are_made_as_each_instance_says(several_models: Several) -> None:
    first = {"name": "first", "timeout": 100, "ssl_verify": True}
    gateway = several_models(first, "second", timeout=200, ssl_verify=False, deadlines={"first_byte_ms": 300})
    gateway.ask()
    assert [(p.connect_timeout, p.ssl_verify) for p in gateway.models.profiles] == [(0.1, True), (0.2, False)]
    gateway.clock.advance(0.299)
    assert len(gateway.asked) == 1
    gateway.clock.advance(0.001)
    assert len(gateway.asked) == 2


# Deadlines of the whole request.


@pytest.mark.parametrize("answers", [False, True])
def test_the_deadline_of_the_request_is_the_end(several_models: Several, answers: bool) -> None:
    gateway = several_models("a", "b", "c", deadlines={"total_ms": 1000, "first_byte_ms": 700})
    gateway.clock.advance(0.1)
    for _ in range(4):
        client = gateway.ask()
        gateway.clock.advance(0.7)
        if answers:
            gateway.models.last.begin(200, "application/json")
        gateway.clock.advance(0.301)
        assert isinstance(client.error, UpstreamTimeout)
        assert [name for name, _, _ in client.attempts] == ["a", "b"]
        assert [labels.node for labels in gateway.meter.begun[-2:]] == ["a", "b"]
    assert gateway.meter.under_way == 0


def test_the_deadline_of_an_attempt_goes_on_to_the_next(several_models: Several) -> None:
    gateway = several_models("a", "b", deadlines={"attempt_ms": 1000})
    client = gateway.ask()
    gateway.models.last.begin(200, "application/json")
    gateway.clock.advance(1)
    assert host(gateway) == "b"
    gateway.models.last.answer()
    assert client.status == 200


# Health.


def test_an_instance_that_asks_for_a_rest_gets_it_from_everybody(several_models: Several) -> None:
    gateway = several_models("a", "b")
    gateway.ask()
    gateway.models.last.answer(429, headers={"Retry-After": "7"})
    gateway.models.last.answer()
    gateway.clock.advance(6.9)
    answer_all(gateway, 1)
    gateway.clock.advance(0.1)
    answer_all(gateway, 1)
    assert hosts(gateway) == ["a", "b", "b", "a"]


def test_a_rest_until_a_date(several_models: Several) -> None:
    gateway = several_models("a", "b")  # epoch 1,700,000,000 is Tue, 14 Nov 2023 22:13:20 GMT
    gateway.ask()
    gateway.models.last.answer(429, headers={"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT"})
    gateway.models.last.answer()
    gateway.clock.advance(9)
    answer_all(gateway, 1)
    gateway.clock.advance(1)
    answer_all(gateway, 1)
    assert hosts(gateway) == ["a", "b", "b", "a"]


def test_a_rest_is_shared_with_other_routes_to_the_same_instance(several_models: Several) -> None:
    gateway = several_models("a", "b")
    plugins = gateway.registry.snapshot("default").of("routes")["r"].document["plugins"]
    gateway.put(plugins, id="other", uri="/other")
    gateway.ask()
    gateway.models.last.answer(429, headers={"Retry-After": "7"})
    gateway.models.last.answer()
    gateway.ask(path="/other")
    assert host(gateway) == "b"


def test_nobody_rests_where_429_is_no_reason_to_go_on(several_models: Several) -> None:
    gateway = several_models("a", "b", fallback_strategy="http_5xx")
    client = gateway.ask()
    gateway.models.last.answer(429, headers={"Retry-After": "7"})
    assert client.status == 429
    gateway.ask()
    assert hosts(gateway) == ["a", "a"]


def test_when_all_rest_they_are_asked_all_the_same(several_models: Several) -> None:
    gateway = several_models("a", "b")
    client = gateway.ask()
    for _ in "ab":
        gateway.models.last.answer(429, headers={"Retry-After": "7"})
    assert client.status == 429
    gateway.ask()
    assert hosts(gateway) == ["a", "b", "a"]


def fail_first(gateway: MemoryGateway, times: int = 5) -> None:
    for _ in range(times):
        gateway.ask()
        assert host(gateway) == "a"
        gateway.models.last.fail(UpstreamUnreachable("refused"))
        gateway.models.last.answer()


def test_an_instance_that_keeps_failing_is_left_alone_and_then_probed(several_models: Several) -> None:
    gateway = several_models("a", "b")
    fail_first(gateway)
    assert gateway.meter.circuits[-1] == ("r", "a", "open")
    gateway.ask()
    assert host(gateway) == "b"
    gateway.clock.advance(1)
    probe = gateway.ask()
    assert host(gateway) == "a"
    assert gateway.meter.circuits[-1] == ("r", "a", "half_open")
    beside = gateway.ask()
    assert host(gateway) == "b"
    gateway.asked[-2].answer()
    gateway.asked[-1].answer()
    assert (probe.status, beside.status) == (200, 200)
    assert gateway.meter.circuits[-1] == ("r", "a", "closed")
    gateway.ask()
    assert host(gateway) == "a"


def test_a_probe_that_fails_opens_the_circuit_for_longer(several_models: Several) -> None:
    gateway = several_models("a", "b")
    fail_first(gateway)
    gateway.clock.advance(1)
    fail_first(gateway, 1)
    assert [state for _, _, state in gateway.meter.circuits if state != "closed"] == ["open", "half_open", "open"]
    gateway.clock.advance(1.9)
    gateway.ask()
    assert host(gateway) == "b"
    gateway.clock.advance(0.1)
    gateway.ask()
    assert host(gateway) == "a"


def test_when_all_are_unwell_health_is_ignored(several_models: Several) -> None:
    gateway = several_models("a", "b")
    for _ in range(6):
        gateway.ask()
        gateway.models.last.answer(500)
        gateway.models.last.answer(500)
    gateway.ask()
    assert host(gateway) == "a"


def test_the_circuit_of_a_route_that_was_changed_meanwhile_is_told_when_it_closes(several_models: Several) -> None:
    gateway = several_models("a", "b")
    fail_first(gateway)
    plugins = gateway.registry.snapshot("default").of("routes")["r"].document["plugins"]
    gateway.put({"ai-proxy-multi": {**plugins["ai-proxy-multi"], "max_retries": 1}})
    gateway.clock.advance(1)
    gateway.ask()
    assert host(gateway) == "a"
    gateway.models.last.answer()
    assert gateway.meter.circuits[-1] == ("r", "a", "closed")


def test_failures_of_a_client_do_not_open_a_circuit(several_models: Several) -> None:
    gateway = several_models("a", "b")
    for _ in range(10):
        gateway.ask()
        gateway.models.last.answer(400)
    assert set(hosts(gateway)) == {"a"}


def test_a_stream_that_breaks_counts_against_its_instance(several_models: Several) -> None:
    gateway = several_models("a", "b")
    for _ in range(5):
        client = gateway.ask(STREAM)
        response = gateway.models.last.stream(openai.event(openai.chunk({"content": "Hi"})))
        response.end(UpstreamReset("gone"))
        assert client.outcome is Outcome.UPSTREAM_BROKE
    gateway.ask()
    assert host(gateway) == "b"


def test_a_stream_counts_as_under_way_until_its_end(several_models: Several) -> None:
    gateway = several_models(
        {"name": "a", "priority": 0}, {"name": "b", "priority": 0}, balancer={"algorithm": "least_conn"}
    )
    client = gateway.ask(STREAM)
    response = gateway.models.last.stream(*list(openai.stream())[:-1])
    busy = host(gateway)
    for _ in range(3):
        gateway.ask()
        assert host(gateway) != busy
        gateway.models.last.answer()
    response.end()
    assert client.outcome is Outcome.DONE
    gateway.ask()
    gateway.ask()
    assert set(hosts(gateway)[-2:]) == {"a", "b"}


def statuses(clients: list[Client]) -> list[int | None]:
    return [client.status for client in clients]


def test_requests_do_not_get_into_each_others_way(several_models: Several) -> None:
    gateway = several_models("a", "b")
    clients = [gateway.ask({"messages": [], "n": n}) for n in range(4)]
    gateway.asked[1].answer(500)
    gateway.asked[0].answer(200, b"0")
    gateway.asked[3].answer(200, b"3")
    gateway.asked[4].answer(200, b"1")
    gateway.asked[2].fail(UpstreamReset("gone"))
    gateway.asked[5].answer(404, b"2")
    assert statuses(clients) == [200, 200, 404, 200]
    assert [client.body for client in clients] == [b"0", b"1", b"2", b"3"]
    assert [len(client.attempts) for client in clients] == [1, 2, 2, 1]
    assert gateway.meter.under_way == 0


DEEPSEEK = {"provider": "deepseek", "override": {}}


def test_an_instance_that_does_not_speak_the_dialect_is_passed_over(several_models: Several) -> None:
    gateway = several_models({"name": "a", **DEEPSEEK}, {"name": "b", "override": {"endpoint": "http://b"}})
    gateway.ask({"input": "to embed"})
    gateway.models.last.answer()
    assert hosts(gateway) == ["b"]
    gateway.ask()
    assert host(gateway) == "api.deepseek.com"


def test_a_dialect_that_nobody_speaks_is_refused(several_models: Several) -> None:
    client = several_models({"name": "a", **DEEPSEEK}, {"name": "b", **DEEPSEEK}).ask({"input": "to embed"})
    assert isinstance(client.error, UnsupportedDialect)
    assert "deepseek does not support openai-embeddings" in str(client.error)
