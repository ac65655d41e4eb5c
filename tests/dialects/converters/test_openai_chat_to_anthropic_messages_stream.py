"""Anthropic's streams as chunks, cut at every byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from aigw.dialects.anthropic_messages import AnthropicMessages
from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_anthropic_messages import OpenAIChatToAnthropicMessages
from aigw.dialects.converters.openai_chat_to_anthropic_messages.stream import MOST_OPEN_CALLS
from aigw.dialects.sse import EVENT_LIMIT, data_of, events
from aigw.dialects.usage import Usage
from aigw.errors import UpstreamBadReply

CONVERTER = OpenAIChatToAnthropicMessages()
NOW = 1_790_000_000
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"


def event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode("utf-8", "backslashreplace")


def start(**usage: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": []}
    usage = {"input_tokens": 25, "output_tokens": 1, **usage}
    return event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage})


def block(index: int, **content: Any) -> bytes:
    return event("content_block_start", index=index, content_block=content)


def delta(index: int, kind: str, **more: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **more})


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


def said(text: str, index: int = 0) -> bytes:
    return delta(index, "text_delta", text=text)


def tool(index: int, call_id: str, name: str, **given: Any) -> bytes:
    return block(index, type="tool_use", id=call_id, name=name, input=given)


def arguments(index: int, part: str) -> bytes:
    return delta(index, "input_json_delta", partial_json=part)


def end(stop_reason: str | None = "end_turn", **more: Any) -> bytes:
    told = {"stop_reason": stop_reason, "stop_sequence": None, **more}
    return event("message_delta", delta=told, usage={"output_tokens": 15}) + event("message_stop")


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
    out = b""
    for piece in pieces:
        leaving = stream.feed(piece)
        assert len(leaving) <= 1
        assert b"" not in leaving
        out += b"".join(leaving)
    return out + b"".join(stream.close())


def chunks(out: bytes) -> list[Any]:
    """The chunks of a stream, as OpenAI's SDK takes them; comments and [DONE] as they are."""
    found: list[Any] = []
    for one in events(out):
        data = data_of(one)
        if not data or data == b"[DONE]":
            found.append(one)
            continue
        chunk = json.loads(data)
        ChatCompletionChunk.model_validate(chunk, strict=True)
        found.append(chunk)
    return found


def deltas(out: bytes) -> list[Any]:
    """What the chunks say: deltas, finish reasons, comments, [DONE]."""
    found: list[Any] = []
    for chunk in chunks(out):
        if isinstance(chunk, bytes):
            found.append(chunk)
            continue
        assert {name: chunk[name] for name in ("id", "object", "created", "model")} == {
            "id": "msg_1",
            "object": "chat.completion.chunk",
            "created": NOW,
            "model": "claude-opus-5-5",
        }
        assert "usage" not in chunk
        (choice,) = chunk["choices"]
        assert choice["index"] == 0
        found.append(choice["finish_reason"] or choice["delta"])
    return found


ROLE = {"role": "assistant", "content": ""}
TEXT = block(0, type="text", text="")


