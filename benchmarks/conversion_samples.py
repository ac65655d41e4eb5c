"""What clients ask and providers answer, in each dialect that is converted: an agent's chat with a tool, as vendors
document it. A dialect that is missing here is told by `benchmarks.conversions`, not measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from aigw.dialects.eventstream import encode

MODEL = "claude-sonnet-5-5"
_LONG = "Rayleigh scattering makes the sky blue: short waves are scattered far more than long ones. "
_PARAMETERS = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "Absolute path."}, "limit": {"type": "integer"}},
    "required": ["path"],
}
_ARGUMENTS = {"path": "/srv/app/main.py", "limit": 200}


@attrs.frozen(kw_only=True)
class Stream:
    """``kind``: what the stream is full of. ``event``: the one that comes again and again between begin and end."""

    kind: str
    begin: bytes
    event: bytes
    end: bytes


@attrs.frozen(kw_only=True)
class Provider:
    """What a provider of a dialect sends: streams and a complete answer."""

    answer: bytes
    streams: tuple[Stream, ...] = ()


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# Clients.


def _chat() -> Any:
    call = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": json.dumps(_ARGUMENTS)}}
    return {
        "model": "gpt",
        "messages": [
            {"role": "system", "content": "You are a careful programmer. " + _LONG * 4},
            {"role": "user", "content": "What does main.py do?"},
            {"role": "assistant", "content": "I read it.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": _LONG * 10},
            {"role": "user", "content": [{"type": "text", "text": "And why?"}]},
        ],
        "tools": [{"type": "function", "function": _tool("parameters")}],
        "max_completion_tokens": 4096,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _tool(schema: str) -> dict[str, Any]:
    return {"name": "read", "description": "Read a file.", schema: _PARAMETERS}


def _messages() -> Any:
    use = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": _ARGUMENTS}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": _LONG * 10}
    return {
        "model": "claude",
        "max_tokens": 4096,
        "system": [{"type": "text", "text": "You are a careful programmer. " + _LONG * 4}],
        "messages": [
            {"role": "user", "content": "What does main.py do?"},
            {"role": "assistant", "content": [{"type": "text", "text": "I read it."}, use]},
            {"role": "user", "content": [result, {"type": "text", "text": "And why?"}]},
        ],
        "tools": [_tool("input_schema")],
        "stream": True,
    }


def _responses() -> Any:
    call = {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": json.dumps(_ARGUMENTS)}
    return {
        "model": "gpt",
        "instructions": "You are a careful programmer. " + _LONG * 4,
        "input": [
            {"role": "user", "content": "What does main.py do?"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I read it."}]},
            call,
            {"type": "function_call_output", "call_id": "call_1", "output": _LONG * 10},
            {"role": "user", "content": [{"type": "input_text", "text": "And why?"}]},
        ],
        "tools": [{"type": "function", **_tool("parameters")}],
        "max_output_tokens": 4096,
        "store": False,
        "stream": True,
    }


REQUESTS: Mapping[str, bytes] = {
    "openai-chat": _compact(_chat()),
    "anthropic-messages": _compact(_messages()),
    "openai-responses": _compact(_responses()),
    "openai-embeddings": _compact({"model": "gpt", "input": [_LONG] * 8}),
}
"""By dialect of the client."""


# Providers.


def _named(kind: str, **members: Any) -> bytes:
    """An event of Anthropic's."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _compact({"type": kind, **members}))


def _anthropic() -> Provider:
    usage = {"input_tokens": 420, "cache_read_input_tokens": 2048, "output_tokens": 1}
    message = {"id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "model": MODEL}
    over = {"stop_reason": "end_turn", "stop_sequence": None}

    def stream(kind: str, block: Any, delta: Any) -> Stream:
        begun = _named("message_start", message={**message, "content": [], "stop_reason": None, "usage": usage})
        ended = _named("message_delta", delta=over, usage={"output_tokens": 512}) + _named("message_stop")
        return Stream(
            kind=kind,
            begin=begun + _named("content_block_start", index=0, content_block=block) + _named("ping"),
            event=_named("content_block_delta", index=0, delta=delta),
            end=_named("content_block_stop", index=0) + ended,
        )

    use = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}
    content = [{"type": "text", "text": _LONG * 5}, {**use, "input": _ARGUMENTS}]
    return Provider(
        answer=_compact({**message, "content": content, **over, "stop_reason": "tool_use", "usage": usage}),
        streams=(
            stream("text", {"type": "text", "text": ""}, {"type": "text_delta", "text": " scattering"}),
            stream(
                "thinking",
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "thinking_delta", "thinking": " scattering"},
            ),
            stream("tool", use, {"type": "input_json_delta", "partial_json": '"path": "/s'}),
        ),
    )


