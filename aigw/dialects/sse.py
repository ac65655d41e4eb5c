"""Server-sent events, found in a stream of bytes without changing a byte.

https://html.spec.whatwg.org/multipage/server-sent-events.html: lines end with LF, CRLF or CR, a blank line ends an
event, a byte order mark may come first. An event here is its bytes, the blank line included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

EVENT_LIMIT = 1024 * 1024
"""Bytes of one event that are held back until it is whole."""

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = re.compile(rb"\n\n|[\n\r]\r\n?")
"""The end of a line and the blank line after it: CR before LF is one line end, so that pair is the only one missing."""
_BLANK_LINE_PART = 2
"""As many bytes of it may be here while the rest is not."""
USUAL_ENDS = (b"\n\n", b"\r\n\r\n")
"""What ends with one of them ends with a whole event, if it began with one."""


class EventSplitter:
    """Lets whole events pass, as many as there are, in one piece; keeps the beginning of the next one.

    It keeps ``limit`` bytes at most (or what one `feed` brought, if that is more). A longer event passes in pieces, as
    they come; ``overlong`` is true after a `feed` that left such an event unfinished. ``held``: what it keeps.
    """

    __slots__ = ("_limit", "held", "overlong")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.held = bytearray()
        self._limit = limit
        self.overlong = False

    def feed(self, data: bytes) -> bytes:
        """What may pass now."""
        if not self.held and data.endswith(USUAL_ENDS):
            self.overlong = False
            return data
        searched = max(0, len(self.held) - _BLANK_LINE_PART)
        self.held += data
        cut = whole_events(self.held, searched)
        if cut:
            self.overlong = False
        elif self.overlong or len(self.held) > self._limit:
            self.overlong = True
            cut = max(0, len(self.held) - _BLANK_LINE_PART)
        passing = bytes(self.held[:cut])
        del self.held[:cut]
        return passing

    def rest(self) -> bytes:
        """The beginning of an event that is kept."""
        return bytes(self.held)


def whole_events(buffer: bytes | bytearray, start: int = 0) -> int:
    """How many bytes are whole events; 0 if none ends after ``start``.

    CR after LF at the very end does not count yet: where lines end with CRLF, the event's own LF is still to come.
    """
    last = buffer.rfind(b"\n\n", start)
    if buffer.find(b"\r", start) >= 0:
        last = max(last, buffer.rfind(b"\n\r", start, -1), buffer.rfind(b"\r\r", start))
    if last < 0:
        return 0
    return last + 3 if buffer[last + 1 : last + 3] == b"\r\n" else last + 2


def events(stretch: bytes) -> Iterator[bytes]:
    """The events of a stretch of bytes, one by one; joined they are the stretch again."""
    start = 0
    if b"\r" in stretch:
        for blank in _BLANK_LINE.finditer(stretch):
            yield stretch[start : blank.end()]
            start = blank.end()
    else:
        while end := stretch.find(b"\n\n", start) + 1:
            yield stretch[start : end + 1]
            start = end + 1
    if start < len(stretch):
        yield stretch[start:]


def data_of(event: bytes) -> bytes:
    """The event's data: its ``data`` lines, joined by LF."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]  # one line, as nearly all are
    return b"\n".join(values_of(event, b"data"))


def event_name(event: bytes) -> bytes:
    """What its ``event`` line says; b"" = a plain message."""
    return next(reversed(values_of(event, b"event")), b"")


def values_of(event: bytes, field: bytes) -> list[bytes]:
    """The values of all lines of one field."""
    values = []
    for line in event.removeprefix(_BOM).splitlines():
        name, _, value = line.partition(b":")
        if name == field:
            values.append(value.removeprefix(b" "))
    return values
