"""Requests of HTTP/1.1, cut out of a stream of bytes; just strict enough for a fake server. No I/O."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)


@attrs.define(kw_only=True, eq=False)
class Received:
    """A request as it arrived.

    ``head``: raw, with the empty line. ``connection``: which of the server's, counted from 1. ``nth``: of its
    connection, from 1. ``at``: when it was read. ``left``: when the other side closed before the answer was over; None
    = it did not. ``written``: bytes of the answer so far. Times are of the server's clock.
    """

    head: bytes = b""
    body: bytes = b""
    connection: int = 0
    nth: int = 0
    at: float = 0.0
    left: float | None = None
    written: int = 0

    @property
    def method(self) -> str:
        """As in the request line."""
        return self.head.partition(b" ")[0].decode("latin-1")

    @property
    def target(self) -> str:
        """As in the request line: path and query."""
        return self.head.partition(b"\r\n")[0].split(b" ")[1].decode("latin-1")

    @property
    def headers(self) -> dict[str, str]:
        """Lower-case name -> value; several of one name are joined by a comma."""
        found: dict[str, str] = {}
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            name, colon, value = line.partition(":")
            if colon:
                name, value = name.lower(), value.strip()
                found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class RequestReader:
    """Bytes in, requests out. ``head``: of the request that is under way, once that is complete."""

    def __init__(self) -> None:
        self.head: bytes | None = None
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Some bytes arrived."""
        self._buffer += data
        if self.head is None:
            self._read_head()

    def take(self) -> Received | None:
        """The next request, once it is complete."""
        if self.head is None:
            return None
        found = self._chunked() if _CHUNKED.search(self.head) else self._counted(self.head)
        if found is None:
            return None
        body, end = found
        request = Received(head=self.head, body=body)
        del self._buffer[:end]
        self.head = None
        self._read_head()
        return request

    def _read_head(self) -> None:
        end = self._buffer.find(_HEAD_END) + len(_HEAD_END)
        if end >= len(_HEAD_END):
            self.head = bytes(self._buffer[:end])
            del self._buffer[:end]

    def _counted(self, head: bytes) -> tuple[bytes, int] | None:
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        return (bytes(self._buffer[:size]), size) if len(self._buffer) >= size else None

    def _chunked(self) -> tuple[bytes, int] | None:
        pieces: list[bytes] = []
        position = 0
        while True:
            line_end = self._buffer.find(b"\r\n", position)
            if line_end < 0:
                return None
            size = int(bytes(self._buffer[position:line_end]).partition(b";")[0], 16)
            start, position = line_end + 2, line_end + 2 + size + 2
            if len(self._buffer) < position:
                return None
            if not size:
                return b"".join(pieces), position
            pieces.append(bytes(self._buffer[start : start + size]))
