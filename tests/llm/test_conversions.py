"""Clients of one dialect in front of vendors that speak another: what each side sees, and what is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from aigw.dialects import eventstream
from aigw.errors import UpstreamBadReply, UpstreamReplyTooLarge, UpstreamReset
from aigw.exchange import Outcome
from aigw.llm import answer
from aigw.testing import openai
from aigw.testing.vendors import (
    KEY,
    Account,
    Anthropic,
    AzureOpenAI,
    Bedrock,
    DeepSeek,
    Gemini,
    OpenAI,
    OpenRouter,
    Scenario,
    ServiceAccount,
    Vendor,
    VertexAI,
)
from aigw.testing.vendors.anthropic import PING
from aigw.testing.vendors.scenario import BREAKS, BUSY, CACHED, RATE_LIMITED, TEXT, TOOL_CALL
from aigw.testing.vendors.vendor import event as made

Behind = Callable[..., Any]
Special = dict[str, Any]

EPOCH = 1_700_000_000.0
NATIVE = {"provider_conf": {"native": True}}
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
USER = [{"role": "user", "content": "Hello"}]
PATHS = {
    "openai-chat": "/v1/chat/completions",
    "anthropic-messages": "/v1/messages",
    "openai-responses": "/v1/responses",
}


def vertex() -> VertexAI:
    return VertexAI(ServiceAccount(token_uri="https://vertex-ai/token"), now=lambda: EPOCH)


def bedrock() -> Bedrock:
    return Bedrock(Account(), now=lambda: EPOCH)


def asking(dialect: str, tools: bool = False, **fields: Any) -> dict[str, Any]:
    """A request of a client."""
    named: dict[str, Any] = {"name": "get_weather", "description": "The weather"}
    said: dict[str, Any]
    if dialect == "openai-chat":
        offered: list[dict[str, Any]] = [{"type": "function", "function": {**named, "parameters": TOOL}}]
        said = {"messages": USER}
    elif dialect == "anthropic-messages":
        offered = [{**named, "input_schema": TOOL}]
        said = {"messages": USER, "max_tokens": 100}
    else:
        offered = [{"type": "function", **named, "parameters": TOOL, "strict": False}]
        said = {"input": "Hello"}
    return {"model": "m", **said, **({"tools": offered} if tools else {}), **fields}


def events_of(body: bytes) -> list[Any]:
    """The data of each event, decoded."""
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def said(dialect: str, body: bytes, streamed: bool) -> tuple[str, list[Any]]:
    """The text and the arguments of tool calls, as the client sees them."""
    if dialect == "openai-chat":
        return _said_in_chat(body, streamed)
    if dialect == "anthropic-messages":
        return _said_in_messages(body, streamed)
    events = events_of(body) if streamed else []
    response = events[-1]["response"] if streamed else json.loads(body)
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    calls = [item["arguments"] for item in response["output"] if item["type"] == "function_call"]
    return "".join(part["text"] for part in parts), [json.loads(call) for call in calls]


def _said_in_chat(body: bytes, streamed: bool) -> tuple[str, list[Any]]:
    if not streamed:
        message = json.loads(body)["choices"][0]["message"]
        calls = [json.loads(call["function"]["arguments"]) for call in message.get("tool_calls") or []]
        return message["content"] or "", calls
    text, arguments = "", ""
    for event in events_of(body):
        for choice in event["choices"]:
            text += choice["delta"].get("content") or ""
            arguments += "".join(call["function"]["arguments"] for call in choice["delta"].get("tool_calls") or [])
    return text, [json.loads(arguments)] if arguments else []


def _said_in_messages(body: bytes, streamed: bool) -> tuple[str, list[Any]]:
    if not streamed:
        blocks = json.loads(body)["content"]
        text = "".join(block["text"] for block in blocks if block["type"] == "text")
        return text, [block["input"] for block in blocks if block["type"] == "tool_use"]
    text, arguments = "", ""
    for event in events_of(body):
        if event["type"] == "content_block_delta":
            text += event["delta"].get("text", "")
            arguments += event["delta"].get("partial_json", "")
    return text, [json.loads(arguments)] if arguments else []


PAIRS: list[tuple[str, Callable[[], Vendor], Special]] = [
    ("anthropic-messages", OpenAI, {}),
    ("anthropic-messages", AzureOpenAI, {}),
    ("anthropic-messages", DeepSeek, {}),
    ("anthropic-messages", Gemini, {}),
    ("anthropic-messages", OpenRouter, {}),
    ("anthropic-messages", vertex, {}),
    ("openai-chat", Anthropic, NATIVE),
    ("openai-chat", bedrock, {}),
    ("openai-responses", DeepSeek, {}),
    ("openai-responses", AzureOpenAI, {}),
    ("openai-responses", Gemini, {}),
    ("openai-responses", Anthropic, {}),
    ("anthropic-messages", bedrock, {}),  # by way of chat completions
    ("openai-responses", bedrock, {}),
]
END = {
    "openai-chat": b"data: [DONE]\n\n",
    "anthropic-messages": b'{"type":"message_stop"}\n\n',
    "openai-responses": b"}\n\n",
}


@pytest.mark.parametrize(("dialect", "make", "special"), PAIRS)
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("scenario", "tools"), [(TEXT, False), (TOOL_CALL, True)])
def test_a_conversation(
    behind: Behind,
    dialect: str,
    make: Callable[[], Vendor],
    special: Special,
    streams: bool,
    scenario: Scenario,
    tools: bool,
) -> None:
    vendor = make()
    vendor.will(scenario)
    client = behind((vendor, special) if special else vendor).ask(
        asking(dialect, tools, stream=streams, model="google/m" if vendor.provider == "vertex-ai" else "m"),
        PATHS[dialect],
        authorization="Bearer mine",
        x_api_key="mine",
    )
    assert (client.status, client.outcome, vendor.complaints) == (200, Outcome.DONE, [])
    assert said(dialect, client.body, streams) == (("", [{"city": "Paris"}]) if tools else ("Hello", []))
    assert client.headers["content-type"] == ("text/event-stream" if streams else "application/json")
    assert "content-length" not in client.headers
    assert client.body.endswith(END[dialect]) or not streams
    usage = client.exchange.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (20, 10, 30)
    assert client.exchange.request_type == ("ai_stream" if streams else "ai_chat")
    assert client.exchange.timeline.first_token == 0.0


@pytest.mark.parametrize(
    ("dialect", "make", "special"),
    [
        ("openai-chat", Anthropic, NATIVE),
        ("openai-chat", bedrock, {}),
        ("anthropic-messages", DeepSeek, {}),
        ("openai-responses", DeepSeek, {}),
        ("anthropic-messages", bedrock, {}),
        ("openai-responses", bedrock, {}),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_what_is_cached_is_counted(
    behind: Behind, dialect: str, make: Callable[[], Vendor], special: Special, streams: bool
) -> None:
    vendor = make()
    vendor.will(CACHED)
    client = behind((vendor, special)).ask(asking(dialect, stream=streams), PATHS[dialect])
    usage = client.exchange.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (100, 10, 60)


# What a client asked for is what it gets.


@pytest.mark.parametrize("asked", [True, False])
def test_the_usage_of_a_converted_stream_is_shown_to_who_asked_for_it(behind: Behind, asked: bool) -> None:
    options = {"include_usage": True} if asked else None
    client = behind((Anthropic(), NATIVE)).ask(asking("openai-chat", stream=True, stream_options=options))
    shown = [event["usage"] for event in events_of(client.body) if event.get("usage")]
    assert [usage["total_tokens"] for usage in shown] == ([30] if asked else [])
    assert client.exchange.usage.total_tokens == 30


def test_an_upstream_is_asked_for_the_usage_that_a_client_of_anthropics_expects(behind: Behind) -> None:
    vendor = OpenAI()
    client = behind(vendor).ask(asking("anthropic-messages", stream=True), "/v1/messages")
    assert vendor.received[0].json()["stream_options"] == {"include_usage": True}
    (told,) = [event["usage"] for event in events_of(client.body) if event["type"] == "message_delta"]
    assert (told["input_tokens"], told["output_tokens"]) == (20, 10)


def test_the_model_is_the_operators_if_it_says_so(behind: Behind) -> None:
    vendor = bedrock()
    route = behind((vendor, {"options": {"model": "a:b/c"}}))
    client = route.ask(asking("openai-chat"))
    assert vendor.received[0].target == "/model/a%3Ab%2Fc/converse"
    assert "model" not in vendor.received[0].json()
    assert (client.exchange.request_model, client.exchange.model) == ("m", "a:b/c")


def test_a_model_has_to_be_named_where_the_url_has_it(behind: Behind) -> None:
    client = behind(bedrock()).ask({"messages": USER})
    assert client.status == 400
    assert (client.error.code, client.error.param) == ("bad_request", "model")


AZURE_CONF = {"resource": "r", "deployment": "gpt-fake", "api_version": "2025-01-01-preview"}


@pytest.mark.parametrize(
    ("special", "target"),
    [
        ({"auth": {"query": {"api-key": KEY}}}, f"?api-version=2024-10-21&api-key={KEY}"),
        ({"auth": {"header": {"Authorization": f"Bearer {KEY}"}}}, "?api-version=2024-10-21"),
        ({"auth": {"query": {"api-version": "2023-05-15", "api-key": KEY}}}, f"?api-version=2023-05-15&api-key={KEY}"),
        (
            {"provider_conf": AZURE_CONF, "override": {"endpoint": "https://azure-openai"}},
            "?api-version=2025-01-01-preview",
        ),
    ],
)
def test_azure_takes_its_key_in_any_place(behind: Behind, special: Special, target: str) -> None:
    vendor = AzureOpenAI()
    client = behind((vendor, special)).ask(asking("openai-chat"), api_key="mine")
    assert (client.status, vendor.complaints) == (200, [])
    assert vendor.received[0].target == f"/openai/deployments/gpt-fake/chat/completions{target}"
    assert "model" not in vendor.received[0].json()
    assert vendor.received[0].headers.get("api-key", KEY) == KEY


# What the operator says of lengths and other options.

LIMITS: list[tuple[Callable[[], Vendor], Special, str, dict[str, Any], dict[str, Any], str, Any]] = [
    # vendor, special, dialect of the client, what it says, override, where the limit is, what it is
    (Anthropic, NATIVE, "openai-chat", {}, {}, "max_tokens", 7),
    (Anthropic, NATIVE, "openai-chat", {"max_tokens": 5}, {}, "max_tokens", 5),
    (Anthropic, NATIVE, "openai-chat", {"max_completion_tokens": 5}, {}, "max_tokens", 5),
    (Anthropic, NATIVE, "openai-chat", {"max_tokens": 5}, {"request_body_force_override": True}, "max_tokens", 7),
    (OpenAI, {}, "anthropic-messages", {"max_tokens": 5}, {}, "max_completion_tokens", 5),
    (OpenAI, {}, "anthropic-messages", {}, {"request_body_force_override": True}, "max_completion_tokens", 7),
    (DeepSeek, {}, "openai-responses", {}, {}, "max_tokens", 7),
    (DeepSeek, {}, "openai-responses", {"max_output_tokens": 5}, {}, "max_tokens", 5),
    (bedrock, {}, "openai-chat", {}, {}, "inferenceConfig", {"maxTokens": 7}),
    (bedrock, {}, "openai-chat", {"max_tokens": 5}, {}, "inferenceConfig", {"maxTokens": 5}),
    (bedrock, {}, "openai-chat", {"temperature": 0.5}, {}, "inferenceConfig", {"temperature": 0.5, "maxTokens": 7}),
    (
        bedrock,
        {},
        "openai-chat",
        {"max_tokens": 5},
        {"request_body_force_override": True},
        "inferenceConfig",
        {"maxTokens": 7},
    ),
]


@pytest.mark.parametrize(("make", "special", "dialect", "fields", "override", "where", "limit"), LIMITS)
def test_the_operators_limit(
    behind: Behind,
    make: Callable[[], Vendor],
    special: Special,
    dialect: str,
    fields: dict[str, Any],
    override: dict[str, Any],
    where: str,
    limit: Any,
) -> None:
    vendor = make()
    endpoint = {"endpoint": f"https://{vendor.provider}"}
    described = {**special, "override": {**endpoint, "llm_options": {"max_tokens": 7}, **override}}
    client = behind((vendor, described)).ask(asking(dialect, **fields), PATHS[dialect])
    assert (client.status, vendor.complaints) == (200, [])
    sent = vendor.received[0].json()
    assert sent[where] == limit
    assert {"max_tokens", "max_completion_tokens", "max_output_tokens"} & sent.keys() <= {where}


def test_options_for_bedrock_go_where_it_has_them(behind: Behind) -> None:
    vendor = bedrock()
    options = {"temperature": 0.1, "top_p": 0.9, "max_tokens": 6, "stop": ["x"], "requestMetadata": {"a": "b"}}
    route = behind((vendor, {"options": options}))
    for body, path in (
        (asking("openai-chat", temperature=0.7), PATHS["openai-chat"]),
        ({"messages": []}, "/model/m/converse"),
    ):
        route.ask(body, path)
        sent = vendor.received[-1].json()
        assert sent["inferenceConfig"] == {"temperature": 0.1, "topP": 0.9, "maxTokens": 6, "stopSequences": ["x"]}
        assert sent["requestMetadata"] == {"a": "b"}
        assert sent.keys() <= {"messages", "inferenceConfig", "requestMetadata"}


def test_options_that_other_requests_do_not_have(behind: Behind) -> None:
    """One instance takes chats, embeddings, and the counting of tokens."""
    vendor: Vendor = vertex()
    route = behind((vendor, {"options": {"model": "gemini-embedding-001"}}))
    assert route.ask({"input": "x"}, "/v1/embeddings").status == 200
    assert vendor.received[1].target.endswith("/models/gemini-embedding-001:predict")
    vendor = Anthropic()
    options = {"model": "claude", "max_tokens": 5, "temperature": 0.5, "stream": True}
    route = behind((vendor, {"options": options}))
    assert route.ask({"messages": USER}, "/v1/messages/count_tokens").status == 200
    assert vendor.received[0].json() == {"messages": USER, "model": "claude"}
    assert route.ask({"messages": USER}, "/v1/messages").headers["content-type"] == "text/event-stream"
    assert vendor.complaints == []


@pytest.mark.parametrize(
    ("dialect", "make", "special"),
    [("anthropic-messages", DeepSeek, {}), ("openai-chat", bedrock, {}), ("openai-chat", OpenAI, {})],
)
@pytest.mark.parametrize(("asked", "decided"), [(False, True), (True, False)])
def test_the_operator_may_decide_on_streams(
    behind: Behind, dialect: str, make: Callable[[], Vendor], special: Special, asked: bool, decided: bool
) -> None:
    vendor = make()
    route = behind((vendor, {**special, "options": {"stream": decided}}))
    client = route.ask(asking(dialect, stream=asked), PATHS[dialect])
    assert (client.status, client.outcome, vendor.complaints) == (200, Outcome.DONE, [])
    assert said(dialect, client.body, decided) == ("Hello", [])
    assert client.exchange.request_type == ("ai_stream" if decided else "ai_chat")
    assert {labels.request_type for labels in route.gateway.meter.begun} == {client.exchange.request_type}
    assert client.exchange.usage.total_tokens == 30


def test_request_body_is_of_the_dialect_that_is_spoken(behind: Behind) -> None:
    vendor = DeepSeek()
    bodies = {"openai-chat": {"user": "operator"}, "anthropic-messages": {"metadata": {"user_id": "not this"}}}
    override = {"endpoint": "https://deepseek", "request_body": bodies}
    behind((vendor, {"override": override})).ask(asking("anthropic-messages"), "/v1/messages")
    sent = vendor.received[0].json()
    assert sent["user"] == "operator"
    assert "metadata" not in sent


# Errors.


def error_of(dialect: str, body: bytes) -> tuple[str, str]:
    """The kind and the message of an error, read as a client of the dialect does."""
    document = json.loads(body)
    if dialect == "anthropic-messages":
        assert document["type"] == "error"
    error = document["error"]
    return error["type"], error["message"]


ERRORS: list[tuple[str, Callable[[], Vendor], Special, Scenario, int, str]] = [
    ("anthropic-messages", DeepSeek, {}, RATE_LIMITED, 429, "rate_limit_error"),
    ("anthropic-messages", DeepSeek, {}, Scenario(status=400), 400, "invalid_request_error"),
    ("anthropic-messages", OpenAI, {}, Scenario(status=500), 500, "api_error"),
    ("anthropic-messages", Gemini, {}, BUSY, 503, "overloaded_error"),
    ("openai-chat", Anthropic, NATIVE, RATE_LIMITED, 429, "rate_limit_error"),
    ("openai-chat", Anthropic, NATIVE, BUSY, 529, "server_error"),
    ("openai-chat", bedrock, {}, RATE_LIMITED, 429, "rate_limit_error"),
    ("openai-chat", bedrock, {}, Scenario(status=400), 400, "invalid_request_error"),
    ("openai-responses", DeepSeek, {}, RATE_LIMITED, 429, "rate_limit_error"),
]


@pytest.mark.parametrize(("dialect", "make", "special", "scenario", "status", "kind"), ERRORS)
@pytest.mark.parametrize("streams", [False, True])
def test_an_error(
    behind: Behind,
    dialect: str,
    make: Callable[[], Vendor],
    special: Special,
    scenario: Scenario,
    status: int,
    kind: str,
    streams: bool,
) -> None:
    vendor = make()
    vendor.will(scenario)
    client = behind((vendor, special)).ask(asking(dialect, stream=streams), PATHS[dialect])
    assert (client.status, client.headers["content-type"]) == (status, "application/json")
    assert error_of(dialect, client.body)[0] == kind
    assert "told to fail" in error_of(dialect, client.body)[1]
    wait = scenario.retry_after if vendor.provider != "bedrock" else None  # AWS does not tell
    assert client.headers.get("retry-after") == (str(wait) if wait else None)


def test_an_error_that_is_no_json_or_too_long_is_converted_too(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "CONVERTED", 10)
    for body in (b"<html>", b"x" * 100):
        route = behind(DeepSeek())
        client = route.gateway.ask(asking("anthropic-messages"), "/v1/messages")
        response = route.gateway.models.last.begin(502, "text/html", {"Content-Encoding": "x"})
        response.send(body)
        if len(body) < 10:
            response.end()
        else:
            assert response.aborted
        assert client.status == 502
        assert error_of("anthropic-messages", client.body)[0] == "api_error"
        assert "content-encoding" not in client.headers


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [(200, "text/html", b"<html>"), (200, "application/json", b"{"), (200, "application/json", b"[]"), (204, "", b"")],
)
def test_an_answer_that_can_not_be_converted_is_a_502_and_goes_on(
    behind: Behind, status: int, media_type: str, body: bytes
) -> None:
    for others in ([], [Anthropic()]):
        route = behind(DeepSeek(), *others)
        client = route.gateway.ask(asking("anthropic-messages"), "/v1/messages")
        response = route.gateway.models.last.begin(status, media_type)
        response.send(body)
        response.end()
        if others:
            route.answered = 1
            route.settle()
            assert client.status == 200
        else:
            assert isinstance(client.error, UpstreamBadReply)
        assert client.attempts[0] == ("deepseek", status, "upstream_bad_reply")
        assert route.gateway.meter.under_way == 0


def test_an_answer_is_collected_up_to_a_limit_to_be_converted(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "CONVERTED", 100)
    route = behind(DeepSeek())
    client = route.gateway.ask(asking("anthropic-messages"), "/v1/messages")
    response = route.gateway.models.last.begin(200, "application/json")
    response.send(b" " * 101)
    assert isinstance(client.error, UpstreamReplyTooLarge)
    assert response.aborted


def test_an_answer_is_collected_though_the_route_does_not_buffer(behind: Behind) -> None:
    route = behind(DeepSeek())
    route.gateway.put(
        {
            **route.gateway.registry.snapshot("default").of("routes")["r"].document["plugins"],
            "proxy-buffering": {"disable_proxy_buffering": True},
        }
    )
    client = route.ask(asking("anthropic-messages"), "/v1/messages")
    assert said("anthropic-messages", client.body, False) == ("Hello", [])


def test_an_answer_in_place_of_a_stream_is_converted_as_such(behind: Behind) -> None:
    route = behind(DeepSeek())
    client = route.gateway.ask(asking("anthropic-messages", stream=True), "/v1/messages")
    route.gateway.models.last.answer(200, openai.completion("Hi"))
    assert said("anthropic-messages", client.body, False) == ("Hi", [])


def test_embeddings_never_stream(behind: Behind) -> None:
    route = behind(vertex())
    route.gateway.ask({"model": "m", "input": "x"}, "/v1/embeddings")
    route.settle()
    client = route.gateway.ask({"model": "m", "input": "x"}, "/v1/embeddings")
    response = route.gateway.models.last.stream(b"data: {}\n\n")
    assert isinstance(client.error, UpstreamBadReply)
    assert response.aborted
    assert route.gateway.timers == []


# Streams that end too early.


BROKEN: list[tuple[str, Callable[[], Vendor], Special]] = [
    ("anthropic-messages", DeepSeek, {}),
    ("openai-chat", Anthropic, NATIVE),
    ("openai-chat", bedrock, {}),
    ("openai-responses", DeepSeek, {}),
]


@pytest.mark.parametrize(("dialect", "make", "special"), BROKEN)
def test_a_stream_that_breaks_ends_with_an_error_of_the_clients_dialect(
    behind: Behind, dialect: str, make: Callable[[], Vendor], special: Special
) -> None:
    vendor = make()
    vendor.will(BREAKS)
    route = behind((vendor, special))
    client = route.ask(asking(dialect, stream=True), PATHS[dialect])
    assert client.outcome is Outcome.UPSTREAM_BROKE
    assert b"[DONE]" not in client.body
    assert b"message_stop" not in client.body
    assert b"response.completed" not in client.body
    last = events_of(client.body)[-1]
    assert last["error"]["message"].startswith("the upstream reported an error")
    if dialect == "anthropic-messages":
        assert b"event: error\n" in client.body
    assert route.gateway.meter.under_way == 0


def begun(behind: Behind, dialect: str, vendor: Vendor, special: Special, *pieces: bytes) -> tuple[Any, Any, Any]:
    """A stream whose first pieces have come."""
    route = behind((vendor, special))
    client = route.gateway.ask(asking(dialect, stream=True), PATHS[dialect])
    media_type = "application/vnd.amazon.eventstream" if vendor.provider == "bedrock" else "text/event-stream"
    response = route.gateway.models.last.begin(200, media_type)
    for piece in pieces:
        response.send(piece)
    return route, client, response


USAGE = {"input_tokens": 11, "output_tokens": 1}
MESSAGE = {"id": "m", "role": "assistant", "model": "c", "content": [], "usage": USAGE}
STARTED = made({"type": "message_start", "message": MESSAGE}, "message_start")
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
SAID = made(BLOCK, "content_block_start") + made(DELTA, "content_block_delta")
COUNTED = openai.event({**openai.chunk({"content": "Hi"}), "usage": {"prompt_tokens": 11, "completion_tokens": 1}})


@pytest.mark.parametrize("end", ["left", "reset", "ended", "too late"])
@pytest.mark.parametrize(
    ("dialect", "vendor", "special", "pieces"),
    [
        ("openai-chat", Anthropic, NATIVE, [STARTED, PING, SAID]),
        ("anthropic-messages", DeepSeek, {}, [COUNTED]),
        ("openai-responses", DeepSeek, {}, [COUNTED]),
    ],
)
def test_tokens_seen_so_far_count_however_the_stream_ends(
    behind: Behind, dialect: str, vendor: type[Vendor], special: Special, pieces: list[bytes], end: str
) -> None:
    route, client, response = begun(behind, dialect, vendor(), {**special, "timeout": 1000}, *pieces)
    assert b"Hi" in client.body
    if end == "left":
        client.leave()
        assert response.aborted
    elif end == "too late":
        route.gateway.clock.advance(1)
    else:
        response.end(UpstreamReset("reset") if end == "reset" else None)
    assert client.outcome is (Outcome.CLIENT_LEFT if end == "left" else Outcome.UPSTREAM_BROKE)
    usage = client.exchange.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 1)
    assert route.gateway.meter.under_way == 0
    assert route.gateway.timers == []


def test_a_stream_of_aws_that_is_garbage_is_a_502(behind: Behind) -> None:
    frame = eventstream.encode({":message-type": "event", ":event-type": "messageStart"}, b'{"role":"assistant"}')
    _, client, _ = begun(behind, "openai-chat", bedrock(), {}, frame[:-1] + b"x" + frame)
    assert client.outcome is Outcome.UPSTREAM_BROKE
    assert isinstance(client.broken, UpstreamBadReply)


def test_what_comes_leaves_at_once(behind: Behind) -> None:
    _, client, response = begun(behind, "openai-chat", Anthropic(), NATIVE, STARTED, SAID)
    before = len(client.body)
    response.send(made(DELTA, "content_block_delta"))
    assert len(client.body) > before


# Counting tokens.


def test_tokens_are_counted_by_who_can(behind: Behind) -> None:
    vendor = Anthropic()
    body = {"model": "claude", "messages": USER}
    client = behind(DeepSeek(), vendor).ask(body, "/v1/messages/count_tokens", anthropic_version="2023-06-01")
    assert (client.status, json.loads(client.body), vendor.complaints) == (200, {"input_tokens": 20}, [])
    assert client.exchange.usage.total_tokens == 0
    client = behind(DeepSeek()).ask(body, "/v1/messages/count_tokens")
    assert (client.status, client.error.code) == (400, "unsupported_dialect")
