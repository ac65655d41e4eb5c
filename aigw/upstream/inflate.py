"""Undo gzip and deflate in bounded steps, so that a decompression bomb meets the back-pressure of its reader."""

from __future__ import annotations

import zlib

from aigw.errors import UpstreamBadReply

PIECE = 256 * 1024
"""The most bytes that one `Inflater.take` yields."""


class Inflater:
    """Compressed bytes in (`feed`), decoded pieces out (`take`). RFC 9110 section 8.4.1: gzip, and deflate with or
    without its zlib wrapper (many servers leave it away).
    """

    def __init__(self, encoding: bytes) -> None:
        self._gzip = encoding != b"deflate"
        self._decoder = zlib.decompressobj(31) if self._gzip else zlib.decompressobj()
        self._input = b""
        self._begun = False
        self._may_hold_more = False

    @property
    def finished(self) -> bool:
        """Did the compressed stream reach its end?"""
        return self._decoder.eof or not self._begun

    def feed(self, data: bytes) -> None:
        """Compressed bytes as they arrive."""
        self._input += data

    def take(self) -> bytes | None:
        """The next decoded piece, or None if more input is needed.

        :raises UpstreamBadReply: if the input is no valid compressed data.
        """
        while self._input or self._may_hold_more:
            piece = self._decompress()
            if piece:
                return piece
        return None

    def _decompress(self) -> bytes:
        if self._decoder.eof:
            self._next_member()
            if self._decoder.eof:
                return b""
        source, self._input = self._input, b""
        if not self._begun and not self._gzip and source and source[0] & 0x0F != 8:
            self._decoder = zlib.decompressobj(-15)
        self._begun = True
        try:
            piece = self._decoder.decompress(source, PIECE)
        except zlib.error:
            raise UpstreamBadReply("the upstream's compressed reply is damaged") from None
        self._input = self._decoder.unconsumed_tail or self._decoder.unused_data
        self._may_hold_more = len(piece) == PIECE and not self._decoder.eof
        return piece

    def _next_member(self) -> None:
        """A gzip stream may be several, one behind the other; bytes behind a deflate stream mean nothing."""
        if self._gzip and self._input:
            self._decoder = zlib.decompressobj(31)
        else:
            self._input = b""
            self._may_hold_more = False
