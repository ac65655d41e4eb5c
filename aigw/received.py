"""The header fields of a request as they were read: `Headers` for whoever looks, made of nothing more than that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from twisted.web.http_headers import Headers

Field = tuple[bytes, bytes]
"""(lower-case name, value without the whitespace around it)."""


class ReceivedHeaders(Headers):
    """What a client sent. Immutable, because ``fields`` must go on saying the same; `copy` is not.

    ``fields``: in order, for whoever sends them on. Names are lower case wherever they are told.

    ``derived``: what others have worked out from the request's head on its connection, by who they are, to have it
    ready when the head comes again. Content-Length may have another value then, so nothing here may depend on it.
    """

    __slots__ = ("_values", "derived", "fields")

    def __init__(self, fields: list[Field], values: dict[bytes, list[bytes]]) -> None:
        """``values``: the same fields by their names."""
        # Headers.__init__ isn't called: nothing looks at the dict that it would make.
        self.fields = fields
        self._values = values
        self.derived: dict[Any, Any] = {}

    def __repr__(self) -> str:
        """The names only: values may be credentials."""
        return f"<ReceivedHeaders {b' '.join(name for name, _ in self.fields).decode('latin-1')}>"

    def __cmp__(self, other: object) -> Any:
        """As `Headers` compare; Twisted makes all comparisons out of this one."""
        return self.copy().__cmp__(other.copy() if isinstance(other, ReceivedHeaders) else other)

    def with_length(self, length: bytes) -> ReceivedHeaders:
        """The same, but for the value of Content-Length, which is there once."""
        fields, values = self.fields.copy(), self._values.copy()
        fields[fields.index((b"content-length", values[b"content-length"][0]))] = b"content-length", length
        values[b"content-length"] = [length]
        changed = ReceivedHeaders(fields, values)
        changed.derived = self.derived
        return changed

    def copy(self) -> Headers:
        """A mutable copy."""
        return Headers({name: list(values) for name, values in self._values.items()})

    def hasHeader(self, name: Any) -> bool:
        """Is the header there?"""
        return self.getRawHeaders(name) is not None

    def getRawHeaders(self, name: Any, default: Any = None) -> Any:
        """The values of a header."""
        if isinstance(name, bytes):
            return self._values.get(name.lower(), default)
        values = self._values.get(name.lower().encode("iso-8859-1"))
        return default if values is None else [value.decode("utf8") for value in values]

    def getAllRawHeaders(self) -> Iterator[tuple[bytes, Sequence[bytes]]]:
        """All headers."""
        return iter(self._values.items())

    def setRawHeaders(self, name: Any, values: Any) -> NoReturn:
        """Refused: use `copy`."""
        raise TypeError("what a client sent does not change; take a copy")

    def addRawHeader(self, name: Any, value: Any) -> NoReturn:
        """Refused: use `copy`."""
        raise TypeError("what a client sent does not change; take a copy")

    def removeHeader(self, name: Any) -> NoReturn:
        """Refused: use `copy`."""
        raise TypeError("what a client sent does not change; take a copy")


def derived_of(headers: Headers) -> dict[Any, Any]:
    """Where to keep what is worked out from a request's head; nowhere, if the head is not one that may come again."""
    return headers.derived if isinstance(headers, ReceivedHeaders) else {}
