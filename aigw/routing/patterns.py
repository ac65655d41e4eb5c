"""The path patterns that routes are written in. Nothing here knows of routes.

- ``/a/b`` is exact.
- ``/a/*`` takes every path that begins with ``/a/`` (``/a/`` itself, not ``/a``); ``/a*`` every one that begins with
  ``/a``. A ``*`` may only stand at the end.
- ``/users/:id/x`` has a parameter: a whole segment that takes one segment, never an empty one. A ``:`` elsewhere in a
  segment is an ordinary character (``/models/m:generate``).

Which of several patterns is more specific for a path that all of them take: read them from left to right; where they
first differ, an ordinary character beats a parameter, and a parameter beats ``*``; a pattern that is at its end beats
``*``. So for ``/users/7/keys`` the order is ``/users/7/keys``, ``/users/7/:what``, ``/users/7/*``, ``/users/7*``,
``/users/:id/keys``, ``/users/:id/:what``, ``/users/:id/*``, ``/users/*``, ``/:any/7/keys``, ``/*``. An exact path is
therefore first, and a deeper prefix before a shallower one. The names of parameters make no difference: ``/u/:a`` and
``/u/:b`` are the same pattern, and the routes that have it are ordered by what follows in `aigw.routing.router`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Shape(NamedTuple):
    """A pattern without its names. ``literals``: the text before, between and after its parameters.

    ``open``: it ends in ``*``. ``/users/:id/*`` is ``Shape(("/users/", "/"), True)``.
    """

    literals: tuple[str, ...]
    open: bool = False

    @property
    def exact(self) -> bool:
        """Does it take one path only?"""
        return len(self.literals) == 1 and not self.open


class Pattern(NamedTuple):
    """A parsed pattern; ``names``: of its parameters, from left to right."""

    shape: Shape
    names: tuple[str, ...]


def check_pattern(pattern: str) -> None:
    """:raises ValueError: saying what is wrong with the pattern, if anything is."""
    parse_pattern(pattern)


def parse_pattern(pattern: str) -> Pattern:
    """Read a pattern.

    :raises ValueError: if it is not one of those above, or could never take a path.
    """
    if not pattern.startswith("/"):
        raise ValueError(f'expected a path that begins with /, got "{pattern}"')
    open = pattern.endswith("*")
    text = pattern[:-1] if open else pattern
    if "*" in text:
        raise ValueError(f'"{pattern}": a * may only stand at the end')
    _refuse_dot_segments(pattern)
    if "/:" not in text:
        return Pattern(Shape((text,), open), ())
    return _with_parameters(pattern, text, open)


def _with_parameters(pattern: str, text: str, open: bool) -> Pattern:
    literals: list[str] = []
    names: list[str] = []
    literal = ""
    for segment in text[1:].split("/"):
        literal += "/"
        if segment.startswith(":"):
            names.append(_parameter(pattern, segment[1:], names))
            literals.append(literal)
            literal = ""
        else:
            literal += segment
    if open and not literal:
        raise ValueError(f'"{pattern}": a parameter takes a whole segment; write {text}/* for what is below it')
    return Pattern(Shape((*literals, literal), open), tuple(names))


def _parameter(pattern: str, name: str, taken: list[str]) -> str:
    if not name:
        raise ValueError(f'"{pattern}": a parameter needs a name after the colon')
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{pattern}": a parameter\'s name is of letters, digits, _ and -, got "{name}"')
    if name in taken:
        raise ValueError(f'"{pattern}": there are two parameters called {name}')
    return name


def _refuse_dot_segments(pattern: str) -> None:
    if "/." in pattern and not {".", ".."}.isdisjoint(pattern.split("/")):
        raise ValueError(f'"{pattern}": . and .. are resolved in the paths of requests, so that it takes none')
