"""A reply whose head is the one before it from its origin, byte for byte but for the length. This module is pure.

Upstreams that do not number their replies repeat themselves, on all connections, until their clock moves on. What is
repeated means the same, so it need not be read again. A cookie may be a secret of one connection: it is not kept.
"""

from __future__ import annotations

from aigw.upstream.head import Head

LONGEST = 2048
"""Bytes of a head that is kept."""

MOST_PASSED = 63
"""Replies that pass, at most, before a head is kept again, where none is ever repeated."""

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_LONGEST_LENGTH = 18


class Repeated:
    """The head that was read last, if it may be known again. Empty until `learn`."""

    __slots__ = ("_after", "_before", "_head", "_length", "_passes", "_to_pass")

    def __init__(self) -> None:
        self._head: Head | None = None
        self._before = self._length = self._after = b""
        self._to_pass = 0  # replies until the next one is learnt
        self._passes = 0  # what that is set to then: the more was learnt in vain, the more

    def whole_in(self, data: bytes) -> tuple[Head, bytes] | None:
        """Head and body, if ``data`` is this head again with all of its body and nothing after it."""
        head = self._head
        if head is None or not data.startswith(self._before):
            return None
        start = len(self._before)
        end = data.find(self._after, start, start + _LONGEST_LENGTH + len(self._after))
        length, body = data[start:end], data[end + len(self._after) :]
        if end < 0 or not length.isdigit() or len(body) != int(length):
            return None
        if length != self._length:
            self._length = length
            self._head = head = Head(*head[:5], len(body), *head[6:])
        self._passes = self._to_pass = 0
        return head, body

    def learn(self, data: bytes, head: Head, body: bytes) -> None:
        """Keep a head to which there was a body. ``data``: the whole reply."""
        if self._to_pass:
            self._to_pass -= 1
            return
        self._to_pass, self._passes = self._passes, min(2 * self._passes + 1, MOST_PASSED)
        block = data[: len(data) - len(body)]
        lower = block.lower()
        if (
            len(block) > LONGEST
            or block.find(_END) + len(_END) < len(block)  # there was another head before it
            or lower.count(_LENGTH) != 1
            or head.length != len(body)
            or b"content-length" in head.names  # which then doesn't tell of a body
            or b"set-cookie" in head.names
        ):
            return
        field = lower.find(_LENGTH) + len(_LENGTH)
        value = block[field : block.index(b"\r\n", field)]
        length = value.strip(b" \t")
        start = field + value.index(length)
        if length.isdigit():
            self._before, self._length, self._after = block[:start], length, block[start + len(length) :]
            self._head = head
