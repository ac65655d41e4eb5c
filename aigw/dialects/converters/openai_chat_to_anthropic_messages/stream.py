"""Anthropic's stream of a message as ``chat.completion.chunk`` events, each as soon as its cause is here.

From https://platform.claude.com/docs/en/build-with-claude/streaming to
https://platform.openai.com/docs/api-reference/chat-streaming. Pings become comments, so that a client sees life while
the model thinks. An event that says nothing to a chat, or that is not as Anthropic has it, is skipped: failures and a
missing end are noticed by the provider's `Watch`, before this stage.
"""

from __future__ import annotations

from typing import Any

import attrs

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_anthropic_messages.answer import arguments_of
from aigw.dialects.converters.openai_chat_to_anthropic_messages.tools import has_functions_only
from aigw.dialects.converters.openai_chat_to_anthropic_messages.wire import (
    EVENT,
    Block,
    Counts,
    Delta,
    Event,
    explanation,
    finish_reason,
)
from aigw.dialects.converters.reading import Object
from aigw.dialects.openai_chat import wants_usage
from aigw.dialects.rawjson import encode, struct_of
from aigw.dialects.sse import EventSplitter, data_of, events
from aigw.errors import UpstreamBadReply

MOST_OPEN_CALLS = 256
"""Calls of tools whose arguments are still coming; Anthropic sends one after the other."""

_DONE = b"data: [DONE]\n\n"
_PING = b": ping\n\n"
_NO_DELTA = b"{}"


@attrs.define
class _Call:
    """A call of a tool that is open. ``input``: what it is called with if no arguments come."""

    index: int
    input: Any
    came: bool = False


