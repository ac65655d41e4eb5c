"""Which header fields of a Reply reach the client, and in what form. Pure.

A field that could end a line, or that is about one connection only, does not get out, wherever it came from.
"""

from __future__ import annotations

import re

from aigw.exchange import Exchange, HeaderList
from aigw.proxy.head import tokens

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")
_OF_THE_CONNECTION = {
    b"connection",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
_OURS = {b"content-length", b"date", b"server", b"x-aigw-attempts", b"x-aigw-instance", b"x-aigw-request-id"}
_DROPPED = frozenset(_OF_THE_CONNECTION | _OURS)


def outgoing(headers: HeaderList, exchange: Exchange, date: bytes) -> HeaderList:
    """The header fields that go out, but for those that say how long the body is.

    An upstream's own ``X-Request-Id`` stays, for its support knows no other; ours is then ``X-AIGW-Request-Id``.
    """
    named = tokens(value for name, value in headers if name.lower() == b"connection")
    kept = [
        (name, value.strip(b" \t"))
        for name, value in headers
        if name.lower() not in _DROPPED and name.lower() not in named and _is_whole(name, value)
    ]
    theirs = any(name.lower() == b"x-request-id" for name, _ in kept)
    kept.append((b"X-AIGW-Request-Id" if theirs else b"X-Request-Id", exchange.id.encode("ascii", "replace")))
    return kept + _attempts(exchange) + [(b"Server", b"aigw"), (b"Date", date)]


def _attempts(exchange: Exchange) -> HeaderList:
    if not exchange.attempts:
        return []
    instance = exchange.attempts[-1].instance.encode("utf-8", "replace")
    fields = [(b"X-AIGW-Instance", instance), (b"X-AIGW-Attempts", b"%d" % len(exchange.attempts))]
    return [(name, value) for name, value in fields if _is_whole(name, value)]


def _is_whole(name: bytes, value: bytes) -> bool:
    return _NAME.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None
