"""Headers as they were received behave as Twisted's own, but for changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from aigw.received import Field, ReceivedHeaders
from aigw.remembered import LONGEST, MOST, SPELL, VARIETY, FieldMemory

NAMES = [b"a", b"connection", b"content-length", b"host", b"www-authenticate", b"x"]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([b"", b"1", b"close", b"\xc3\xa9"])), max_size=8)


def stock(fields: list[Field]) -> Headers:
    headers = Headers()
    for name, value in fields:
        headers.addRawHeader(name, value)
    return headers


def everything(headers: Headers) -> dict[bytes, list[bytes]]:
    return {name.lower(): [*values] for name, values in headers.getAllRawHeaders()}


@given(FIELDS)
def test_they_say_what_twisteds_say(fields: list[Field]) -> None:
    received, other = ReceivedHeaders(fields), stock(fields)
    assert everything(received) == everything(other) == everything(received.copy())
    assert received == other
    for name in [*NAMES, b"X", b"Host", b"none"]:
        for key in (name, name.decode()):
            assert received.getRawHeaders(key) == other.getRawHeaders(key)
            assert received.getRawHeaders(key, "none") == other.getRawHeaders(key, "none")
            assert received.hasHeader(key) == other.hasHeader(key)
    assert received.by_name == {name: values[-1] for name, values in everything(other).items()}
    assert everything(ReceivedHeaders.of(other)) == everything(other)
    assert ReceivedHeaders.of(received) is received


@given(
    st.lists(st.sampled_from([b"", b"close", b"Keep-Alive", b"keep-alive", b" close , x", b"X,,\tclose"]), max_size=3)
)
def test_lists(values: list[bytes]) -> None:
    received = ReceivedHeaders([(b"a", b"close"), *((b"connection", value) for value in values)])
    assert received.listed(b"connection") == {token.strip().lower() for v in values for token in v.split(b",")}
    assert received.listed(b"none") == frozenset()


@given(FIELDS, st.sampled_from([b"1", b"23"]))
def test_another_length_changes_nothing_else(fields: list[Field], length: bytes) -> None:
    fields = [field for field in fields if field[0] != b"content-length"]
    received = ReceivedHeaders([(b"content-length", b"1"), *fields])
    other = received.with_length(length)
    assert other.fields == [(b"content-length", length), *fields]
    assert everything(other) == everything(stock(other.fields))
    assert other.derived is received.derived
    assert received.getRawHeaders(b"content-length") == [b"1"]


@pytest.mark.parametrize("fields", [[(b"a", b"1")], [(b"a", b"1"), (b"a", b"2")]])
def test_what_is_handed_out_is_the_callers_own(fields: list[Field]) -> None:
    received = ReceivedHeaders(fields)
    for values in (received.getRawHeaders(b"a"), dict(received.getAllRawHeaders())[b"a"]):
        values.append(b"evil")
    assert received.getRawHeaders(b"a") == [value for _, value in fields]
    with pytest.raises(TypeError):
        received.addRawHeader(b"a", b"evil")


def test_values_stay_out_of_repr() -> None:
    assert repr(ReceivedHeaders([(b"authorization", b"Bearer s")])) == "<ReceivedHeaders authorization>"


# What is remembered of fields.


def test_lines_of_a_name_that_never_repeats_are_not_remembered_for_long() -> None:
    memory: FieldMemory[int, int] = FieldMemory()
    memory.keep(b"accept", -1, 10, -1)
    for n in range(SPELL):
        memory.keep(b"traceparent", n, 10, n)
    assert len(memory) == VARIETY + 1
    assert memory[-1] == -1
    memory.keep(b"traceparent", SPELL, 10, SPELL)
    assert memory[SPELL] == SPELL


def test_what_is_remembered_of_fields_is_bounded_and_no_secret() -> None:
    memory: FieldMemory[int, int] = FieldMemory()
    for n in range(3 * MOST):
        memory.keep(b"x-%d" % n, n, 10, n)
        assert len(memory) <= MOST
        assert len(memory._new) <= MOST
    before = dict(memory)
    memory.keep(b"authorization", -1, 10, -1)
    memory.keep(b"x", -2, LONGEST + 1, -2)
    assert memory == before
