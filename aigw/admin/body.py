"""Bytes -> one JSON value that can be stored and read back unchanged. What is doubtful is refused, with its place."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from aigw.admin.answers import Refusal

MAX_BODY = 3 * 1024 * 1024 // 2
"""Bytes; APISIX has the same limit (1.5 MiB)."""

MAX_DEPTH = 64
"""Levels of arrays and objects; what recurses over a document stays far from Python's own limit."""

MAX_DIGITS = 300
"""Of an integer; more could not be told from infinity where a fraction is expected."""


def check_size(size: int) -> None:
    """:raises Refusal: 413, if a body has too many bytes."""
    if size > MAX_BODY:
        raise Refusal(413, f"the body is over the limit of {MAX_BODY} bytes")


def parse(body: bytes) -> Any:
    """The JSON value of a body, whatever its Content-Type says (curl's ``-d`` says it is a form).

    :raises Refusal: 400; it names line and column, and never quotes a string.
    """
    if not body.strip():
        raise Refusal(400, "the body is missing; expected JSON")
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except UnicodeDecodeError as e:
        raise Refusal(400, f"invalid UTF-8 at byte {e.start} of the body") from None
    except json.JSONDecodeError as e:
        raise Refusal(400, f"invalid JSON: {e}") from None
    except RecursionError:
        raise _too_deep() from None
    check_depth(value)
    _check_text(value)
    return value


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    :raises Refusal: 400, also if it is another kind of value.
    """
    value = parse(body)
    if not isinstance(value, dict):
        raise Refusal(400, "invalid JSON: the body must be an object")
    return value


def check_depth(value: Any) -> None:
    """:raises Refusal: 400, if arrays and objects are nested too deeply."""
    level = _nested([value])
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _nested(outer.values() if isinstance(outer, dict) else outer)]
    if level:
        raise _too_deep()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise Refusal(400, f"invalid JSON: duplicate key {json.dumps(twice)[:80]}")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Refusal(400, f"invalid JSON: the number {text[:40]} is out of range")
    return number


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise Refusal(400, f"invalid JSON: the number {text[:40]}... has too many digits")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal(400, f"invalid JSON: {name} is not a JSON number")


def _nested(values: Iterable[Any]) -> list[dict[str, Any] | list[Any]]:
    return [value for value in values if isinstance(value, dict | list)]


def _too_deep() -> Refusal:
    return Refusal(400, f"invalid JSON: nested over {MAX_DEPTH} levels deep")


def _check_text(value: Any) -> None:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise Refusal(400, "invalid JSON: a string holds half of a surrogate pair") from None
