"""A request body as its client wrote it: one JSON object, of which only what must change is touched.

A body that nothing had to change goes out byte for byte. Where a field changes, all others leave as they came: their
order, number formats, escapes, lone surrogates. Of members with the same name only the last is kept, so that no two
readers on the way can see different ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs
from msgspec import Raw

from aigw.dialects.rawjson import Members, decode, encode, has_no_twins, same, take_apart
from aigw.errors import InvalidJSON

_TYPES = {
    ord(first): kind
    for first, kind in {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}.items()
}


@attrs.define(eq=False, repr=False)
class Body:
    """Immutable: `changed` makes another one. Its repr shows nothing of what the client wrote."""

    members: Members
    """In order; not to be written to."""
    _read: bytes | None = None
    """The text that the members were read from; None = there is none."""
    _written: bytes | None = None
    """What goes out; None = not worked out yet."""
    _decoded: dict[str, Any] = attrs.field(factory=dict)

    @classmethod
    def parse(cls, raw: bytes) -> Body:
        """Take a body apart, one level deep.

        :raises InvalidJSON: if it is not one JSON object in UTF-8 (RFC 8259), or nested too deeply.
        """
        if not raw or not raw.isascii() or raw.isspace():
            _require_json_text(raw)
        return cls(take_apart(raw), raw)

    @property
    def raw_bytes(self) -> bytes:
        """What goes out."""
        written = self._written
        if written is None:
            read = self._read
            written = read if read is not None and has_no_twins(read, self.members) else encode(self.members)
            self._written = written
        return written

    def __contains__(self, name: str) -> bool:
        """Is there such a member?"""
        return name in self.members

    def get(self, name: str, default: Any = None) -> Any:
        """The decoded value of a member, not to be written to.

        :raises InvalidJSON: if its value can't be held (an integer of thousands of digits).
        """
        raw = self.members.get(name)
        if raw is None:
            return default
        if name in self._decoded:
            return self._decoded[name]
        value = self._decoded[name] = decode(raw)
        return value

    def raw(self, name: str) -> Raw | None:
        """The text of a member, to be put elsewhere as it is."""
        return self.members.get(name)

    def type_of(self, name: str) -> str:
        """``object``, ``array``, ``string``, ``number``, ``boolean``, ``null``; ``""`` if there is no such member."""
        raw = self.members.get(name)
        return "" if raw is None else _TYPES.get(memoryview(raw)[0], "number")

    def changed(self, set: Mapping[str, Any] | None = None, drop: Collection[str] = ()) -> Body:
        """The body with members set (in their place, or appended) and dropped; itself if that changes nothing.

        Values are anything that JSON can say, `Raw` text of it (encode constants once), or containers of both.
        A name in both is set.
        """
        members = self._changed(set, drop)
        return self if members is self.members else Body(members=members)

    def edited(self, set: Mapping[str, Any] | None = None, drop: Collection[str] = ()) -> bytes:
        """What goes out after `changed`."""
        members = self._changed(set, drop)
        return self.raw_bytes if members is self.members else encode(members)

    def _changed(self, set: Mapping[str, Any] | None, drop: Collection[str]) -> Members:
        """The members after `changed`; the very same if that changes nothing."""
        before = self.members
        changes: Members = {}
        for name, value in set.items() if set else ():
            raw = value if type(value) is Raw else Raw(encode(value))
            old = before.get(name)
            if old is None or not same(old, raw):
                changes[name] = raw
        gone = [name for name in drop if name in before and not (set and name in set)] if drop else ()
        if not changes and not gone:
            return before
        members = {**before, **changes}
        for name in gone:
            del members[name]
        return members


def deep_merge(target: Mapping[str, Any], patch: Mapping[str, Any], force: bool) -> dict[str, Any]:
    """The members of ``target`` with ``patch`` merged in; both may hold `Raw` text instead of values, as a `Body` does.

    Objects merge member by member, anything else is one value. ``force``: the patch wins; otherwise what the target
    has (a null, too) stays, and the patch fills in what is missing.
    """
    merged = dict(target)
    for name, value in patch.items():
        old = target.get(name)
        if name not in target:
            merged[name] = value
        elif isinstance(value, Mapping) and _is_object(old):
            merged[name] = _merged_object(old, value, force)
        elif force and not (isinstance(old, Raw) and same(old, Raw(encode(value)))):
            merged[name] = value
    return merged


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, Raw) and bytes(memoryview(value)[:1]) == b"{")


def _merged_object(old: Any, patch: Mapping[str, Any], force: bool) -> Any:
    """The same text if that changes nothing."""
    if isinstance(old, Mapping):
        return deep_merge(old, patch, force)
    inner = take_apart(text := bytes(old))
    merged = deep_merge(inner, patch, force)
    return old if merged == inner and has_no_twins(text, inner) else merged


def _require_json_text(raw: bytes) -> None:
    """Something, in UTF-8."""
    if not raw or raw.isspace():
        raise InvalidJSON("the request body is empty, expected a JSON object")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise InvalidJSON("the request body starts with a byte order mark; JSON has none (RFC 8259 section 8.1)")
    try:
        raw.decode()
    except UnicodeDecodeError as e:
        raise InvalidJSON(f"the request body is not UTF-8: wrong byte at position {e.start}") from None
