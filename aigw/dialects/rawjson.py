"""JSON text taken apart without changing it: a member stays the slice of text that its author wrote.

msgspec does the work. What it refuses although JSON allows it (lone surrogates, RFC 8259 section 8.2, which JavaScript
clients send when they cut a text) goes through the standard library. Numbers that no double can hold pass untouched as
long as nobody asks for their value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from aigw.dialects import slowjson
from aigw.errors import InvalidJSON

T = TypeVar("T")

Members = dict[str, Raw]
"""The members of an object, in order: decoded name -> undecoded text of its value."""

_SHALLOW = msgspec.json.Decoder(Members)
_VALUES = msgspec.json.Decoder()
_COMPACT = msgspec.json.Encoder()

_QUOTE = ord('"')
_NAME = re.compile(rb'[ \t\n\r]*[{,][ \t\n\r]*"[^"\\]*(?:\\.[^"\\]*)*"[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_END = re.compile(rb"[ \t\n\r]*}[ \t\n\r]*")


def take_apart(text: bytes) -> Members:
    """The members of an object (of twins the last one is kept).

    :raises InvalidJSON: if it is not an object, or nested too deeply. UTF-8 is the caller's to check.
    """
    try:
        members = _SHALLOW.decode(text)
    except msgspec.ValidationError as e:
        got = str(e).rpartition("got ")[2].strip("`")
        raise InvalidJSON(f"the request body must be a JSON object, got {got}") from None
    except msgspec.DecodeError as e:
        if b"\\ud" in text or b"\\uD" in text:
            return _slowly(slowjson.take_apart, text)
        raise _malformed(str(e).removeprefix("JSON is malformed: ")) from None
    except RecursionError:
        raise _too_deep() from None
    if len(members) > slowjson.MOST_MEMBERS:
        raise _malformed("too many members")
    return members


def has_no_twins(text: bytes, members: Members) -> bool:
    """Does each name stand in ``text`` once? ``members``: what `take_apart` made of it."""
    # A twin, a space or an escape makes the text longer than the shortest one that has these members.
    shortest = 1 + 4 * len(members) + sum(map(len, members)) + sum(map(len, members.values()))
    return len(text) == shortest or _walked(text, members)


def decode(text: bytes | Raw) -> Any:
    """The value of a JSON text.

    :raises InvalidJSON: if it is none, nested too deeply, or an integer of thousands of digits.
    """
    try:
        return _VALUES.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _slowly(slowjson.decode, bytes(text))
    except RecursionError:
        raise _too_deep() from None


def object_of(text: bytes) -> dict[str, Any]:
    """The object that a text of unknown quality holds; an empty one if it holds none."""
    try:
        value = decode(text)
    except InvalidJSON:
        return {}
    return value if isinstance(value, dict) else {}


def encode(value: Any) -> bytes:
    """Compact JSON; `Raw` parts go in as they are, lone surrogates as escapes.

    :raises InvalidJSON: if the value is nested too deeply.
    """
    try:
        return _COMPACT.encode(value)
    except UnicodeEncodeError:
        return _slowly(slowjson.encode, value)
    except RecursionError:
        raise _too_deep() from None


def same(one: Raw, other: Raw) -> bool:
    """Do two texts mean the same value? Escapes and the zeros of 1.00 make no difference.

    Objects and arrays are the same only as texts: one that holds twins could be read in two ways.
    """
    if one is other:
        return True
    a, b = bytes(one), bytes(other)
    if a == b:
        return True
    first = a[0]
    if first != b[0] or (first == _QUOTE and b"\\" not in a and b"\\" not in b) or first in b"{[":
        return False
    try:
        return encode(decode(a)) == encode(decode(b))
    except InvalidJSON:
        return False


def struct_of(decoder: msgspec.json.Decoder[T], text: bytes) -> T | None:
    """What an upstream's text says, as a struct; None if it is not of that kind."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(decode(text), decoder.type)
    except (InvalidJSON, msgspec.ValidationError):
        return None


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of an array; none if it is no array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def member_of(value: Any, name: str) -> Any:
    """A member of an object; None if it is not there, or that is no object."""
    return value.get(name) if isinstance(value, dict) else None


def _walked(text: bytes, members: Members) -> bool:
    """Does the text consist of exactly these values, each behind a name?

    A twin is found out because the value in its place differs, or because members are left over. Two JSON values that
    start at the same byte are the same one, or numbers, and then no comma or brace follows the shorter.
    """
    position = 0
    for raw in members.values():
        value = bytes(raw)
        name = _NAME.match(text, position)
        if name is None or not text.startswith(value, name.end()):
            return False
        position = name.end() + len(value)
    return not members or _END.fullmatch(text, position) is not None


def _slowly(work: Callable[[Any], T], value: Any) -> T:
    try:
        return work(value)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as e:
        raise _malformed(str(e)) from None


def _malformed(why: str) -> InvalidJSON:
    return InvalidJSON(f"the request body is not valid JSON: {why[:200]}")


def _too_deep() -> InvalidJSON:
    return InvalidJSON("the request body is not usable JSON: nested too deeply")
