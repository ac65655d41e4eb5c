"""Which header fields of a Reply reach the client, and in what form.

A field that could end a line, or that is about one connection only, does not get out, wherever it came from. Upstreams
repeat themselves, so fields that were checked before are remembered, as far as they can hold no secret.
"""

from __future__ import annotations

import functools
import re

from aigw.exchange import HOP_BY_HOP, Exchange, HeaderList
from aigw.received import tokens
from aigw.remembered import may_be_secret, remember_by

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_is_value = re.compile(rb"[\t -~\x80-\xff]*").fullmatch
_OF_THE_CONNECTION = HOP_BY_HOP | {b"http2-settings", b"proxy-authorization"}
_OURS = {b"content-length", b"date", b"server", b"x-aigw-attempts", b"x-aigw-instance", b"x-aigw-request-id"}
_DROPPED = _OF_THE_CONNECTION | _OURS
_THEIR_ID = b"x-request-id: "
_known: dict[tuple[bytes, bytes], bytes] = {}


def outgoing(headers: HeaderList, exchange: Exchange) -> HeaderList:
    """The header fields that go out, but for those that the wire adds: Server, Date, how long the body is.

    An upstream's own ``X-Request-Id`` stays, for its support knows no other; ours is then ``X-AIGW-Request-Id``.
    """
    fields = [line.partition(b": ") for line in outgoing_lines(headers, exchange).split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in fields]


def outgoing_lines(headers: HeaderList, exchange: Exchange) -> bytes:
    """The same as they are written in HTTP/1, each with its line end."""
    known = _known.get
    lines = [known(field) or _line(field) for field in headers]
    if b"" in lines:
        lines = list(map(_line, _without_named(headers)))
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


def _line(field: tuple[bytes, bytes]) -> bytes:
    """A field as it goes out; empty if it never does."""
    name, value = field
    begins, repeats = _beginning(name)
    value = value.strip(b" \t")
    if not begins or not _is_value(value):
        return b""
    line = b"%b%b\r\n" % (begins, value)
    if repeats:
        remember_by(_known, field, len(line), line)
    return line


@functools.lru_cache(maxsize=1024)
def _beginning(name: bytes) -> tuple[bytes, bool]:
    """Of a field's line, empty if the field never goes out; is it one that is worth remembering, and may be?"""
    lower = name.lower()
    if lower in _DROPPED or _NAME.fullmatch(name) is None:
        return b"", False
    if lower == b"x-request-id":
        return _THEIR_ID, False
    return name + b": ", not may_be_secret(lower)


@functools.lru_cache(maxsize=1024)
def _tried(instance: str, attempts: int) -> bytes:
    value = instance.encode("utf-8", "replace")
    told = b"X-AIGW-Instance: %b\r\n" % value if _is_value(value) else b""
    return b"%bX-AIGW-Attempts: %d\r\n" % (told, attempts)
