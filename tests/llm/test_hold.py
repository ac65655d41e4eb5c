"""Streams: held until their first real event while somebody else could take over, relayed at once otherwise."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.web.client import ResponseFailed

from aigw.errors import GatewayError, UpstreamBadReply, UpstreamCutShort, UpstreamReset, UpstreamTimeout
from aigw.exchange import Outcome
from aigw.llm.answer import HELD_STREAM
from aigw.testing import openai
from aigw.testing.gateway import Client, MemoryGateway
from aigw.testing.models import ModelResponse

Several = Callable[..., MemoryGateway]

ASK = {"messages": [], "stream": True}
ROLE = openai.event(openai.chunk({"role": "assistant", "content": ""}))
WORD = openai.event(openai.chunk({"content": "Hi"}))
END = openai.event(openai.chunk({}, finish="stop"))
USAGE = openai.event(openai.usage_chunk())
ERROR = openai.event(openai.error(503, "overloaded"))
WHOLE = ROLE + WORD + END + openai.DONE
IDLE = (openai.PING, ROLE, b"\n", b"event: ping\n\n", b'data: {"choices": []}\n\n', b"data: not json\n\n")


def host(gateway: MemoryGateway) -> str:
    return gateway.models.last.url.split("/")[2]


def second_answers(gateway: MemoryGateway, client: Client) -> None:
    """The second model takes over, and the client sees nothing of the first one."""
    assert host(gateway) == "second"
    gateway.models.last.stream(WHOLE).end()
    assert (client.status, client.body, client.outcome) == (200, WHOLE, Outcome.DONE)
    assert [name for name, _, _ in client.attempts] == ["first", "second"]
    assert gateway.meter.under_way == 0
    assert gateway.timers == []


def begin(gateway: MemoryGateway, *events: bytes) -> tuple[Client, ModelResponse]:
    client = gateway.ask(ASK)
    return client, gateway.models.last.stream(*events)


# Replaced invisibly.


@pytest.mark.parametrize("before", [(), *((idle,) for idle in IDLE), IDLE])
def test_an_error_before_the_first_real_event(several_models: Several, before: tuple[bytes, ...]) -> None:
    gateway = several_models("first", "second")
    client, response = begin(gateway, *before)
    assert client.waits()
    response.send(ERROR)
    assert response.aborted
    assert client.attempts[0] == ("first", 200, "upstream_bad_reply")
    second_answers(gateway, client)
    assert gateway.meter.fallbacks == [("r", "first", "transport")]


def test_an_error_wherever_it_is_cut(several_models: Several) -> None:
    stream = openai.PING + ROLE + ERROR
    for cut in range(len(stream)):
        gateway = several_models("first", "second")
        client, response = begin(gateway)
        for part in (stream[:cut], stream[cut:]):
            if part:
                response.send(part)
        second_answers(gateway, client)


def test_an_answer_that_is_held_to_its_end_is_relayed_with_its_end(several_models: Several) -> None:
    gateway = several_models("first", "second")
    answer = openai.event(openai.chunk({"content": "Hi"}, finish="stop")).rstrip(b"\n")
    client, response = begin(gateway, answer)
    assert client.waits()
    response.end()
    assert (client.status, client.body, client.outcome) == (200, answer, Outcome.DONE)


ENDS: list[tuple[bytes, Exception | None]] = [
    (b"", None),
    (openai.PING + ROLE, None),
    (b"", ResponseFailed([])),
    (openai.PING + ROLE, UpstreamReset("gone")),
    (ROLE + WORD[:-5], UpstreamReset("gone")),
    (openai.DONE[:-5], None),
]


@pytest.mark.parametrize(("before", "reason"), ENDS)
def test_an_end_before_the_first_real_event(several_models: Several, before: bytes, reason: Exception | None) -> None:
    gateway = several_models("first", "second")
    client, response = begin(gateway, *([before] if before else []))
    response.end(reason)
    second_answers(gateway, client)


@pytest.mark.parametrize(
    ("deadlines", "seconds"),
    [
        ({"first_token_ms": 3000}, 3.0),
        ({"idle_ms": 2000}, 2.0),
        ({"attempt_ms": 4000}, 4.0),
        ({"idle_ms": 5000, "first_token_ms": 700}, 0.7),
    ],
)
def test_a_stall_before_the_first_real_event(
    several_models: Several, deadlines: dict[str, int], seconds: float
) -> None:
    gateway = several_models("first", "second", deadlines=deadlines)
    client, response = begin(gateway, ROLE)
    gateway.clock.advance(seconds - 0.001)
    assert client.waits()
    gateway.clock.advance(0.001)
    assert response.aborted
    assert client.attempts[0] == ("first", 200, "upstream_timeout")
    second_answers(gateway, client)
    assert gateway.meter.fallbacks == [("r", "first", "timeout")]


def test_pings_keep_a_connection_but_are_no_token(several_models: Several) -> None:
    gateway = several_models("first", "second", deadlines={"idle_ms": 1000, "first_token_ms": 3000})
    client, response = begin(gateway)
    for _ in range(5):
        gateway.clock.advance(0.59)
        response.send(openai.PING)
        assert client.waits()
    gateway.clock.advance(0.06)
    second_answers(gateway, client)


def test_the_first_token_counts_from_the_beginning_of_the_attempt(several_models: Several) -> None:
    gateway = several_models("first", "second", deadlines={"first_token_ms": 3000})
    client = gateway.ask(ASK)
    gateway.clock.advance(2)
    gateway.models.last.stream(ROLE)
    gateway.clock.advance(1)
    second_answers(gateway, client)


def test_one_after_another(several_models: Several) -> None:
    gateway = several_models("first", "second", "third")
    client, response = begin(gateway, ROLE)
    response.end()
    gateway.models.last.stream(ERROR)
    gateway.models.last.stream(WHOLE).end()
    assert (client.body, client.outcome) == (WHOLE, Outcome.DONE)
    assert client.attempts == [
        ("first", 200, "upstream_bad_reply"),
        ("second", 200, "upstream_bad_reply"),
        ("third", 200, None),
    ]


@pytest.mark.parametrize("fields", [{"fallback_strategy": [], "fallback_http_statuses": [502]}])
def test_statuses_cover_streams_as_well(several_models: Several, fields: dict[str, Any]) -> None:
    gateway = several_models("first", "second", **fields)
    client, response = begin(gateway, ROLE)
    response.end()
    second_answers(gateway, client)


# Held, then relayed.


def test_the_first_real_event_ends_the_hold_and_nothing_is_lost(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client, response = begin(gateway)
    gateway.clock.advance(1)
    for event in (openai.PING, ROLE):
        response.send(event)
        assert client.waits()
    gateway.clock.advance(1)
    response.send(WORD)
    assert client.pieces == [openai.PING + ROLE + WORD]
    for event in (WORD, END, openai.DONE):
        response.send(event)
    response.end()
    assert client.body == openai.PING + ROLE + WORD + WORD + END + openai.DONE
    assert client.outcome is Outcome.DONE
    timeline = client.exchange.timeline
    assert (timeline.upstream_head, timeline.first_token) == (0, 2)
    assert gateway.timers == []
    assert gateway.meter.under_way == 0


def test_a_stream_is_relayed_event_by_event_wherever_it_is_cut(several_models: Several) -> None:
    stream = openai.PING + ROLE + WORD + END + openai.DONE
    for cut in range(1, len(stream)):
        gateway = several_models("first", "second")
        client, response = begin(gateway, stream[:cut], stream[cut:])
        response.end()
        assert (client.body, client.outcome) == (stream, Outcome.DONE)


def test_past_hold_ms_everything_is_relayed(several_models: Several) -> None:
    gateway = several_models("first", "second", deadlines={"hold_ms": 500})
    client, response = begin(gateway, openai.PING)
    gateway.clock.advance(0.499)
    assert client.waits()
    gateway.clock.advance(0.001)
    assert client.pieces == [openai.PING]
    response.send(ROLE)
    assert client.pieces == [openai.PING, ROLE]
    moments = [client.exchange.timeline.first_token]
    gateway.clock.advance(1)
    response.send(WORD)
    moments.append(client.exchange.timeline.first_token)
    assert moments == [None, 1.5]
    response.send(ERROR)
    assert client.outcome is Outcome.UPSTREAM_BROKE
    assert len(gateway.asked) == 1


def test_past_hold_ms_even_a_silent_stream_begins(several_models: Several) -> None:
    gateway = several_models("first", "second", deadlines={"hold_ms": 500})
    client, response = begin(gateway)
    gateway.clock.advance(0.5)
    assert (client.status, client.body) == (200, b"")
    response.send(WHOLE)
    response.end()
    assert client.outcome is Outcome.DONE


def test_hold_is_10_s_if_nobody_says_otherwise(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client, _ = begin(gateway, openai.PING)
    gateway.clock.advance(9.99)
    assert client.waits()
    gateway.clock.advance(0.01)
    assert client.body == openai.PING


def test_no_hold_at_all(several_models: Several) -> None:
    gateway = several_models("first", "second", deadlines={"hold_ms": 0})
    client, _ = begin(gateway, openai.PING)
    gateway.clock.advance(0)
    assert client.body == openai.PING


def test_the_first_token_is_still_waited_for_after_the_hold(several_models: Several) -> None:
    gateway = several_models("first", "second", deadlines={"hold_ms": 500, "first_token_ms": 2000})
    client, response = begin(gateway, openai.PING)
    gateway.clock.advance(0.5)
    assert client.body == openai.PING
    gateway.clock.advance(1.499)
    assert client.outcome is None
    gateway.clock.advance(0.001)
    assert response.aborted
    assert isinstance(client.broken, UpstreamTimeout)
    assert len(gateway.asked) == 1
    assert gateway.meter.under_way == 0


def test_where_a_late_failure_is_the_last_a_stream_is_held_no_longer_than_that(several_models: Several) -> None:
    gateway = several_models("first", "second", retry_on_failure_within_ms=800)
    client = gateway.ask(ASK)
    gateway.clock.advance(0.5)
    gateway.models.last.stream(openai.PING)
    gateway.clock.advance(0.299)
    assert client.waits()
    gateway.clock.advance(0.0011)
    assert client.body == openai.PING


def test_a_stream_that_never_says_anything_real_is_not_collected_without_end(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client, response = begin(gateway)
    sent = 0
    while client.waits():
        response.send(b": " + b"x" * 10_000 + b"\n\n")
        sent += 10_004
    assert sent <= HELD_STREAM + 10_004
    assert len(client.body) == sent


# Relayed at once.


NOBODY_ELSE: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("only",), {}),
    (("first", "second"), {"fallback_strategy": None}),
    (("first", "second"), {"fallback_strategy": "http_429"}),
    (("first", "second"), {"max_retries": 0}),
]


@pytest.mark.parametrize(("names", "fields"), NOBODY_ELSE)
def test_where_nobody_could_take_over_everything_is_relayed_at_once(
    several_models: Several, names: tuple[str, ...], fields: dict[str, Any]
) -> None:
    gateway = several_models(*names, **fields)
    client, response = begin(gateway)
    assert client.status == 200
    sent = b""
    for event in (openai.PING, ROLE, WORD, END, openai.DONE):
        response.send(event)
        sent += event
        assert client.body == sent
    response.end()
    assert client.outcome is Outcome.DONE


def test_the_last_one_is_relayed_at_once(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client, response = begin(gateway)
    response.end()
    gateway.models.last.stream(openai.PING)
    assert client.body == openai.PING


def test_where_everybody_else_is_unwell_nobody_could_take_over(several_models: Several) -> None:
    gateway = several_models("first", "second")
    gateway.ask()
    gateway.models.last.answer(500)
    gateway.models.last.answer(429, headers={"Retry-After": "60"})
    client, _ = begin(gateway, openai.PING)
    assert host(gateway) == "first"
    assert client.body == openai.PING


def test_ai_proxy_relays_at_once() -> None:
    gateway = MemoryGateway()
    gateway.put({"ai-proxy": {"provider": "openai", "auth": {}}})
    client, response = begin(gateway, openai.PING)
    assert client.body == openai.PING
    response.send(WORD)
    assert client.exchange.timeline.first_token == 0


# After the first byte.


def error_in(client: Client) -> dict[str, Any]:
    """The last event, which is an error's."""
    assert client.body.endswith(b"\n\n")
    last = client.body.rstrip(b"\n").rpartition(b"\n\n")[2]
    assert last.startswith(b"data: ")
    told: dict[str, Any] = json.loads(last[6:])["error"]
    return told


