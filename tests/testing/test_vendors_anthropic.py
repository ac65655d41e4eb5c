"""The fake of Anthropic: what it refuses, and the events of a stream, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from aigw.testing.vendors import KEY, Answer, Anthropic, Call, Scenario, Tokens
from aigw.testing.vendors.anthropic_rules import SIGNATURE
from aigw.testing.vendors.scenario import BREAKS, BUSY

Asked = Callable[..., Answer]
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
OLD, NEW = {"anthropic-version": "2023-06-01"}, {"anthropic-version": "2026-10-21"}
HELLO: Any = [{"role": "user", "content": "Good day"}]
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "Sun"}
THINKS = {"type": "enabled", "budget_tokens": 1024}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def request(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 2000, "messages": list(messages) or HELLO, **fields}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


REFUSALS: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "not valid JSON"),
    "no limit": ({"model": "m", "messages": HELLO}, "max_tokens: Field required"),
    "an unknown field": (request(stream_options={}), "stream_options: Extra inputs are not permitted"),
    "an unknown member": (request(user({**text("a"), "x": 1})), "messages.0.content.0.x: Extra inputs"),
    "too hot": (request(temperature=1.5), "temperature:"),
    "a role of OpenAI's": (request({"role": "tool", "content": "Sun"}), "messages.0.role:"),
    "a leading system message": (request({"role": "system", "content": "Be"}, *HELLO), "top-level `system`"),
    "no content": (request(user()), "must have non-empty content"),
    "an empty text": (request(user(text(""))), "text content blocks must be non-empty"),
    "a trailing space": (request(*HELLO, {"role": "assistant", "content": "Hi "}), "trailing whitespace"),
    "a use by the user": (request(user(USE)), "can only be in `assistant`"),
    "a result by the assistant": (request(*HELLO, assistant(RESULT)), "can only be in `user`"),
    "a foreign signature": (
        request(*HELLO, assistant({"type": "thinking", "thinking": "hm", "signature": "mine"})),
        "Invalid `signature`",
    ),
    "half a source": (request(user({"type": "image", "source": {"type": "base64", "data": ""}})), "media_type"),
    "no result": (request(*HELLO, assistant(USE), *HELLO), "without `tool_result` blocks"),
    "a late result": (request(*HELLO, assistant(USE), user(text("a"), RESULT)), "without `tool_result` blocks"),
    "no result at the end": (request(*HELLO, assistant(USE)), "without `tool_result` blocks"),
    "an unasked result": (request(user(RESULT)), "unexpected `tool_use_id`"),
    "a use twice": (request(*HELLO, assistant(USE, USE), user(RESULT)), "must be unique"),
    "a tool of OpenAI's": (request(tools=[{"type": "custom", "function": {}}]), "function: Extra inputs"),
    "a choice without tools": (request(tool_choice={"type": "auto"}), "while providing tools"),
    "no budget": (request(thinking={"type": "enabled"}), "budget_tokens: Field required"),
    "more budget than room": (request(thinking=THINKS, max_tokens=1024), "must be greater than"),
    "hot thinking": (request(thinking=THINKS, temperature=0.5), "only be set to 1"),
    "choosy thinking": (request(thinking=THINKS, top_k=5), "top_k"),
    "forced thinking": (
        request(thinking=THINKS, tools=[{"name": "f", "input_schema": {}}], tool_choice={"type": "any"}),
        "may not be enabled",
    ),
}


def body_of(answer: Answer) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize("name", REFUSALS)
def test_it_refuses(name: str, asked: Asked) -> None:
    body, words = REFUSALS[name]
    answer = asked(Anthropic(), MESSAGES, body, OLD)
    refused = body_of(answer)
    assert answer.status == 400
    assert (refused["type"], refused["error"]["type"]) == ("error", "invalid_request_error")
    assert words in refused["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        request(temperature=1),
        request(top_p=1),
        request(top_k=1),
        request(*HELLO, assistant(PDF), *HELLO),
        request(user({**text("a"), "citations": [{}]})),
    ],
)
def test_its_newest_version_refuses_more(body: Any, asked: Asked) -> None:
    assert asked(Anthropic(), MESSAGES, body, OLD).status == 200
    assert asked(Anthropic(), MESSAGES, body, NEW).status == 400


def test_it_takes_what_it_has_said(asked: Asked) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": SIGNATURE}
    history = [*HELLO, assistant(thought, text("I look."), USE), user(RESULT, text("So?"))]
    middle = {"role": "system", "content": "Be short."}
    tools = [{"name": "f", "input_schema": {}}, {"type": "web_search_20260209", "name": "web_search"}]
    cached = [{**text("Be kind"), "cache_control": {"type": "ephemeral"}}]
    answer = asked(Anthropic(), MESSAGES, request(*history, middle, system=cached, tools=tools), NEW)
    assert answer.status == 200
    assert asked(Anthropic(), COUNT, {"model": "m", "messages": history, "tools": tools}, NEW).status == 200


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"authorization": f"Bearer {KEY}", **NEW}, 200, ""),
        ({"authorization": "", "x-api-key": KEY, **OLD}, 200, ""),
        ({"x-api-key": "wrong", **OLD}, 401, "invalid x-api-key"),
        ({"authorization": "Bearer wrong", **OLD}, 401, "invalid x-api-key"),
        ({}, 400, "anthropic-version: header is required"),
        ({"anthropic-version": "1999-01-01"}, 400, "not a valid version"),
    ],
)
def test_who_and_which_version(headers: dict[str, str], status: int, words: str, asked: Asked) -> None:
    answer = asked(Anthropic(), MESSAGES, request(), headers)
    assert answer.status == status
    assert status == 200 or words in body_of(answer)["error"]["message"]


def events(answer: Answer) -> list[tuple[str, Any]]:
    found = []
    for piece in answer.pieces:
        named, data, *rest = piece.decode().split("\n")
        assert rest == ["", ""]
        found.append((named.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_stream(asked: Asked) -> None:
    calls = [Call("f", {"a": 1}), Call("g", {})]
    scenario = Scenario(text="Hi you", calls=calls, tokens=Tokens(prompt=50, cached=20, written=10, completion=9))
    tools = [{"name": "f", "input_schema": {}}]
    body = request(stream=True, thinking=THINKS, tools=tools)
    said = events(asked(Anthropic(scenario=scenario), MESSAGES, body, OLD))
    assert all(name == data["type"] for name, data in said)
    kinds = [name for name, _ in said]
    block = ["content_block_start", "content_block_stop"]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert [kind for kind in kinds if kind in block] == block * 4
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert said[0][1]["message"]["usage"] == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 20,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    assert said[-2][1]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert said[-2][1]["usage"]["output_tokens"] == 9
    deltas = [data["delta"] for name, data in said if name == "content_block_delta" and data["index"] == 2]
    assert "".join(delta["partial_json"] for delta in deltas) == '{"a": 1}'


def test_errors(asked: Asked) -> None:
    vendor = Anthropic()
    vendor.will(BUSY, BREAKS, BUSY)
    busy = asked(vendor, MESSAGES, request(), OLD)
    assert (busy.status, body_of(busy)["error"]["type"]) == (529, "overloaded_error")
    assert busy.headers["request-id"] == "req_fake"
    broken = events(asked(vendor, MESSAGES, request(stream=True), OLD))
    assert broken[-1] == ("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    compatible = asked(vendor, "/v1/chat/completions", {"model": "m", "messages": HELLO})
    assert body_of(compatible)["error"]["type"] == "overloaded_error"
    assert vendor.complaints == []


def test_it_ignores_much_of_openais(asked: Asked) -> None:
    vendor = Anthropic()
    body = {"model": "m", "messages": HELLO, "logprobs": True, "made_up": 1}
    assert asked(vendor, "/v1/chat/completions", body).status == 200
    assert vendor.ignored == ["made_up"]
