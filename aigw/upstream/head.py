"""The head of an upstream's reply: status line, fields, and how the body is framed (RFC 9112).

This module is pure, and strict: what two readers could frame differently is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

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
_LONGEST_LENGTH = 18
_KEPT_FOR = re.compile(rb"\btimeout=([0-9]{1,6})\b", re.IGNORECASE).search


_Version = tuple[bytes, int, int]
_Status = tuple[_Version, int, bytes]
_Line = tuple[bytes, Field]
_Told = tuple[bool, frozenset[bytes], float | None]
_NONE: frozenset[bytes] = frozenset()
_NOTHING_TOLD: _Told = False, _NONE, None
_USUAL_TOKENS = {value: frozenset({value.lower()}) for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close")}
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

    version: _Version
    code: int
    phrase: bytes
    fields: tuple[Field, ...]
    names: tuple[bytes, ...]
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
    version, code, phrase = _statuses.get(lines[0]) or _read_status(lines[0], peer)
    fields, names, length, controls = _split(lines, peer)
    chunked, tokens, kept_for = _read_controls(controls, peer) if controls else _NOTHING_TOLD
    if chunked and length is not None:
        raise UpstreamBadReply(f"{peer} answered with both Content-Length and Transfer-Encoding")
    if tokens and not tokens.isdisjoint(names):
        kept = [(field, name) for field, name in zip(fields, names, strict=True) if name not in tokens]
        fields, names = [field for field, _ in kept], [name for _, name in kept]
    # Chunks in HTTP/1.0 are readable, but whoever sends them can't be trusted with a second request.
    persistent = b"close" not in tokens if version[2] else b"keep-alive" in tokens and not chunked
    if bodiless or code < 200 or code == 204 or code == 304:
        if length is not None:
            fields.append((b"Content-Length", b"%d" % length))
            names.append(b"content-length")
        length, chunked = 0, False
    return Head(version, code, phrase, tuple(fields), tuple(names), length, chunked, persistent, kept_for)


def _read_status(line: bytes, peer: str) -> _Status:
    match = _STATUS_LINE(line)
    if match is None:
        raise UpstreamBadReply(f"{peer} answered with a malformed status line")
    minor, digits, phrase = match.groups(b"")
    read = _VERSIONS[minor], int(digits), phrase
    remember(_statuses, line, read)
    return read


def _split(lines: list[bytes], peer: str) -> tuple[list[Field], list[bytes], int | None, list[Field]]:
    """The fields about the message and their lower-case names; the length; what else is about the connection."""
    if len(lines) > MAX_FIELDS + 1:
        raise UpstreamReplyTooLarge(f"{peer} answered with more than {MAX_FIELDS} header fields")
    fields: list[Field] = []
    names: list[bytes] = []
    length: int | None = None
    controls: list[Field] = []
    known = _lines.get
    for line in lines[1:]:
        name, field = known(line) or _read_line(line, peer)
        if name not in _CONTROLS:
            fields.append(field)
            names.append(name)
        elif name == b"content-length":
            length = _agreed_length(field[1], length, peer)
        else:
            controls.append((name, field[1]))
    return fields, names, length, controls


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


def _read_controls(controls: Sequence[Field], peer: str) -> _Told:
    """Whether the body is chunked; what Connection lists; for how many seconds the connection is kept."""
    chunked = False
    tokens = _NONE
    kept_for: float | None = None
    for name, value in controls:
        if name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise UpstreamBadReply(f"{peer} answered with a transfer encoding other than chunked")
            chunked = True
        elif name == b"connection":
            tokens |= _USUAL_TOKENS.get(value) or {token.strip(b" \t") for token in value.lower().split(b",")}
        elif name == b"keep-alive" and (told := _KEPT_FOR(value)):
            kept_for = float(told[1])
    return chunked, tokens, kept_for


def _agreed_length(value: bytes, known: int | None, peer: str) -> int:
    """The one length in a Content-Length that may be repeated, in one field or in several (RFC 9112 section 6.3)."""
    if known is None and value.isdigit() and len(value) <= _LONGEST_LENGTH:
        return int(value)
    for item in value.split(b","):
        digits = item.strip(b" \t")
        if not digits.isdigit() or len(digits) > _LONGEST_LENGTH:
            raise UpstreamBadReply(f"{peer} answered with an invalid Content-Length")
        if known is not None and known != int(digits):
            raise UpstreamBadReply(f"{peer} answered with contradicting Content-Lengths")
        known = int(digits)
    assert known is not None  # there is at least one item
    return known
