"""Header fields on their way out."""

from __future__ import annotations

import pytest
from twisted.web.http_headers import Headers

from aigw.remembered import LONGEST, MOST
from aigw.upstream.head import Field
from aigw.upstream.headers import HeaderBlock, Lines, block_of

CONNECTION_BUSINESS = (
    b"Connection Keep-Alive Proxy-Connection Proxy-Authenticate TE Trailer Transfer-Encoding Upgrade "
    b"Content-Length Expect HTTP2-Settings"
).split()


def test_a_block_is_its_fields_in_order() -> None:
    block = HeaderBlock([(b"b", b"1"), (b"A", b"2"), (b"b", b"")])
    assert block.block == b"b: 1\r\nA: 2\r\nb: \r\n"
    assert not block.names_host


def test_more_fields_on_a_base() -> None:
    base = HeaderBlock([(b"Authorization", b"Bearer x"), (b"Host", b"other.example")])
    more = base.plus([(b"X", b"y")])
    assert more.block == b"Authorization: Bearer x\r\nHost: other.example\r\nX: y\r\n"
    assert more.names_host
    assert more.getRawHeaders(b"authorization") == [b"Bearer x"]
    assert base.block == b"Authorization: Bearer x\r\nHost: other.example\r\n"


@pytest.mark.parametrize("name", CONNECTION_BUSINESS)
def test_what_concerns_the_connection_is_not_sent(name: bytes) -> None:
    for spelling in (name, name.lower(), name.upper()):
        assert HeaderBlock([(spelling, b"v"), (b"X", b"y")]).block == b"X: y\r\n"
        assert block_of(Headers({spelling: [b"v"], b"X": [b"y"]})) == (b"X: y\r\n", False)


def test_what_connection_names_is_not_sent() -> None:
    headers = Headers(
        {b"Connection": [b"X-Mine, close", b"x-other"], b"X-Mine": [b"1"], b"X-Other": [b"2"], b"X": [b"3"]}
    )
    assert block_of(headers) == (b"X: 3\r\n", False)
    fields = [(name, value) for name, values in headers.getAllRawHeaders() for value in values]
    assert HeaderBlock(fields).block == b"X: 3\r\n"


def test_headers_as_given() -> None:
    assert block_of(None) == (b"", False)
    assert block_of(Headers()) == (b"", False)
    assert block_of(Headers({b"a": [b"1", b"2"], b"host": [b"h"]})) == (b"A: 1\r\nA: 2\r\nHost: h\r\n", True)
    assert block_of(HeaderBlock([(b"a", b"1")])) == (b"a: 1\r\n", False)


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nX: y", b"a\rX: y", b"\r\n", b"a\0", b"\n"])
def test_no_value_can_begin_a_field_of_its_own(value: bytes) -> None:
    with pytest.raises(ValueError, match="line end"):
        HeaderBlock([(b"A", value)])

    class Careless(Headers):
        def getAllRawHeaders(self):  # type: ignore[no-untyped-def]
            return iter([(b"A", [value])])

    with pytest.raises(ValueError, match="line end"):
        block_of(Careless())


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xc3\xa4", b"a\0"])
def test_no_name_that_is_no_token(name: bytes) -> None:
    with pytest.raises(ValueError, match="token"):
        HeaderBlock([(name, b"x")])


def test_it_can_be_looked_at_as_headers() -> None:
    fields: list[Field] = [(b"content-type", b"a/b"), (b"X-A", b"1"), (b"x-a", b"2")]
    block, headers = HeaderBlock(fields), Headers({b"Content-Type": [b"a/b"], b"X-A": [b"1", b"2"]})
    assert isinstance(block, Headers)
    assert block.hasHeader(b"X-a")
    assert block.hasHeader("content-type")
    assert not block.hasHeader(b"y")
    assert block.getRawHeaders(b"x-A") == [b"1", b"2"]
    assert block.getRawHeaders("x-A") == ["1", "2"]
    assert block.getRawHeaders(b"y") is None
    assert block.getRawHeaders(b"y", [b"z"]) == [b"z"]
    assert list(block.getAllRawHeaders()) == list(headers.getAllRawHeaders())
    assert block == headers
    assert headers == block
    assert block == HeaderBlock(fields)
    assert block != Headers()


def test_it_never_changes_but_its_copy_does() -> None:
    block = HeaderBlock([(b"A", b"1")])
    with pytest.raises(TypeError):
        block.setRawHeaders(b"A", [b"2"])
    with pytest.raises(TypeError):
        block.addRawHeader(b"A", b"2")
    with pytest.raises(TypeError):
        block.removeHeader(b"A")
    copy = block.copy()
    copy.setRawHeaders(b"A", [b"2"])
    assert block.getRawHeaders(b"A") == [b"1"]


def test_values_stay_out_of_repr() -> None:
    assert repr(HeaderBlock([(b"Authorization", b"Bearer secret")])) == "<HeaderBlock Authorization>"


# Lines of fields that clients repeat.


def test_lines_are_what_a_block_would_have() -> None:
    lines = Lines(frozenset({b"x-not"}))
    for _ in range(2):
        assert lines[b"accept", b"*/*"] == b"accept: */*\r\n" == HeaderBlock([(b"accept", b"*/*")]).block
        assert lines[b"x-not", b"1"] == b""
    assert len(lines) == 2


@pytest.mark.parametrize("name", [*(name.lower() for name in CONNECTION_BUSINESS), b"host"])
def test_what_has_no_line(name: bytes) -> None:
    assert Lines(frozenset())[name, b"v"] == b""


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nX: y", b"a\rX: y", b"\r\n", b"a\0", b"\n"])
@pytest.mark.parametrize("name", [b"x", b"authorization"])
def test_no_value_can_begin_a_line_of_its_own(name: bytes, value: bytes) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="line end"):
            Lines(frozenset())[name, value]


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xe9", b"a\n"])
def test_no_line_whose_name_is_no_token(name: bytes) -> None:
    with pytest.raises(ValueError, match="token"):
        Lines(frozenset())[name, b"v"]


def test_lines_are_bounded_and_hold_no_secret() -> None:
    lines = Lines(frozenset({b"cookie"}))
    for n in range(MOST + 10):
        assert lines[b"x", b"%d" % n] == b"x: %d\r\n" % n
        assert len(lines) <= MOST
    before = {*lines}
    for name in (b"authorization", b"cookie", b"x-api-key", b"idempotency-key"):
        assert lines[name, b"s"] == (b"" if name == b"cookie" else name + b": s\r\n")
    assert lines[b"x", b"v" * LONGEST].endswith(b"v\r\n")
    assert {*lines} == before


def test_what_follows_a_block() -> None:
    own = HeaderBlock([(b"Authorization", b"ours"), (b"Host", b"elsewhere")])
    block = own.followed_by(Lines(frozenset()), [(b"a", b"1"), (b"host", b"h")], HeaderBlock([(b"B", b"2")]))
    assert block.block == b"Authorization: ours\r\nHost: elsewhere\r\na: 1\r\nB: 2\r\n"
    assert block.names_host
    assert block == HeaderBlock([*own.fields, (b"a", b"1"), (b"B", b"2")])
