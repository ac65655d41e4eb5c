"""Header fields on their way out: checked, freed of what concerns one connection only, and put into bytes.

Whatever is in these bytes has passed here, so that no header value can ever begin a field, or a request, of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from twisted.web.http_headers import Headers

from aigw.exchange import HOP_BY_HOP
from aigw.remembered import FieldMemory
from aigw.upstream.head import Field

_NEVER_SENT = HOP_BY_HOP | {b"content-length", b"expect", b"http2-settings"}
"""The connection's own business. ``Expect``: we never wait for a 100, so asking for one only costs the upstream."""

_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++").fullmatch
_is_line = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++: [^\r\n\0]*+\r\n").fullmatch


class HeaderBlock(Headers):
    """Header fields made ready to be sent, once for any number of requests. Immutable.

    It is a `Headers` for whoever looks at it, and ``block`` for the agent: complete lines, without those that concern
    one connection only. ``names_host``: they include a Host.
    """

    __slots__ = ("_parsed", "block", "names_host")

    block: bytes
    names_host: bool

    def __init__(self, fields: Iterable[Field], base: HeaderBlock | None = None) -> None:
        """The fields of ``base``, then ``fields``.

        :raises ValueError: if a name is no token, or a value could end its line.
        """
        # Headers.__init__ isn't called: its dict is built when somebody looks, which on the hot path is never.
        sent = _sendable(fields)
        self._parsed: Headers | None = None
        for name, _ in sent:
            if not _is_token(name):
                raise ValueError("a header name is not a token")
        self.block = (base.block if base is not None else b"") + _lines(sent)
        self.names_host = (base is not None and base.names_host) or any(name.lower() == b"host" for name, _ in sent)

    def __repr__(self) -> str:
        """The names only: values may be credentials."""
        return f"<HeaderBlock {b' '.join(name for name, _ in self.fields).decode('ascii')}>"

    def __cmp__(self, other: object) -> Any:
        """As `Headers` compare; Twisted makes all comparisons out of this one."""
        return self._looked_at().__cmp__(other._looked_at() if isinstance(other, HeaderBlock) else other)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The same in order, read off the lines: no name holds a colon, no value the end of a line."""
        lines = self.block.split(b"\r\n")[:-1]
        return tuple((name, value) for name, _, value in (line.partition(b": ") for line in lines))

    def plus(self, fields: Iterable[Field]) -> HeaderBlock:
        """These fields and more."""
        return HeaderBlock(fields, self)

    def followed_by(self, lines: Lines, fields: Iterable[Field], more: HeaderBlock) -> HeaderBlock:
        """These fields, those of ``fields`` that have a line, and ``more``."""
        block = HeaderBlock.__new__(HeaderBlock)
        block._parsed = None
        block.block = b"".join([self.block, *map(lines.__getitem__, fields), more.block])
        block.names_host = self.names_host or more.names_host
        return block

    def copy(self) -> Headers:
        """A mutable copy."""
        return self._looked_at().copy()

    def hasHeader(self, name: Any) -> bool:
        """Is the header there?"""
        return self._looked_at().hasHeader(name)

    def getRawHeaders(self, name: Any, default: Any = None) -> Any:
        """The values of a header."""
        return self._looked_at().getRawHeaders(name, default)

    def getAllRawHeaders(self) -> Iterator[tuple[bytes, Sequence[bytes]]]:
        """All headers."""
        return self._looked_at().getAllRawHeaders()

    def setRawHeaders(self, name: Any, values: Any) -> NoReturn:
        """Refused: use `plus` or `copy`."""
        raise TypeError("a HeaderBlock is immutable")

    def addRawHeader(self, name: Any, value: Any) -> NoReturn:
        """Refused: use `plus` or `copy`."""
        raise TypeError("a HeaderBlock is immutable")

    def removeHeader(self, name: Any) -> NoReturn:
        """Refused: use `plus` or `copy`."""
        raise TypeError("a HeaderBlock is immutable")

    def _looked_at(self) -> Headers:
        if self._parsed is None:
            self._parsed = to_headers(self.fields)
        return self._parsed


class Lines(FieldMemory[Field, bytes]):
    """From received fields, whose names are lower case, to their lines; those that are not sent on have an empty one.

    Clients repeat themselves, so lines are remembered, as far as they can hold no secret: what a field's line is has
    nothing to do with who sent it. Each was checked by itself when it was made.
    """

    def __init__(self, left_out: frozenset[bytes]) -> None:
        """``left_out``: names that are not sent on, besides those that never are, and Host."""
        super().__init__()
        self._left_out = left_out | _NEVER_SENT | {b"host"}

    def __missing__(self, field: Field) -> bytes:
        name, value = field
        line = b"" if name.lower() in self._left_out else _line(field)
        self.keep(name, field, len(name) + len(value), line)
        return line


def to_headers(fields: Iterable[Field]) -> Headers:
    """The fields as Twisted's type, for those who want to look something up."""
    headers = Headers()
    for name, value in fields:
        headers.addRawHeader(name, value)
    return headers


def block_of(headers: Headers | None) -> tuple[bytes, bool]:
    """The lines to send for ``headers``, and whether they name a Host.

    :raises ValueError: if a value could end its line.
    """
    if isinstance(headers, HeaderBlock):
        return headers.block, headers.names_host
    if headers is None:
        return b"", False
    fields = _sendable((name, value) for name, values in headers.getAllRawHeaders() for value in values)
    return _lines(fields), headers.hasHeader(b"host")


def _sendable(fields: Iterable[Field]) -> list[Field]:
    """The fields that concern the message, and not one connection only."""
    sent: list[Field] = []
    named: set[bytes] = set()
    for field in fields:
        name = field[0].lower()
        if name not in _NEVER_SENT:
            sent.append(field)
        elif name == b"connection":
            named.update(token.strip(b" \t") for token in field[1].lower().split(b","))
    return [field for field in sent if field[0].lower() not in named] if named else sent


def _line(field: Field) -> bytes:
    line = b"%b: %b\r\n" % field
    if not _is_line(line):
        raise ValueError("a header name is not a token, or a value holds a line end or a NUL")
    return line


def _lines(fields: Sequence[Field]) -> bytes:
    block = b"".join([b"%b: %b\r\n" % field for field in fields])
    # Each field brings one line end; one more, or a NUL, must have come in with a value.
    if block.count(b"\r") != len(fields) or block.count(b"\n") != len(fields) or b"\0" in block:
        raise ValueError("a header value holds a line end or a NUL")
    return block
