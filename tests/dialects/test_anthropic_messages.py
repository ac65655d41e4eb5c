"""Anthropic's Messages API as a dialect: requests, streams cut at every offset, usage, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from aigw.dialects import detect
from aigw.dialects.anthropic_messages import AnthropicCountTokens, AnthropicMessages, error_type, read
from aigw.dialects.body import Body
from aigw.dialects.dialect import Verdict
from aigw.dialects.usage import Usage
from aigw.errors import GatewayError, RateLimited, UpstreamCutShort, UpstreamError, UpstreamTimeout

MESSAGES = AnthropicMessages()


def event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


def start(**usage: int) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude", "usage": usage}
    return event("message_start", message=message)


def block(**content_block: Any) -> bytes:
    return event("content_block_start", index=0, content_block=content_block)


def delta(**members: Any) -> bytes:
    return event("content_block_delta", index=0, delta=members)


def end(reason: str | None = "end_turn", **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)


START = start(input_tokens=25, output_tokens=1)
PING = event("ping")
TEXT = block(type="text", text="")
HELLO = delta(type="text_delta", text='Hello message_start "error" event: error')
BLOCK_STOP = event("content_block_stop", index=0)
END = end(output_tokens=15)
STOP = event("message_stop")
FAILED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
TOLD = Usage(prompt_tokens=25, completion_tokens=15, total_tokens=40)
BEGUN = Usage(prompt_tokens=25, completion_tokens=1, total_tokens=26)


# Requests


def test_says_what_the_messages_say() -> None:
    body = Body.parse(
        json.dumps(
            {
                "system": [{"type": "text", "text": "be brief"}, 7],
                "messages": [
                    {"role": "user", "content": "one"},
                    {
                        "role": "assistant",
                        "content": [{"type": "text", "text": "two"}, {"type": "tool_use", "id": "x"}],
                    },
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "content": "three"},
                            {"type": "tool_result", "content": [{"type": "text", "text": "four"}, {"type": "image"}]},
                            {"type": "image", "source": {}},
                            {"type": "text", "text": "five"},
                            {"type": "text", "text": 6},
                        ],
                    },
                    "nothing",
                    {"content": None},
                ],
            }
        ).encode()
    )
    assert MESSAGES.text(body) == "be brief\none\ntwo\nthree\nfour\nfive"
    assert MESSAGES.text(Body.parse(b'{"system":"s","messages":[]}')) == "s"
    assert MESSAGES.text(Body.parse(b'{"messages":{}}')) == ""


def test_names_the_tools_that_an_answer_calls() -> None:
    content = [
        {"type": "text", "text": "x"},
        {"type": "tool_use", "name": "a"},
        {"type": "server_tool_use", "name": "web_search"},
        {"type": "tool_use", "name": "b"},
        {"type": "tool_use"},
        None,
    ]
    assert MESSAGES.tool_calls(json.dumps({"content": content}).encode()) == ["a", "b"]
    assert MESSAGES.tool_calls(b"<html>") == MESSAGES.tool_calls(b'{"content":7}') == []


def test_counting_tokens_is_a_dialect_of_its_own() -> None:
    body = Body.parse(b'{"model":"claude","stream":true,"messages":[{"role":"user","content":"hi"}]}')
    dialect = detect("/v1/messages/count_tokens", body)
    assert isinstance(dialect, AnthropicCountTokens)
    assert (dialect.streams(body), dialect.model(body), dialect.text(body)) == (False, "claude", "hi")
    usage = Usage()
    dialect.body_usage(b'{"input_tokens":2095}', usage)
    assert usage == Usage()


def test_thinking_that_the_gateway_signed_stays_behind() -> None:
    ours = {"type": "thinking", "thinking": "hm", "signature": "aigw:reasoning_content"}
    theirs = {"type": "thinking", "thinking": "hm", "signature": "EqQBCgIYAhIM1gbc"}
    user = {"role": "user", "content": '"signature": "aigw:'}
    messages = [
        user,
        {"role": "assistant", "content": [ours, {"type": "text", "text": "x"}]},
        {"role": "assistant", "content": [ours]},
        {"role": "assistant", "content": [theirs]},
        {"role": "user", "content": []},
        7,
    ]
    body = Body.parse(json.dumps({"stream": True, "messages": messages}).encode())
    prepared = MESSAGES.prepare(body)
    assert prepared.client_asked_usage
    assert prepared.sets == {
        "messages": [user, {"role": "assistant", "content": [{"type": "text", "text": "x"}]}, *messages[3:]]
    }
    for raw in (json.dumps({"messages": [theirs, user]}).encode(), b'{"x":"\\"aigw:"}', b'{"messages":{"x":"aigw:"}}'):
        assert Body.parse(raw).edited(MESSAGES.prepare(Body.parse(raw)).sets) == raw


# Usage


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            b'{"usage":{"input_tokens":10,"output_tokens":5}}',
            Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15),
        ),
        (
            b'{"usage":{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,'
            b'"output_tokens":7,"output_tokens_details":{"thinking_tokens":4},"service_tier":"standard"}}',
            Usage(
                prompt_tokens=1103,
                completion_tokens=7,
                total_tokens=1110,
                cached_tokens=1000,
                cache_write_tokens=100,
                reasoning_tokens=4,
            ),
        ),
        (
            b'{"usage":{"input_tokens":3,"cache_creation_input_tokens":null,"cache_read_input_tokens":"9","output_tokens":-1}}',
            Usage(prompt_tokens=3, total_tokens=3),
        ),
        (b'{"usage":null}', Usage()),
        (b'{"usage":[]}', Usage()),
        (b"{}", Usage()),
        (b"", Usage()),
        (b"<html>", Usage()),
    ],
)
def test_usage_of_a_message(raw: bytes, usage: Usage) -> None:
    told = Usage()
    MESSAGES.body_usage(raw, told)
    assert told == usage


# Streams


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    yield [stream]
    for i in range(1, len(stream)):
        yield [stream[:i], stream[i:]]
    yield [stream[i : i + 1] for i in range(len(stream))]


def watched(pieces: list[bytes], usage: Usage) -> tuple[bytes, GatewayError | None]:
    watch = MESSAGES.watch(usage, True)
    out = b""
    try:
        for piece in pieces:
            out += b"".join(watch.feed(piece))
        out += b"".join(watch.close())
    except GatewayError as error:
        return out, error
    return out, None


@attrs.frozen
class Case:
    """A stream, how much of it leaves, how it ends, what usage it tells."""

    stream: bytes
    hidden: bytes = b""
    failure: type[GatewayError] | None = None
    told: Usage = TOLD


CACHED = Usage(prompt_tokens=128, completion_tokens=15, total_tokens=143, cached_tokens=100, cache_write_tokens=3)
WHOLE = START + PING + TEXT + HELLO + BLOCK_STOP + END + STOP

STREAMS = {
    "whole": Case(WHOLE),
    "nothing after the end": Case(WHOLE + PING, hidden=PING),
    "no message_stop": Case(START + TEXT + HELLO + BLOCK_STOP + END),
    "usage is cumulative": Case(START + end(None, output_tokens=9) + END + STOP),
    "caches are counted": Case(
        start(input_tokens=25, cache_read_input_tokens=100, cache_creation_input_tokens=3, output_tokens=1)
        + END
        + STOP,
        told=CACHED,
    ),
    "the end tells the input again": Case(
        start(input_tokens=0, output_tokens=0)
        + end(input_tokens=25, cache_read_input_tokens=100, cache_creation_input_tokens=3, output_tokens=15)
        + STOP,
        told=CACHED,
    ),
    "no usage": Case(
        event("message_start") + event("message_delta", delta={"stop_reason": "end_turn"}) + STOP, told=Usage()
    ),
    "unknown events pass": Case(START + event("novelty", x=1) + b": comment\n\n" + END + STOP),
    "without names": Case(WHOLE.replace(b"event: ", b"x: ")),
    "no end": Case(START + TEXT + HELLO + BLOCK_STOP, failure=UpstreamCutShort, told=BEGUN),
    "no reason": Case(START + end(None, output_tokens=15), failure=UpstreamCutShort),
    "nothing": Case(b"", failure=UpstreamCutShort, told=Usage()),
    "torn": Case(START + HELLO[:-7], hidden=HELLO[:-7], failure=UpstreamCutShort, told=BEGUN),
    "error": Case(START + HELLO + FAILED + STOP, hidden=FAILED + STOP, failure=UpstreamError, told=BEGUN),
    "error at once": Case(FAILED, hidden=FAILED, failure=UpstreamError, told=Usage()),
    "error without a name": Case(
        START + FAILED.replace(b"event: error\n", b""),
        hidden=FAILED.replace(b"event: error\n", b""),
        failure=UpstreamError,
        told=BEGUN,
    ),
}


@pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)
def test_a_stream_leaves_the_same_wherever_it_is_cut(case: Case) -> None:
    for pieces in cuts(case.stream):
        usage = Usage()
        out, error = watched(pieces, usage)
        assert out == case.stream[: len(case.stream) - len(case.hidden)]
        assert type(error) is (case.failure or type(None))
        assert usage == case.told


def test_the_end_marker_ends_it() -> None:
    watch = MESSAGES.watch(Usage(), False)
    watch.feed(START + END)
    assert not watch.over
    watch.feed(STOP)
    assert watch.over


def test_only_what_can_matter_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(text: bytes) -> dict[str, Any]:
        raise AssertionError(text)

    monkeypatch.setattr("aigw.dialects.anthropic_messages.object_of", never)
    watch = MESSAGES.watch(Usage(), False)
    watch.feed(PING + TEXT + delta(type="text_delta", text='hi, no "error" here') + BLOCK_STOP)


@pytest.mark.parametrize(
    ("beginning", "verdict"),
    [
        (START + PING + TEXT + b": x\n\n", Verdict.WAIT),
        (START + block(type="thinking", thinking="", signature=""), Verdict.WAIT),
        (START + delta(type="text_delta", text=""), Verdict.WAIT),
        (
            START + delta() + block() + event("content_block_start") + event("content_block_delta", delta=7),
            Verdict.REAL,
        ),
        (event("content_block_start") + event("content_block_delta", delta=7) + event("message_delta"), Verdict.WAIT),
        (START + delta(type="text_delta", text=" "), Verdict.REAL),
        (START + delta(type="thinking_delta", thinking="hm"), Verdict.REAL),
        (START + delta(type="signature_delta", signature="abc"), Verdict.REAL),
        (START + delta(type="input_json_delta", partial_json="{"), Verdict.REAL),
        (START + block(type="tool_use", id="t", name="n", input={}), Verdict.REAL),
        (START + block(type="redacted_thinking", data="x"), Verdict.REAL),
        (START + block(type="text", text="x"), Verdict.REAL),
        (START + END, Verdict.REAL),
        (STOP, Verdict.REAL),
        (START + FAILED, Verdict.FAILED),
        (b'data: {"error":{"message":"Overloaded"}}\n\n', Verdict.FAILED),
    ],
)
def test_what_begins_an_answer(beginning: bytes, verdict: Verdict) -> None:
    for pieces in cuts(beginning):
        holder = MESSAGES.holder()
        for piece in pieces:
            last = holder.feed(piece)
        assert last is verdict
        assert holder.message == ("Overloaded" if verdict is Verdict.FAILED else "")


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [[]], {"type": []}, {"usage": 7, "stop_reason": {}}])
@pytest.mark.parametrize(
    "name", ["message_start", "message_delta", "content_block_start", "content_block_delta", "error", 7]
)
def test_events_of_any_shape_are_survived(name: Any, value: Any) -> None:
    document = {"type": name, "message": value, "delta": value, "content_block": value, "usage": value, "error": value}
    meaning = read(b"data: " + json.dumps(document).encode() + b"\n\n")
    assert meaning.usage is None or meaning.usage == value or isinstance(value, dict)


# Errors


def test_an_error_in_mid_stream() -> None:
    assert MESSAGES.error_event(UpstreamTimeout("silent")) == (
        b'event: error\ndata: {"type":"error","error":{"type":"timeout_error","message":"silent"}}\n\n'
    )
    assert b'"rate_limit_error"' in MESSAGES.error_event(RateLimited("slow down"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_types_of_errors(status: int, kind: str) -> None:
    assert error_type(status) == kind
