"""The head of an upstream's reply: status line, fields, and how the body is framed (RFC 9112).

This module is pure, and strict: what two readers could frame differently is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from aigw.errors import UpstreamBadReply, UpstreamReplyTooLarge
from aigw.exchange import HOP_BY_HOP

Field = tuple[bytes, bytes]
"""A header field: its name as it was written, its value without the whitespace around it."""

MAX_FIELDS = 200

_CONTROLS = HOP_BY_HOP | {b"content-length"}

_VERSIONS = {b"0": (b"HTTP", 1, 0), b"1": (b"HTTP", 1, 1)}
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\r\n\0]*+))?(?=\r\n|\Z)").match
_FIELDS = re.compile(rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([^\r\n\0]*+)").findall
_FOLD = re.compile(rb"\r\n[ \t]").search
_KEPT_FOR = re.compile(rb"\btimeout=([0-9]{1,6})\b", re.IGNORECASE).search


class Head(NamedTuple):
    """A reply's head, understood.

    ``fields``: in order, without those that are about this connection only (hop-by-hop fields, and Content-Length
    unless there is no body that it could frame). ``length``: bytes of the body, None = the head doesn't tell.
    ``chunked``: the body comes in chunks. ``persistent``: the connection may be used again, if the body has an end
    of its own. ``kept_for``: seconds for which the upstream says it keeps an idle connection, None = it doesn't say.
    """

    version: tuple[bytes, int, int]
    code: int
    phrase: bytes
    fields: list[Field]
    length: int | None
    chunked: bool
    persistent: bool
    kept_for: float | None


def parse_head(block: bytes, peer: str, *, bodiless: bool = False) -> Head:
    """Understand a head.

    :param block: all bytes before the empty line, without the line end in front of it.
    :param peer: who sent it, for messages.
    :param bodiless: no body follows, whatever the head says, because the request was a HEAD.
    :raises UpstreamBadReply: if it isn't strictly HTTP/1.0 or HTTP/1.1.
    :raises UpstreamReplyTooLarge: if it has more than `MAX_FIELDS` fields.
    """
    status = _STATUS_LINE(block)
    if status is None:
        raise UpstreamBadReply(f"{peer} answered with a malformed status line")
    minor, digits, phrase = status.groups(b"")
    code = int(digits)
    fields, controls = _split(block, peer)
    framing = _read_controls(controls, peer)
    if framing.tokens:
        fields = [field for field in fields if field[0].lower() not in framing.tokens]
    length, chunked = framing.length, framing.chunked
    if bodiless or code < 200 or code == 204 or code == 304:
        if length is not None:
            fields.append((b"Content-Length", b"%d" % length))
        length, chunked = 0, False
    persistent = framing.persistent(minor)
    return Head(_VERSIONS[minor], code, phrase, fields, length, chunked, persistent, framing.kept_for)


def _split(block: bytes, peer: str) -> tuple[list[Field], list[Field]]:
    """The fields about the message, and those about the connection and the framing (their names in lower case)."""
    lines = block.count(b"\r\n")
    if lines > MAX_FIELDS:
        raise UpstreamReplyTooLarge(f"{peer} answered with more than {MAX_FIELDS} header fields")
    found: list[Field] = _FIELDS(block)
    # Each match begins at a line end of its own, so equal counts mean that every line is a field and nothing else.
    if len(found) != lines or block.count(b"\r") != lines or block.count(b"\n") != lines or b"\0" in block:
        raise UpstreamBadReply(f"{peer} answered with {'a folded' if _FOLD(block) else 'an invalid'} header field")
    if b" \r\n" in block or b"\t\r\n" in block or block.endswith((b" ", b"\t")):
        found = [(name, value.rstrip(b" \t")) for name, value in found]
    fields: list[Field] = []
    controls: list[Field] = []
    for field in found:
        name = field[0].lower()
        if name in _CONTROLS:
            controls.append((name, field[1]))
        else:
            fields.append(field)
    return fields, controls


class _Framing(NamedTuple):
    length: int | None
    chunked: bool
    tokens: frozenset[bytes]
    kept_for: float | None

    def persistent(self, minor: bytes) -> bool:
        if minor == b"1":
            return b"close" not in self.tokens
        # Chunks in HTTP/1.0 are readable, but whoever sends them can't be trusted with a second request.
        return b"keep-alive" in self.tokens and not self.chunked


def _read_controls(controls: Sequence[Field], peer: str) -> _Framing:
    length: int | None = None
    chunked = False
    tokens: frozenset[bytes] = frozenset()
    kept_for: float | None = None
    for name, value in controls:
        if name == b"content-length":
            length = _agreed_length(value, length, peer)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise UpstreamBadReply(f"{peer} answered with a transfer encoding other than chunked")
            chunked = True
        elif name == b"connection":
            tokens |= {token.strip(b" \t") for token in value.lower().split(b",")}
        elif name == b"keep-alive" and (told := _KEPT_FOR(value)):
            kept_for = float(told[1])
    if chunked and length is not None:
        raise UpstreamBadReply(f"{peer} answered with both Content-Length and Transfer-Encoding")
    return _Framing(length, chunked, tokens, kept_for)


def _agreed_length(value: bytes, known: int | None, peer: str) -> int:
    """The one length in a Content-Length that may be repeated, in one field or in several (RFC 9112 section 6.3)."""
    items = value.split(b",") if b"," in value else (value,)
    for item in items:
        digits = item.strip(b" \t")
        if not digits.isdigit() or len(digits) > 18:
            raise UpstreamBadReply(f"{peer} answered with an invalid Content-Length")
        if known is not None and known != int(digits):
            raise UpstreamBadReply(f"{peer} answered with contradicting Content-Lengths")
        known = int(digits)
    assert known is not None  # there is at least one item
    return known