def called(index: int, **function: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": function}]}


def begun(index: int, call_id: str, name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": ""}
    return {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}


STREAMS: dict[str, tuple[bytes, list[Any]]] = {
    "text, as in the documentation": (
        start() + TEXT + event("ping") + said("Hello") + said("!") + stop(0) + end(),
        [ROLE, PING, {"content": "Hello"}, {"content": "!"}, "stop", DONE],
    ),
    "characters that need care": (
        start() + TEXT + said('"\\\n\u2028é\U0001f600</s>') + said("data: [DONE]\n\n") + stop(0) + end(),
        [ROLE, {"content": '"\\\n\u2028é\U0001f600</s>'}, {"content": "data: [DONE]\n\n"}, "stop", DONE],
    ),
    "half a surrogate pair": (start() + TEXT + said("\ud83d") + end(), [ROLE, {"content": "\ud83d"}, "stop", DONE]),
    "a tool, as in the documentation": (
        start()
        + TEXT
        + said("Okay")
        + stop(0)
        + tool(1, "toolu_1", "get_weather")
        + arguments(1, "")
        + arguments(1, '{"location":')
        + arguments(1, ' "San Francisco, CA"}')
        + stop(1)
        + end("tool_use"),
        [
            ROLE,
            {"content": "Okay"},
            begun(0, "toolu_1", "get_weather"),
            called(0, arguments='{"location":'),
            called(0, arguments=' "San Francisco, CA"}'),
            "tool_calls",
            DONE,
        ],
    ),
    "calls one after the other, one of them without arguments": (
        start()
        + tool(0, "a", "f")
        + arguments(0, "{}")
        + stop(0)
        + tool(1, "b", "g")
        + arguments(1, "")
        + stop(1)
        + end("tool_use"),
        [
            ROLE,
            begun(0, "a", "f"),
            called(0, arguments="{}"),
            begun(1, "b", "g"),
            called(1, arguments="{}"),
            "tool_calls",
            DONE,
        ],
    ),
    "calls that are interleaved, one of them told at once": (
        start()
        + tool(3, "a", "f")
        + tool(5, "b", "g", x=1)
        + arguments(3, "{")
        + stop(5)
        + arguments(3, "}")
        + stop(3)
        + end("tool_use"),
        [
            ROLE,
            begun(0, "a", "f"),
            begun(1, "b", "g"),
            called(0, arguments="{"),
            called(1, arguments='{"x":1}'),
            called(0, arguments="}"),
            "tool_calls",
            DONE,
        ],
    ),
    "thinking": (
        start()
        + block(0, type="thinking", thinking="", signature="")
        + delta(0, "thinking_delta", thinking="Let me ")
        + delta(0, "thinking_delta", thinking="see.")
        + delta(0, "thinking_delta", thinking="")
        + delta(0, "signature_delta", signature="EqQB")
        + stop(0)
        + block(1, type="redacted_thinking", data="x")
        + stop(1)
        + block(2, type="text", text="")
        + said("27 * 453", 2)
        + stop(2)
        + end(),
        [ROLE, {"reasoning_content": "Let me "}, {"reasoning_content": "see."}, {"content": "27 * 453"}, "stop", DONE],
    ),
    "what a block begins with": (
        start() + block(0, type="thinking", thinking="Hm.") + block(1, type="text", text="Well") + end(),
        [ROLE, {"reasoning_content": "Hm."}, {"content": "Well"}, "stop", DONE],
    ),
    "tools of the provider are its own business": (
        start()
        + block(0, type="server_tool_use", id="s", name="web_search", input={})
        + arguments(0, '{"query":"x"}')
        + stop(0)
        + block(1, type="web_search_tool_result", tool_use_id="s", content=[])
        + stop(1)
        + TEXT
        + delta(0, "citations_delta", citation={"type": "x"})
        + said("x")
        + end(),
        [ROLE, {"content": "x"}, "stop", DONE],
    ),
    "the limit": (start() + TEXT + said("x") + end("max_tokens"), [ROLE, {"content": "x"}, "length", DONE]),
    "a refusal": (
        start() + end("refusal", stop_details={"type": "refusal", "explanation": "No."}),
        [ROLE, {"refusal": "No."}, "content_filter", DONE],
    ),
    "a refusal without a reason": (start() + end("refusal"), [ROLE, "content_filter", DONE]),
    "no end": (start() + TEXT + said("x"), [ROLE, {"content": "x"}]),
    "no stop reason": (start() + event("message_stop"), [ROLE, "stop", DONE]),
    "two stop reasons": (start() + end()[:-1] + b"\n" + end(), [ROLE, "stop", DONE]),
    "nothing after the end": (
        start() + end() + said("x") + PING + event("ping") + event("message_stop"),
        [ROLE, "stop", DONE],
    ),
    "an end that lacks its blank line": (start() + end()[:-1], [ROLE, "stop", DONE]),
    "an end that lacks its line's end": (start() + end()[:-2], [ROLE, "stop", DONE]),
    "lines that end otherwise": (
        (start() + event("ping") + said("x") + end()).replace(b"\n", b"\r\n"),
        [ROLE, PING, {"content": "x"}, "stop", DONE],
    ),
    "no names, no spaces, other order": (
        start()
        + b'data:{"index":0,"delta":{"text":"x","type":"text_delta"},"type":"content_block_delta"}\n\n'
        + b'data: {"type":"message_stop"}\n\n',
        [ROLE, {"content": "x"}, "stop", DONE],
    ),
    "data in two lines": (
        start() + b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,\n'
        b'data: "delta":{"type":"text_delta","text":"x"}}\n\n' + end(),
        [ROLE, {"content": "x"}, "stop", DONE],
    ),
    "comments": (start() + b"\n: still here\n\n\n" + said("x") + end(), [ROLE, PING, {"content": "x"}, "stop", DONE]),
    "what is unknown or garbage is skipped": (
        start()
        + event("something_new", index={}, delta=[1])
        + event("content_block_start", index=0, content_block=None)
        + event("content_block_delta", index=0)
        + event("content_block_delta", index="0", delta={"type": "text_delta", "text": "y"})
        + delta(0, "text_delta", text=None)
        + delta(0, "new_delta", text="y")
        + arguments(7, "{}")
        + stop(7)
        + event("message_delta", usage=[])
        + event("error", error={"type": "overloaded_error", "message": "x"})
        + b"data: {\n\ndata: [1]\n\ndata: \xff\n\nevent: ping\n\n\n\n\n"
        + said("x")
        + end(),
        [ROLE, {"content": "x"}, "stop", DONE],
    ),
}


@pytest.mark.parametrize("case", STREAMS)
def test_streams(case: str) -> None:
    stream, expected = STREAMS[case]
    whole = fed([stream])
    assert deltas(whole) == expected
    assert all(fed(pieces) == whole for pieces in cuts(stream))


def watched(pieces: list[bytes]) -> bytes:
    """What leaves a stream that is watched before it is converted, as the gateway does it."""
    watch, stream = AnthropicMessages().watch(Usage(), hide_usage=False), CONVERTER.stream(request(), NOW)
    out = [converted for piece in pieces for passing in watch.feed(piece) for converted in stream.feed(passing)]
    out += [converted for passing in watch.close() for converted in stream.feed(passing)]
    return b"".join(out + stream.close())


@pytest.mark.parametrize("case", ["text, as in the documentation", "thinking", "an end that lacks its blank line"])
def test_behind_the_watch_of_the_provider(case: str) -> None:
    stream, expected = STREAMS[case]
    assert all(deltas(watched(pieces)) == expected for pieces in cuts(stream))


def test_functions_of_old() -> None:
    stream = start() + tool(0, "a", "f") + arguments(0, '{"x":') + arguments(0, "1}") + stop(0) + end("tool_use")
    assert deltas(fed([stream], functions=[{"name": "f"}])) == [
        ROLE,
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"x":'}},
        {"function_call": {"arguments": "1}"}},
        "function_call",
        DONE,
    ]


def test_usage_for_those_who_ask() -> None:
    """All chunks have the member then, the last one the counts (and no choices)."""
    stream = start(cache_read_input_tokens=7, cache_creation_input_tokens=3) + TEXT + said("x") + end()
    found = chunks(fed([stream], stream_options={"include_usage": True}))
    assert found[-1] == DONE
    assert [chunk["usage"] for chunk in found[:-2]] == [None] * 3
    assert found[-2]["choices"] == []
    assert found[-2]["usage"] == {
        "prompt_tokens": 35,
        "completion_tokens": 15,
        "total_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": 1}, {"include_usage": None}])
