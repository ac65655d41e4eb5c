"""Which header fields of a Reply reach the client, and in what form.

A field that could end a line, or that is about one connection only, does not get out, wherever it came from.
"""

from __future__ import annotations

import functools
import re

from aigw.exchange import HOP_BY_HOP, Exchange, HeaderList
from aigw.proxy.head import tokens

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_is_value = re.compile(rb"[\t -~\x80-\xff]*").fullmatch
_OF_THE_CONNECTION = HOP_BY_HOP | {b"http2-settings", b"proxy-authorization"}
_OURS = {b"content-length", b"date", b"server", b"x-aigw-attempts", b"x-aigw-instance", b"x-aigw-request-id"}
_DROPPED = _OF_THE_CONNECTION | _OURS


def outgoing(headers: HeaderList, exchange: Exchange) -> HeaderList:
    """The header fields that go out, but for those that the wire adds: Server, Date, how long the body is.

    An upstream's own ``X-Request-Id`` stays, for its support knows no other; ours is then ``X-AIGW-Request-Id``.
    """
    names = [_checked(name) for name, _ in headers]
    sent = [(name, value.strip(b" \t")) for name, value in headers]
    if b"" in names or not _is_value(b"".join([value for _, value in sent])):
        sent = _filtered(sent)
        names = [_checked(name) for name, _ in sent]
    ours = b"X-AIGW-Request-Id" if b"x-request-id" in names else b"X-Request-Id"
    sent.append((ours, exchange.id.encode("ascii", "replace")))
    if exchange.attempts:
        sent += _instance(exchange.attempts[-1].instance)
        sent.append((b"X-AIGW-Attempts", b"%d" % len(exchange.attempts)))
    return sent


def _filtered(headers: HeaderList) -> HeaderList:
    named = tokens(value for name, value in headers if name.lower() == b"connection")
    return [field for field in headers if _checked(field[0]) not in (b"", *named) and _is_value(field[1])]


@functools.lru_cache(maxsize=1024)
def _checked(name: bytes) -> bytes:
    """A field's name in lower case; empty if the field never goes out, whatever its value is."""
    lower = name.lower()
    return b"" if lower in _DROPPED or _NAME.fullmatch(name) is None else lower


@functools.lru_cache(maxsize=1024)
def _instance(name: str) -> tuple[tuple[bytes, bytes], ...]:
    value = name.encode("utf-8", "replace")
    return ((b"X-AIGW-Instance", value),) if _is_value(value) else ()
