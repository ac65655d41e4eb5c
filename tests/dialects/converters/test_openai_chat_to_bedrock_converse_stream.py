"""Bedrock's streams as chunks, cut at every byte."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_bedrock_converse import OpenAIChatToBedrockConverse
from aigw.dialects.converters.openai_chat_to_bedrock_converse.stream import MOST_OPEN_CALLS
from aigw.dialects.eventstream import encode
from aigw.dialects.sse import data_of, events
from aigw.errors import UpstreamBadReply

CONVERTER = OpenAIChatToBedrockConverse()
NOW = 1_790_000_000
DONE = b"data: [DONE]\n\n"


def event(kind: str, value: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    payload = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return encode(headers, payload)


def block(kind: str, index: int, **more: Any) -> bytes:
    return event(kind, {"contentBlockIndex": index, "p": "abcdefg", **more})


def said(text: str, index: int = 0) -> bytes:
    return block("contentBlockDelta", index, delta={"text": text})


def thought(index: int = 0, **delta: Any) -> bytes:
    return block("contentBlockDelta", index, delta={"reasoningContent": delta})


def tool(index: int, call_id: str, name: str, **more: Any) -> bytes:
    return block("contentBlockStart", index, start={"toolUse": {"toolUseId": call_id, "name": name, **more}})


def arguments(index: int, part: Any) -> bytes:
    return block("contentBlockDelta", index, delta={"toolUse": {"input": part}})


def stop(index: int) -> bytes:
    return block("contentBlockStop", index)


def end(reason: Any = "end_turn") -> bytes:
    return event("messageStop", {"stopReason": reason}) + METADATA


START = event("messageStart", {"role": "assistant", "p": "abcd"})
COUNTS = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 9, "cacheReadInputTokens": 4}
METADATA = event("metadata", {"usage": COUNTS, "metrics": {"latencyMs": 1}})
USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "total_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
}


def request(**members: Any) -> Body:
    return Body.parse(json.dumps({"model": "gpt", "messages": [], "stream": True, **members}).encode())


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    """The stream in one piece, in two of every kind, and byte by byte."""
    yield [stream]
    for i in range(1, len(stream)):
        yield [stream[:i], stream[i:]]
    yield [stream[i : i + 1] for i in range(len(stream))]


def fed(pieces: list[bytes], **members: Any) -> bytes:
    """What leaves; one piece at most for each that comes."""
    stream = CONVERTER.stream(request(**members), NOW)
    out = []
    for piece in pieces:
        leaving = stream.feed(piece)
        assert len(leaving) <= 1
        assert b"" not in leaving
        out += leaving
    return b"".join([*out, *stream.close()])


def chunks(out: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream that ended well."""
    assert out.endswith(DONE)
    found = [json.loads(data_of(one)) for one in events(out.removesuffix(DONE))]
    for one in found:
        ChatCompletionChunk.model_validate(one)
        assert (one["object"], one["created"], one["model"]) == ("chat.completion.chunk", NOW, "gpt")
    assert len({one["id"] for one in found}) == 1
    return found


def deltas(out: bytes) -> list[dict[str, Any]]:
    """What each chunk says, less the role and the finish."""
    found = [one["choices"][0]["delta"] for one in chunks(out) if one["choices"]]
    assert found[0] == {"role": "assistant", "content": ""}
    assert found[-1] == {}
    return found[1:-1]


def finish(out: bytes) -> list[Any]:
    return [one["choices"][0]["finish_reason"] for one in chunks(out) if one["choices"]]


CHAT = START + said("") + said("hel") + said("lo ☃") + stop(0) + end()


def test_a_whole_stream_at_every_cut() -> None:
    whole = fed([CHAT])
    assert deltas(whole) == [{"content": "hel"}, {"content": "lo ☃"}]
    assert finish(whole) == [None, None, None, "stop"]
    assert not any("usage" in one for one in chunks(whole))
    for pieces in cuts(CHAT):
        assert fed(pieces) == whole


def test_the_usage_comes_last_if_asked_for() -> None:
    asked = {"stream_options": {"include_usage": True}}
    whole = fed([CHAT], **asked)
    *others, last = chunks(whole)
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert all(one["usage"] is None for one in others)
    for pieces in cuts(CHAT):
        assert fed(pieces, **asked) == whole


