"""The header fields of a request as they were read: `Headers` for whoever looks, made of nothing more than that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from twisted.web.http_headers import Headers

Field = tuple[bytes, bytes]
"""(lower-case name, value without the whitespace around it)."""

_NOTHING: frozenset[bytes] = frozenset()
_USUAL_LISTS = {value: frozenset({value.lower()}) for value in (b"keep-alive", b"Keep-Alive", b"close")}


class ReceivedHeaders(Headers):
    """What a client sent. Immutable, because ``fields`` must go on saying the same; `copy` is not.

    ``fields``: in order, for whoever sends them on. ``by_name``: the value of each name; of several, the last. Names
    are lower case wherever they are told.

    ``derived``: what others have worked out from the request's head on its connection, by who they are, to have it
    ready when the head comes again. Content-Length may have another value then, so nothing here may depend on it.
    """

    __slots__ = ("_values", "by_name", "derived", "fields")

    def __init__(self, fields: list[Field]) -> None:
        # Headers.__init__ isn't called: nothing looks at the dict that it would make.
        self.fields = fields
        self.by_name = dict(fields)
        self._values = None if len(self.by_name) == len(fields) else _by_name(fields)
        self.derived: dict[Any, Any] = {}

    @classmethod
    def of(cls, headers: Headers) -> ReceivedHeaders:
        """The same fields, if these are others (HTTP/2's are Twisted's own)."""
        if isinstance(headers, cls):
            return headers
        return cls([(name.lower(), value) for name, values in headers.getAllRawHeaders() for value in values])

    def __repr__(self) -> str:
        """The names only: values may be credentials."""
        return f"<ReceivedHeaders {b' '.join(name for name, _ in self.fields).decode('latin-1')}>"

    def __cmp__(self, other: object) -> Any:
        """As `Headers` compare; Twisted makes all comparisons out of this one."""
        return self.copy().__cmp__(other.copy() if isinstance(other, ReceivedHeaders) else other)

    def with_length(self, length: bytes) -> ReceivedHeaders:
        """The same, but for the value of Content-Length, which is there once."""
        fields = self.fields.copy()
        fields[fields.index((b"content-length", self.by_name[b"content-length"]))] = b"content-length", length
        changed = ReceivedHeaders(fields)
        changed.derived = self.derived
        return changed

    def copy(self) -> Headers:
        """A mutable copy."""
        return Headers(_by_name(self.fields))

    def hasHeader(self, name: Any) -> bool:
        """Is the header there?"""
        return self.getRawHeaders(name) is not None

    def getRawHeaders(self, name: Any, default: Any = None) -> Any:
        """The values of a header, as a list of the caller's own."""
        if not isinstance(name, bytes):
            values = self.getRawHeaders(name.lower().encode("iso-8859-1"))
            return default if values is None else [value.decode("utf8") for value in values]
        name = name.lower()
        last = self.by_name.get(name)
        if last is None:
            return default
        return [last] if self._values is None else self._values[name].copy()

    def listed(self, name: bytes) -> frozenset[bytes]:
        """The `tokens` of a header. ``name``: in lower case."""
        value = self.by_name.get(name)
        if value is None:
            return _NOTHING
        if self._values is None and value in _USUAL_LISTS:
            return _USUAL_LISTS[value]
        return frozenset(tokens(self.getRawHeaders(name)))

    def getAllRawHeaders(self) -> Iterator[tuple[bytes, Sequence[bytes]]]:
        """All headers."""
        return iter(_by_name(self.fields).items())

    def setRawHeaders(self, name: Any, values: Any) -> NoReturn:
        """Refused: use `copy`."""
        raise TypeError("what a client sent does not change; take a copy")

    def addRawHeader(self, name: Any, value: Any) -> NoReturn:
        """Refused: use `copy`."""
        raise TypeError("what a client sent does not change; take a copy")

    def removeHeader(self, name: Any) -> NoReturn:
        """Refused: use `copy`."""
        raise TypeError("what a client sent does not change; take a copy")


def tokens(values: Iterable[bytes]) -> set[bytes]:
    """The lower-case members of a comma-separated list, which may be spread over fields (RFC 9110 section 5.6)."""
    return {token.strip(b" \t").lower() for value in values for token in value.split(b",")}


def derived_of(headers: Headers) -> dict[Any, Any]:
    """Where to keep what is worked out from a request's head; nowhere, if the head is not one that may come again."""
    return headers.derived if isinstance(headers, ReceivedHeaders) else {}


def _by_name(fields: Sequence[Field]) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return values
