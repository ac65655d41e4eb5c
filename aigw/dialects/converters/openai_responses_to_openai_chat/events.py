"""The events of a response's items, numbered in the order in which they leave.

https://platform.openai.com/docs/api-reference/responses-streaming. An item is added, its parts grow by deltas, each
part and then the item are done, with all of what they hold. The reasoning of models that hide nothing is
``response.reasoning_text`` (https://cookbook.openai.com/articles/gpt-oss/handle-raw-cot). The text of a custom tool
comes in one delta, because it is known only when the JSON around it is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw

from aigw.dialects.converters.openai_responses_to_openai_chat.response import (
    Envelope,
    Text,
    reasoning_part,
    refusal_part,
    text_part,
)
from aigw.dialects.converters.reading import Object
from aigw.dialects.rawjson import encode
from aigw.errors import UpstreamReplyTooLarge

ANSWER_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer that are kept, because its last event repeats them; a longer one is cut off with an error."""
_ITEM_COST = 512


class Sender:
    """Numbers events, and keeps what the last one repeats within a limit."""

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self._number = 0
        self._kept = 0

    def send(self, kind: str, members: Object) -> None:
        """An event."""
        data = encode({"type": kind, "sequence_number": self._number, **members})
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._number += 1

    def send_delta(self, head: bytes, delta: bytes, tail: bytes) -> None:
        """The event that nearly all are: only number and text (encoded) differ from the one before."""
        self._out.append(b"%b%d%b%b}\n\n" % (head, self._number, tail, delta))
        self._number += 1

    def ping(self) -> None:
        """A comment, so that the client sees life."""
        self._out.append(b":\n\n")

    def keep(self, size: int) -> None:
        """:raises UpstreamReplyTooLarge: if more than `ANSWER_LIMIT` would have to be kept."""
        self._kept += size
        if self._kept > ANSWER_LIMIT:
            raise UpstreamReplyTooLarge(
                f"the upstream's answer is over {ANSWER_LIMIT} bytes, which the last event would have to repeat"
            )

    def leaving(self) -> list[bytes]:
        """All that was sent since the last time, in one piece."""
        if not self._out:
            return []
        piece = b"".join(self._out)
        self._out.clear()
        return [piece]


class _Growing:
    """A text that grows, as the inside of a JSON string: no byte more is kept than the last event takes."""

    def __init__(self) -> None:
        self._inside = bytearray()

    def grow(self, encoded: bytes) -> None:
        """More of it, encoded."""
        self._inside += encoded[1:-1]

    @property
    def encoded(self) -> bytes:
        """All of it."""
        return b'"' + self._inside + b'"'


class _Part:
    """A part that grows: its text, and what its deltas begin and go on with."""

    def __init__(self, kind: str, place: Object) -> None:
        self.kind = kind
        self.text = _Growing()
        self.logprobs: list[Raw] = []
        where = encode(place)[1:-1]
        name = f"response.{kind}.delta".encode()
        self.head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name)
        self.tail = b"," + where + (b',"logprobs":[]' if kind == "output_text" else b"") + b',"delta":'

    def whole(self, text: Text) -> Object:
        """The part with this text."""
        if self.kind == "reasoning_text":
            return reasoning_part(text)
        return refusal_part(text) if self.kind == "refusal" else text_part(text, self.logprobs)


