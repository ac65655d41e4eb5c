"""The strict reading of a chunked request body (RFC 9112 section 7.1). Pure: bytes in, bytes out."""

from __future__ import annotations

import re

from aigw.errors import BadRequest
from aigw.proxy.head import read_field

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*)?")
_LONGEST_SIZE_LINE = 256
_LONGEST_TRAILER = 8 * 1024
_OVERHEAD = 64 * 1024


class Dechunker:
    """Takes the framing off one body, and its trailers: nothing of them is used, but they must be well-formed.

    ``finished``: the whole body was there; ``surplus`` is then what came behind it. Framing may cost 64 KiB more than
    the body itself: chunks of one byte each, or huge extensions, are an attack.
    """

    def __init__(self) -> None:
        self.finished = False
        self.surplus = b""
        self._rest = b""
        self._take = self._take_size
        self._left = 0
        self._framing = 0
        self._delivered = 0
        self._out: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """The part of the body that ``data`` completes.

        :raises BadRequest: for malformed framing; what came before it is lost.
        """
        data = self._rest + data
        self._rest = b""
        position, size = 0, len(data)
        while position < size and not self.finished:
            taken = self._take(data, position)
            if not taken:
                break
            position += taken
        if self.finished:
            self.surplus = data[position:]
        else:
            self._rest = data[position:]
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def _take_size(self, data: bytes, start: int) -> int:
        line = _line(data, start, _LONGEST_SIZE_LINE)
        if line is None:
            return 0
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise BadRequest("malformed chunk size")
        self._left = int(match[1], 16)
        self._take = self._take_data if self._left else self._take_trailer
        return self._charge(len(line) + 2)

    def _take_data(self, data: bytes, start: int) -> int:
        piece = data[start : start + self._left]
        self._out.append(piece)
        self._left -= len(piece)
        self._delivered += len(piece)
        if not self._left:
            self._take = self._take_data_end
        return len(piece)

    def _take_data_end(self, data: bytes, start: int) -> int:
        end = data[start : start + 2]
        if not b"\r\n".startswith(end):
            raise BadRequest("a chunk does not end with CRLF")
        if len(end) < 2:
            return 0
        self._take = self._take_size
        return self._charge(2)

    def _take_trailer(self, data: bytes, start: int) -> int:
        line = _line(data, start, _LONGEST_TRAILER)
        if line is None:
            return 0
        if line:
            read_field(line)
        else:
            self.finished = True
        return self._charge(len(line) + 2)

    def _charge(self, framing: int) -> int:
        self._framing += framing
        if self._framing > _OVERHEAD + self._delivered:
            raise BadRequest("too much chunk framing for so little data")
        return framing


def _line(data: bytes, start: int, longest: int) -> bytes | None:
    """The line that begins at ``start``, without its CRLF; None = its end has not come yet."""
    end = data.find(b"\r\n", start, start + longest + 2)
    if end >= 0:
        return data[start:end]
    if len(data) - start >= longest + 2:
        raise BadRequest("a line of chunk framing is too long")
    if data.find(b"\n", start) >= 0:
        raise BadRequest("a line of chunk framing does not end with CRLF")
    return None
