"""Fallback between instances that speak different dialects: each attempt is made of what the client wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from aigw.dialects.converters.anthropic_messages_to_openai_chat import AnthropicMessagesToOpenAIChat
from aigw.errors import BadRequest, Unconvertible, UpstreamReset
from aigw.exchange import Outcome
from aigw.testing import openai
from aigw.testing.vendors import Account, Anthropic, Bedrock, DeepSeek, OpenAI, Scenario, Vendor
from aigw.testing.vendors.anthropic import PING
from aigw.testing.vendors.scenario import BREAKS, BROKEN, BUSY, RATE_LIMITED
from aigw.testing.vendors.vendor import event

Behind = Callable[..., Any]
NATIVE = {"provider_conf": {"native": True}}
USER = [{"role": "user", "content": "Hello"}]
CHAT = {"model": "m", "messages": USER}
MESSAGE = {"model": "m", "messages": USER, "max_tokens": 100}
TWICE = {**CHAT, "n": 2}
"""Which Anthropic and AWS have nothing like."""
MESSAGES = "/v1/messages"
STARTED = event({"type": "message_start", "message": {"usage": {"input_tokens": 99}}}, "message_start")


def bedrock() -> Bedrock:
    return Bedrock(Account(), now=lambda: 1_700_000_000.0)


# One fails, another takes over.


@pytest.mark.parametrize("scenario", [BUSY, BROKEN, RATE_LIMITED, BREAKS])
@pytest.mark.parametrize("other", [DeepSeek, OpenAI])
def test_another_dialect_takes_over(behind: Behind, scenario: Scenario, other: type[Vendor]) -> None:
    for streams in (False, True):
        first, second = Anthropic(), other()
        first.will(scenario if streams else BUSY)
        route = behind(first, second)
        client = route.ask({**MESSAGE, "stream": streams}, MESSAGES, anthropic_beta="mine")
        assert (client.status, client.outcome, second.complaints) == (200, Outcome.DONE, [])
        assert [name for name, _, _ in client.attempts] == ["anthropic", second.provider]
        assert b"Hello" in client.body
        assert client.exchange.usage.total_tokens == 30
        assert route.gateway.meter.under_way == 0


def test_each_attempt_is_made_of_what_the_client_wrote(behind: Behind) -> None:
    vendors: list[Vendor] = [DeepSeek(), Anthropic(), OpenAI(), bedrock()]
    for vendor in vendors:
        vendor.will(BROKEN)
    options = {"options": {"model": "own", "temperature": 0.5}}
    route = behind(vendors[0], (vendors[1], NATIVE), (vendors[2], options), vendors[3])
    body = {**CHAT, "stop": "x", "max_tokens": 5, "user": "u"}
    client = route.ask(body)
    assert client.status == 500
    sent = [vendor.received[0].json() for vendor in vendors]
    assert sent[0] == body
    assert (sent[1]["max_tokens"], sent[1]["stop_sequences"], sent[1]["metadata"]) == (5, ["x"], {"user_id": "u"})
    assert sent[2] == {
        **{name: body[name] for name in ("messages", "stop", "user")},
        "model": "own",
        "temperature": 0.5,
        "max_completion_tokens": 5,
    }
    assert sent[3]["inferenceConfig"] == {"maxTokens": 5, "stopSequences": ["x"]}
    assert "model" not in sent[3]


def test_the_last_ones_error_is_in_the_clients_dialect(behind: Behind) -> None:
    for vendors in ((Anthropic(), DeepSeek()), (DeepSeek(), Anthropic())):
        for vendor in vendors:
            vendor.will(BUSY)
        client = behind(*vendors).ask(MESSAGE, MESSAGES)
        assert client.status == (503 if vendors[1].provider == "deepseek" else 529)
        assert json.loads(client.body)["error"]["type"] == "overloaded_error"


def test_what_a_losing_attempt_told_of_tokens_does_not_count(behind: Behind) -> None:
    route = behind((Anthropic(), NATIVE), DeepSeek())
    client = route.gateway.ask({**CHAT, "stream": True})
    response = route.gateway.models.last.stream(STARTED)
    response.end(UpstreamReset("reset"))
    route.answered = 1
    route.settle()
    assert (client.status, client.exchange.usage.prompt_tokens) == (200, 20)


# The reply is held until the first real event of whatever dialect.


FIRST: list[tuple[Callable[[], Vendor], dict[str, Any], Any, str, list[bytes], bytes]] = [
    (
        Anthropic,
        NATIVE,
        CHAT,
        "/v1/chat/completions",
        [STARTED, PING],
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
    ),
    (
        DeepSeek,
        {},
        MESSAGE,
        MESSAGES,
        [b": keep-alive\n\n", openai.event(openai.chunk({"role": "assistant", "content": ""}))],
        openai.event(openai.chunk({"content": "Hi"})),
    ),
]


@pytest.mark.parametrize(("make", "special", "body", "path", "preamble", "real"), FIRST)
def test_a_converted_stream_is_held_until_it_begins(
    behind: Behind,
    make: Callable[[], Vendor],
    special: dict[str, Any],
    body: dict[str, Any],
    path: str,
    preamble: list[bytes],
    real: bytes,
) -> None:
    route = behind((make(), special), OpenAI())
    client = route.gateway.ask({**body, "stream": True}, path)
    response = route.gateway.models.last.stream(*preamble)
    assert client.waits()
    response.send(real)
    assert client.status == 200
    assert b"Hi" in client.body


@pytest.mark.parametrize("how", ["error", "end", "reset", "stall"])
@pytest.mark.parametrize(("make", "special", "body", "path", "preamble", "real"), FIRST)
def test_one_that_does_not_begin_is_replaced_unseen(
    behind: Behind,
    make: Callable[[], Vendor],
    special: dict[str, Any],
    body: dict[str, Any],
    path: str,
    preamble: list[bytes],
    real: bytes,
    how: str,
) -> None:
    clock = Clock()
    route = behind((make(), special), OpenAI(), clock=clock, timeout=1000)
    client = route.gateway.ask({**body, "stream": True}, path)
    response = route.gateway.models.last.stream(*preamble)
    if how == "stall":
        clock.advance(1)
    elif how == "error":
        response.send(event({"type": "error", "error": {"message": "Overloaded"}}, "error"))
    else:
        response.end(UpstreamReset("reset") if how == "reset" else None)
    route.answered = 1
    route.settle()
    assert (client.status, client.outcome) == (200, Outcome.DONE)
    assert b"Hello" in client.body
    assert route.gateway.timers == []


# Who can't take a request.


def test_who_can_not_take_a_request_is_passed_over(behind: Behind) -> None:
    route = behind((Anthropic(), NATIVE), DeepSeek())
    client = route.ask(TWICE)
    assert client.status == 200
    assert client.attempts == [("deepseek", 200, None)]
    assert route.gateway.meter.fallbacks == []
    assert [labels.node for labels in route.gateway.meter.begun] == ["deepseek"]
    assert route.ask(CHAT).attempts == [("anthropic", 200, None)]


@pytest.mark.parametrize("retries", [0, None])
def test_to_be_passed_over_is_no_attempt(behind: Behind, retries: int | None) -> None:
    route = behind((Anthropic(), NATIVE), bedrock(), DeepSeek(), max_retries=retries)
    assert route.ask(TWICE).attempts == [("deepseek", 200, None)]


def test_if_nobody_can_the_field_is_named(behind: Behind) -> None:
    route = behind((Anthropic(), NATIVE), bedrock())
    client = route.ask(TWICE)
    assert isinstance(client.error, Unconvertible)
    assert (client.status, client.error.code, client.error.param) == (400, "unconvertible", "n")
    assert (client.attempts, route.gateway.asked, route.gateway.meter.under_way) == ([], [], 0)
    assert route.ask(CHAT).status == 200


@pytest.mark.parametrize(("scenario", "status"), [(BUSY, 503), (RATE_LIMITED, 429), (Scenario(status=500), 500)])
def test_the_last_answer_is_that_of_the_last_one_that_could(behind: Behind, scenario: Scenario, status: int) -> None:
    """Not a complaint about the request, which is good for the one that failed."""
    first = DeepSeek()
    first.will(scenario)
    route = behind(first, (Anthropic(), NATIVE))
    client = route.ask(TWICE)
    assert client.status == status
    assert b"told to fail" in client.body
    assert client.attempts == [("deepseek", status, None)]
    assert client.headers.get("retry-after") == ("1" if status == 429 else None)
    assert route.gateway.meter.fallbacks == []


def test_the_last_error_is_that_of_the_last_one_that_could(behind: Behind) -> None:
    route = behind(DeepSeek(), (Anthropic(), NATIVE))
    for stream in (False, True):
        client = route.gateway.ask({**TWICE, "stream": stream})
        asked = route.gateway.models.last
        if stream:
            asked.stream(b": hi\n\n").end(UpstreamReset("reset"))
        else:
            asked.fail(UpstreamReset("reset"))
        told = client.error or client.broken
        assert isinstance(told, UpstreamReset)
        assert [name for name, _, _ in client.attempts] == ["deepseek"]
        assert route.gateway.meter.under_way == 0


def test_what_is_wrong_for_one_dialect_may_be_right_for_another(behind: Behind) -> None:
    """A field that is new to us is its own vendor's business."""
    body = {**MESSAGE, "thinking": "in a way that is not known yet"}
    route = behind(DeepSeek(), Anthropic())
    client = route.gateway.ask(body, MESSAGES)
    assert route.gateway.models.last.json == body
    client.leave()
    client = behind(DeepSeek()).ask(body, MESSAGES)
    assert isinstance(client.error, BadRequest)
    assert client.error.param == "thinking"