def first(index: int, call_id: str, name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": ""}
    return {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}


def more(index: int, part: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


CALLS = (
    START
    + thought(text="hm")
    + thought(signature="s")
    + thought(redactedContent="AA==")
    + stop(0)
    + tool(1, "t1", "f")
    + arguments(1, "")
    + arguments(1, '{"a":')
    + tool(2, "t2", "g")
    + arguments(1, "1}")
    + stop(1)
    + stop(2)
    + tool(3, "t3", "h", type="server_tool_use")
    + arguments(3, '{"x":1}')
    + stop(3)
    + end("tool_use")
)


def test_reasoning_and_interleaved_calls_at_every_cut() -> None:
    whole = fed([CALLS])
    assert deltas(whole) == [
        {"reasoning_content": "hm"},
        first(0, "t1", "f"),
        more(0, '{"a":'),
        first(1, "t2", "g"),
        more(0, "1}"),
        more(1, "{}"),
    ]
    assert finish(whole)[-1] == "tool_calls"
    for pieces in cuts(CALLS):
        assert fed(pieces) == whole


@pytest.mark.parametrize(
    ("reason", "told"),
    [("max_tokens", "length"), ("guardrail_intervened", "content_filter"), ("something_new", "stop"), ("", "stop")],
)
def test_why_it_stopped(reason: str, told: str) -> None:
    assert finish(fed([START + said("x") + end(reason)]))[-1] == told


def test_without_metadata_it_is_done_when_the_providers_stream_is() -> None:
    stream = CONVERTER.stream(request(stream_options={"include_usage": True}), NOW)
    out = stream.feed(START + said("x") + event("messageStop", {"stopReason": "end_turn"}))
    assert DONE not in b"".join(out)
    assert stream.close() == [DONE]
    assert stream.close() == []


def test_a_stream_that_never_ended_has_no_end_marker() -> None:
    stream = CONVERTER.stream(request(), NOW)
    assert len(stream.feed(START + said("x") + METADATA)) == 1
    assert stream.close() == []


def test_nothing_after_the_end() -> None:
    assert fed([CHAT, START + said("x") + end()]) == fed([CHAT + b"?" * 40]) == fed([CHAT])


ODD = [
    event("contentBlockDelta", b"{"),
    event("contentBlockDelta", [1]),
    event("contentBlockDelta", {"delta": {"text": 1}}),
    event("contentBlockDelta", {"delta": "x"}),
    event("contentBlockDelta", {"contentBlockIndex": "x", "delta": {"text": "y"}}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"image": {"source": {}}}}),
    event("contentBlockStart", {"contentBlockIndex": 0, "start": {"image": {"format": "png"}}}),
    event("contentBlockStart", {}),
    event("somethingNew", {"delta": {"text": "x"}}),
    event("messageStop", {"stopReason": 7}),
    arguments(9, "nobody asked"),
    arguments(9, 7),
    stop(9),
    encode({":message-type": "event"}, b"{}"),
    encode({"x": 1}),
]


def test_what_is_odd_is_skipped() -> None:
    assert deltas(fed([START, *ODD, said("x"), *ODD, end()])) == [{"content": "x"}]


def test_a_lone_surrogate_is_kept() -> None:
    lone = event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"\\ud83d"}}')
    out = fed([START + lone + end()])
    assert b'{"content":"\\ud83d"}' in out


def test_a_stream_that_is_broken_ends_behind_what_was_well() -> None:
    for pieces in cuts(START + said("x") + bytes(12) + said("y")):
        stream, out = CONVERTER.stream(request(), NOW), b""
        with contextlib.suppress(UpstreamBadReply):
            for piece in pieces:
                out += b"".join(stream.feed(piece))
        assert out.count(b"data: ") == 2
        with pytest.raises(UpstreamBadReply, match="checksum"):
            stream.feed(b"")
        with pytest.raises(UpstreamBadReply, match="checksum"):
            stream.close()


def test_malformed_output_is_an_error_behind_what_was_said() -> None:
    stream = CONVERTER.stream(request(), NOW)
    assert b'"x"' in stream.feed(START + said("x") + end("malformed_tool_use"))[0]
    with pytest.raises(UpstreamBadReply, match="malformed_tool_use"):
        stream.close()


def test_too_many_open_calls() -> None:
    stream = CONVERTER.stream(request(), NOW)
    stream.feed(START + b"".join(tool(i, f"t{i}", "f") for i in range(MOST_OPEN_CALLS)))
    with pytest.raises(UpstreamBadReply, match="too many tools"):
        stream.feed(tool(MOST_OPEN_CALLS, "t", "f"))


PIECES = [START, said("x"), thought(text="y"), tool(1, "t", "f"), arguments(1, "{"), stop(1), end(), METADATA, *ODD]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.integers(1, 60))
def test_any_order_of_events_is_the_same_however_cut(pieces: list[bytes], size: int) -> None:
    stream = b"".join(pieces)
    assert fed([stream[i : i + size] for i in range(0, len(stream), size)]) == fed([stream])
