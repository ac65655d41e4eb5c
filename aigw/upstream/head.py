"""The head of an upstream's reply: status line, fields, and how the body is framed (RFC 9112).

This module is pure, and strict: what two readers could frame differently is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from aigw.errors import UpstreamBadReply, UpstreamReplyTooLarge
from aigw.exchange import HOP_BY_HOP
from aigw.remembered import remember

Field = tuple[bytes, bytes]
"""A header field: its name as it was written, its value without the whitespace around it."""

MAX_FIELDS = 200

_CONTROLS = HOP_BY_HOP | {b"content-length"}

_VERSIONS = {b"0": (b"HTTP", 1, 0), b"1": (b"HTTP", 1, 1)}
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\r\n\0]*+))?").fullmatch
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([^\r\n\0]*+)").fullmatch
_BLANKS = (b" ", b"\t")
_KEPT_FOR = re.compile(rb"\btimeout=([0-9]{1,6})\b", re.IGNORECASE).search


T = TypeVar("T")
_Status = tuple[bytes, int, bytes]
_Line = tuple[bytes, Field]
_statuses: dict[bytes, _Status] = {}
_lines: dict[bytes, _Line] = {}


class Head(NamedTuple):
    """A reply's head, understood.

    ``fields``: in order, without those that are about this connection only (hop-by-hop fields, and Content-Length
    unless there is no body that it could frame). ``names``: theirs in lower case. ``length``: bytes of the body, None =
    the head doesn't tell. ``chunked``: the body comes in chunks. ``persistent``: the connection may be used again, if
    the body has an end of its own. ``kept_for``: seconds for which the upstream says it keeps an idle connection,
    None = it doesn't say.
    """

    version: tuple[bytes, int, int]
    code: int
    phrase: bytes
    fields: list[Field]
    names: list[bytes]
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
    lines = block.split(b"\r\n")
    minor, code, phrase = _statuses.get(lines[0]) or _read_status(lines[0], peer)
    fields, names, controls = _split(lines, peer)
    framing = _read_controls(controls, peer)
    if framing.tokens:
        kept = [(field, name) for field, name in zip(fields, names, strict=True) if name not in framing.tokens]
        fields, names = [field for field, _ in kept], [name for _, name in kept]
    length, chunked = framing.length, framing.chunked
    if bodiless or code < 200 or code == 204 or code == 304:
        if length is not None:
            fields.append((b"Content-Length", b"%d" % length))
            names.append(b"content-length")
        length, chunked = 0, False
    persistent = framing.persistent(minor)
    return Head(_VERSIONS[minor], code, phrase, fields, names, length, chunked, persistent, framing.kept_for)


def _read_status(line: bytes, peer: str) -> _Status:
    match = _STATUS_LINE(line)
    if match is None:
        raise UpstreamBadReply(f"{peer} answered with a malformed status line")
    minor, digits, phrase = match.groups(b"")
    read = minor, int(digits), phrase
    remember(_statuses, line, read)
    return read


def _split(lines: list[bytes], peer: str) -> tuple[list[Field], list[bytes], list[Field]]:
    """The fields about the message and their lower-case names; those about the connection and the framing."""
    if len(lines) > MAX_FIELDS + 1:
        raise UpstreamReplyTooLarge(f"{peer} answered with more than {MAX_FIELDS} header fields")
    fields: list[Field] = []
    names: list[bytes] = []
    controls: list[Field] = []
    known = _lines.get
    for line in lines[1:]:
        name, field = known(line) or _read_line(line, peer)
        if name in _CONTROLS:
            controls.append((name, field[1]))
        else:
            fields.append(field)
            names.append(name)
    return fields, names, controls


def _read_line(line: bytes, peer: str) -> _Line:
    """Lower-case name and field. Upstreams repeat themselves, so lines are remembered."""
    match = _FIELD(line)
    if match is None:
        raise UpstreamBadReply(
            f"{peer} answered with {'a folded' if line[:1] in _BLANKS else 'an invalid'} header field"
        )
    name, value = match.groups()
    read = name.lower(), (name, value.rstrip(b" \t"))
    if read[0] != b"set-cookie":
        remember(_lines, line, read)
    return read


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
