"""Which header fields of a Reply reach the client, and in what form.

A field that could end a line, or that is about one connection only, does not get out, wherever it came from. Upstreams
repeat themselves, so fields that were checked before are remembered, as far as they can hold no secret.
"""

from __future__ import annotations

import functools
import re

from aigw.exchange import HOP_BY_HOP, Exchange, HeaderList
from aigw.received import tokens
from aigw.remembered import FieldMemory

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_is_value = re.compile(rb"[\t -~\x80-\xff]*").fullmatch
_OF_THE_CONNECTION = HOP_BY_HOP | {b"http2-settings", b"proxy-authorization"}
_OURS = {b"content-length", b"date", b"server", b"x-aigw-attempts", b"x-aigw-instance", b"x-aigw-request-id"}
_DROPPED = _OF_THE_CONNECTION | _OURS
_THEIR_ID = b"x-request-id: "


def outgoing(headers: HeaderList, exchange: Exchange) -> HeaderList:
    """The header fields that go out, but for those that the wire adds: Server, Date, how long the body is.

    An upstream's own ``X-Request-Id`` stays, for its support knows no other; ours is then ``X-AIGW-Request-Id``.
    """
    fields = [line.partition(b": ") for line in outgoing_lines(headers, exchange).split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in fields]


def outgoing_lines(headers: HeaderList, exchange: Exchange) -> bytes:
    """The same as they are written in HTTP/1, each with its line end."""
    lines = [*map(_known.__getitem__, headers)]
    if b"" in lines:
        lines = [*map(_known.__getitem__, _without_named(headers))]
    theirs = b"".join(lines)
    # No value holds a line end, and `_beginning` gives this name one spelling.
    told = theirs.startswith(_THEIR_ID) or b"\n" + _THEIR_ID in theirs
    id = exchange.id.encode()
    ours = b"X-AIGW-Request-Id: %b\r\n" % id if told else b"X-Request-Id: %b\r\n" % id
    attempts = exchange.attempts
    return theirs + ours + _tried(attempts[-1].instance, len(attempts)) if attempts else theirs + ours


def _without_named(headers: HeaderList) -> HeaderList:
    """What a Connection field names is about the connection, too."""
    named = tokens(value for name, value in headers if name.lower() == b"connection")
    return [field for field in headers if field[0].lower() not in named]


class _Lines(FieldMemory[tuple[bytes, bytes], bytes]):
    """From fields to their lines as they go out, empty if they never do."""

    def __missing__(self, field: tuple[bytes, bytes]) -> bytes:
        name, value = field
        begins, value = _beginning(name), value.strip(b" \t")
        line = b"%b%b\r\n" % (begins, value) if begins and _is_value(value) else b""
        if begins != _THEIR_ID:  # which is another one each time
            self.keep(name.lower(), field, sum(map(len, field)) + len(b": \r\n"), line)
        return line


_known = _Lines()


@functools.lru_cache(maxsize=1024)
def _beginning(name: bytes) -> bytes:
    """Of a field's line; empty if the field never goes out."""
    lower = name.lower()
    if lower in _DROPPED or _NAME.fullmatch(name) is None:
        return b""
    return _THEIR_ID if lower == b"x-request-id" else name + b": "


@functools.lru_cache(maxsize=1024)
def _tried(instance: str, attempts: int) -> bytes:
    value = instance.encode("utf-8", "replace")
    told = b"X-AIGW-Instance: %b\r\n" % value if _is_value(value) else b""
    return b"%bX-AIGW-Attempts: %d\r\n" % (told, attempts)
