"""Conditional requests (RFC 9110 section 13): they keep two administrators from undoing each other's work."""

from __future__ import annotations

import re

import attrs
from twisted.web.http_headers import Headers

from aigw.admin.answers import Refusal, etag

_TAG = re.compile(r'(W/)?"([^"]*)"')


@attrs.frozen(kw_only=True)
class Preconditions:
    """The ``If-Match`` and ``If-None-Match`` of a request: the field as sent, None = absent.

    The entity tag of an object is its ``modifiedIndex``, in quotes.
    """

    if_match: str | None = None
    if_none_match: str | None = None

    @classmethod
    def of(cls, headers: Headers) -> Preconditions:
        """Those of a request; several fields of one name are one list."""
        return cls(if_match=_joined(headers, b"if-match"), if_none_match=_joined(headers, b"if-none-match"))

    def check(self, revision: int | None) -> None:
        """May an object at this revision (None = there is none) be written?

        :raises Refusal: 412.
        """
        state = "there is no such object" if revision is None else f"the object is at revision {etag(revision)}"
        if self.if_match is not None and not _matches(self.if_match, revision, strong=True):
            raise Refusal(412, f"If-Match does not hold: {state}")
        if self.if_none_match is not None and _matches(self.if_none_match, revision):
            raise Refusal(412, f"If-None-Match does not hold: {state}")

    def known(self, revision: int) -> bool:
        """Does the client that reads an object have this revision already (304)?"""
        return self.if_none_match is not None and _matches(self.if_none_match, revision)


def _joined(headers: Headers, name: bytes) -> str | None:
    values = headers.getRawHeaders(name)
    return b", ".join(values).decode("latin-1") if values else None


def _matches(field: str, revision: int | None, *, strong: bool = False) -> bool:
    if revision is None:
        return False
    if field.strip() == "*":
        return True
    return any(tag == str(revision) and not (weak and strong) for weak, tag in _TAG.findall(field))
