"""Bedrock's Converse API: requests, answers, and streams that are cut at every offset."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest

from aigw.dialects import DIALECTS
from aigw.dialects.bedrock_stream import event_type
from aigw.dialects.body import Body
from aigw.dialects.dialect import Verdict, Watch
from aigw.dialects.eventstream import MEDIA_TYPE, decode, encode
from aigw.dialects.usage import Usage
from aigw.errors import (
    GatewayError,
    InstanceUnusable,
    RateLimited,
    UpstreamBadReply,
    UpstreamCutShort,
    UpstreamError,
    UpstreamTimeout,
)

CONVERSE = next(dialect for dialect in DIALECTS if dialect.name == "bedrock-converse")
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"


def event(kind: str, value: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps(value).encode())


def exception(kind: str, payload: bytes) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, payload)


START = event("messageStart", {"role": "assistant", "p": "abcd"})
EMPTY = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": ""}})
HELLO = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hello"}})
BLOCK_STOP = event("contentBlockStop", {"contentBlockIndex": 0})
STOP = event("messageStop", {"stopReason": "end_turn"})
COUNTS = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 15, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 6}
METADATA = event("metadata", {"metrics": {"latencyMs": 7}, "usage": COUNTS})
TOLD = Usage(prompt_tokens=13, completion_tokens=2, total_tokens=15, cached_tokens=4, cache_write_tokens=6)
CHAT = START + EMPTY + HELLO + BLOCK_STOP + STOP + METADATA
THROTTLED = exception("throttlingException", b'{"message":"slow down"}')
LATER = event("messageStart", {"role": "assistant"})


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    """The stream in one piece, in two of every kind, and byte by byte."""
    yield [stream]
    for i in range(1, len(stream)):
        yield [stream[:i], stream[i:]]
    yield [stream[i : i + 1] for i in range(len(stream))]


def watched(watch: Watch, pieces: list[bytes]) -> tuple[bytes, GatewayError | None]:
    """What leaves, and how it ended."""
    out = b""
    try:
        for piece in [*pieces, b""]:
            leaving = watch.feed(piece)
            assert len(leaving) <= 1
            assert b"" not in leaving
            out += b"".join(leaving)
        out += b"".join(watch.close())
    except GatewayError as error:
        return out, error
    return out, None


def body(value: dict[str, Any]) -> Body:
    return Body.parse(json.dumps(value).encode())


# Requests


@pytest.mark.parametrize(
    ("path", "value", "model"),
    [
        ("/model/us.amazon.nova-lite-v1:0/converse", {}, "us.amazon.nova-lite-v1:0"),
        (f"/model/{ARN}/converse-stream", {"model": "other"}, ARN),
        ("/llm/model/m/converse", {}, "m"),
        ("/model//converse", {"model": "m"}, "m"),
        ("/bedrock/converse", {"model": "m"}, "m"),
        ("/bedrock/converse", {"model": 1}, ""),
        ("/model/a/model/b/converse/converse", {}, "a/model/b/converse"),
    ],
)
def test_the_model_is_in_the_path(path: str, value: dict[str, Any], model: str) -> None:
    assert CONVERSE.model(body(value), path) == model


@pytest.mark.parametrize(
    ("path", "value", "streams"),
    [
        ("/model/m/converse-stream", {}, True),
        ("/model/m/converse", {}, False),
        ("/model/m/converse", {"stream": True}, True),
        ("/model/m/converse", {"stream": "yes"}, False),
    ],
)
def test_the_path_asks_for_a_stream(path: str, value: dict[str, Any], streams: bool) -> None:
    assert CONVERSE.streams(body(value), path) is streams
    assert CONVERSE.stream_type == MEDIA_TYPE


def test_the_texts_of_a_request() -> None:
    request = {
        "system": [{"text": "a"}, {"cachePoint": {"type": "default"}}, {"guardContent": {"text": {"text": "b"}}}],
        "messages": [
            {"role": "user", "content": [{"text": "c"}, {"image": {"format": "png"}}, {"text": 1}]},
            {"role": "assistant", "content": [{"toolUse": {"name": "t", "input": {"text": "no"}}}]},
            {"role": "user", "content": [{"toolResult": {"content": [{"text": "d"}, {"json": {}}, 1]}}]},
            {"role": "user", "content": "no"},
            7,
        ],
    }
    assert CONVERSE.text(body(request)) == "a\nb\nc\nd"
    assert CONVERSE.text(body({"system": "x", "messages": {}})) == ""


def test_nothing_is_added() -> None:
    assert CONVERSE.prepare(body({"stream": True})).sets == {}


# Answers


def test_tool_calls() -> None:
    run_by_bedrock = {"toolUse": {"name": "b", "type": "server_tool_use"}}
    content = [{"text": "x"}, {"toolUse": {"name": "a"}}, run_by_bedrock, {"toolUse": 1}, {"toolUse": {"name": 2}}, 3]
    raw = json.dumps({"output": {"message": {"content": content}}}).encode()
    assert CONVERSE.tool_calls(raw) == ["a"]
    assert CONVERSE.tool_calls(b'{"output":[]}') == CONVERSE.tool_calls(b"{") == []


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (COUNTS, TOLD),
        ({"inputTokens": 3, "outputTokens": 2}, Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)),
        ({"inputTokens": -1, "outputTokens": 2**60, "cacheReadInputTokens": "4"}, Usage()),
        ([], Usage()),
        (None, Usage()),
    ],
)
def test_usage_of_an_answer(told: Any, usage: Usage) -> None:
    found = Usage()
    CONVERSE.body_usage(json.dumps({"output": {}, "usage": told}).encode(), found)
    assert found == usage
    CONVERSE.body_usage(b"{", found)
    assert found == usage


# Streams


def test_a_whole_stream_passes_byte_for_byte() -> None:
    for pieces in cuts(CHAT):
        usage = Usage()
        watch = CONVERSE.watch(usage, hide_usage=True)
        assert watched(watch, pieces) == (CHAT, None)
        assert usage == TOLD
        assert watch.over


def test_nothing_passes_after_the_end() -> None:
    for pieces in cuts(CHAT + LATER):
        assert watched(CONVERSE.watch(Usage(), hide_usage=False), pieces) == (CHAT, None)


def test_the_usage_may_be_missing() -> None:
    watch = CONVERSE.watch(Usage(), hide_usage=False)
    assert watched(watch, [START + HELLO + STOP]) == (START + HELLO + STOP, None)
    assert not watch.over


def test_metadata_before_the_end_ends_nothing() -> None:
    usage = Usage()
    stream = START + METADATA + HELLO + STOP
    assert watched(CONVERSE.watch(usage, hide_usage=False), [stream]) == (stream, None)
    assert usage == TOLD


@pytest.mark.parametrize("missing", [1, len(METADATA) - 1, len(METADATA) + 1, len(CHAT)])
def test_a_stream_that_is_cut_short(missing: int) -> None:
    whole, ended = CHAT[:-missing], watched(CONVERSE.watch(Usage(), hide_usage=False), [CHAT[:-missing]])
    assert isinstance(ended[1], UpstreamCutShort)
    assert whole.startswith(ended[0])


FAILURES = [
    (THROTTLED, "the upstream reported an error: throttlingException: slow down"),
    (exception("x", b'{"Message":"big M"}'), "the upstream reported an error: x: big M"),
    (exception("x", b"<html>"), "the upstream reported an error: x: no details"),
    (exception("", b'{"message":7}'), "the upstream reported an error: no details"),
    (
        encode({":message-type": "error", ":error-code": "InternalError", ":error-message": "oops"}),
        "the upstream reported an error: InternalError: oops",
    ),
    (encode({":message-type": "error"}), "the upstream reported an error: no details"),
    (exception("x", b'{"message":"' + b"y" * 900 + b'"}'), "the upstream reported an error: x: " + "y" * 497),
]


@pytest.mark.parametrize(("failed", "message"), FAILURES)
def test_errors_in_a_stream(failed: bytes, message: str) -> None:
    before = START + HELLO
    for pieces in cuts(before + failed + STOP) if failed is THROTTLED else [[before + failed + STOP]]:
        watch = CONVERSE.watch(Usage(), hide_usage=False)
        out, error = watched(watch, pieces)
        assert (out, type(error), str(error)) == (before, UpstreamError, message)
        assert watch.over
        with pytest.raises(UpstreamError):
            watch.close()


def test_a_stream_that_is_broken() -> None:
    broken = bytearray(HELLO)
    broken[-6] ^= 1
    for pieces in cuts(START + HELLO + bytes(broken) + STOP):
        out, error = watched(CONVERSE.watch(Usage(), hide_usage=False), pieces)
        assert out == START + HELLO
        assert isinstance(error, UpstreamBadReply)
        assert str(error) == "the upstream's event stream is broken: the checksum of a message is wrong"


def test_headers_that_are_none() -> None:
    lengths = struct.pack(">II", 17, 1)
    message = lengths + struct.pack(">I", crc32(lengths)) + b"\x09"
    message += struct.pack(">I", crc32(message))
    assert event_type(message) == ""
    _, error = watched(CONVERSE.watch(Usage(), hide_usage=False), [message])
    assert str(error) == "the upstream reported an error: a message whose headers can't be read"


def test_messages_of_other_kinds_pass() -> None:
    others = encode({":message-type": "ping"}) + encode({":message-type": 1, ":event-type": "messageStop"}) + encode({})
    assert watched(CONVERSE.watch(Usage(), hide_usage=False), [others + CHAT]) == (others + CHAT, None)


def test_an_event_with_long_headers_is_read_too() -> None:
    message = encode({":event-type": "messageStop", ":message-type": "event", "x": "y" * 600}, b"{}")
    assert event_type(message) == "messageStop"


UNKNOWN = event("somethingNew", {"delta": {"text": "x"}})
TOOL = event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "1", "name": "t"}}})
THOUGHT = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}})
NO_THOUGHT = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": ""}}})
ODD = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": [1]})
NO_START = event("contentBlockStart", {"contentBlockIndex": 0, "start": {}})


@pytest.mark.parametrize(
    ("stream", "verdict", "message"),
    [
        (START + EMPTY + NO_THOUGHT + NO_START + ODD + UNKNOWN, Verdict.WAIT, ""),
        (START + EMPTY + HELLO, Verdict.REAL, ""),
        (START + THOUGHT, Verdict.REAL, ""),
        (START + TOOL, Verdict.REAL, ""),
        (START + STOP, Verdict.REAL, ""),
        (START + THROTTLED, Verdict.FAILED, "throttlingException: slow down"),
        (START + bytes(12), Verdict.FAILED, "the checksum of a prelude is wrong"),
        (HELLO + bytes(12), Verdict.REAL, ""),
        (HELLO + THROTTLED, Verdict.REAL, ""),
    ],
)
def test_what_a_stream_begins_with(stream: bytes, verdict: Verdict, message: str) -> None:
    for pieces in cuts(stream):
        holder = CONVERSE.holder()
        for piece in pieces:
            found = holder.feed(piece)
        assert (found, holder.message) == (verdict, message)


def test_a_stream_that_never_begins() -> None:
    holder = CONVERSE.holder()
    assert holder.feed(START) is Verdict.WAIT
    assert (holder.close(), holder.message) == (Verdict.FAILED, "the stream ended before the answer began")
    begun = CONVERSE.holder()
    begun.feed(HELLO)
    assert begun.close() is Verdict.REAL


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RateLimited("no \ud83d"), "throttlingException"),
        (InstanceUnusable("no"), "serviceUnavailableException"),
        (UpstreamTimeout("no"), "modelStreamErrorException"),
        (GatewayError("no"), "internalServerException"),
    ],
)
def test_an_error_is_an_exception_in_the_stream(error: GatewayError, kind: str) -> None:
    message = decode(CONVERSE.error_event(error))
    headers = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
    assert (message.headers, json.loads(message.payload)) == (headers, {"message": error.message})
