"""Streams of chat completion chunks as the events of a response, cut everywhere, and read by OpenAI's own SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from aigw.dialects import DIALECTS
from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from aigw.dialects.converters.openai_responses_to_openai_chat import events as limits
from aigw.dialects.usage import Usage
from aigw.errors import UpstreamReplyTooLarge

CONVERTER = CONVERTERS["openai-responses", "openai-chat"]
RESPONSES = next(d for d in DIALECTS if d.name == "openai-responses")
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
NOW = 1_700_000_000
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False},
    {"type": "custom", "name": "apply_patch"},
    {"type": "namespace", "name": "crm", "description": "", "tools": [{"type": "function", "name": "f"}]},
]
COUNTS = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"


def body(**fields: Any) -> Body:
    return Body.parse(json.dumps({"model": "m", "input": "hi", "stream": True, "tools": TOOLS, **fields}).encode())


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-abc", "object": "chat.completion.chunk", "created": 5, "model": "m-1"}
    return b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\n\n"


def text(said: str) -> bytes:
    return chunk({"content": said})


def piece(index: Any = ..., arguments: Any = None, name: Any = None, identity: Any = None) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    call = {"index": index, "id": identity, "function": {k: v for k, v in function.items() if v is not None}}
    return {k: v for k, v in call.items() if v is not None and v is not ...}


def calls(*pieces: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(pieces)})


ROLE = chunk({"role": "assistant", "content": ""})
USAGE = chunk(usage=COUNTS)


def end(finish: str = "stop") -> bytes:
    return chunk({}, finish) + USAGE + DONE


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    """The stream in one piece, in two of every kind, and byte by byte."""
    yield [stream]
    for i in range(1, len(stream)):
        yield [stream[:i], stream[i:]]
    yield [stream[i : i + 1] for i in range(len(stream))]


def fed(pieces: list[bytes], **fields: Any) -> bytes:
    stage = CONVERTER.stream(body(**fields), NOW)
    out = b""
    for one in pieces:
        leaving = stage.feed(one)
        assert len(leaving) <= 1
        assert b"" not in leaving
        out += b"".join(leaving)
    return out + b"".join(stage.close())


def parsed(out: bytes) -> list[dict[str, Any]]:
    """The events, each valid for the SDK and numbered; without their numbers and ids."""
    found = []
    for block in out.split(b"\n\n")[:-1]:
        if block == b":":
            continue
        name, data = block.split(b"\n")
        event = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        EVENT.validate_python(event)
        found.append(event)
    assert [event.pop("sequence_number") for event in found] == list(range(len(found)))
    return found


def outline(out: bytes) -> list[str]:
    """One line an event: what, where, and what it says."""
    lines = []
    for event in parsed(out):
        kind = event["type"].removeprefix("response.")
        where = ".".join(str(event[n]) for n in ("output_index", "content_index") if n in event)
        said = next((event[n] for n in ("delta", "text", "refusal", "arguments", "input") if n in event), None)
        if "item" in event:
            item = event["item"]
            said = f"{item['type']} {item['status']}" + (f" {item['name']}" if "name" in item else "")
        elif "response" in event:
            said = f"{event['response']['status']} {len(event['response']['output'])}"
        elif "part" in event:
            said = event["part"]["type"]
        lines.append(" ".join(filter(None, (kind, where, said if said != "" else "''"))))
    return lines


BEGIN = ["created in_progress 0", "in_progress in_progress 0"]


def item(index: int, kind: str, part: str, *deltas: str, status: str = "completed") -> list[str]:
    """The outline of an item with one part."""
    name = {"output_text": "output_text", "reasoning_text": "reasoning_text", "refusal": "refusal"}[part]
    return [
        f"output_item.added {index} {kind} in_progress",
        f"content_part.added {index}.0 {part}",
        *(f"{name}.delta {index}.0 {delta}" for delta in deltas),
        f"{name}.done {index}.0 " + ("".join(deltas) or "''"),
        f"content_part.done {index}.0 {part}",
        f"output_item.done {index} {kind} {status}",
    ]


def message(index: int, *deltas: str, status: str = "completed") -> list[str]:
    return item(index, "message", "output_text", *deltas, status=status)


def added(index: int, name: str = "f", kind: str = "function_call") -> str:
    return f"output_item.added {index} {kind} in_progress {name}"


def grown(index: int, delta: str) -> str:
    return f"function_call_arguments.delta {index} {delta}"


def called(index: int, arguments: str, name: str = "f", status: str = "completed") -> list[str]:
    return [
        f"function_call_arguments.done {index} {arguments}",
        f"output_item.done {index} function_call {status} {name}",
    ]


STREAMS: dict[str, tuple[bytes, list[str]]] = {
    "text": (
        ROLE + text("Hel") + text("lo") + end(),
        [*BEGIN, *message(0, "Hel", "lo"), "completed completed 1"],
    ),
    "nothing": (ROLE + end(), [*BEGIN, *message(0), "completed completed 1"]),
    "only the end": (DONE, [*BEGIN, *message(0), "completed completed 1"]),
    "no usage, no end marker": (
        ROLE + text("a") + chunk({}, "stop"),
        [*BEGIN, *message(0, "a"), "completed completed 1"],
    ),
    "cut off by its limit": (
        text("a") + end("length"),
        [*BEGIN, *message(0, "a", status="incomplete"), "incomplete incomplete 1"],
    ),
    "reasoning, then text": (
        chunk({"reasoning_content": "th"})
        + chunk({"reasoning": "ink", "content": None})
        + text("a")
        + end("content_filter"),
        [
            *BEGIN,
            *item(0, "reasoning", "reasoning_text", "th", "ink"),
            *message(1, "a", status="incomplete"),
            "incomplete incomplete 2",
        ],
    ),
    "text in the chunk that ends it, usage too": (
        chunk({"content": "a"}, "stop", usage=COUNTS) + DONE,
        [*BEGIN, *message(0, "a"), "completed completed 1"],
    ),
    "a refusal after text": (
        text("a") + chunk({"refusal": "no"}) + end(),
        [
            *BEGIN,
            "output_item.added 0 message in_progress",
            "content_part.added 0.0 output_text",
            "output_text.delta 0.0 a",
            "output_text.done 0.0 a",
            "content_part.done 0.0 output_text",
            "content_part.added 0.1 refusal",
            "refusal.delta 0.1 no",
            "refusal.done 0.1 no",
            "content_part.done 0.1 refusal",
            "output_item.done 0 message completed",
            "completed completed 1",
        ],
    ),
    "a call": (
        text("a")
        + calls(piece(0, "", "f", "c1"))
        + calls(piece(0, '{"a"'))
        + calls(piece(0, ":1}"))
        + end("tool_calls"),
        [
            *BEGIN,
            *message(0, "a"),
            added(1),
            grown(1, '{"a"'),
            grown(1, ":1}"),
            *called(1, '{"a":1}'),
            "completed completed 2",
        ],
    ),
    "calls in turns": (
        calls(piece(0, "", "f", "c1"))
        + calls(piece(1, "[", "crm__f", "c2"))
        + calls(piece(0, "{}"), piece(1, "1"))
        + calls(piece(1, "]"))
        + end("tool_calls"),
        [
            *BEGIN,
            added(0),
            added(1),
            grown(1, "["),
            grown(0, "{}"),
            grown(1, "1"),
            grown(1, "]"),
            *called(0, "{}"),
            *called(1, "[1]"),
            "completed completed 2",
        ],
    ),
    "whole calls, all with the same index or none": (
        calls(piece(0, "1", "f", "c1"), piece(0, "2", "f", "c2"))
        + calls(piece(..., "3", "f"))
        + calls(piece(..., "4", "f"))
        + end("tool_calls"),
        [
            *BEGIN,
            added(0),
            grown(0, "1"),
            *called(0, "1"),
            added(1),
            grown(1, "2"),
            *called(1, "2"),
            added(2),
            grown(2, "3"),
            *called(2, "3"),
            added(3),
            grown(3, "4"),
            *called(3, "4"),
            "completed completed 4",
        ],
    ),
    "the name comes late, or twice, or never": (
        calls(piece(0, "{", None, "c1"))
        + calls(piece(0, "}", "f"))
        + calls(piece(0, " ", "f", "c1"))
        + calls(piece(1, "{}", "", "c2"))
        + end("tool_calls"),
        [
            *BEGIN,
            added(0),
            grown(0, "{}"),
            grown(0, " "),
            *called(0, "{} "),
            "output_item.added 1 function_call in_progress ",
            "function_call_arguments.done 1 {}",
            "output_item.done 1 function_call completed ",
            "completed completed 2",
        ],
    ),
    "a custom tool": (
        calls(piece(0, '{"inp', "apply_patch", "c1")) + calls(piece(0, 'ut":"a\\nb"}')) + end("tool_calls"),
        [
            *BEGIN,
            added(0, "apply_patch", "custom_tool_call"),
            "custom_tool_call_input.delta 0 a\nb",
            "custom_tool_call_input.done 0 a\nb",
            "output_item.done 0 custom_tool_call completed apply_patch",
            "completed completed 1",
        ],
    ),
    "a call cut off by the limit, text after it": (
        calls(piece(0, '{"a', "f", "c1")) + text("b") + end("length"),
        [
            *BEGIN,
            added(0),
            grown(0, '{"a'),
            *message(1, "b", status="incomplete"),
            *called(0, '{"a', status="incomplete"),
            "incomplete incomplete 2",
        ],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    stream, expected = STREAMS[name]
    assert outline(fed([stream])) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_wherever_it_is_cut(name: str) -> None:
    stream, _ = STREAMS[name]
    whole = fed([stream])
    assert all(fed(pieces) == whole for pieces in cuts(stream))
    for other in (stream.replace(b"\n", b"\r\n"), stream.removesuffix(b"\n\n")):
        assert fed([other]) == fed([other[i : i + 1] for i in range(len(other))]) == whole


def test_what_is_no_chunk_is_passed_over() -> None:
    noise = (
        b"data: {}\n\ndata: x\n\nevent: ping\n\ndata: [1]\n\n"
        + chunk([])
        + chunk({"content": 5, "tool_calls": 5, "reasoning": [], "refusal": {}})
        + b'data: {"choices":[{"index":1,"delta":{"content":"other"}},5]}\n\n'
    )
    after = text("late") + DONE + text("later") + DONE
    out = fed([noise + text("a") + chunk({}, "stop") + noise + after])
    assert outline(out) == [*BEGIN, *message(0, "a"), "completed completed 1"]


def test_a_client_sees_life() -> None:
    stage = CONVERTER.stream(body(), NOW)
    assert stage.feed(b": OPENROUTER PROCESSING\n\n") == [b":\n\n"]
    assert stage.feed(b": OPEN") == []
    assert stage.feed(b"ROUTER\n") == []
    assert stage.feed(b"\n") == [b":\n\n"]


def test_nothing_waits_that_could_leave() -> None:
    stage = CONVERTER.stream(body(), NOW)
    leaving = [stage.feed(one) for one in (ROLE, text("a"), text("b"), chunk({}, "stop"), USAGE, DONE)]
    assert [len(pieces) for pieces in leaving] == [1, 1, 1, 1, 0, 1]
    assert b"response.created" in leaving[0][0]
    assert leaving[2][0].count(b"event:") == 1
    assert b"response.output_item.done" in leaving[3][0]
    assert stage.close() == []


def test_the_last_event_holds_all() -> None:
    stream = (
        chunk({"reasoning_content": "t"}, service_tier="flex")
        + text("Hello")
        + calls(piece(0, "{}", "f", "c1"))
        + end("tool_calls")
    )
    out = fed([stream], instructions="Be brief", temperature=0.5)
    *_, before, last = parsed(out)
    response = last["response"]
    assert response["usage"]["total_tokens"] == 12
    assert (response["instructions"], response["temperature"], response["tools"]) == ("Be brief", 0.5, TOOLS)
    assert (response["id"], response["model"], response["created_at"]) == ("resp_abc", "m-1", 5)
    assert response["service_tier"] == "flex"
    assert [one["type"] for one in response["output"]] == ["reasoning", "message", "function_call"]
    assert response["output"][2] == before["item"]
    usage = Usage()
    watch = RESPONSES.watch(usage, hide_usage=False)
    assert b"".join([*watch.feed(out), *watch.close()]) == out
    assert usage == Usage(prompt_tokens=7, completion_tokens=5, total_tokens=12)


def test_no_usage_is_null() -> None:
    assert parsed(fed([text("a") + chunk({}, "stop") + DONE]))[-1]["response"]["usage"] is None


def test_a_request_on_several_lines_is_repeated_on_one() -> None:
    request = Body.parse(json.dumps({"model": "m", "input": "a\nb", "tools": TOOLS, "metadata": {}}, indent=1).encode())
    stage = CONVERTER.stream(request, NOW)
    out = b"".join(stage.feed(text("a") + end()) + stage.close())
    assert parsed(out)[0]["response"]["tools"] == TOOLS


def test_log_probabilities() -> None:
    told = {"content": [{"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": []}]}
    choice = {"index": 0, "delta": {"content": "H"}, "finish_reason": None, "logprobs": told}
    stream = chunk(choices=[choice]) + text("i") + end()
    events = parsed(fed([stream], include=["message.output_text.logprobs"]))
    entry = {"token": "H", "bytes": [72], "logprob": -0.5, "top_logprobs": []}
    found = [event["logprobs"] for event in events if "logprobs" in event]
    assert found == [[entry], [], [entry]]
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == [entry]
    assert all(not event["logprobs"] for event in parsed(fed([stream])) if "logprobs" in event)


def test_text_that_json_can_hardly_hold() -> None:
    halves = [
        b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % half for half in (b"\\ud83d", b"\\ude00")
    ]
    stream = b"".join([*halves, text('\u2028\x00"'), halves[0], end()])
    assert parsed_text(fed([stream])) == '\U0001f600\u2028\x00"\ud83d'


# Limits.


@pytest.mark.parametrize(
    "stream",
    [
        text("x" * 90) * 20,
        chunk({"reasoning": "x" * 90}) * 20,
        calls(piece(0, "x" * 90, "f", "c")) * 20,
        b"".join(calls(piece(i, "", "f", str(i))) for i in range(20)),
        (text("a") + chunk({"reasoning": "b"})) * 20,
        text("\x00" * 15) * 20,
    ],
)
def test_an_answer_that_is_too_long_to_be_kept(stream: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_LIMIT", 1_800)
    with pytest.raises(UpstreamReplyTooLarge, match="1800 bytes"):
        fed([stream])


def test_an_event_that_is_too_long() -> None:
    stage = CONVERTER.stream(body(), NOW)
    for _ in range(16):
        assert stage.feed(b"x" * 65_536) == []
    with pytest.raises(UpstreamReplyTooLarge, match="event too long"):
        stage.feed(b"x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "f", "stop", "length", "apply_patch"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["delta", "content", "tool_calls", "function", "name", "arguments", "id", "index", "finish_reason"]
            ),
            inner,
        )
    ),
    max_leaves=15,
)


@given(st.lists(st.fixed_dictionaries({"choices": st.lists(JSON, max_size=2), "usage": JSON, "id": JSON}), max_size=4))
def test_whatever_an_upstream_sends_is_a_stream_of_events(chunks: list[Any]) -> None:
    stream = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks)
    kinds = [event["type"] for event in parsed(fed([stream + DONE]))]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done") >= 1


# OpenAI's SDK.


def client(stream: bytes) -> openai.OpenAI:
    """The SDK, in front of a chat that streams this."""

    def converted(request: httpx2.Request) -> httpx2.Response:
        asked = Body.parse(request.content)
        assert json.loads(CONVERTER.request(asked, "m").raw_bytes)["stream"] is True
        stage = CONVERTER.stream(asked, NOW)
        content = b"".join([*stage.feed(stream), *stage.close()])
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=content)

    http = httpx2.Client(transport=httpx2.MockTransport(converted))
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)


COMPLETED = [name for name, (_, expected) in STREAMS.items() if expected[-1].startswith("completed")]


@pytest.mark.parametrize("name", COMPLETED)
def test_the_sdk_accumulates_every_stream(name: str) -> None:
    stream, expected = STREAMS[name]
    with client(stream).responses.stream(model="m", input="hi", tools=TOOLS) as events:  # type: ignore[arg-type]
        seen = [event.type for event in events]
        final = events.get_final_response()
    assert len(seen) == len(expected)
    assert final.output_text == parsed_text(fed([stream]))
    assert len(final.output) == int(expected[-1].rpartition(" ")[2])


def parsed_text(out: bytes) -> str:
    response = parsed(out)[-1]["response"]
    parts = [part for one in response["output"] if one["type"] == "message" for part in one["content"]]
    return "".join(part.get("text", "") for part in parts)


class Weather(BaseModel):
    city: str
    degrees: int


def test_the_sdk_parses_structured_output() -> None:
    stream = text('{"city":"Oslo",') + text('"degrees":3}') + end()
    with client(stream).responses.stream(model="m", input="hi", text_format=Weather) as events:
        final = events.get_final_response()
    assert final.output_parsed == Weather(city="Oslo", degrees=3)
    assert final.usage is not None
    assert final.usage.total_tokens == 12
