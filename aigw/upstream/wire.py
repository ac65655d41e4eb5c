"""The upstream's side of HTTP/1.1, read without I/O: bytes in, one head and the bytes of its body out (RFC 9112).

This module never sees a socket. It never raises: a reply that breaks the rules is an `ReplyParser.error` after all that
was readable before it, so the outcome doesn't depend on how the network cut the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aigw.errors import UpstreamBadReply, UpstreamError, UpstreamReplyTooLarge
from aigw.upstream.chunked import ChunkedDecoder
from aigw.upstream.head import Head, parse_head

MAX_HEAD = 65536
"""Bytes of one head."""

MAX_INTERIM = 16
"""Interim (1xx) heads before the real one."""

_END = b"\r\n\r\n"
_START = b"HTTP/1."
_BARE_LF = re.compile(rb"(?<!\r)\n").search


class ReplyParser:
    """One reply, from its first byte to its last.

    ``head``: once it is complete. ``complete``: so is the body. ``excess``: bytes came after the end, so the connection
    is out of step. ``chunks``: reads the body, if it comes in chunks. ``error``: the reply can't be relayed; nothing
    more will be read.
    """

    __slots__ = (
        "_bodiless",
        "_buffer",
        "_interim",
        "_left",
        "_peer",
        "_step",
        "chunks",
        "complete",
        "error",
        "excess",
        "head",
    )

    def __init__(self, peer: str, *, bodiless: bool = False) -> None:
        """``peer``: who answers, for messages. ``bodiless``: the request was a HEAD."""
        self.head: Head | None = None
        self.complete = False
        self.excess = False
        self.error: UpstreamError | None = None
        self._peer = peer
        self._bodiless = bodiless
        self._buffer: bytearray | None = None  # an incomplete head
        self._interim = 0
        self._left = 0  # bytes of a body with Content-Length still to come
        self.chunks: ChunkedDecoder | None = None
        # A plain function, not a bound method: that would be a reference cycle in each request.
        self._step: Callable[[ReplyParser, bytes], bytes] = ReplyParser._read_head

    def feed(self, data: bytes) -> bytes:
        """Read some bytes; returns those of the body among them, in one piece and without copying where possible."""
        return self._step(self, data)

    def close(self) -> bool:
        """Nothing will follow, and that was said properly (FIN, and close_notify on TLS). Is the reply complete?"""
        if self._step is ReplyParser._read_until_close:
            self.complete = True
        return self.complete

    @property
    def close_delimited(self) -> bool:
        """Only the end of the connection tells where the body ends."""
        return self._step is ReplyParser._read_until_close

    def _read_head(self, data: bytes) -> bytes:
        end = -1 if self._buffer is not None else data.find(_END)
        try:
            if 0 <= end <= MAX_HEAD:
                self._begin(parse_head(data[:end], self._peer, bodiless=self._bodiless))
                rest = data[end + 4 :]
            else:
                rest = self._accumulate(data)
        except UpstreamError as e:
            return self._fail(e)
        return self._step(self, rest) if rest else b""

    def _accumulate(self, data: bytes) -> bytes:
        """Add to a head that comes in pieces; when it's complete, decide how to go on. Returns what follows it."""
        buffer = self._buffer
        if buffer is None:
            buffer = self._buffer = bytearray()
        searched = max(len(buffer) - 3, 0)
        buffer += data
        end = buffer.find(_END, searched)
        if not 0 <= end <= MAX_HEAD:
            self._judge_beginning(buffer, searched)
            return b""
        self._buffer = None
        self._begin(parse_head(bytes(buffer[:end]), self._peer, bodiless=self._bodiless))
        return bytes(buffer[end + 4 :])

    def _judge_beginning(self, buffer: bytearray, searched: int) -> None:
        """Refuse early what can't become a head, instead of waiting for its end."""
        if not buffer.startswith(_START[: len(buffer)]):
            raise UpstreamBadReply(f"{self._peer} answered with something that is not HTTP/1")
        if _BARE_LF(buffer, searched, MAX_HEAD):
            raise UpstreamBadReply(f"{self._peer} answered with a bare line feed in its head")
        if len(buffer) > MAX_HEAD + 3:
            raise UpstreamReplyTooLarge(f"{self._peer} answered with a head of more than {MAX_HEAD} bytes")

    def _begin(self, head: Head) -> None:
        """Go on with what ``head`` announces."""
        if head.code < 200:
            self._interim += 1
            if head.code == 101 or self._interim > MAX_INTERIM:
                raise UpstreamBadReply(f"{self._peer} answered with an unexpected {head.code}")
            return
        self.head = head
        if head.chunked:
            self.chunks = ChunkedDecoder(self._peer)
            self._step = ReplyParser._read_chunks
        elif head.length is None:
            self._step = ReplyParser._read_until_close
        elif head.length:
            self._left = head.length
            self._step = ReplyParser._read_length
        else:
            self._finish()

    def _read_length(self, data: bytes) -> bytes:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        self._finish()
        if left == 0:
            return data
        self.excess = True
        return data[:left]

    def _read_until_close(self, data: bytes) -> bytes:
        return data

    def _read_chunks(self, data: bytes) -> bytes:
        chunks = self.chunks
        assert chunks is not None
        body = chunks.feed(data)
        if chunks.complete:
            self._finish()
            self.excess = chunks.excess
        elif chunks.error is not None:
            self._fail(chunks.error)
        return body

    def _finish(self) -> None:
        self.complete = True
        self._step = ReplyParser._read_excess

    def _fail(self, error: UpstreamError) -> bytes:
        self.error = error
        self._step = ReplyParser._ignore
        return b""

    def _read_excess(self, data: bytes) -> bytes:
        self.excess = True
        return b""

    def _ignore(self, data: bytes) -> bytes:
        return b""
