"""A request's body read strictly, as a type says; what is wrong with it, and where."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from aigw.testing.vendors.vendor import Refused

T = TypeVar("T")

_WHERE = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)
_NAMED = re.compile(r"Object (?:contains (unknown)|missing (required)) field `(.*)`", re.DOTALL)
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An object that has no other members than these."""


class Complaint(Refused):
    """The body is not what the vendor takes.

    ``where``: as in ``messages[0].content``; "" = the body itself. ``problem``: ``unknown``, ``missing`` or
    ``invalid``. ``detail``: of what is invalid.
    """

    def __init__(self, where: str, problem: str, detail: str = "") -> None:
        super().__init__(400, f"{where or 'body'}: {detail or problem}")
        self.where = where
        self.problem = problem
        self.detail = detail

    @property
    def steps(self) -> list[str | int]:
        """The path, step by step."""
        return _steps(self.where)

    @property
    def dotted(self) -> str:
        """The path as in ``messages.0.content``."""
        return ".".join(map(str, self.steps))


def checked(kind: type[T], document: Any, *, at: str = "", lenient: bool = False) -> tuple[T, list[str]]:
    """The document as this type; and where there was what the type does not know, if the vendor is ``lenient``.

    ``at``: where in the body it stands.

    :raises Complaint: if it is none.
    """
    ignored: list[str] = []
    while True:
        try:
            return msgspec.convert(document, kind), ignored
        except msgspec.ValidationError as e:
            complaint = _complaint(str(e), at)
        if not lenient or complaint.problem != "unknown":
            raise complaint
        _leave_out(document, complaint.steps)
        ignored.append(complaint.where)


def decoded(raw: bytes) -> Any:
    """The value of some JSON.

    :raises Complaint: if it is none.
    """
    try:
        return msgspec.json.decode(raw)
    except ValueError as e:
        raise Complaint("", "json", str(e)) from None


def _complaint(text: str, at: str) -> Complaint:
    found = _WHERE.fullmatch(text)
    what, where = (found[1], found[2] or "") if found else (text, "")
    named = _NAMED.fullmatch(what)
    path = ".".join(filter(None, [at, where, named and named[3]]))
    if named is None:
        return Complaint(path, "invalid", what)
    return Complaint(path, "unknown" if named[1] else "missing")


def _steps(where: str) -> list[str | int]:
    return [int(index) if index.isdecimal() else index or name for index, name in _STEP.findall(where)]


def _leave_out(document: Any, steps: list[str | int]) -> None:
    for step in steps[:-1]:
        document = document[step]
    del document[steps[-1]]