def test_no_usage_for_others(options: Any) -> None:
    out = fed([start() + said("x") + end()], stream_options=options)
    assert b"usage" not in out


def test_an_event_that_is_too_long() -> None:
    stream = CONVERTER.stream(request(), NOW)
    half = said("x" * EVENT_LIMIT)[:-2]
    with pytest.raises(UpstreamBadReply, match="too long"):
        stream.feed(half)


def test_calls_without_end() -> None:
    stream = CONVERTER.stream(request(), NOW)
    for i in range(MOST_OPEN_CALLS):
        stream.feed(tool(i, f"t{i}", "f"))
    with pytest.raises(UpstreamBadReply, match="too many"):
        stream.feed(tool(MOST_OPEN_CALLS, "t", "f"))


def test_calls_that_end_are_forgotten() -> None:
    stream = CONVERTER.stream(request(), NOW)
    for i in range(2 * MOST_OPEN_CALLS):
        stream.feed(tool(i, f"t{i}", "f") + stop(i))


PIECES = [
    *(start(), TEXT, event("ping"), said("é"), tool(1, "a", "f"), arguments(1, "{}"), stop(1), end("tool_use")),
    *(delta(0, "thinking_delta", thinking="x"), b": x\n\n", b"\n", b"\r", b"data: {\n\n", said("x")[:-9]),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.lists(st.integers(0, 2000), max_size=6))
def test_where_it_is_cut_makes_no_difference(pieces: list[bytes], offsets: list[int]) -> None:
    stream = b"".join(pieces)
    places = sorted({min(offset, len(stream)) for offset in offsets})
    parts = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    whole = fed([stream])
    assert fed(parts) == whole
    chunks(whole)
