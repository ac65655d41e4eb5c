"""The radix tree: the documented order, against a list that is sorted by it; versions that stay; one form."""

from __future__ import annotations

import random
import re
import sys
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.routing.patterns import Shape, parse_pattern
from aigw.routing.tree import Tree

_LITERALS = ["a", "b", "ab", "abc", ""]
_PARAMETERS = [":x", ":y"]
_ends = st.sampled_from(["", "/", "*", "a*", "/*", "/a*"])


def _pattern(segments: list[str], end: str) -> str:
    named = [f"{s}{i}" if s.startswith(":") else s for i, s in enumerate(segments)]
    if end and end[0] not in "/" and named and named[-1].startswith(":"):
        named.append("")
    return "/" + "/".join(named) + end


patterns = st.builds(_pattern, st.lists(st.sampled_from(_LITERALS + _PARAMETERS), max_size=4), _ends)
paths = st.lists(st.sampled_from(_LITERALS), min_size=1, max_size=5).map(lambda s: "/" + "/".join(s))


def regex_of(pattern: str) -> re.Pattern[str]:
    """The naive meaning of a pattern."""
    text = re.escape(pattern).replace(r"\*", ".*")
    return re.compile(re.sub(r"(?<=/):[\w-]+", "([^/]+)", text), re.DOTALL)


def specificity(pattern: str) -> str:
    """The documented order, as a key: character for character, an ordinary one (a), a parameter (b), a star (c)."""
    return re.sub(r"[^\0*]", "a", re.sub(r"(?<=/):[\w-]+", "\0", pattern)).replace("\0", "b").replace("*", "c")


def _tree_of(texts: list[str]) -> Tree[str]:
    return Tree((parse_pattern(text).shape, text) for text in texts)


def _dump(tree: Tree[Any]) -> object:
    def node(n: Any) -> object:
        if n is None:
            return None
        return n.label, n.exact, n.prefix, node(n.param), {k: node(c) for k, c in sorted(n.children.items())}

    return node(tree._root), sorted(tree._exact.values())


def _distinct(texts: list[str]) -> dict[Shape, str]:
    return {parse_pattern(text).shape: text for text in texts}


@settings(deadline=None)
@given(st.lists(patterns, max_size=25), st.lists(paths, min_size=1, max_size=10))
def test_lookup_is_the_sorted_list(texts: list[str], requests: list[str]) -> None:
    shapes = _distinct(texts)
    tree = Tree(shapes.items())
    for path in requests:
        matches = {text: match for text in shapes.values() if (match := regex_of(text).fullmatch(path))}
        expected = [(text, matches[text].groups()) for text in sorted(matches, key=specificity)]
        assert list(tree.lookup(path)) == expected


_changes = st.lists(patterns, min_size=1, max_size=8).flatmap(
    lambda pool: st.lists(st.tuples(st.booleans(), st.sampled_from(pool)), max_size=30)
)


@settings(deadline=None)
@given(_changes)
def test_changes_leave_old_versions_and_arrive_at_one_form(changes: list[tuple[bool, str]]) -> None:
    tree: Tree[str] = Tree()
    model: dict[Shape, str] = {}
    for put, text in changes:
        shape = parse_pattern(text).shape
        before = _dump(tree)
        after = tree.set(shape, text) if put else tree.remove(shape)
        assert _dump(tree) == before
        tree = after
        if put:
            model[shape] = text
        else:
            model.pop(shape, None)
        assert tree.get(shape) == model.get(shape)
    assert _dump(tree) == _dump(Tree(model.items()))
    assert sorted(tree.values()) == sorted(model.values())
    assert bool(tree) == bool(model)


_FAMILY = ["/a*", "/b*", "/ab*", "/:x", "/:x/a", "/:x/b*", "/*", "/a/:y", "/a/:y/*", "/a"]


def test_a_removal_leaves_the_tree_that_the_rest_would_make() -> None:
    for texts in combinations(_FAMILY, 3):
        for gone in texts:
            rest = [text for text in texts if text != gone]
            assert _dump(_tree_of([*texts]).remove(parse_pattern(gone).shape)) == _dump(_tree_of(rest)), texts


def test_the_documented_order() -> None:
    order = [
        "/users/7/keys",
        "/users/7/:what",
        "/users/7/*",
        "/users/7*",
        "/users/:id/keys",
        "/users/:id/:what",
        "/users/:id/*",
        "/users/*",
        "/:any/7/keys",
        "/*",
    ]
    shuffled = order.copy()
    random.Random(1).shuffle(shuffled)
    assert [text for text, _ in _tree_of(shuffled).lookup("/users/7/keys")] == order


@pytest.mark.parametrize(
    ("pattern", "path", "taken"),
    [
        ("/a/*", "/a/", ()),
        ("/a/*", "/a/b/c", ()),
        ("/a/*", "/a", None),
        ("/a*", "/a", ()),
        ("/a*", "/ab/c", ()),
        ("/a*", "/", None),
        ("/*", "/", ()),
        ("/u/:id", "/u/7", ("7",)),
        ("/u/:id", "/u/", None),
        ("/u/:id", "/u/7/", None),
        ("/u/:id/", "/u/7/", ("7",)),
        ("/u/:id/*", "/u/7/", ("7",)),
        ("/u/:id/*", "/u/7", None),
        ("/u/:id/*", "/u//x", None),
        ("/:a/:b", "/é/x:y", ("é", "x:y")),
        ("/a", "/a/", None),
        ("/a", "*", None),
        ("/*", "*", None),
    ],
)
def test_what_a_pattern_takes(pattern: str, path: str, taken: tuple[str, ...] | None) -> None:
    expected = [] if taken is None else [(pattern, taken)]
    assert list(_tree_of([pattern]).lookup(path)) == expected


def test_a_change_shares_what_it_does_not_touch() -> None:
    tree = _tree_of([f"/{letter}/{n}/*" for letter in "abcdef" for n in range(20)])
    changed = tree.set(parse_pattern("/a/new/*").shape, "new")
    kept = [changed._root.children["/"].children[c] is tree._root.children["/"].children[c] for c in "bcdef"]
    assert all(kept)


def test_removing_what_is_not_there_changes_nothing() -> None:
    tree = _tree_of(["/a/*", "/b"])
    assert tree.remove(parse_pattern("/a/b/*").shape) is tree
    assert tree.remove(parse_pattern("/c").shape) is tree


def test_depth_is_not_recursion() -> None:
    depth = 3 * sys.getrecursionlimit()
    texts = ["/" + "a" * n + "*" for n in range(0, depth, 2)]
    tree = _tree_of(texts)
    assert sum(1 for _ in tree.lookup("/" + "a" * depth)) == len(texts)
    for text in texts[-5:]:
        tree = tree.remove(parse_pattern(text).shape)
    tree = tree.set(Shape(("/" + "a" * depth, ""), False), "deep")
    assert sum(1 for _ in tree.values()) == len(texts) - 4
