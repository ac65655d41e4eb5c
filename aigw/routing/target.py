"""What a client sent, as what routes are matched by: a request target as a path, a Host header as a host.

Two spellings of one path must not be two paths here: what a client can spell differently, it can slip past a route.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote_to_bytes

_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=]*)(?::[0-9]{0,5})?")
_LONGEST_HOST = 255
_LONGEST_REMEMBERED = 256


def origin_form(raw_target: bytes) -> bytes:
    """Path and query of a request target: an absolute one loses scheme and authority (RFC 9112 section 3.2.2)."""
    if raw_target.startswith(b"/"):
        return raw_target
    absolute = _ABSOLUTE.match(raw_target)
    if absolute is None:
        return raw_target
    rest = raw_target[absolute.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def normalise(raw_target: bytes) -> str:
    """The path of a request target: percent-decoded once, dot segments resolved (RFC 3986 sections 2.1 and 5.2.4).

    Dots count after decoding, and so does an encoded slash: ``/a/%2e%2e%2fb`` is ``/b``, as in nginx. Repeated slashes
    stay. Bytes that are no UTF-8 become U+FFFD: they equal no text that a route is written in, hide no byte that does,
    and can be logged. ``*`` (for OPTIONS) stays, and no route takes it.

    :raises ValueError: for a target in no form above, a bad escape, a NUL, or a fragment in the path (an upstream would
        see another path than we do).
    """
    path = raw_target.partition(b"?")[0]
    return _remembered(path) if len(path) <= _LONGEST_REMEMBERED else _normalised(path)


def _normalised(path: bytes) -> str:
    path = origin_form(path)
    if b"#" in path:
        raise ValueError("a fragment in the request target")
    if b"%" in path:
        path = _decoded(path)
    if b"\0" in path:
        raise ValueError("a NUL in the request target")
    if not path.startswith(b"/"):
        if path == b"*":
            return "*"
        raise ValueError("the request target is neither a path nor an absolute URL")
    if b"/." in path:
        path = _resolved(path)
    return path.decode("utf-8", "replace")


_remembered = functools.lru_cache(maxsize=1024)(_normalised)
"""Clients repeat few paths; queries, which may hold credentials, are not remembered."""


@functools.lru_cache(maxsize=512)
def host_of(header: bytes) -> str:
    """The host that a Host header names: lower case, without port and final dot; an IPv6 address keeps its brackets.

    An empty one (a client may have none to send) is ``""``.

    :raises ValueError: if it is not a host of at most 255 characters with or without a port (RFC 9110 section 7.2).
    """
    match = _HOST.fullmatch(header)
    if match is None or len(match[1]) > _LONGEST_HOST:
        raise ValueError("the Host header is not a host")
    return match[1].decode("ascii").lower().removesuffix(".")


def _decoded(path: bytes) -> bytes:
    if _BAD_ESCAPE.search(path):
        raise ValueError("a bad percent-encoding in the request target")
    return unquote_to_bytes(path)


def _resolved(path: bytes) -> bytes:
    """``path`` without dot segments; ``..`` at the root stays at the root."""
    segments = path.split(b"/")[1:]
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)
