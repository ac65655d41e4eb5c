"""A stream of chat completion chunks as one of Anthropic's Messages API.

``message_start`` leaves with the first chunk, which rarely knows how long the prompt was: ``message_delta`` tells all
counts again, once the stream is over, because usage comes after the finish reason. Comments become pings.
"""

from __future__ import annotations

from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.anthropic_messages_to_openai_chat_answer import (
    call_id,
    message_head,
    signature_of,
    stop_of,
    text_in,
    usage_object,
)
from aigw.dialects.converters.anthropic_messages_to_openai_chat_blocks import MOST_CALLS, BlockWriter, Call
from aigw.dialects.converters.reading import Object
from aigw.dialects.openai_chat import first_choice
from aigw.dialects.rawjson import encode, object_of
from aigw.dialects.reasoning import reasoning_in
from aigw.dialects.sse import EventSplitter, data_of, events
from aigw.dialects.usage import Usage, record
from aigw.errors import InvalidJSON, UpstreamBadReply

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_LONGEST_NAMES = 1024 * 1024
"""Characters of names and ids in one stream."""
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class MessageStream:
    """A `ConvertedStream`."""

    def __init__(self, request: Body) -> None:
        self._request = request
        self._splitter = EventSplitter()
        self._usage = Usage()
        self._out: list[bytes] = []
        self._blocks = BlockWriter(self._out)
        self._calls = CallsInStream(self._blocks)
        self._began = self._ended = self._refused = False
        self._finish: Object = {}

    def feed(self, data: bytes) -> list[bytes]:
        """The events that these bytes make.

        :raises UpstreamBadReply: if they can't be put into Anthropic's order, or if an event is too long to be read.
        """
        commented = False
        for event in events(self._splitter.feed(data)):
            commented = self._take(event) or commented
        if self._splitter.overlong:
            raise UpstreamBadReply("the upstream's stream has an event too long to be converted")
        if commented and not self._out and not self._ended:
            return [_PING]
        return self._leaving()

    def close(self) -> list[bytes]:
        """The end, if ``[DONE]`` has not brought it yet."""
        for event in events(self._splitter.rest()):
            self._take(event)
        self._end()
        return self._leaving()

    def _leaving(self) -> list[bytes]:
        if not self._out:
            return []
        leaving = b"".join(self._out)
        self._out.clear()
        return [leaving]

    def _take(self, event: bytes) -> bool:
        """Convert an event; was it a comment?"""
        data = data_of(event)
        if self._ended or not data:
            return event.startswith(b":")
        if data.strip() == b"[DONE]":
            self._end()
            return False
        chunk = object_of(data)
        if isinstance(chunk.get("choices"), list):
            self._take_chunk(chunk, data)
        return False

    def _take_chunk(self, chunk: Object, data: bytes) -> None:
        record(self._usage, chunk.get("usage"))
        if not self._began:
            self._begin(chunk, data)
        choice = first_choice(chunk)
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._take_delta(delta)
        if choice.get("finish_reason"):
            self._finish = choice
            self._blocks.settle()

    def _take_delta(self, delta: Object) -> None:
        field, thought = reasoning_in(delta)
        if thought:
            self._blocks.say("thinking", thought, signature_of(field))
        if text := text_in(delta):
            self._blocks.say("text", text)
        self._refused = self._refused or bool(delta.get("refusal"))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._calls.take(call)

    def _begin(self, chunk: Object, data: bytes) -> None:
        self._began = True
        head = message_head(chunk, data, self._request)
        self._calls.message = head["id"]
        empty: Object = {"content": [], "stop_reason": None, "stop_sequence": None}
        message = {**head, **empty, "usage": usage_object(self._usage)}
        self._send("message_start", {"message": message})
        self._out.append(_PING)

    def _end(self) -> None:
        if self._ended:
            return
        if not self._began:
            self._begin({}, b"")
        self._ended = True
        self._blocks.end()
        reason, sequence = "refusal", None
        if not self._refused:
            reason, sequence = stop_of(self._finish, self._calls.count > 0, self._request)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        self._send("message_delta", {"delta": delta, "usage": usage_object(self._usage)})
        self._out.append(_STOP)

    def _send(self, name: str, members: Object) -> None:
        self._out.append(b"event: %b\ndata: %b\n\n" % (name.encode(), encode({"type": name, **members})))


class CallsInStream:
    """Which call a delta goes on with.

    OpenAI numbers them with ``index`` and names each once. Others leave the index out, or give all of them the same
    one: then another ``id`` with a name tells that another call begins.
    """

    def __init__(self, blocks: BlockWriter) -> None:
        self.message = ""
        self.count = 0
        self._blocks = blocks
        self._remembered = 0
        self._by_index: dict[int | None, Call] = {}
        self._last: Call | None = None

    def take(self, delta: Object) -> None:
        """One item of ``tool_calls``.

        :raises UpstreamBadReply: as in `BlockWriter.give`, or if there are too many.
        """
        function = delta.get("function")
        function = function if isinstance(function, dict) else {}
        name, identity = _string(function.get("name")), _string(delta.get("id"))
        call = self._known(delta.get("index"), identity, name)
        if call is None:
            call = self._new(delta.get("index"), identity)
        if not call.name:
            self._account(name)
            call.name = name
        self._last = call
        self._blocks.give(call, _arguments(function.get("arguments")))

    def _known(self, index: Any, identity: str, name: str) -> Call | None:
        call = self._by_index.get(index) if type(index) is int else self._last
        if call is None or not name:
            return call
        another = identity not in ("", call.identity) or (type(index) is not int and not identity)
        if another and call.name:
            call.superseded = True
            return None
        return call

    def _new(self, index: Any, identity: str) -> Call:
        self.count += 1
        self._account(identity)
        if self.count > MOST_CALLS:
            raise UpstreamBadReply(f"the upstream's stream has more than {MOST_CALLS} tool calls")
        call = Call(call_id(identity, self.message, self.count))
        if type(index) is int:
            self._by_index[index] = call
        self._blocks.add(call)
        return call

    def _account(self, remembered: str) -> None:
        self._remembered += len(remembered)
        if self._remembered > _LONGEST_NAMES:
            raise UpstreamBadReply("the upstream's stream has tool calls with endless names")


def _arguments(value: Any) -> str:
    """A piece of JSON text; some servers send the object itself."""
    try:
        return encode(value).decode() if isinstance(value, dict) else _string(value)
    except InvalidJSON:
        raise UpstreamBadReply("the upstream's stream is nested too deeply") from None


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
