"""The ``vars`` expressions of APISIX (its lua-resty-expr), compiled once into closures.

An expression is a list of conditions ``[variable, operator, value]`` or ``[variable, "!", operator, value]``, all of
which must hold, or ``[logic, item, item, ...]`` with AND, OR, !AND or !OR before two or more conditions or nested
expressions. An empty one holds always. ``[variable, value]`` is short for ``==``.

==, ~=        equal, not equal: as numbers if the value is a number, else as strings; null stands for "not there"
>, <, >=, <=  as numbers; false if either side is none
~~, ~*        a regular expression found anywhere in it; ~* ignores case
in            equal to one of a list
has           is a list that holds the value (no variable of ours is a list yet)
ipmatch       an address in one of the given addresses and CIDRs

What is not there makes every operator but ~= false (and "!" turns that round).

Regular expressions are Python's with ASCII classes, close to the PCRE that APISIX has; what differs is refused when
the expression is compiled, where it can be told. They see at most 8 KiB: anything longer does not match. The standard
library has no way to bound the time they take, so an expression like ``(a+)+$`` lets a client waste ours.
"""

from __future__ import annotations

import json
import operator
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aigw.routing.conditions import Condition, Predicate, compile_networks
from aigw.routing.facts import Facts, Value, parse_address, variable

Test = Callable[[Any], bool]

_DEEPEST = 16
_LONGEST_SUBJECT = 8192
_LONGEST_REGEX = 2048
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
_POSIX_CLASS = re.compile(r"\[:\^?\w+:\]")


def compile_vars(expression: object) -> Predicate:
    """Whether a request meets an expression.

    :raises ValueError: for the first thing wrong with it, naming its place (``vars[1][0]: expected ...``).
    """
    if not isinstance(expression, list | tuple):
        raise _unexpected("vars", "an array", expression)
    if not expression:
        return lambda facts: True
    if isinstance(expression[0], str) and expression[0].upper() not in _LOGIC:
        raise ValueError("vars: expected an array of conditions; put the condition in brackets of its own")
    return _compile(expression, "vars", 0)


def vars_conditions(expression: Sequence[Any]) -> tuple[Condition, ...]:
    """Holds if a request meets the expression; nothing, if that is empty.

    :raises ValueError: as `compile_vars`.
    """
    return (Condition("vars", compile_vars(expression)),) if expression else ()


