"""What a model says in OpenAI's chat format, as values and as bytes on the wire.

https://platform.openai.com/docs/api-reference/chat and .../chat-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
WEATHER_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
}


def completion(
    text: str = "Hello", *, model: str = "fake", tool_calls: Sequence[Mapping[str, Any]] = (), usage: Any = USAGE
) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": None if tool_calls else text}
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if tool_calls else "stop"}
    return {**_object("chat.completion", model), "choices": [choice], "usage": usage}


def chunk(delta: Mapping[str, Any], *, finish: str | None = None, model: str = "fake") -> dict[str, Any]:
    """One piece of an answer."""
    choice = {"index": 0, "delta": dict(delta), "finish_reason": finish}
    return {**_object("chat.completion.chunk", model), "choices": [choice]}


def usage_chunk(*, model: str = "fake", usage: Any = USAGE) -> dict[str, Any]:
    """The extra piece for those who asked for usage."""
    return {**_object("chat.completion.chunk", model), "choices": [], "usage": usage}


def stream(
    pieces: Sequence[str] = ("Hel", "lo"),
    *,
    model: str = "fake",
    tool_calls: Sequence[Mapping[str, Any]] = (),
    with_usage: bool = False,
) -> Iterator[bytes]:
    """A whole answer, event by event."""
    yield event(chunk({"role": "assistant", "content": None if tool_calls else ""}, model=model))
    deltas: Iterator[Mapping[str, Any]] = _call_deltas(tool_calls) if tool_calls else ({"content": p} for p in pieces)
    for delta in deltas:
        yield event(chunk(delta, model=model))
    yield event(chunk({}, finish="tool_calls" if tool_calls else "stop", model=model))
    if with_usage:
        yield event(usage_chunk(model=model))
    yield DONE


def event(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def error(status: int, message: str = "told to fail") -> dict[str, Any]:
    """What comes with a status that is not 200."""
    return {"error": {"message": message, "type": "fake_error", "param": None, "code": str(status)}}


def _call_deltas(calls: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """A call's name comes first, then its arguments, bit by bit."""
    for index, call in enumerate(calls):
        function = call["function"]
        named = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
        yield {"tool_calls": [named]}
        for start in range(0, len(function["arguments"]), 5):
            part = function["arguments"][start : start + 5]
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def _object(kind: str, model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "object": kind, "created": 1_700_000_000, "model": model}