def test_who_needs_a_model_is_passed_over_without_one(behind: Behind) -> None:
    deepseek = DeepSeek(), {"options": {"model": "deepseek-chat"}}
    client = behind(bedrock(), deepseek).ask({"messages": USER})
    assert client.attempts == [("deepseek", 200, None)]
    client = behind((bedrock(), {"options": {"model": "own"}}), deepseek).ask({"messages": USER})
    assert client.attempts == [("bedrock", 200, None)]


def test_health_is_ignored_if_all_who_can_are_unwell(behind: Behind) -> None:
    first = DeepSeek(scenario=BROKEN)
    route = behind(first, (Anthropic(), NATIVE))
    for _ in range(10):
        assert route.ask(TWICE).status == 500
    assert len(first.received) == 10


@pytest.mark.parametrize("order", [0, 1])
def test_a_dialect_that_is_spoken_is_not_preferred(behind: Behind, order: int) -> None:
    """Priorities are the operator's; that it has to be converted for is no reason to pass an instance over."""
    vendors = [DeepSeek(), Anthropic()][:: -1 if order else 1]
    client = behind(*vendors).ask(MESSAGE, MESSAGES)
    assert client.attempts == [(vendors[0].provider, 200, None)]


def test_a_request_is_converted_once_for_all_who_have_it_in_common(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    convert = AnthropicMessagesToOpenAIChat.request

    def counted(self: Any, request: Any, model: str, *rest: Any) -> Any:
        calls.append(model)
        return convert(self, request, model, *rest)

    monkeypatch.setattr(AnthropicMessagesToOpenAIChat, "request", counted)
    vendors = [OpenAI(scenario=BROKEN), OpenAI(scenario=BROKEN), OpenAI()]
    route = behind(vendors[0], (vendors[1], {"options": {"model": "own"}}), vendors[2])
    assert route.ask(MESSAGE, MESSAGES).status == 200
    assert calls == ["m", "own"]


def test_the_kind_of_a_request_is_that_of_its_attempt(behind: Behind) -> None:
    first = DeepSeek(scenario=BROKEN)
    route = behind((first, {"options": {"stream": True}}), OpenAI())
    client = route.ask(CHAT)
    assert [labels.request_type for labels in route.gateway.meter.begun] == ["ai_stream", "ai_chat"]
    assert client.exchange.request_type == "ai_chat"