BREAKS: list[tuple[Callable[[MemoryGateway, ModelResponse], object], type[GatewayError], str]] = [
    (lambda gateway, response: response.send(ERROR), GatewayError, "upstream_error"),
    (lambda gateway, response: response.end(), UpstreamCutShort, "upstream_cut_short"),
    (lambda gateway, response: response.end(ResponseFailed([])), UpstreamCutShort, "upstream_cut_short"),
    (lambda gateway, response: response.end(UpstreamReset("gone")), UpstreamReset, "upstream_reset"),
    (lambda gateway, response: gateway.clock.advance(30), UpstreamTimeout, "upstream_timeout"),
]


@pytest.mark.parametrize(("break_it", "error", "code"), BREAKS, ids=[str(n) for n in range(len(BREAKS))])
def test_a_stream_that_breaks_ends_with_an_error_and_is_not_replaced(
    several_models: Several,
    break_it: Callable[[MemoryGateway, ModelResponse], object],
    error: type[GatewayError],
    code: str,
) -> None:
    gateway = several_models("first", "second")
    client, response = begin(gateway, ROLE, WORD)
    break_it(gateway, response)
    assert client.outcome is Outcome.UPSTREAM_BROKE
    assert isinstance(client.broken, error)
    assert error_in(client)["code"] == code
    assert client.body.startswith(ROLE + WORD)
    assert b"[DONE]" not in client.body
    assert ERROR not in client.body
    assert response.aborted or response.ended
    assert len(gateway.asked) == 1
    assert gateway.meter.under_way == 0
    assert gateway.timers == []