class ChunkStream:
    """A `ConvertedStream`. Its frame around each delta is put together once."""

    def __init__(self, request: Body, now: int) -> None:
        self._now = now
        self._functions_only = has_functions_only(request)
        self._wants_usage = wants_usage(request)
        self._splitter = EventSplitter()
        self._counts = Counts()
        self._calls: dict[int, _Call] = {}
        self._called = 0
        self._finished = False
        self._over = False
        model = request.get("model")
        self._frame("", model if isinstance(model, str) else "")

    def feed(self, data: bytes) -> list[bytes]:
        """The chunks that the whole events so far make, in one piece.

        :raises UpstreamBadReply: if an event is too long to be read.
        """
        passing = self._splitter.feed(data)
        if self._splitter.overlong:
            raise UpstreamBadReply("the upstream sent an event that is too long to be converted")
        return self._converted(passing)

    def close(self) -> list[bytes]:
        """An end marker that lacks its blank line."""
        return self._converted(self._splitter.rest())

    def _converted(self, stretch: bytes) -> list[bytes]:
        texts = events(stretch) if b"\r" in stretch else stretch.split(b"\n\n")
        out = b"".join([self._chunk_of(text) for text in texts if text])
        return [out] if out else []

    def _frame(self, message_id: str, model: str) -> None:
        """What stands before and behind every delta."""
        head = {"id": message_id, "object": "chat.completion.chunk", "created": self._now, "model": model}
        self._start = b"data: " + encode(head)[:-1] + b',"choices":['
        usage = b',"usage":null' if self._wants_usage else b""
        self._before = self._start + b'{"index":0,"delta":'
        self._behind = b',"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"
        self._before_text = self._before + b'{"content":'
        self._behind_text = b"}" + self._behind

    def _chunk_of(self, text: bytes) -> bytes:
        """What an event becomes; nothing, for most kinds."""
        if self._over:
            return b""
        data = _data_of(text)
        if not data:
            return _PING if text.lstrip(b"\r\n").startswith(b":") else b""
        event = struct_of(EVENT, data)
        if event is None:
            return b""
        if event.type == "content_block_delta" and event.delta is not None:
            return self._more(event.index, event.delta)
        return self._other(event)

    def _more(self, index: int, delta: Delta) -> bytes:
        match delta.type:
            case "text_delta":
                return self._before_text + encode(delta.text) + self._behind_text
            case "thinking_delta":
                return self._chunk({"reasoning_content": delta.thinking}) if delta.thinking else b""
            case "input_json_delta":
                return self._arguments(index, delta.partial_json)
            case _:
                return b""

    def _other(self, event: Event) -> bytes:
        match event.type:
            case "ping":
                return _PING
            case "message_start":
                return self._begun(event)
            case "content_block_start" if event.content_block is not None:
                return self._block(event.index, event.content_block)
            case "content_block_stop":
                return self._block_ended(event.index)
            case "message_delta":
                return self._ending(event)
            case "message_stop":
                return self._ended()
            case _:
                return b""

    def _chunk(self, delta: Object) -> bytes:
        return self._before + encode(delta) + self._behind

    def _begun(self, event: Event) -> bytes:
        if event.message is not None:
            self._counts.tell(event.message.usage)
            self._frame(event.message.id, event.message.model)
        return self._chunk({"role": "assistant", "content": ""})

    def _block(self, index: int, block: Block) -> bytes:
        if block.type == "tool_use":
            return self._call(index, block)
        if block.type == "text" and block.text:
            return self._chunk({"content": block.text})
        if block.type == "thinking" and block.thinking:
            return self._chunk({"reasoning_content": block.thinking})
        return b""

    # Calls of tools.

    def _call(self, index: int, block: Block) -> bytes:
        if len(self._calls) >= MOST_OPEN_CALLS:
            raise UpstreamBadReply("the upstream calls too many tools at once")
        self._calls[index] = call = _Call(index=self._called, input=block.input)
        self._called += 1
        function = {"name": block.name, "arguments": ""}
        if self._functions_only:
            return self._chunk({"function_call": function})
        return self._chunk(
            {"tool_calls": [{"index": call.index, "id": block.id, "type": "function", "function": function}]}
        )

    def _arguments(self, index: int, part: str) -> bytes:
        call = self._calls.get(index)
        if call is None or not part:
            return b""
        call.came = True
        function = {"arguments": part}
        if self._functions_only:
            return self._chunk({"function_call": function})
        return self._chunk({"tool_calls": [{"index": call.index, "function": function}]})

    def _block_ended(self, index: int) -> bytes:
        """A call without arguments streams none; what OpenAI's clients parse then is an empty object."""
        call = self._calls.get(index)
        last = self._arguments(index, arguments_of(call.input)) if call is not None and not call.came else b""
        self._calls.pop(index, None)
        return last

    # The end.

    def _ending(self, event: Event) -> bytes:
        self._counts.tell(event.usage)
        delta = event.delta
        if delta is None or delta.stop_reason is None or self._finished:
            return b""
        refusal = explanation(delta.stop_details) if delta.stop_reason == "refusal" else None
        said = self._chunk({"refusal": refusal}) if refusal is not None else b""
        return said + self._finish(delta.stop_reason)

    def _finish(self, stop_reason: str | None) -> bytes:
        self._finished = True
        reason = finish_reason(stop_reason, self._functions_only).encode()
        return (
            self._before + _NO_DELTA + self._behind.replace(b'"finish_reason":null', b'"finish_reason":"%b"' % reason)
        )

    def _ended(self) -> bytes:
        self._over = True
        finish = b"" if self._finished else self._finish(None)
        usage = self._start + b'],"usage":' + encode(self._counts.as_openai) + b"}\n\n" if self._wants_usage else b""
        return finish + usage + _DONE


def _data_of(event: bytes) -> bytes:
    """The event's data, found at once where it is the line behind the event's name, as Anthropic writes it."""
    start = event.find(b"\ndata: ")
    if start > 0 and start == event.rfind(b"\n") and event.startswith(b"event: ") and b"\r" not in event:
        return event[start + 7 :]
    return data_of(event)
