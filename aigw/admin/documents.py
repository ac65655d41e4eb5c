"""Documents are never changed in place: everything here returns a new one, sharing what stays the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aigw.model.schema import Path


class NoSuchPath(LookupError):
    """A sub path leads through something that has no members, or to an item that is not there."""


def merged(document: Any, patch: Any) -> Any:
    """Deep merge (RFC 7396, as APISIX's PATCH): objects merge, null deletes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def replaced(document: Any, values: Mapping[Path, Any]) -> Any:
    """The document with other values at some existing paths."""
    if not values:
        return document
    if () in values:
        return values[()]
    inner: dict[str | int, dict[Path, Any]] = {}
    for path, value in values.items():
        inner.setdefault(path[0], {})[path[1:]] = value
    result = document.copy()
    for step, below in inner.items():
        result[step] = replaced(result[step], below)
    return result


def planted(document: Any, steps: Sequence[str], value: Any) -> Any:
    """The document with a value at a sub path; null removes what is there, missing objects on the way are made.

    :raises NoSuchPath: naming how far the sub path leads.
    """
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(document, list):
        return _planted_in_list(document, step, rest, value)
    if not isinstance(document, dict):
        raise NoSuchPath(step)
    result = dict(document)
    if not rest and value is None:
        result.pop(step, None)
    else:
        result[step] = planted(result.get(step, {}) if rest else None, rest, value)
    return result


def at_steps(document: Any, steps: Sequence[str]) -> Any:
    """What stands at a sub path.

    :raises NoSuchPath: if nothing does.
    """
    for step in steps:
        if isinstance(document, list):
            document = document[_index(document, step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            raise NoSuchPath(step)
    return document


def _planted_in_list(document: list[Any], step: str, rest: Sequence[str], value: Any) -> list[Any]:
    index = _index(document, step)
    result = list(document)
    if not rest and value is None:
        del result[index]
    else:
        result[index] = planted(result[index], rest, value)
    return result


def _index(items: list[Any], step: str) -> int:
    if not (step.isascii() and step.isdecimal() and len(step) < 10 and int(step) < len(items)):
        raise NoSuchPath(step)
    return int(step)
