"""What a client wrote, taken for what its dialect says it is, or refused by its path (``messages[2].content[0]``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from aigw.dialects.body import Body
from aigw.dialects.rawjson import decode
from aigw.errors import BadRequest, InvalidJSON, Unconvertible

T = TypeVar("T")
Object = dict[str, Any]

_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


def expected(what: str, value: Any, path: str) -> BadRequest:
    """The refusal of a value that is not what the client's dialect has in this place."""
    return BadRequest(f"{path}: expected {what}, got {_NAMES[type(value)]}", param=path)


def uncarried(path: str, why: str) -> Unconvertible:
    """The refusal of what the provider's dialect has no place for."""
    return Unconvertible(f"{path}: {why}", param=path)


def of_type(wanted: type[T], value: Any, path: str) -> T:
    """The value, which has exactly this type (a boolean is no integer).

    :raises BadRequest: if it has another one.
    """
    if type(value) is not wanted:
        raise expected(_NAMES[wanted], value, path)
    return value


def optional(wanted: type[T], value: Any, path: str) -> T | None:
    """The same, where null and nothing mean the same."""
    return None if value is None else of_type(wanted, value, path)


def number(value: Any, path: str) -> int | float | None:
    """An integer or not; None for null."""
    if value is None or type(value) is int or type(value) is float:
        return value
    raise expected("a number", value, path)


def filled(value: Any, path: str) -> str:
    """A string that is not empty."""
    text = of_type(str, value, path)
    if not text:
        raise BadRequest(f"{path}: expected a string that is not empty", param=path)
    return text


def objects(value: Any, path: str) -> Iterator[tuple[str, Object]]:
    """The objects of an array, each behind its path; none for null."""
    for i, item in enumerate(optional(list, value, path) or ()):
        yield f"{path}[{i}]", of_type(dict, item, f"{path}[{i}]")


def arguments_in(value: Any, path: str) -> Object:
    """The object that the arguments of a call say; none said = an empty one (some models write nothing for none)."""
    text = of_type(str, value, path)
    if not text.strip():
        return {}
    try:
        # A lone surrogate, which has no UTF-8, becomes the escape that means the same in JSON.
        said = decode(text.encode("utf-8", "backslashreplace"))
    except InvalidJSON:
        raise BadRequest(f"{path}: expected a JSON object as a string, got what is not JSON", param=path) from None
    return of_type(dict, said, path)


def given(request: Body, name: str) -> bool:
    """Does the client say anything there? (null says nothing.)"""
    return request.type_of(name) not in ("", "null")
