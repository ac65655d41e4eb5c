"""Streams of chat completion chunks as Anthropic's clients see them, cut at every offset."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from aigw.dialects.body import Body
from aigw.dialects.converters.anthropic_messages_to_openai_chat import AnthropicMessagesToOpenAIChat
from aigw.dialects.converters.anthropic_messages_to_openai_chat_blocks import HELD_LIMIT, MOST_CALLS, JSONExtent
from aigw.dialects.sse import EVENT_LIMIT
from aigw.errors import UpstreamBadReply

CONVERTER = AnthropicMessagesToOpenAIChat()
REQUEST = Body.parse(
    b'{"model":"claude","max_tokens":9,"stream":true,"stop_sequences":["END"],"messages":[{"role":"user","content":"x"}]}'
)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
SIGNED = {"type": "signature_delta", "signature": "aigw:reasoning_content"}
DONE = b"data: [DONE]\n\n"


# What comes from the provider


def data(value: Any) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt", "choices": choices, **more})


def text(value: str) -> bytes:
    return chunk({"content": value})


def call(index: Any, arguments: Any = "", identity: str | None = None, name: str | None = None) -> bytes:
    function = {"arguments": arguments} | ({} if name is None else {"name": name})
    item = {"function": function} | ({} if index is None else {"index": index})
    return chunk({"tool_calls": [item | ({} if identity is None else {"id": identity, "type": "function"})]})


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
CALLED = chunk({}, "tool_calls")
COUNTS = {
    "prompt_tokens": 12,
    "completion_tokens": 7,
    "total_tokens": 19,
    "prompt_tokens_details": {"cached_tokens": 8},
}
USAGE = chunk(usage=COUNTS)
A, B = call(0, "", "call_a", "a"), call(1, "", "call_b", "b")


# What leaves


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    yield [stream]
    for i in range(1, len(stream)):
        yield [stream[:i], stream[i:]]
    yield [stream[i : i + 1] for i in range(len(stream))]


def converted(pieces: list[bytes]) -> bytes:
    stage = CONVERTER.stream(REQUEST, 0)
    out = b""
    for piece in pieces:
        leaving = stage.feed(piece)
        assert len(leaving) <= 1
        assert b"" not in leaving
        out += b"".join(leaving)
    return out + b"".join(stage.close())


def events(out: bytes) -> list[dict[str, Any]]:
    """The events, each of which is as Anthropic's SDK has it and has its name; pings left out."""
    found = []
    for event in out.split(b"\n\n")[:-1]:
        name, line = event.split(b"\n")
        document = json.loads(line.removeprefix(b"data: "))
        assert name == b"event: " + document["type"].encode()
        if document["type"] != "ping":
            EVENT.validate_json(line.removeprefix(b"data: "), strict=True)
            found.append(document)
    assert out.endswith(b"\n\n")
    return found


def blocks(out: bytes) -> list[list[Any]]:
    """What each block starts with, and its deltas; asserts that they are one after the other, between start and end."""
    first, *middle, delta, last = events(out)
    assert (first["type"], delta["type"], last) == ("message_start", "message_delta", {"type": "message_stop"})
    found: list[list[Any]] = []
    opened = False
    for event in middle:
        kind = event["type"].removeprefix("content_block_")
        assert (kind == "start") is not opened
        opened = kind != "stop"
        if kind == "start":
            found.append([event["content_block"]])
        assert event["index"] == len(found) - 1
        if kind == "delta":
            found[-1].append(event["delta"])
    assert not opened
    return found


def end(out: bytes) -> tuple[Any, Any, list[Any]]:
    delta = events(out)[-2]
    return delta["delta"]["stop_reason"], delta["delta"]["stop_sequence"], list(delta["usage"].values())


def said(*texts: str) -> list[Any]:
    return [{"type": "text", "text": ""}, *({"type": "text_delta", "text": t} for t in texts)]


def thought(*texts: str, signed: dict[str, Any] = SIGNED) -> list[Any]:
    deltas = ({"type": "thinking_delta", "thinking": t} for t in texts)
    return [{"type": "thinking", "thinking": "", "signature": ""}, *deltas, signed]


