"""Bodies: what is JSON, what is too much, what could not be stored."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.admin.answers import Refusal
from aigw.admin.body import MAX_BODY, MAX_DEPTH, parse, parse_object


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is missing; expected JSON"),
        (b" \r\n\t ", "the body is missing; expected JSON"),
        (b'{\n  "a": 1,\n  b: 2}', "invalid JSON: Expecting property name enclosed in double quotes: line 3 column 3"),
        (b'{"a": 1} x', "invalid JSON: Extra data: line 1 column 10"),
        (b"{'a': 1}", "invalid JSON: Expecting property name"),
        (b'{"a": "x\x01"}', "invalid JSON: Invalid control character at: line 1 column 9"),
        (b'{"a": "\xff"}', "invalid UTF-8 at byte 7 of the body"),
        (b"\xef\xbb\xbf{}", "invalid JSON: Unexpected UTF-8 BOM"),
        (b"uri=/a&x=y", "invalid JSON: Expecting value: line 1 column 1"),
        (b'{"b": {"a": 1, "c": 2, "a": 3}}', 'invalid JSON: duplicate key "a"'),
        (b'{"a": NaN}', "invalid JSON: NaN is not a JSON number"),
        (b"[-Infinity]", "invalid JSON: -Infinity is not a JSON number"),
        (b'{"a": 1e999}', "invalid JSON: the number 1e999 is out of range"),
        (
            b'{"a": ' + b"1" * 5000 + b"}",
            "invalid JSON: the number 1111111111111111111111111111111111111111... has too many digits",
        ),
        (b'{"a": -' + b"1" * 300 + b"}", "invalid JSON: the number -111111111111111111111111111111111111111... has"),
        (b'{"a": "\\ud83d"}', "invalid JSON: a string holds half of a surrogate pair"),
        (b'{"\\udc00": 1}', "invalid JSON: a string holds half of a surrogate pair"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "invalid JSON: nested over 64 levels deep"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "invalid JSON: nested over 64 levels deep"),
        (b"[" * 700_000, "invalid JSON: nested over 64 levels deep"),
    ],
)
def test_what_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(body)
    assert caught.value.answer.status == 400
    assert caught.value.answer.body["error_msg"].startswith(message)


@pytest.mark.parametrize("inside", [b"", b"1", b'"x",2'])
def test_deep_but_not_too_deep(inside: bytes) -> None:
    assert parse(b"[" * MAX_DEPTH + inside + b"]" * MAX_DEPTH)
    assert parse(b'{"a":' * (MAX_DEPTH - 1) + b"[" + inside + b"]" + b"}" * (MAX_DEPTH - 1))


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_only_objects_are_documents(body: bytes) -> None:
    with pytest.raises(Refusal, match="must be an object"):
        parse_object(body)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_every_other_value_comes_through(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_parsed_and_nothing_else(body: bytes) -> None:
    with contextlib.suppress(Refusal):
        parse(body)


def test_a_body_of_the_greatest_size_passes_and_one_more_byte_does_not(face: Any) -> None:
    body = b'{"desc": "d"}'
    full = body + b" " * (MAX_BODY - len(body))
    assert face.ask("PUT", "/services/s", full).status == 201
    refused = face.ask("PUT", "/services/s", full + b" ")
    assert (refused.status, refused.error) == (413, "the body is over the limit of 1572864 bytes")


@pytest.mark.parametrize("media", ["application/x-www-form-urlencoded", "text/plain", "application/json", ""])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_content_type_does_not_matter(face: Any, media: str, method: str) -> None:
    """curl -d calls everything a form, and stock Twisted would mix a form's fields into the query."""
    body = b'{"name": "x&gateway_group_id=other&ttl=x", "uri": "/a%20b"}'
    path = "/routes/r" if method == "PUT" else "/routes"
    got = face.ask(method, path, body, headers={"Content-Type": media} if media else {})
    assert got.status == 201
    assert got.json["value"]["name"] == "x&gateway_group_id=other&ttl=x"
    assert face.ask("GET", "/routes").json["total"] == 1


def test_too_many_query_parameters(face: Any) -> None:
    assert face.ask("GET", "/routes?" + "&".join(f"a{i}=1" for i in range(60))).status == 400


def test_the_first_of_equal_query_parameters_counts(face: Any) -> None:
    face.ask("PUT", "/services/s?gateway_group_id=a&gateway_group_id=b", {})
    assert face.ask("GET", "/services/s?gateway_group_id=a").status == 200
