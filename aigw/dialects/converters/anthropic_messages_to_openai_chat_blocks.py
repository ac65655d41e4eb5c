"""The content blocks of a message stream: one after the other, although a chat's tool calls may come interleaved.

The first block is live: what comes for it leaves at once. What comes for the others waits, in order, until the one
before them can be closed: a text as soon as something else begins, a call as soon as its arguments are a whole
object, or when the upstream says that it has finished. So nothing is lost, and nothing waits without need.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from aigw.dialects.converters.reading import Object
from aigw.dialects.rawjson import encode
from aigw.errors import UpstreamBadReply

HELD_LIMIT = 4 * 1024 * 1024
"""Bytes, roughly, that wait in all; more are refused."""
PIECE_COST = 100
"""Of a piece that waits, beside its characters, and of a block."""
MOST_CALLS = 1000

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')


class JSONExtent:
    """Sees, of a JSON text in pieces, when the object that it is has come to its end."""

    __slots__ = ("_depth", "_escaped", "_inside", "over")

    def __init__(self) -> None:
        self._depth = 0
        self._inside = self._escaped = self.over = False

    def feed(self, piece: str) -> None:
        """The next piece; each character is looked at once."""
        if not piece:
            return
        position = 1 if self._escaped else 0
        self._escaped = False
        while match := (_INSIDE if self._inside else _OUTSIDE).search(piece, position):
            position = match.end()
            if match[0] == '"':
                self._inside = not self._inside
            elif match[0] == "\\":
                self._escaped = position == len(piece)
                position += 1
            else:
                self._depth += 1 if match[0] in "{[" else -1
                self.over = self.over or self._depth <= 0


class Block:
    """One block. ``kind``: its type; ``waiting``: pieces that have not left yet."""

    __slots__ = ("closed", "kind", "signature", "started", "waiting")

    def __init__(self, kind: str, signature: str = "") -> None:
        self.kind = kind
        self.signature = signature
        self.waiting: list[str] = []
        self.started = self.closed = False

    @property
    def ready(self) -> bool:
        """May it start?"""
        return True

    @property
    def whole(self) -> bool:
        """May it be closed if there is another one? A text always: what is said later is another block."""
        return True

    def see(self, piece: str) -> None:
        """A piece of it has come."""

    def head(self) -> Object:
        """The block as it starts: empty."""
        return {"type": "text", "text": ""} if self.kind == "text" else _EMPTY_THINKING

    def delta(self, piece: str) -> bytes:
        """A piece as it leaves."""
        field = b"text" if self.kind == "text" else b"thinking"
        return b'{"type":"%b_delta","%b":%b}' % (field, field, encode(piece))


class Call(Block):
    """A tool call. ``superseded``: another call has taken its place, so no more of it will come."""

    __slots__ = ("_extent", "identity", "name", "superseded")

    def __init__(self, identity: str) -> None:
        super().__init__("tool_use")
        self.identity = identity
        self.name = ""
        self.superseded = False
        self._extent = JSONExtent()

    @property
    def ready(self) -> bool:
        """With its name, which all upstreams send first."""
        return self.name != ""

    @property
    def whole(self) -> bool:
        """Are its arguments?"""
        return self.superseded or self._extent.over

    def see(self, piece: str) -> None:
        """A piece of the arguments.

        :raises UpstreamBadReply: if it comes after the block had to be closed.
        """
        if self.closed and piece.strip():
            raise UpstreamBadReply("the upstream's stream goes on with a tool call that was complete")
        self._extent.feed(piece)

    def head(self) -> Object:
        """With the name, and without arguments."""
        return {"type": "tool_use", "id": self.identity, "name": self.name, "input": {}}

    def delta(self, piece: str) -> bytes:
        """A piece of the arguments."""
        return b'{"type":"input_json_delta","partial_json":%b}' % encode(piece)


class BlockWriter:
    """Writes blocks as events into ``out``."""

    def __init__(self, out: list[bytes]) -> None:
        self._out = out
        self._queue: deque[Block] = deque()
        self._index = 0
        self._held = 0

    def say(self, kind: str, piece: str, signature: str = "") -> None:
        """A piece of text or thinking goes on with the last block, if that is of its kind."""
        last = self._queue[-1] if self._queue else None
        if last is None or last.kind != kind or last.signature != signature:
            self._queue.append(last := Block(kind, signature))
            self._hold(PIECE_COST)
        self._give(last, piece)

    def add(self, call: Call) -> None:
        """A call begins."""
        self._queue.append(call)
        self._hold(PIECE_COST)

    def give(self, call: Call, arguments: str) -> None:
        """A piece of a call's arguments, or what else is new about it.

        :raises UpstreamBadReply: if the call was complete, or if too much would have to wait.
        """
        call.see(arguments)
        if not call.closed:
            self._give(call, arguments)

    def settle(self) -> None:
        """The upstream has finished: all but the last block can be closed.

        :raises UpstreamBadReply: if there is a call without a name.
        """
        self._advance(finished=True)

    def end(self) -> None:
        """Close the last block, too."""
        self._advance(finished=True)
        if self._queue:
            self._close()

    def _give(self, block: Block, piece: str) -> None:
        if block.started:
            self._send(block, piece)
        elif piece:
            block.waiting.append(piece)
            self._hold(len(piece) + PIECE_COST)
        self._advance(finished=False)

    def _hold(self, cost: int) -> None:
        self._held += cost
        if self._held > HELD_LIMIT:
            raise UpstreamBadReply("the upstream's stream interleaves tool calls too long to be put in order")

    def _advance(self, finished: bool) -> None:
        while self._queue:
            block = self._queue[0]
            if not block.started:
                if not block.ready and finished:
                    raise UpstreamBadReply("the upstream's stream has a tool call without a name")
                if not block.ready:
                    return
                self._start(block)
            if len(self._queue) == 1 or not (finished or block.whole):
                return
            self._close()

    def _start(self, block: Block) -> None:
        block.started = True
        self._event(b"content_block_start", b'"content_block":' + encode(block.head()))
        waiting = "".join(block.waiting)
        self._held -= len(waiting) + PIECE_COST * (len(block.waiting) + 1)
        block.waiting.clear()
        self._send(block, waiting)

    def _send(self, block: Block, piece: str) -> None:
        if piece:
            self._event(b"content_block_delta", b'"delta":' + block.delta(piece))

    def _close(self) -> None:
        block = self._queue.popleft()
        if block.signature:
            self._event(b"content_block_delta", b'"delta":' + encode(_signed(block.signature)))
        self._out.append(b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index)
        block.closed = True
        self._index += 1

    def _event(self, name: bytes, rest: bytes) -> None:
        self._out.append(b'event: %b\ndata: {"type":"%b","index":%d,%b}\n\n' % (name, name, self._index, rest))


def _signed(signature: str) -> dict[str, Any]:
    return {"type": "signature_delta", "signature": signature}


_EMPTY_THINKING = {"type": "thinking", "thinking": "", "signature": ""}
