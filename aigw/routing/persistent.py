"""An immutable map that is cheap to change: dicts of at most 64 items under 64-way tuples, by the bits of the hash.

A change copies one dict and, at 100,000 items, two or three tuples: microseconds, where a copy of one big dict takes
milliseconds. The garbage collector sees a few thousand objects instead of one or more per item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

V = TypeVar("V")

_BITS = 6
_WAYS = 1 << _BITS
_LEAF = 64
_DEEPEST = 10
"""60 bits of the hash are used up then: what still shares a leaf stays there."""

_Node: TypeAlias = "dict[str, Any] | tuple[_Node, ...]"


class PersistentMap(Generic[V]):
    """From strings to values that are not None. Nobody changes one: `set` and `remove` return another."""

    __slots__ = ("_root", "_size")

    def __init__(self, items: Mapping[str, V] | None = None) -> None:
        self._root = _split(dict(items or {}), 0)
        self._size = len(items or ())

    def __len__(self) -> int:
        return self._size

    def get(self, key: str) -> V | None:
        """The value, or None."""
        node = self._root
        bits = hash(key)
        while isinstance(node, tuple):
            node = node[bits % _WAYS]
            bits >>= _BITS
        return node.get(key)

    def set(self, key: str, value: V) -> PersistentMap[V]:
        """A map that has this value there."""
        grown = self._size + (self.get(key) is None)
        return self._made(_changed(self._root, hash(key), 0, key, value), grown)

    def remove(self, key: str) -> PersistentMap[V]:
        """A map without this key (this one, if it has no such key)."""
        if self.get(key) is None:
            return self
        return self._made(_changed(self._root, hash(key), 0, key, None), self._size - 1)

    def values(self) -> Iterator[V]:
        """All values, in no particular order."""
        return _values(self._root)

    def _made(self, root: _Node, size: int) -> PersistentMap[V]:
        made: PersistentMap[V] = PersistentMap.__new__(PersistentMap)
        made._root = root
        made._size = size
        return made


def _changed(node: _Node, bits: int, depth: int, key: str, value: Any) -> _Node:
    """A copy of ``node`` with the value there; None takes the key out."""
    if isinstance(node, tuple):
        at = bits % _WAYS
        below = _changed(node[at], bits >> _BITS, depth + 1, key, value)
        return (*node[:at], below, *node[at + 1 :])
    leaf = node.copy()
    if value is None:
        del leaf[key]
        return leaf
    leaf[key] = value
    return _split(leaf, depth)


def _split(items: dict[str, Any], depth: int) -> _Node:
    """A node of these items (which it keeps) at this depth."""
    if len(items) <= _LEAF or depth == _DEEPEST:
        return items
    parts: list[dict[str, Any]] = [{} for _ in range(_WAYS)]
    shift = depth * _BITS
    for key, value in items.items():
        parts[(hash(key) >> shift) % _WAYS][key] = value
    return tuple(_split(part, depth + 1) for part in parts)


def _values(node: _Node) -> Iterator[Any]:
    if isinstance(node, tuple):
        for part in node:
            yield from _values(part)
    else:
        yield from node.values()
