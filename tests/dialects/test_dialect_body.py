"""A body of which only what must change is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from aigw.dialects.body import Body, deep_merge
from aigw.dialects.rawjson import decode, encode, has_no_twins, take_apart
from aigw.dialects.slowjson import MOST_MEMBERS
from aigw.errors import InvalidJSON

SURROGATE = (
    rb'{"model":"m","messages":[{"content":"cut \ud83d"}],"temperature":1.00,"seed":123456789012345678901234567890}'
)

MALFORMED: list[tuple[bytes, str]] = [
    (b"", "empty"),
    (b" \n", "empty"),
    (b"[1]", "must be a JSON object, got array"),
    (b'"text"', "must be a JSON object, got str"),
    (b"null", "must be a JSON object, got null"),
    (b'{"a":1', "truncated"),
    (b'{"a":1,}', "byte 7"),
    (b'{"a":1} x', "trailing characters"),
    (b"{'a':1}", "byte 1"),
    (b'{"a":NaN}', "not valid JSON"),
    (b'{"a":Infinity,"b":"\\ud83d"}', "Infinity is not JSON"),
    (b'{"a":-Infinity,"b":"\\ud83d"}', "-Infinity is not JSON"),
    (b'{"b":"\\ud83d","a":1,}', "not valid JSON"),
    (b'{"b":"\\ud83d" "a":1}', "expected '}'"),
    (b'{"b":"\\ud83d","a" 1}', "expected ':'"),
    (b'{"b":"\\ud83d",1:1}', "expected a name"),
    (b'{"b":"\\ud83d"}}', "trailing characters"),
    (b'["\\ud83d"]', "must be a JSON object"),
    (b'{"a":"\xff"}', "not UTF-8: wrong byte at position 6"),
    (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
    (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
    (b'{"a":"\x00"}', "byte 6"),
    (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    (b'{"s":"\\ud83d","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    (b"{" + b",".join(b'"%d":1' % n for n in range(MOST_MEMBERS + 1)) + b"}", "too many members"),
    (b"{" + b",".join(b'"\\ud83d%d":1' % n for n in range(MOST_MEMBERS + 1)) + b"}", "too many members"),
]


@pytest.mark.parametrize(("raw", "message"), MALFORMED, ids=[str(i) for i in range(len(MALFORMED))])
def test_says_what_is_wrong(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidJSON, match=message):
        Body.parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b" { } ",
        b'{"a":1}',
        b'\n{ "a" : [ 1 , 2.50 ] , "b":"\\u00e9" }\r\n',
        b'{"\\u0061":1e999,"b":' + b"9" * 6000 + b"}",
        '{"é":"ü"}'.encode(),
        SURROGATE,
        b'{"\\ud83d":"\\uDE00"}',
    ],
)
def test_goes_out_byte_for_byte_if_nothing_changes(raw: bytes) -> None:
    body = Body.parse(raw)
    assert body.raw_bytes is raw
    assert body.edited() is raw
    assert body.edited({}, ["missing"]) is raw
    assert body.changed(body.members) is body


EDITS: list[tuple[bytes, dict[str, Any], list[str], bytes]] = [
    (b'{"a": 1.00, "b": 2}', {"b": 3}, [], b'{"a":1.00,"b":3}'),
    (b'{"a":1,"b":2}', {"c": [1, {"d": None}]}, [], b'{"a":1,"b":2,"c":[1,{"d":null}]}'),
    (b'{"a":1,"b":2}', {}, ["a"], b'{"b":2}'),
    (b'{"a":1,"b":2}', {"a": 5}, ["a"], b'{"a":5,"b":2}'),
    (b'{"a":1}', {}, ["a"], b"{}"),
    (b"{}", {"a": "\u00e9"}, [], '{"a":"é"}'.encode()),
    (b'{"a":1,"n":1e400}', {"a": Raw(b'{"x": 1}')}, [], b'{"a":{"x": 1},"n":1e400}'),
    (b'{"a":1}', {"b": 10**30}, [], b'{"a":1,"b":1000000000000000000000000000000}'),
    (b'{"a":1}', {"b": "\ud83d", "c": [Raw(b"1.0")]}, [], b'{"a":1,"b":"\\ud83d","c":[1.0]}'),
    (b'{"a":1}', {"a": {"b": {"c": ["\ud83d", None]}}}, [], b'{"a":{"b":{"c":["\\ud83d",null]}}}'),
    (b'{"a":' + b"9" * 6000 + b"}", {"a": 9}, [], b'{"a":9}'),
    (b'{"\\ud83d":1,"b":2}', {"b": 3}, [], b'{"\\ud83d":1,"b":3}'),
    (SURROGATE, {"model": "x"}, [], SURROGATE.replace(b'"m"', b'"x"')),
    (b'{"a":true}', {"a": 1}, [], b'{"a":1}'),
    (b'{"a":1}', {"a": 1.0}, [], b'{"a":1.0}'),
    (b'{"a":{"x": 1}}', {"a": {"x": 1}}, [], b'{"a":{"x":1}}'),
]


@pytest.mark.parametrize(("raw", "sets", "drop", "expected"), EDITS)
def test_edits_only_what_it_is_told(raw: bytes, sets: dict[str, Any], drop: list[str], expected: bytes) -> None:
    assert Body.parse(raw).edited(sets, drop) == expected


@pytest.mark.parametrize(
    ("raw", "sets"),
    [
        (b'{"a": "\\u0067pt"}', {"a": "gpt"}),
        (b'{"a": 1.00}', {"a": 1.0}),
        (b'{"a": null, "b": true}', {"a": None, "b": True}),
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}),
        (b'{"a": {"x": 1}}', {"a": Raw(b'{"x": 1}')}),
    ],
)
def test_setting_what_is_there_changes_nothing(raw: bytes, sets: dict[str, Any]) -> None:
    assert Body.parse(raw).edited(sets) is raw


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"model":"a","model":"b"}', b'{"model":"b"}'),
        (b'{"model":1,"x":2,"model":12}', b'{"model":12,"x":2}'),
        (b'{"model":12,"model":1}', b'{"model":1}'),
        (b'{"model":"a","\\u006dodel":"b"}', b'{"model":"b"}'),
        (b'{ "model":"a" , "model":"a" }', b'{"model":"a"}'),
        (b'{"a":"\\ud83d","model":"a","model":"b"}', b'{"a":"\\ud83d","model":"b"}'),
        # Where the walk would land after the first member of that name, the text looks like one that has no twins.
        (b'{"a":1,"a":[{"":0,"b":1}],"b":22222222}', b'{"a":[{"":0,"b":1}],"b":22222222}'),
    ],
)
def test_of_twins_only_the_last_goes_out(raw: bytes, expected: bytes) -> None:
    assert Body.parse(raw).raw_bytes == expected


def test_a_twin_inside_an_object_that_is_set_goes_away() -> None:
    body = Body.parse(b'{"provider": {"only": "x", "only": "y"}}')
    assert (
        body.edited(deep_merge(body.members, {"provider": {"only": "y"}}, force=True)) == b'{"provider":{"only":"y"}}'
    )


def test_reads_members_lazily() -> None:
    body = Body.parse(b'{"a": [1, {"b": null}], "huge": ' + b"9" * 6000 + b', "inf": 1e999, "s": "\\ud83d"}')
    assert body.get("a") == [1, {"b": None}]
    assert body.get("a") is body.get("a")
    assert body.get("s") == "\ud83d"
    assert body.get("missing") is None
    assert body.get("missing", 7) == 7
    assert "a" in body
    assert "missing" not in body
    assert body.raw("a") == Raw(b'[1, {"b": null}]')
    assert body.raw("missing") is None
    with pytest.raises(InvalidJSON):
        body.get("huge")


def test_a_changed_body_reads_changed() -> None:
    body = Body.parse(b'{"stream":false,"model":"a"}')
    assert body.get("stream") is False
    changed = body.changed({"stream": True}, ["model"])
    assert changed.get("stream") is True
    assert "model" not in changed
    assert body.get("stream") is False
    assert body.raw_bytes == b'{"stream":false,"model":"a"}'


def test_knows_the_type_of_a_member() -> None:
    body = Body.parse(b'{"o":{},"a":[],"s":"","t":true,"f":false,"n":null,"i":-1,"d":0.5}')
    types = ["object", "array", "string", "boolean", "boolean", "null", "number", "number", ""]
    assert [body.type_of(name) for name in "oastfnidx"] == types


def test_its_repr_tells_nothing() -> None:
    assert "secret" not in repr(Body.parse(b'{"messages":"secret"}'))


MERGES: list[tuple[bytes, dict[str, Any], bool, bytes]] = [
    (b'{"a": 1}', {"a": 2, "b": 3}, False, b'{"a":1,"b":3}'),
    (b'{"a": 1}', {"a": 2, "b": 3}, True, b'{"a":2,"b":3}'),
    (b'{"a": null}', {"a": 2}, False, b'{"a": null}'),
    (b'{"a": null}', {"a": {"b": 1}}, True, b'{"a":{"b":1}}'),
    (b'{"a": {"x": 1.00, "y": 2}}', {"a": {"y": 3, "z": 4}}, False, b'{"a":{"x":1.00,"y":2,"z":4}}'),
    (b'{"a": {"x": 1.00, "y": 2}}', {"a": {"y": 3, "z": 4}}, True, b'{"a":{"x":1.00,"y":3,"z":4}}'),
    (
        b'{"a": {"b": {"c": 123456789012345678901}}}',
        {"a": {"b": {"d": 1}}},
        False,
        b'{"a":{"b":{"c":123456789012345678901,"d":1}}}',
    ),
    (b'{"a": [1, 2]}', {"a": [3]}, True, b'{"a":[3]}'),
    (b'{"a": [1, 2]}', {"a": [3]}, False, b'{"a": [1, 2]}'),
    (b'{"a": [1]}', {"a": {"b": 1}}, False, b'{"a": [1]}'),
    (b'{"a": {"b": 1}}', {"a": 1}, True, b'{"a":1}'),
    (b'{"a": {"b": true}}', {"a": {"b": 1}}, True, b'{"a":{"b":1}}'),
    (b'{"a": {"b": "\\ud83d"}}', {"a": {"c": 1}}, False, b'{"a":{"b":"\\ud83d","c":1}}'),
    (b'{"a": {"b": {"c": 1}}}', {"a": {"b": {"c": 1}}}, True, b'{"a": {"b": {"c": 1}}}'),
    (b'{"a": {"b": {"c": 1}}}', {"a": {"b": {}}}, False, b'{"a": {"b": {"c": 1}}}'),
    (b'{"a": {"b": 1, "b": 2}}', {"a": {"b": 3}}, False, b'{"a":{"b":2}}'),
]


@pytest.mark.parametrize(("raw", "patch", "force", "expected"), MERGES)
def test_merges_deeply(raw: bytes, patch: dict[str, Any], force: bool, expected: bytes) -> None:
    body = Body.parse(raw)
    assert body.edited(deep_merge(body.members, patch, force)) == expected


def test_merges_decoded_values_too() -> None:
    target = {"a": {"b": True}, "c": 1}
    assert deep_merge(target, {"a": {"b": 1, "d": 2}}, force=True) == {"a": {"b": 1, "d": 2}, "c": 1}
    assert deep_merge(target, {"a": {"b": 1, "d": 2}}, force=False) == {"a": {"b": True, "d": 2}, "c": 1}
    assert target == {"a": {"b": True}, "c": 1}


@pytest.mark.parametrize("text", ["", "\ud83d"])
def test_a_value_too_deep_to_be_written_or_read_is_refused(text: str) -> None:
    deep: list[Any] = [text]
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidJSON, match="too deeply"):
        encode(deep)
    with pytest.raises(InvalidJSON, match="too deeply"):
        decode(b"[" * 100_000 + json.dumps(text).encode() + b"]" * 100_000)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
SPACES = st.text(" \t\r\n", max_size=2)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """An object as someone might write it: spaces, escapes, lone surrogates, twins; with its names and texts."""
    pairs, parts = [], []
    names = st.text(st.characters(codec=None), max_size=2) | st.sampled_from("ab")
    for name in draw(st.lists(names, max_size=6)):
        dumped = json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans()))
        value = draw(st.sampled_from([dumped, dumped, "1.00", "-0", "1E5", "9" * 30, r'"\ud83d"', r'"\u0041"']))
        value = value.encode("utf-8", "replace").decode()
        pairs.append((name, value))
        parts.append(f"{draw(SPACES)}{json.dumps(name)}{draw(SPACES)}:{draw(SPACES)}{value}{draw(SPACES)}")
    return f"{draw(SPACES)}{{{','.join(parts) or draw(SPACES)}}}{draw(SPACES)}", pairs


@given(written(), VALUES, st.sampled_from("abc"))
def test_any_object_keeps_its_slices(document: tuple[str, list[tuple[str, str]]], value: Any, name: str) -> None:
    text, pairs = document
    raw = text.encode()
    body = Body.parse(raw)
    expected = {n: v.encode() for n, v in pairs}
    assert {n: bytes(v) for n, v in body.members.items()} == expected
    assert list(body.members) == list(expected)
    assert (body.raw_bytes == raw) or len(expected) < len(pairs)

    value = json.loads(json.dumps(value))
    edited = take_apart(leaves := body.edited({name: value}))
    assert has_no_twins(leaves, edited)
    assert {n: bytes(v) for n, v in edited.items() if n != name} == {n: v for n, v in expected.items() if n != name}
    assert json.loads(bytes(edited[name])) == value
    assert list(edited) == list(dict.fromkeys([*expected, name]))


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_anything_else_is_refused_politely(raw: bytes) -> None:
    try:
        body = Body.parse(raw)
    except InvalidJSON:
        return
    assert isinstance(json.loads(raw), dict)
    assert body.raw_bytes