def _openai() -> Provider:
    frame = {"id": "chatcmpl-AbCdEfGhIjKlMnOp", "object": "chat.completion.chunk", "created": 1718000000, "model": "m"}
    counts = {"prompt_tokens": 420, "completion_tokens": 512, "total_tokens": 932}

    def chunk(delta: Any, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + _compact({**frame, "choices": [choice]}) + b"\n\n"

    def stream(kind: str, first: Any, delta: Any) -> Stream:
        usage = b"data: " + _compact({**frame, "choices": [], "usage": counts}) + b"\n\n"
        return Stream(
            kind=kind,
            begin=chunk({"role": "assistant", "content": "", **first}),
            event=chunk(delta),
            end=chunk({}, "stop") + usage + b"data: [DONE]\n\n",
        )

    function = {"name": "read", "arguments": ""}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    more = {"index": 0, "function": {"arguments": '"path": "/s'}}
    complete = {"id": "call_1", "type": "function", "function": {**function, "arguments": json.dumps(_ARGUMENTS)}}
    said = {"role": "assistant", "content": _LONG * 5, "refusal": None, "tool_calls": [complete]}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": "tool_calls"}
    return Provider(
        answer=_compact({**frame, "object": "chat.completion", "choices": [choice], "usage": counts}),
        streams=(
            stream("text", {}, {"content": " scattering"}),
            stream("thinking", {}, {"reasoning_content": " scattering"}),
            stream("tool", {"tool_calls": [call]}, {"tool_calls": [more]}),
        ),
    )


def _aws(kind: str, value: Any) -> bytes:
    """A message of an AWS event stream."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, _compact(value))


def _bedrock() -> Provider:
    usage = {"inputTokens": 420, "outputTokens": 512, "totalTokens": 932}
    use = {"toolUseId": "tooluse_1", "name": "read"}

    def stream(kind: str, first: bytes, delta: Any) -> Stream:
        ended = _aws("contentBlockStop", {"contentBlockIndex": 0}) + _aws("messageStop", {"stopReason": "end_turn"})
        return Stream(
            kind=kind,
            begin=_aws("messageStart", {"role": "assistant"}) + first,
            event=_aws("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta, "p": "abcdefghijklm"}),
            end=ended + _aws("metadata", {"usage": usage, "metrics": {"latencyMs": 900}}),
        )

    called = _aws("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": use}})
    content = [{"text": _LONG * 5}, {"toolUse": {**use, "input": _ARGUMENTS}}]
    message = {"role": "assistant", "content": content}
    return Provider(
        answer=_compact({"output": {"message": message}, "stopReason": "tool_use", "usage": usage, "metrics": {}}),
        streams=(
            stream("text", b"", {"text": " scattering"}),
            stream("thinking", b"", {"reasoningContent": {"text": " scattering"}}),
            stream("tool", called, {"toolUse": {"input": '"path": "/s'}}),
        ),
    )


def _vertex() -> Provider:
    vector = {"values": [0.0123456789] * 768, "statistics": {"token_count": 20, "truncated": False}}
    return Provider(answer=_compact({"predictions": [{"embeddings": vector}] * 8}))


_PROVIDERS: Mapping[str, Callable[[], Provider]] = {
    "anthropic-messages": _anthropic,
    "openai-chat": _openai,
    "bedrock-converse": _bedrock,
    "vertex-predict": _vertex,
}


def provider(dialect: str) -> Provider | None:
    """What is sent in a dialect; None if there is no sample."""
    return _PROVIDERS[dialect]() if dialect in _PROVIDERS else None
