"""A compressed radix tree over path patterns, immutable: a change copies the nodes on one path and shares all others.

Its order is the one that `aigw.routing.patterns` documents. Exact paths need no tree: they stand in a map in front of
it. Nothing is recursive, for a tree may be as deep as its longest pattern has characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, Generic, TypeVar

from aigw.routing.patterns import Shape
from aigw.routing.persistent import PersistentMap

V = TypeVar("V")

_NO_CHILDREN: dict[str, _Node] = {}
"""Shared by all leaves; never changed."""


class _Node:
    """``label``: the characters between its parent and it (none: it is the root or a parameter).

    ``children``: by the first character of their labels. ``param``: the child that takes a segment. ``exact`` and
    ``prefix``: the values of the patterns that end here, without and with a ``*``.
    """

    __slots__ = ("children", "exact", "label", "param", "prefix")

    def __init__(self, label: str) -> None:
        self.label = label
        self.children = _NO_CHILDREN
        self.param: _Node | None = None
        self.exact: Any = None
        self.prefix: Any = None

    def copy(self) -> _Node:
        """One that may be changed without changing this one."""
        twin = _Node(self.label)
        twin.children = self.children.copy() if self.children else _NO_CHILDREN
        twin.param, twin.exact, twin.prefix = self.param, self.exact, self.prefix
        return twin

    def adopt(self, child: _Node) -> None:
        """Have ``child`` among the children."""
        if self.children is _NO_CHILDREN:
            self.children = {}
        self.children[child.label[0]] = child

    @property
    def barren(self) -> bool:
        """Does no pattern end here, and does no parameter begin here?"""
        return self.exact is None and self.prefix is None and self.param is None


class Tree(Generic[V]):
    """From shapes of patterns to values that are not None."""

    __slots__ = ("_exact", "_root")

    def __init__(self, items: Iterable[tuple[Shape, V]] = ()) -> None:
        exact: dict[str, V] = {}
        self._root = _Node("")
        for shape, value in items:
            if shape.exact:
                exact[shape.literals[0]] = value
            else:
                _plant(self._root, shape, value, _itself)
        self._exact = PersistentMap(exact)

    def __bool__(self) -> bool:
        return bool(self._exact or self._root.children or not self._root.barren)

    def get(self, shape: Shape) -> V | None:
        """The value of this very shape, or None."""
        if shape.exact:
            return self._exact.get(shape.literals[0])
        node = _find(self._root, shape)
        if node is None:
            return None
        value: V | None = node.prefix if shape.open else node.exact
        return value

    def set(self, shape: Shape, value: V) -> Tree[V]:
        """A tree that has this value there."""
        if shape.exact:
            return self._made(self._exact.set(shape.literals[0], value), self._root)
        root = self._root.copy()
        _plant(root, shape, value, _Node.copy)
        return self._made(self._exact, root)

    def remove(self, shape: Shape) -> Tree[V]:
        """A tree without this shape (this one, if it has no such shape)."""
        if self.get(shape) is None:
            return self
        if shape.exact:
            return self._made(self._exact.remove(shape.literals[0]), self._root)
        root = self._root.copy()
        trail = _plant(root, shape, None, _Node.copy)
        for parent, child in reversed(list(pairwise(trail))):
            _tidy(parent, child)
        return self._made(self._exact, root)

    def lookup(self, path: str) -> Iterator[tuple[V, tuple[str, ...]]]:
        """The value of each pattern that takes ``path``, most specific first, with what its parameters took.

        Visits no node twice, so that the longest path costs no more than its characters and the patterns on its way.
        """
        found = self._exact.get(path)
        if found is not None:
            yield found, ()
        node, at, size = self._root, 0, len(path)
        taken: tuple[str, ...] = ()
        later: list[tuple[_Node, int, tuple[str, ...]]] = []
        while True:
            while True:
                if node.prefix is not None:
                    later.append((node, -1, taken))
                if node.param is not None:
                    later.append((node, at, taken))
                if at == size:
                    if node.exact is not None:
                        yield node.exact, taken
                    break
                child = node.children.get(path[at])
                if child is None or not path.startswith(child.label, at):
                    break
                at += len(child.label)
                node = child
            while later:
                node, at, taken = later.pop()
                if at < 0:
                    yield node.prefix, taken
                    continue
                end = path.find("/", at)
                segment = path[at:end] if end >= 0 else path[at:]
                if segment and node.param is not None:
                    node, at, taken = node.param, at + len(segment), (*taken, segment)
                    break
            else:
                return

    def values(self) -> Iterator[V]:
        """All values, in no particular order."""
        yield from self._exact.values()
        nodes = [self._root]
        while nodes:
            node = nodes.pop()
            yield from (value for value in (node.exact, node.prefix) if value is not None)
            nodes.extend(node.children.values())
            if node.param is not None:
                nodes.append(node.param)

    def _made(self, exact: PersistentMap[V], root: _Node) -> Tree[V]:
        made: Tree[V] = Tree.__new__(Tree)
        made._exact = exact
        made._root = root
        return made


_Own = Callable[[_Node], _Node]
"""Makes a node one that may be changed: a copy of it in a tree that others read, itself while a tree is being built."""


def _itself(node: _Node) -> _Node:
    return node


def _find(root: _Node, shape: Shape) -> _Node | None:
    node: _Node | None = root
    for depth, text in enumerate(shape.literals):
        if depth and node is not None:
            node = node.param
        at = 0
        while node is not None and at < len(text):
            node = node.children.get(text[at])
            if node is None or not text.startswith(node.label, at):
                return None
            at += len(node.label)
    return node


def _plant(root: _Node, shape: Shape, value: Any, own: _Own) -> list[_Node]:
    """Put a value into a tree whose root may be changed; returns the nodes on the way, which may be, too."""
    trail = [root]
    for depth, text in enumerate(shape.literals):
        if depth:
            node = trail[-1]
            node.param = _Node("") if node.param is None else own(node.param)
            trail.append(node.param)
        _grow(trail, text, own)
    if shape.open:
        trail[-1].prefix = value
    else:
        trail[-1].exact = value
    return trail


def _grow(trail: list[_Node], text: str, own: _Own) -> None:
    """Go on from the trail's last node along ``text``, with new nodes where there are none."""
    at = 0
    while at < len(text):
        node = trail[-1]
        child = node.children.get(text[at])
        if child is None:
            child = _Node(text[at:])
        else:
            child = own(child)
            common = _common(child.label, text, at)
            if common < len(child.label):
                child = _forked(child, common)
        node.adopt(child)
        trail.append(child)
        at += len(child.label)


def _common(label: str, text: str, at: int) -> int:
    """How many characters ``label`` and ``text[at:]`` have in common at their beginning."""
    if text.startswith(label, at):
        return len(label)
    return next(n for n, character in enumerate(label) if text[at + n : at + n + 1] != character)


def _forked(node: _Node, at: int) -> _Node:
    """A node for the first characters of a label; ``node`` (which may be changed) keeps the rest below it."""
    upper = _Node(node.label[:at])
    node.label = node.label[at:]
    upper.adopt(node)
    return upper


def _tidy(parent: _Node, child: _Node) -> None:
    """Undo what no pattern needs any more: an empty child, or one that only stands before its only child."""
    if not child.barren or len(child.children) > 1:
        return
    if child.children and child.label:
        (only,) = child.children.values()
        merged = only.copy()
        merged.label = child.label + only.label
        parent.adopt(merged)
    elif not child.children and child.label:
        del parent.children[child.label[0]]
    elif not child.children:
        parent.param = None
