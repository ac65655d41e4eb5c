"""JSON as the standard library reads and writes it: slower than msgspec, but it knows lone surrogates.

Nothing outside `aigw.dialects.rawjson` needs to know of this module. Its functions raise ValueError for what is not
JSON (RFC 8259: NaN and Infinity neither) and RecursionError for what is nested too deeply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Raw

MOST_MEMBERS = 10_000
"""In one object that is taken apart; no API has that many, and each costs a microsecond."""

_SPACE = re.compile(r"[ \t\n\r]*")


def take_apart(text: bytes) -> dict[str, Raw]:
    """The members of an object (of twins the last one is kept)."""
    members: dict[str, Raw] = {}
    for count, (name, value) in enumerate(_slices(text.decode()), 1):
        members[name] = Raw(value.encode())
        if count > MOST_MEMBERS:
            raise ValueError("too many members")
    return members


def decode(text: bytes) -> Any:
    """The value of a text."""
    return _VALUES.decode(text.decode())


def encode(value: Any) -> bytes:
    """Compact text, all in ASCII but for `Raw` parts, which go in as they are."""
    match value:
        case Raw():
            return bytes(value)
        case Mapping():
            pairs = (json.dumps(name).encode() + b":" + encode(item) for name, item in value.items())
            return b"{" + b",".join(pairs) + b"}"
        case list() | tuple():
            return b"[" + b",".join(map(encode, value)) + b"]"
        case _:
            return json.dumps(value).encode()


def _slices(text: str) -> Iterator[tuple[str, str]]:
    """Names and the texts of their values, in order, twins included."""
    position = _after("{", text, _after_space(text, 0))
    more = not text.startswith("}", position)
    while more:
        name, position = _VALUES.raw_decode(text, position)
        if not isinstance(name, str):
            raise json.JSONDecodeError("expected a name in double quotes", text, position)
        start = _after(":", text, _after_space(text, position))
        _, end = _SKIPPED.raw_decode(text, start)
        yield name, text[start:end]
        position = _after_space(text, end)
        more = text.startswith(",", position)
        if more:
            position = _after(",", text, position)
    position = _after("}", text, position)
    if position != len(text):
        raise json.JSONDecodeError("trailing characters", text, position)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _after(mark: str, text: str, position: int) -> int:
    """Where the next thing begins after this mark."""
    if not text.startswith(mark, position):
        raise json.JSONDecodeError(f"expected '{mark}'", text, position)
    return _after_space(text, position + 1)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _nothing(pairs: list[tuple[str, Any]]) -> None:
    """What is skipped need not be built."""


_VALUES = json.JSONDecoder(parse_constant=_refuse)
_SKIPPED = json.JSONDecoder(parse_constant=_refuse, parse_int=str, parse_float=str, object_pairs_hook=_nothing)