LIMITS: list[tuple[dict[str, Any], float]] = [
    ({"max_stream_duration_ms": 5000}, 5.0),
    ({"deadlines": {"attempt_ms": 6000}}, 6.0),
    ({"deadlines": {"total_ms": 7000}}, 7.0),
    ({"max_stream_duration_ms": 9000, "deadlines": {"attempt_ms": 6000, "total_ms": 7000}}, 6.0),
]


@pytest.mark.parametrize(("fields", "seconds"), LIMITS)
def test_a_stream_may_not_last_for_ever(several_models: Several, fields: dict[str, Any], seconds: float) -> None:
    gateway = several_models("first", **fields)
    client, response = begin(gateway)
    for _ in range(int(seconds * 2) - 1):
        gateway.clock.advance(0.5)
        response.send(WORD)
    assert client.outcome is None
    gateway.clock.advance(0.5)
    assert isinstance(client.broken, UpstreamTimeout)
    assert response.aborted


def test_a_stream_has_a_limit_of_size(several_models: Several) -> None:
    gateway = several_models("first", max_response_bytes=len(ROLE) + 1)
    client, response = begin(gateway, ROLE)
    response.send(WORD)
    assert client.outcome is Outcome.UPSTREAM_BROKE
    assert error_in(client)["code"] == "upstream_reply_too_large"


