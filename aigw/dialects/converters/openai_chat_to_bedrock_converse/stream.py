"""AWS's event stream of an answer as ``chat.completion.chunk`` events, each as soon as its cause is here.

From https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html to
https://platform.openai.com/docs/api-reference/chat-streaming. An event that says nothing to a chat, or that is not as
Bedrock has it, is skipped: failures and a missing end are noticed by the provider's `Watch`, before this stage.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from aigw.dialects.bedrock_stream import event_type
from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_bedrock_converse.answer import (
    called,
    completion_id,
    model_of,
    reasoning_of,
)
from aigw.dialects.converters.openai_chat_to_bedrock_converse.wire import (
    EVENT,
    Block,
    Event,
    ToolUse,
    chat_usage,
    finish_reason,
)
from aigw.dialects.converters.reading import Object
from aigw.dialects.eventstream import MessageSplitter, payload_of
from aigw.dialects.openai_chat import wants_usage
from aigw.dialects.rawjson import encode, struct_of
from aigw.errors import UpstreamBadReply

MOST_OPEN_CALLS = 256
"""Calls of tools whose arguments are still coming."""

_DONE = b"data: [DONE]\n\n"
_NO_ARGUMENTS = "{}"


@attrs.define
class _Call:
    """A call of a tool that is open. ``came``: have any arguments?"""

    index: int
    came: bool = False


class ChunkStream:
    """A `ConvertedStream`. Its frame around each delta is put together once."""

    def __init__(self, request: Body, now: int) -> None:
        self._now = now
        self._model = model_of(request)
        self._wants_usage = wants_usage(request)
        self._splitter = MessageSplitter()
        self._calls: dict[int, _Call] = {}
        self._called = 0
        self._begun = False
        self._finished = False
        self._over = False
        self._failure: UpstreamBadReply | None = None
        self._start = self._before = self._behind = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The chunks that the whole messages so far make, in one piece.

        :raises UpstreamBadReply: if they are none that could be converted, then or at the next call: what came before
            leaves first.
        """
        leaving = b"" if self._failure is not None else b"".join(self._chunks(self._splitter.feed(data)))
        return [leaving] if leaving else self._nothing()

    def close(self) -> list[bytes]:
        """The end marker, if no usage came before it."""
        if self._over or not self._finished:
            return self._nothing()
        self._over = True
        return [_DONE]

    def _nothing(self) -> list[bytes]:
        if self._failure is not None:
            raise self._failure
        return []

    def _chunks(self, messages: list[bytes]) -> Iterator[bytes]:
        try:
            for message in messages:
                yield self._chunks_of(message)
            if self._splitter.broken and not self._over:
                raise UpstreamBadReply(f"the upstream's event stream is broken: {self._splitter.broken}")
        except UpstreamBadReply as failure:
            self._failure = failure

    def _chunks_of(self, message: bytes) -> bytes:
        """What a message becomes; nothing, for some kinds."""
        kind = "" if self._over else event_type(message)
        event = struct_of(EVENT, payload_of(message)) if kind else None
        if event is None:
            return b""
        begin = b"" if self._begun else self._begin(message)
        return begin + self._converted(kind, event)

    def _converted(self, kind: str, event: Event) -> bytes:
        match kind:
            case "contentBlockDelta" if event.delta is not None:
                return self._more(event.content_block_index, event.delta)
            case "contentBlockStart" if event.start is not None and event.start.tool_use is not None:
                return self._call(event.content_block_index, event.start.tool_use)
            case "contentBlockStop":
                return self._block_ended(event.content_block_index)
            case "messageStop" if not self._finished:
                return self._finish(event.stop_reason)
            case "metadata" if self._finished:
                return self._end(event)
        return b""

    def _begin(self, message: bytes) -> bytes:
        """The role, and what stands before and behind every delta from now on."""
        self._begun = True
        head = {
            "id": completion_id(message, self._now),
            "object": "chat.completion.chunk",
            "created": self._now,
            "model": self._model,
        }
        self._start = b"data: " + encode(head)[:-1] + b',"choices":['
        self._before = self._start + b'{"index":0,"delta":'
        self._behind = b"}]" + (b',"usage":null' if self._wants_usage else b"") + b"}\n\n"
        return self._chunk({"role": "assistant", "content": ""})

    def _chunk(self, delta: Object, finish: str | None = None) -> bytes:
        reason = b',"logprobs":null,"finish_reason":' + encode(finish)
        return self._before + encode(delta) + reason + self._behind

    def _more(self, index: int, delta: Block) -> bytes:
        if delta.text:
            return self._chunk({"content": delta.text})
        if delta.tool_use is not None:
            part = delta.tool_use.input
            return self._arguments(index, part) if isinstance(part, str) else b""
        thinking = reasoning_of(delta)
        return self._chunk({"reasoning_content": thinking}) if thinking else b""

    # Calls of tools.

    def _call(self, index: int, use: ToolUse) -> bytes:
        if not called(use):
            return b""
        if len(self._calls) >= MOST_OPEN_CALLS:
            raise UpstreamBadReply("the upstream calls too many tools at once")
        self._calls[index] = call = _Call(index=self._called)
        self._called += 1
        function = {"name": use.name, "arguments": ""}
        return self._chunk(
            {"tool_calls": [{"index": call.index, "id": use.tool_use_id, "type": "function", "function": function}]}
        )

    def _arguments(self, index: int, part: str) -> bytes:
        call = self._calls.get(index)
        if call is None or not part:
            return b""
        call.came = True
        return self._chunk({"tool_calls": [{"index": call.index, "function": {"arguments": part}}]})

    def _block_ended(self, index: int) -> bytes:
        """A call without arguments may stream none; what OpenAI's clients parse then is an empty object."""
        call = self._calls.get(index)
        last = self._arguments(index, _NO_ARGUMENTS) if call is not None and not call.came else b""
        self._calls.pop(index, None)
        return last

    # The end.

    def _finish(self, stop_reason: str) -> bytes:
        last = self._chunk({}, finish_reason(stop_reason))
        self._finished = True
        return last

    def _end(self, event: Event) -> bytes:
        self._over = True
        if not self._wants_usage:
            return _DONE
        return self._start + b'],"usage":' + encode(chat_usage(event.usage)) + b"}\n\n" + _DONE
