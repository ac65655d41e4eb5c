"""A head that comes again on its connection is read as if it had never come before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.errors import GatewayError
from aigw.proxy.head import Head, Repeated, head_size, read_head
from aigw.proxy.limits import Limits

LIMITS = Limits()
HEAD = b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nX-Note: Content-Length: 12\r\nAuthorization: k\r\n\r\n"
BARE = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def repeated(block: bytes) -> Repeated:
    head = read_head(block, LIMITS)
    assert Repeated.is_plain(block, head)
    return Repeated(block, head)


def said(head: Head) -> tuple[object, ...]:
    headers = head.headers
    by_name = sorted((n, tuple(v)) for n, v in headers.getAllRawHeaders())
    return head.method, head.target, head.version, headers.fields, by_name, head.length, head.persistent


def read_afresh(data: bytes) -> tuple[int, Head] | None:
    try:
        size = head_size(data, 0, LIMITS)
        return (size, read_head(data[:size], LIMITS)) if size else None
    except GatewayError:
        return None


def test_what_was_read_from_one_does_not_change_with_the_next() -> None:
    again = repeated(HEAD)
    first = again.head.headers
    before = [*first.fields], first.getRawHeaders(b"content-length")
    assert again.size_in(HEAD.replace(b"Length: 12\r\nX", b"Length: 7\r\nX"))
    assert ([*first.fields], first.getRawHeaders(b"content-length")) == before
    assert again.head.headers.getRawHeaders(b"content-length") == [b"7"]


@pytest.mark.parametrize("length", [b"12", b"0", b"7", b"00012", b"999999999999999999"])
def test_only_the_length_may_differ(length: bytes) -> None:
    again = repeated(HEAD)
    data = HEAD.replace(b"Length: 12\r\nX", b"Length: " + length + b"\r\nX") + b"body"
    assert again.size_in(data) == len(data) - 4
    assert again.head.length == int(length)
    assert said(again.head) == said(read_head(data[:-4], LIMITS))


@pytest.mark.parametrize(
    "length", [b"", b"+1", b"1 2", b"1,1", b"-1", b"1_0", b"\xb2", b"9" * 19, b"1\r\nContent-Length: 1", b"0x1"]
)
def test_what_is_no_length_is_read_as_ever(length: bytes) -> None:
    assert repeated(HEAD).size_in(HEAD.replace(b"Length: 12\r\nX", b"Length: " + length + b"\r\nX")) == 0


def test_a_head_without_a_body() -> None:
    again = repeated(BARE)
    assert again.size_in(BARE + BARE) == len(BARE)
    assert again.size_in(BARE[:-1]) == 0
    assert again.size_in(BARE.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n")) == 0


@pytest.mark.parametrize(
    "field",
    [
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Content-Length: 1\r\nExpect: 100-continue",
        b"Content-Length: 0\r\nExpect: 100-continue",
        b"X: " + b"x" * 4096,
    ],
)
def test_unusual_heads_are_not_kept(field: bytes) -> None:
    block = BARE[:-2] + field + b"\r\n\r\n"
    assert not Repeated.is_plain(block, read_head(block, LIMITS))


@pytest.mark.parametrize("block", [HEAD, BARE])
def test_every_cut_is_incomplete(block: bytes) -> None:
    assert [repeated(block).size_in(block[:cut]) for cut in range(len(block))] == [0] * len(block)


@given(st.sampled_from([HEAD, BARE]), st.data())
def test_whatever_it_takes_reads_the_same_afresh(block: bytes, data: st.DataObject) -> None:
    """Bytes replaced, inserted and taken out anywhere: taken for the same head only if a fresh reading says so too."""
    changed = bytearray(block)
    for _ in range(data.draw(st.integers(0, 3))):
        where = data.draw(st.integers(0, len(changed) - 1))
        what = data.draw(
            st.sampled_from([b"", b"\r\n", b"\n", b"0", b"9", b" ", b":", b"\0", b"Content-Length: 3\r\n"])
        )
        changed[where : where + data.draw(st.integers(0, 2))] = what
    again = repeated(block)
    size = again.size_in(bytes(changed))
    if size:
        afresh = read_afresh(bytes(changed))
        assert afresh is not None
        assert (size, said(again.head)) == (afresh[0], said(afresh[1]))