def test_an_error_at_once_from_the_only_one_is_told_before_anything_is_out(several_models: Several) -> None:
    gateway = several_models("only")
    client, _ = begin(gateway, ERROR)
    assert isinstance(client.broken, GatewayError)
    assert "overloaded" in client.broken.message
    assert client.exchange.timeline.first_token is None


def test_what_a_held_stream_told_of_its_failure_is_told_without_credentials(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client, response = begin(gateway)
    gateway.ask()
    gateway.models.last.answer(500)
    gateway.models.last.answer(429, headers={"Retry-After": "60"})  # so that nobody is left to take over
    response.send(openai.event(openai.error(401, "no such key: key-of-first")))
    assert isinstance(client.error, UpstreamBadReply)
    assert client.error.message == "the upstream's stream did not begin: no such key: ****"


# Usage.


def test_usage_that_the_client_did_not_ask_for_is_seen_and_hidden(several_models: Several) -> None:
    gateway = several_models("only")
    client, response = begin(gateway, ROLE, WORD, END, USAGE, openai.DONE)
    response.end()
    assert client.body == WHOLE
    assert client.exchange.usage.total_tokens == 10


def test_usage_that_the_client_asked_for_is_its_own(several_models: Several) -> None:
    gateway = several_models("only")
    client = gateway.ask({**ASK, "stream_options": {"include_usage": True}})
    gateway.models.last.stream(ROLE, WORD, END, USAGE, openai.DONE).end()
    assert client.body == ROLE + WORD + END + USAGE + openai.DONE
    assert client.exchange.usage.total_tokens == 10


def test_a_stream_that_the_instance_decided_on_is_accounted_too(several_models: Several) -> None:
    gateway = several_models({"name": "only", "options": {"stream": True}})
    client = gateway.ask({"messages": []})
    gateway.models.last.stream(ROLE, WORD, END, USAGE, openai.DONE).end()
    assert client.body == WHOLE
    assert client.exchange.usage.total_tokens == 10


def test_usage_seen_so_far_counts_when_the_client_leaves(several_models: Several) -> None:
    gateway = several_models("only")
    told = openai.event({**openai.chunk({"content": "x"}), "usage": {"prompt_tokens": 5, "completion_tokens": 1}})
    client, response = begin(gateway, ROLE, told)
    client.leave()
    assert response.aborted
    assert (client.exchange.usage.prompt_tokens, client.exchange.usage.completion_tokens) == (5, 1)
    assert client.outcome is Outcome.CLIENT_LEFT


def test_a_losing_attempt_leaves_no_usage_behind(several_models: Several) -> None:
    gateway = several_models("first", "second")
    told = openai.event({**openai.chunk({"role": "assistant"}), "usage": {"prompt_tokens": 99}})
    client, response = begin(gateway, told)
    response.end()
    gateway.models.last.stream(WHOLE).end()
    assert client.exchange.usage.prompt_tokens == 0


# What is no stream of chat.


def test_a_client_that_wanted_a_stream_may_get_an_answer(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask(ASK)
    gateway.models.last.answer()
    assert json.loads(client.body) == openai.completion()


def test_an_event_stream_with_an_error_status_is_an_error(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask(ASK)
    response = gateway.models.last.begin(503, "text/event-stream")
    response.send(ERROR)
    response.end()
    second_answers(gateway, client)


def test_a_compressed_stream_is_held_and_watched_all_the_same(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask(ASK)
    response = gateway.models.last.begin(200, "text/event-stream; charset=utf-8", {"Content-Encoding": "gzip"})
    response.send(gzip.compress(WHOLE))
    response.end()
    assert (client.body, client.outcome) == (WHOLE, Outcome.DONE)
    assert "content-encoding" not in client.headers


def test_a_stream_of_passthrough_is_relayed_from_its_first_byte(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask({"prompt": "x", "stream": True}, "/v1/completions")
    response = gateway.models.last.stream()
    assert client.waits()
    response.send(b"d")
    assert client.body == b"d"
    response.end()
    assert client.outcome is Outcome.DONE


RESPONSE_EVENTS = [
    b'event: response.created\ndata: {"type": "response.created"}\n\n',
    b'event: response.output_text.delta\ndata: {"type": "response.output_text.delta", "delta": "Hi"}\n\n',
    b'event: response.completed\ndata: {"type": "response.completed", "response": {"usage": '
    b'{"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}}}\n\n',
]


def test_a_stream_of_the_responses_api(several_models: Several) -> None:
    endpoint = {"override": {"endpoint": "http://first"}}
    gateway = several_models({"name": "first", **endpoint}, "second")
    client = gateway.ask({"input": "x", "stream": True}, "/v1/responses")
    assert gateway.models.last.url == "http://first/v1/responses"
    response = gateway.models.last.stream(RESPONSE_EVENTS[0])
    assert client.waits()
    for event in RESPONSE_EVENTS[1:]:
        response.send(event)
    response.end()
    assert client.body == b"".join(RESPONSE_EVENTS)
    assert client.exchange.usage.total_tokens == 6


def test_a_response_that_failed_is_told_and_waited_for_no_longer(several_models: Several) -> None:
    only = {"name": "only", "override": {"endpoint": "http://only"}}
    gateway = several_models(only, deadlines={"first_token_ms": 1000})
    client = gateway.ask({"input": "x", "stream": True}, "/v1/responses")
    failed = b'data: {"type": "response.failed", "response": {"error": {"message": "no"}}}\n\n'
    response = gateway.models.last.stream(failed)
    gateway.clock.advance(5)
    response.end()
    assert (client.body, client.outcome) == (failed, Outcome.DONE)
    assert client.exchange.timeline.first_token is None


# A slow client.


def test_a_slow_client_pauses_its_upstream(several_models: Several) -> None:
    gateway = several_models("only")
    client, response = begin(gateway, WORD)
    assert client.reply is not None
    assert client.reply.source is not None
    client.reply.source.pause()
    readings = [response.reading]
    response.send(WORD)
    assert client.body == WORD
    client.reply.source.resume()
    readings.append(response.reading)
    assert (client.body, readings) == (WORD + WORD, [False, True])


# The end.


def test_a_stream_ends_for_its_client_with_the_end_marker_whatever_the_upstream_does(several_models: Several) -> None:
    gateway = several_models("only")
    client, response = begin(gateway, WHOLE)
    assert (client.body, client.outcome) == (WHOLE, Outcome.DONE)
    assert gateway.meter.under_way == 0
    response.send(WORD)
    aborted = [response.aborted]
    gateway.clock.advance(30)
    assert [*aborted, response.aborted] == [False, True]
    assert client.body == WHOLE
    assert gateway.timers == []