class Speech:
    """An item with parts that is open: a message, or reasoning. ``index``: its place in the output."""

    def __init__(self, sender: Sender, envelope: Envelope, index: int, *, reasoning: bool) -> None:
        self.reasoning = reasoning
        self._sender = sender
        self.index = index
        self._item = envelope.reasoning if reasoning else envelope.message
        self._id = self._item(index, [], "in_progress")["id"]
        self._done: list[Object] = []
        self._part: _Part | None = None
        sender.keep(_ITEM_COST)
        sender.send("response.output_item.added", {"output_index": index, "item": self._item(index, [], "in_progress")})

    def grow(self, kind: str, text: str, logprobs: Sequence[Object] = ()) -> None:
        """More of the part of this kind; a part of another kind is done then."""
        part = self._part
        if part is None or part.kind != kind:
            part = self._open(kind)
        encoded = encode(text)
        self._sender.keep(len(encoded))
        part.text.grow(encoded)
        if logprobs:
            self._grow_with(part, text, logprobs)
        elif text:
            self._sender.send_delta(part.head, encoded, part.tail)

    def end(self, status: str) -> Raw:
        """The item is done; what it is."""
        self._end_part()
        item = Raw(encode(self._item(self.index, self._done, status)))
        self._sender.send("response.output_item.done", {"output_index": self.index, "item": item})
        return item

    @property
    def _place(self) -> Object:
        return {"item_id": self._id, "output_index": self.index, "content_index": len(self._done)}

    def _open(self, kind: str) -> _Part:
        self._end_part()
        self._part = part = _Part(kind, self._place)
        self._sender.keep(_ITEM_COST)
        self._sender.send("response.content_part.added", {**self._place, "part": part.whole("")})
        return part

    def _grow_with(self, part: _Part, text: str, logprobs: Sequence[Object]) -> None:
        encoded = [Raw(encode(logprob)) for logprob in logprobs]
        self._sender.keep(sum(map(len, map(bytes, encoded))))
        part.logprobs += encoded
        self._sender.send(f"response.{part.kind}.delta", {**self._place, "delta": text, "logprobs": encoded})

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        text = Raw(part.text.encoded)
        said: Object = {"refusal" if part.kind == "refusal" else "text": text}
        if part.kind == "output_text":
            said["logprobs"] = part.logprobs
        self._sender.send(f"response.{part.kind}.done", {**self._place, **said})
        whole = part.whole(text)
        self._sender.send("response.content_part.done", {**self._place, "part": whole})
        self._done.append(whole)


class Call:
    """A call that is open. It is added as soon as its name is known; until then its arguments wait.

    ``given``: the id that the upstream gave it, or "". ``index``: its place in the output.
    """

    def __init__(self, sender: Sender, envelope: Envelope, index: int, identity: str) -> None:
        self.given = identity
        self.name = ""
        self._identity = envelope.call_id(identity, index)
        self._sender = sender
        self._envelope = envelope
        self.index = index
        self._text = _Growing()
        self._delta: tuple[bytes, bytes] | None = None
        self._place: Object = {}
        sender.keep(_ITEM_COST)

    def grow(self, name: str, text: str) -> None:
        """More of its arguments; its name, once."""
        encoded = encode(text)
        self._sender.keep(len(encoded))
        self._text.grow(encoded)
        if not self.name and name:
            self._begin(name)
            encoded = self._text.encoded
        if len(encoded) > len(b'""') and self._delta is not None:
            self._sender.send_delta(self._delta[0], encoded, self._delta[1])

    def end(self, status: str) -> Raw:
        """The item is done; what it is."""
        if not self.name:
            self._begin("")
        arguments = Raw(self._text.encoded)
        item = self._envelope.call(self.index, self._identity, self.name, arguments, status)
        if "input" in item:
            self._sender.send("response.custom_tool_call_input.delta", {**self._place, "delta": item["input"]})
            self._sender.send("response.custom_tool_call_input.done", {**self._place, "input": item["input"]})
        else:
            done = {**self._place, "name": item["name"], "arguments": arguments}
            self._sender.send("response.function_call_arguments.done", done)
        self._sender.send("response.output_item.done", {"output_index": self.index, "item": item})
        return Raw(encode(item))

    def _begin(self, name: str) -> None:
        self.name = name
        item = self._envelope.call(self.index, self._identity, name, "", "in_progress")
        self._place = {"item_id": item["id"], "output_index": self.index}
        self._sender.send("response.output_item.added", {"output_index": self.index, "item": item})
        if "input" not in item:
            kind = b"response.function_call_arguments.delta"
            head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (kind, kind)
            self._delta = head, b"," + encode(self._place)[1:-1] + b',"delta":'
