"""Path patterns: what they mean, and what is refused."""

from __future__ import annotations

import pytest

from aigw.routing.patterns import Pattern, Shape, check_pattern, parse_pattern


@pytest.mark.parametrize(
    ("text", "literals", "open", "names"),
    [
        ("/", ("/",), False, ()),
        ("/a/b", ("/a/b",), False, ()),
        ("/*", ("/",), True, ()),
        ("/a*", ("/a",), True, ()),
        ("/a/*", ("/a/",), True, ()),
        ("/users/:id", ("/users/", ""), False, ("id",)),
        ("/users/:id/", ("/users/", "/"), False, ("id",)),
        ("/users/:id/*", ("/users/", "/"), True, ("id",)),
        ("/users/:id/k*", ("/users/", "/k"), True, ("id",)),
        ("/:a/:b-2/x", ("/", "/", "/x"), False, ("a", "b-2")),
        ("/models/m:generate", ("/models/m:generate",), False, ()),
        ("/models/:m/x:y", ("/models/", "/x:y"), False, ("m",)),
        ("/.well-known/...", ("/.well-known/...",), False, ()),
        ("//", ("//",), False, ()),
        ("/é*", ("/é",), True, ()),
    ],
)
def test_parsed(text: str, literals: tuple[str, ...], open: bool, names: tuple[str, ...]) -> None:
    assert parse_pattern(text) == Pattern(Shape(literals, open), names)
    check_pattern(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "begins with /"),
        ("a/b", "begins with /"),
        ("*", "begins with /"),
        ("/a/*/b", "only stand at the end"),
        ("/a/*rest", "only stand at the end"),
        ("/a/**", "only stand at the end"),
        ("/a/:", "needs a name"),
        ("/a/:/b", "needs a name"),
        ("/a/:b c", "letters, digits"),
        ("/a/::b", "letters, digits"),
        ("/a/:é", "letters, digits"),
        ("/:id/x/:id", "two parameters called id"),
        ("/a/:id*", "write /a/:id/*"),
        ("/a/../b", "takes none"),
        ("/a/.", "takes none"),
        ("/..", "takes none"),
    ],
)
def test_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        check_pattern(text)
    assert complaint in str(caught.value)