def used(name: str, *pieces: str, identity: str | None = None) -> list[Any]:
    start = {"type": "tool_use", "id": identity or f"call_{name}", "name": name, "input": {}}
    return [start, *({"type": "input_json_delta", "partial_json": p} for p in pieces)]


NO_USAGE = [0, 0, 0, 0]
TOLD = [4, 0, 8, 7]

# The stream, its blocks, how it ends
STREAMS: dict[str, tuple[bytes, list[list[Any]], tuple[Any, Any, list[Any]]]] = {
    "text": (ROLE + text("Hel") + text("lo") + STOP + USAGE + DONE, [said("Hel", "lo")], ("end_turn", None, TOLD)),
    "usage with the finish": (
        text("x") + chunk({}, "length", usage=COUNTS) + DONE,
        [said("x")],
        ("max_tokens", None, TOLD),
    ),
    "usage in every chunk": (
        chunk({"content": "x"}, usage={"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13})
        + chunk({"content": "y"}, "stop", usage=COUNTS)
        + chunk(usage=COUNTS)
        + DONE,
        [said("x", "y")],
        ("end_turn", None, TOLD),
    ),
    "no usage": (text("x") + STOP + DONE, [said("x")], ("end_turn", None, NO_USAGE)),
    "no done": (text("x") + STOP + USAGE, [said("x")], ("end_turn", None, TOLD)),
    "no blank line at the end": (text("x") + STOP + USAGE[:-1], [said("x")], ("end_turn", None, TOLD)),
    "no finish": (text("x") + DONE, [said("x")], ("end_turn", None, NO_USAGE)),
    "nothing after done": (text("x") + DONE + text("y") + b": x\n\n", [said("x")], ("end_turn", None, NO_USAGE)),
    "nothing": (DONE, [], ("end_turn", None, NO_USAGE)),
    "filtered": (text("x") + chunk({}, "content_filter") + DONE, [said("x")], ("refusal", None, NO_USAGE)),
    "refused": (chunk({"refusal": "I can't"}) + STOP + DONE, [said("I can't")], ("refusal", None, NO_USAGE)),
    "stop sequence": (
        text("x") + data({"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}) + DONE,
        [said("x")],
        ("stop_sequence", "END", NO_USAGE),
    ),
    "a finish reason in every chunk": (
        chunk({"content": "x"}, "stop") + chunk({"content": "y"}, "stop") + DONE,
        [said("x", "y")],
        ("end_turn", None, NO_USAGE),
    ),
    "filter results first": (
        data({"id": "", "model": "", "choices": [], "prompt_filter_results": []}) + text("x") + STOP + DONE,
        [said("x")],
        ("end_turn", None, NO_USAGE),
    ),
    "reasoning": (
        ROLE
        + chunk({"reasoning_content": "h", "content": None})
        + chunk({"reasoning_content": "m"})
        + text("x")
        + STOP
        + DONE,
        [thought("h", "m"), said("x")],
        ("end_turn", None, NO_USAGE),
    ),
    "reasoning as vLLM calls it now": (
        chunk({"reasoning": "h"}) + text("x") + STOP + DONE,
        [thought("h", signed={"type": "signature_delta", "signature": "aigw:reasoning"}), said("x")],
        ("end_turn", None, NO_USAGE),
    ),
    "reasoning and text in one chunk, and again": (
        chunk({"reasoning_content": "h", "content": "x"}) + chunk({"reasoning_content": "m"}) + STOP + DONE,
        [thought("h"), said("x"), thought("m")],
        ("end_turn", None, NO_USAGE),
    ),
    "a call": (
        ROLE + A + call(0, '{"x"') + call(0, ":1}") + CALLED + USAGE + DONE,
        [used("a", '{"x"', ":1}")],
        ("tool_use", None, TOLD),
    ),
    "a call without arguments": (A + CALLED + DONE, [used("a")], ("tool_use", None, NO_USAGE)),
    "a call that the client demanded": (
        A + call(0, "{}") + STOP + DONE,
        [used("a", "{}")],
        ("tool_use", None, NO_USAGE),
    ),
    "a call cut off": (
        A + call(0, '{"x') + chunk({}, "length") + DONE,
        [used("a", '{"x')],
        ("max_tokens", None, NO_USAGE),
    ),
    "text before a call": (
        text("let me see") + A + call(0, "{}") + CALLED + DONE,
        [said("let me see"), used("a", "{}")],
        ("tool_use", None, NO_USAGE),
    ),
    "calls one after the other": (
        A + call(0, '{"x":') + call(0, "1}") + B + call(1, "{") + call(1, "}") + CALLED + DONE,
        [used("a", '{"x":', "1}"), used("b", "{", "}")],
        ("tool_use", None, NO_USAGE),
    ),
    "calls interleaved": (
        A + B + call(0, '{"x"') + call(1, '{"y"') + call(0, ":1}") + call(1, ":2") + call(1, "}") + CALLED + DONE,
        [used("a", '{"x"', ":1}"), used("b", '{"y"', ":2", "}")],
        ("tool_use", None, NO_USAGE),
    ),
    "the first call ends last": (
        A + B + call(1, '{"y"') + call(1, ":2}") + text("!") + call(0, '{"x"') + call(0, ":1}") + CALLED + DONE,
        [used("a", '{"x"', ":1}"), used("b", '{"y":2}'), said("!")],
        ("tool_use", None, NO_USAGE),
    ),
    "the first call never ends": (
        A + call(0, "{") + B + call(1, "{}") + CALLED + DONE,
        [used("a", "{"), used("b", "{}")],
        ("tool_use", None, NO_USAGE),
    ),
    "both in one chunk": (
        chunk(
            {
                "content": "x",
                "tool_calls": [
                    {"index": 0, "id": "call_a", "function": {"name": "a", "arguments": "{}"}},
                    {"index": 1, "id": "call_b", "function": {"name": "b", "arguments": "{}"}},
                ],
            },
            "tool_calls",
        )
        + DONE,
        [said("x"), used("a", "{}"), used("b", "{}")],
        ("tool_use", None, NO_USAGE),
    ),
    "white space after a call": (
        A + call(0, "{}") + B + call(0, "\n") + call(1, "{}") + CALLED + DONE,
        [used("a", "{}"), used("b", "{}")],
        ("tool_use", None, NO_USAGE),
    ),
    "the same index for all": (
        call(0, "{", "call_a", "a") + call(0, "}") + call(0, "{}", "call_b", "b") + CALLED + DONE,
        [used("a", "{", "}"), used("b", "{}")],
        ("tool_use", None, NO_USAGE),
    ),
    "the same index, and no arguments": (
        call(0, "", "call_a", "a") + call(0, "{}", "call_b", "b") + CALLED + DONE,
        [used("a"), used("b", "{}")],
        ("tool_use", None, NO_USAGE),
    ),
    "id and name in every chunk": (
        call(0, "{", "call_a", "a") + call(0, "}", "call_a", "a") + CALLED + DONE,
        [used("a", "{", "}")],
        ("tool_use", None, NO_USAGE),
    ),
    "no index": (
        call(None, "{}", "call_a", "a") + call(None, "{", "call_b", "b") + call(None, "}") + CALLED + DONE,
        [used("a", "{}"), used("b", "{", "}")],
        ("tool_use", None, NO_USAGE),
    ),
    "arguments as an object": (
        call(0, {"x": 1}, "call_a", "a") + CALLED + DONE,
        [used("a", '{"x":1}')],
        ("tool_use", None, NO_USAGE),
    ),
    "the name comes later": (
        call(0, "{", "call_a") + B + call(1, "{}") + call(0, "}", None, "a") + CALLED + DONE,
        [used("a", "{}"), used("b", "{}")],
        ("tool_use", None, NO_USAGE),
    ),
    "text between the pieces of a call": (
        A + call(0, "{") + text("\n") + chunk({"reasoning_content": "h"}) + call(0, "}") + CALLED + DONE,
        [used("a", "{", "}"), said("\n"), thought("h")],
        ("tool_use", None, NO_USAGE),
    ),
    "another choice": (
        data({"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "x"}}]})
        + STOP
        + DONE,
        [said("x")],
        ("end_turn", None, NO_USAGE),
    ),
    "half a surrogate pair": (text("\ud83d") + STOP + DONE, [said("\ud83d")], ("end_turn", None, NO_USAGE)),
    "what is not understood": (
        b"data: {\n\ndata: 7\n\nevent: x\n\nid: 1\n\n"
        + data({"choices": [7, {"delta": 7}]})
        + chunk({"content": 7, "tool_calls": [7, None], "reasoning_content": [], "role": {}})
        + chunk({"content": [{"type": "text", "text": "x"}], "tool_calls": {}}, usage=[])
        + STOP
        + DONE,
        [said("x")],
        ("end_turn", None, NO_USAGE),
    ),
}

VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "LF": lambda stream: stream,
    "CRLF": lambda stream: stream.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_the_same_wherever_it_is_cut(name: str, variant: Callable[[bytes], bytes]) -> None:
    stream, expected, ending = STREAMS[name]
    stream = variant(stream)
    whole = converted([stream])
    if name != "half a surrogate pair":  # which JSON can say and the SDK's validator can not read
        assert blocks(whole) == expected
        assert end(whole) == ending
    assert all(converted(pieces) == whole for pieces in cuts(stream))


def test_the_bytes() -> None:
    first = chunk(
        {"role": "assistant", "content": "Hi"}, usage={"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
    )
    assert converted([first + STOP + DONE]).decode() == (
        "event: message_start\n"
        'data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"gpt",'
        '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":0,'
        '"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
        "event: ping\n"
        'data: {"type":"ping"}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":0}\n\n'
        "event: message_delta\n"
        'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        '"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}\n\n'
        "event: message_stop\n"
        'data: {"type":"message_stop"}\n\n'
    )


def test_what_can_leave_leaves() -> None:
    stage = CONVERTER.stream(REQUEST, 0)
    for piece in (ROLE, text("x"), A, call(0, "{"), call(0, "}"), B, call(1, '{"y":'), call(1, "2}")):
        assert stage.feed(piece), piece
    assert b"message_delta" in stage.feed(CALLED + DONE)[0]


def test_a_client_behind_a_thinking_model_sees_life() -> None:
    ping = [b'event: ping\ndata: {"type":"ping"}\n\n']
    stage = CONVERTER.stream(REQUEST, 0)
    assert stage.feed(b": keep-alive\n\n: keep-alive\n\n") == ping
    assert stage.feed(b": keep") == []
    assert stage.feed(b"-alive\n\n") == ping
    assert b"ping" not in b"".join(stage.feed(ROLE + text("x") + DONE)).split(b"content_block_start")[1]
    assert stage.feed(b": keep-alive\n\n") == []
    assert stage.close() == []


def test_the_model_that_was_asked_for_stands_in() -> None:
    start = events(converted([data({"choices": []}) + DONE]))[0]["message"]
    assert start["model"] == "claude"
    assert len(start["id"]) == 28


@pytest.mark.parametrize(
    "name", [n for n in STREAMS if n not in ("half a surrogate pair", "a call cut off", "the first call never ends")]
)
def test_the_official_client_understands_it(name: str) -> None:
    stream, expected, ending = STREAMS[name]

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=converted([stream]))

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
        client = anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=http)
        with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as events:
            message = events.get_final_message()
    assert [block.type for block in message.content] == [start["type"] for start, *_ in expected]
    assert message.stop_reason == ending[0]
    assert message.usage.output_tokens == ending[2][3]
    for block, (_, *deltas) in zip(message.content, expected, strict=True):
        if block.type == "tool_use":
            assert block.input == json.loads("".join(d["partial_json"] for d in deltas) or "{}")


# What can't be put in order, and what is too much


@pytest.mark.parametrize(
    "stream",
    [
        A + call(0, "{}") + B + call(0, "}"),
        call(0, "{}", "call_a") + CALLED,
        call(0, "{}", "call_a") + DONE,
        b"data: " + b"x" * (EVENT_LIMIT + 10),
        b"".join(call(i, "{}", f"c{i}", "n") for i in range(MOST_CALLS + 1)),
        A + b"".join(call(1, "x" * 100_000, None, None) for _ in range(HELD_LIMIT // 100_000 + 1)),
        A + call(0, "{") + text("x" * 100_000) * (HELD_LIMIT // 100_000 + 1),
        A + (text("x") + chunk({"reasoning_content": "y"})) * 20_000,
        b"".join(call(i, "{}", "i" * 100_000, "n") for i in range(12)),
        b"".join(call(i, "{}", f"c{i}", "n" * 100_000) for i in range(12)),
    ],
    ids=["goes on", "no name", "no name at the end", "long event", "calls", "held", "text", "blocks", "ids", "names"],
)
def test_what_is_refused(stream: bytes) -> None:
    with pytest.raises(UpstreamBadReply):
        converted([stream])


def test_long_arguments_of_a_live_call_are_no_burden() -> None:
    pieces = [
        A,
        call(0, '{"x":"'),
        *[call(0, "y" * 100_000)] * (2 * HELD_LIMIT // 100_000),
        call(0, '"}'),
        CALLED,
        DONE,
    ]
    assert converted(pieces).count(b"input_json_delta") == len(pieces) - 3


@pytest.mark.parametrize(
    "text", ['{"a":[{"b":"}]"}],"c":"\\"}\\\\"}', "{}", ' {"\\u007d": 1} ', '[{"x":"\\\\"}]', '{"é":"\\"{"}']
)
def test_knows_when_an_object_is_over(text: str) -> None:
    for i, j in itertools.combinations_with_replacement(range(len(text) + 1), 2):
        extent = JSONExtent()
        for piece in (text[:i], text[i:j], text[j:]):
            assert not (extent.over and piece.strip())
            extent.feed(piece)
        assert extent.over


ARGUMENTS = st.dictionaries(
    st.text(max_size=3), st.text('{}[]"\\a\n', max_size=6) | st.integers() | st.none(), max_size=3
)


@given(st.lists(ARGUMENTS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_calls_in_any_order_lose_nothing(calls: list[dict[str, Any]], order: random.Random) -> None:
    waiting = {i: split(json.dumps(arguments), order) for i, arguments in enumerate(calls)}
    stream = b"".join(call(i, "", f"call_{i}", str(i)) for i in waiting)
    while waiting:
        i = order.choice(list(waiting))
        stream += call(i, waiting[i].pop(0))
        if not waiting[i]:
            del waiting[i]
    found = blocks(converted([stream + CALLED + DONE]))
    assert [start["name"] for start, *_ in found] == [str(i) for i in range(len(calls))]
    assert [json.loads("".join(d["partial_json"] for d in deltas)) for _, *deltas in found] == calls


def split(value: str, order: random.Random) -> list[str]:
    places = sorted(order.randrange(len(value) + 1) for _ in range(3))
    return [value[i:j] for i, j in itertools.pairwise([0, *places, len(value)])]


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "a", "call_a", "stop", "{", "}", '{"x":1}'])
)
NAMES = [
    "choices",
    "delta",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "index",
    "finish_reason",
    "usage",
]
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "index": SCALARS,
        "id": SCALARS,
        "function": st.fixed_dictionaries({}, optional={"name": SCALARS, "arguments": SCALARS}),
    },
)
DELTA = st.fixed_dictionaries(
    {}, optional={"content": ANYTHING, "reasoning": SCALARS, "tool_calls": st.lists(ITEM, max_size=3)}
)
CHOICE = st.fixed_dictionaries({}, optional={"delta": DELTA | ANYTHING, "finish_reason": SCALARS | ANYTHING})
CHUNK = st.fixed_dictionaries(
    {"choices": st.lists(CHOICE, max_size=2)}, optional={"usage": ANYTHING, "id": SCALARS, "model": SCALARS}
)


@given(st.lists(CHUNK | ANYTHING, max_size=6))
def test_an_upstream_may_send_anything(chunks: list[Any]) -> None:
    try:
        out = converted([b"".join(map(data, chunks)) + DONE])
    except UpstreamBadReply:
        return
    blocks(out)
