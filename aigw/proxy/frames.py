"""The lengths of HTTP/2 frames, seen as early as can be. Pure."""

from __future__ import annotations

FRAME_HEADER = 9
"""Bytes (RFC 9113 section 4.1)."""


class FrameLengths:
    """Watches frame headers go by: h2 looks at a frame's length only when it has gathered all of it, up to 16 MiB."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._skip = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._header = b""

    def find_oversized(self, data: bytes) -> bool:
        """Is there the header of a frame that is too long ?"""
        position = 0
        while position < len(data):
            skipped = min(self._skip, len(data) - position)
            self._skip -= skipped
            start = position + skipped
            position = start + FRAME_HEADER - len(self._header)
            self._header += data[start:position]
            if len(self._header) == FRAME_HEADER:
                self._skip, self._header = int.from_bytes(self._header[:3], "big"), b""
                if self._skip > self._longest:
                    return True
        return False
