"""The chunked transfer coding, read (RFC 9112 section 7.1). This module is pure.

Sizes are strict hexadecimal, lines end in CR LF and in nothing else, extensions are bounded and ignored, trailers are
checked, bounded and dropped.
"""

from __future__ import annotations

import re

from aigw.errors import UpstreamBadReply, UpstreamError, UpstreamReplyTooLarge
from aigw.remembered import remember

MAX_TRAILERS = 8192
"""Bytes of a whole trailer section."""

_MAX_SIZE_LINE = 512
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:[ \t]{0,16}+;[\t -~\x80-\xff]{0,470}+)?\r\n").match
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n\0]*+").fullmatch
_CRLF = b"\r\n"
_LONGEST_REMEMBERED = 18
_sizes: dict[bytes, int] = {}
"""What lines in front of chunks say that were read before: most chunks are about as long as others were."""


class ChunkedDecoder:
    """One chunked body: feed it bytes as they come, get what they carry.

    ``complete``: the last chunk and the trailers are in. ``excess``: bytes came after that. ``error``: the coding is
    broken; what was readable before the break has been returned.
    """

    __slots__ = ("_in_trailers", "_owed", "_partial", "_peer", "_trailed", "complete", "error", "excess")

    def __init__(self, peer: str) -> None:
        self.complete = False
        self.excess = False
        self.error: UpstreamError | None = None
        self._peer = peer
        self._partial = b""  # the beginning of a line whose end hasn't come yet
        self._owed = 0  # bytes to come of the chunk being read, its line end included
        self._in_trailers = False
        self._trailed = 0  # bytes of complete trailer lines

    def whole(self, data: bytes) -> bytes:
        """What ``data`` carries, if it is exactly one chunk, written as we would; else nothing. Changes nothing."""
        if self._owed or self._partial or self._in_trailers:
            return b""
        end = data.find(_CRLF, 0, _LONGEST_REMEMBERED)
        carried = data[end + 2 : -2]
        return carried if data[:end] == b"%x" % len(carried) and data.endswith(_CRLF) else b""

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in ``data``, joined over all chunks in it."""
        if self._owed >= len(data) + 2:
            self._owed -= len(data)  # the usual case inside a large chunk: nothing to copy
            return data
        pieces: list[bytes] = []
        try:
            if self._owed or self._partial or self._in_trailers:
                self._go_on(data, pieces)
            else:
                self._read_chunks(data, 0, pieces)
        except UpstreamError as e:
            self.error = e
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _go_on(self, data: bytes, pieces: list[bytes]) -> None:
        """Read from where the last arrival ended."""
        position = self._read_owed(data, 0, pieces) if self._owed else 0
        if self._partial:
            data, self._partial = self._partial + data, b""
        if self._in_trailers:
            self._read_trailers(data, position)
        else:
            self._read_chunks(data, position, pieces)

    def _read_chunks(self, data: bytes, position: int, pieces: list[bytes]) -> None:
        total = len(data)
        while position < total:
            end = data.find(_CRLF, position, position + _LONGEST_REMEMBERED)
            size = _sizes.get(data[position:end]) if end > 0 else None
            start = end + 2
            if size is None:
                line = _SIZE_LINE(data, position)
                if line is None:
                    self._keep_beginning(data[position : position + _MAX_SIZE_LINE + 1], _MAX_SIZE_LINE)
                    return
                size = int(line[1], 16)
                start = line.end()
                if start - 2 == end:
                    remember(_sizes, data[position:end], size)
            if not size:
                self._in_trailers = True
                self._read_trailers(data, start)
                return
            position = start + size + 2
            if data.startswith(_CRLF, position - 2):
                pieces.append(data[start : position - 2])
            else:
                self._owed = size + 2
                self._read_owed(data, start, pieces)

    def _read_owed(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Read what is there of a chunk that is not, or not known to be, here whole; returns where that ends."""
        line_end = position + max(self._owed - 2, 0)
        end = position + self._owed
        if position < line_end and position < len(data):
            pieces.append(data[position:line_end])
        if not _CRLF[-min(self._owed, 2) :].startswith(data[line_end:end]):
            raise UpstreamBadReply(f"{self._peer} sent a chunk that is longer than it said")
        self._owed = max(end - len(data), 0)
        return end

    def _read_trailers(self, data: bytes, position: int) -> None:
        while (end := data.find(_CRLF, position)) != position:
            length = (end if end >= 0 else len(data)) - position
            if self._trailed + length > MAX_TRAILERS:
                raise UpstreamReplyTooLarge(f"{self._peer} sent more than {MAX_TRAILERS} bytes of trailer fields")
            if end < 0:
                self._keep_beginning(data[position:], MAX_TRAILERS)
                return
            if not _TRAILER(data, position, end):
                raise UpstreamBadReply(f"{self._peer} sent an invalid trailer field")
            self._trailed += length + 2
            position = end + 2
        self.complete = True
        self.excess = end + 2 < len(data)

    def _keep_beginning(self, line: bytes, limit: int) -> None:
        """Keep ``line`` until its end comes, if it can be the beginning of a valid one."""
        if b"\n" in line or len(line) > limit:
            raise UpstreamBadReply(f"{self._peer} sent an invalid line between chunks")
        self._partial = line