def _all(predicates: Sequence[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda facts: all(predicate(facts) for predicate in predicates)


def _any(predicates: Sequence[Predicate]) -> Predicate:
    return lambda facts: any(predicate(facts) for predicate in predicates)


def _not(predicate: Predicate) -> Predicate:
    return lambda facts: not predicate(facts)


_LOGIC: Mapping[str, Callable[[Sequence[Predicate]], Predicate]] = {
    "AND": _all,
    "OR": _any,
    "!AND": lambda predicates: _not(_all(predicates)),
    "!OR": lambda predicates: _not(_any(predicates)),
}


def _compile(node: object, where: str, depth: int) -> Predicate:
    if not isinstance(node, list | tuple) or not node:
        raise _unexpected(where, "[variable, operator, value]", node)
    if depth > _DEEPEST:
        raise ValueError(f"{where}: nested more than {_DEEPEST} deep")
    first = node[0]
    if not isinstance(first, str):
        return _all([_compile(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(node)])
    if first.upper() not in _LOGIC:
        return _compile_condition(node, where)
    if len(node) < 3:
        raise ValueError(f"{where}: {first} needs two conditions or more")
    items = [_compile(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(node[1:], 1)]
    return _LOGIC[first.upper()](items)


def _compile_condition(node: Sequence[Any], where: str) -> Predicate:
    if len(node) == 4 and node[1] == "!":
        return _not(_comparison(node[0], node[2], node[3], where, 2))
    if len(node) == 3:
        return _comparison(node[0], node[1], node[2], where, 1)
    if len(node) == 2 and str(node[1]).lower() not in _OPERATORS:
        return _comparison(node[0], "==", node[1], where, 0)
    raise ValueError(f'{where}: expected [variable, operator, value] or [variable, "!", operator, value]')


def _comparison(name: str, sign: object, value: Any, where: str, at: int) -> Predicate:
    make = _OPERATORS.get(sign.lower()) if isinstance(sign, str) else None
    if make is None:
        raise _unexpected(f"{where}[{at}]", f"one of {' '.join(_OPERATORS)}", sign)
    test = make(value, f"{where}[{at + 1}]")
    read = variable(name)

    def holds(facts: Facts) -> bool:
        return test(read(facts))

    return holds


def _number(value: object) -> float | None:
    """As Lua's tonumber: what a number or the text of one means, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if len(value) <= 400 and _NUMBER.fullmatch(value) else None
    return float(value) if isinstance(value, int | float) else None


def _constant(value: object, where: str) -> float:
    try:
        number = _number(value)
    except OverflowError:
        number = None
    if number is None:
        raise _unexpected(where, "a number", value)
    return number


def _equal(value: Any, where: str) -> Test:
    if isinstance(value, str) or value is None:
        return lambda found: bool(found == value)
    number = _constant(value, where)
    return lambda found: _number(found) == number


def _unequal(value: Any, where: str) -> Test:
    equal = _equal(value, where)
    return lambda found: not equal(found)


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Any, str], Test]:
    def make(value: Any, where: str) -> Test:
        bound = _constant(value, where)

        def test(found: Value) -> bool:
            number = _number(found)
            return number is not None and compare(number, bound)

        return test

    return make


def _matches(flags: int) -> Callable[[Any, str], Test]:
    def make(value: Any, where: str) -> Test:
        search = _regex(value, flags, where).search
        return lambda found: found is not None and len(found) <= _LONGEST_SUBJECT and search(found) is not None

    return make


def _regex(value: Any, flags: int, where: str) -> re.Pattern[str]:
    if not isinstance(value, str) or len(value) > _LONGEST_REGEX:
        raise ValueError(f"{where}: expected a regular expression of at most {_LONGEST_REGEX} characters")
    if _POSIX_CLASS.search(value):
        raise ValueError(f"{where}: classes like [:alpha:] are not supported; write [A-Za-z]")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(value, re.ASCII | flags)
    except (re.error, ValueError, OverflowError, RecursionError) as e:
        raise ValueError(f"{where}: not a regular expression: {e}") from None


def _among(value: Any, where: str) -> Test:
    if not isinstance(value, list | tuple):
        raise _unexpected(where, "an array", value)
    texts = frozenset(item for item in value if isinstance(item, str))
    numbers = frozenset(_constant(x, f"{where}[{i}]") for i, x in enumerate(value) if not isinstance(x, str))
    return lambda found: found in texts or _number(found) in numbers


def _holds(value: Any, where: str) -> Test:
    return lambda found: isinstance(found, list | tuple) and value in found


def _in_networks(value: Any, where: str) -> Test:
    networks = [value] if isinstance(value, str) else value
    if not isinstance(networks, list | tuple) or not networks or not all(isinstance(n, str) for n in networks):
        raise _unexpected(where, "an IP address or CIDR, or an array of them", value)
    contains = compile_networks(networks, where)
    return lambda found: found is not None and contains(parse_address(found))


_OPERATORS: Mapping[str, Callable[[Any, str], Test]] = {
    "==": _equal,
    "~=": _unequal,
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    "~~": _matches(0),
    "~*": _matches(re.IGNORECASE),
    "in": _among,
    "has": _holds,
    "ipmatch": _in_networks,
}


def _unexpected(where: str, expected: str, value: object) -> ValueError:
    if isinstance(value, list | tuple):
        got = "an array" if value else "[]"
    else:
        got = "an object" if isinstance(value, dict) else json.dumps(value, default=repr)
    return ValueError(f"{where}: expected {expected}, got {got if len(got) <= 60 else got[:57] + '...'}")
