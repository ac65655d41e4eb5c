"""Replies cut at every offset: head, body and outcome never depend on how the network cut the bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.errors import UpstreamBadReply, UpstreamReplyTooLarge
from aigw.upstream.chunked import MAX_TRAILERS
from aigw.upstream.head import Head
from aigw.upstream.wire import MAX_HEAD, MAX_INTERIM, ReplyParser

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Outcome(NamedTuple):
    head: Head | None
    body: bytes
    complete: bool
    excess: bool
    error: type[Exception] | None


def outcome(pieces: list[bytes], *, bodiless: bool = False, closed: bool = False) -> Outcome:
    parser = ReplyParser("up.example:80", bodiless=bodiless)
    body = b"".join([parser.feed(piece) for piece in pieces if piece])
    if closed:
        assert parser.close() is parser.complete
    return Outcome(parser.head, body, parser.complete, parser.excess, type(parser.error) if parser.error else None)


def at_every_offset(wire: bytes, *, bodiless: bool = False, closed: bool = False) -> Outcome:
    """The outcome of feeding ``wire`` in one piece; any two pieces, and single bytes, must have the same."""
    whole = outcome([wire], bodiless=bodiless, closed=closed)
    for offset in range(len(wire)):
        assert outcome([wire[:offset], wire[offset:]], bodiless=bodiless, closed=closed) == whole, offset
    assert outcome([wire[i : i + 1] for i in range(len(wire))], bodiless=bodiless, closed=closed) == whole
    return whole


COMPLETE = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "no body": (OK + b"Content-Length: 0\r\n\r\n", b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "chunks": (CHUNKED + b"5\r\nhello\r\n1\r\n \r\nA\r\nbeautiful!\r\n0\r\n\r\n", b"hello beautiful!"),
    "no chunks": (CHUNKED + b"0\r\n\r\n", b""),
    "extensions": (CHUNKED + b'2;a=b\r\nhi\r\n2 ; c="d;e"\r\nho\r\n000;last\r\n\r\n', b"hiho"),
    "trailers": (CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n", b"hi"),
    "chunks that look like ends": (CHUNKED + b"7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n\r\n"),
    "chunks in 1.0": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi"),
    "103s": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + OK + b"Content-Length: 2\r\n\r\nhi", b"hi"),
    "102 with a length": (b"HTTP/1.1 102 P\r\nContent-Length: 9\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", b"x"),
}


@pytest.mark.parametrize(("wire", "body"), COMPLETE.values(), ids=COMPLETE.keys())
def test_complete(wire: bytes, body: bytes) -> None:
    found = at_every_offset(wire)
    assert found[1:] == (body, True, False, None)
    assert found.head is not None
    assert found.head.code in (200, 204, 304)


@pytest.mark.parametrize(("wire", "body"), COMPLETE.values(), ids=COMPLETE.keys())
def test_excess(wire: bytes, body: bytes) -> None:
    for more in (b"x", b"\r\n", wire):
        assert at_every_offset(wire + more)[1:] == (body, True, True, None)


@pytest.mark.parametrize(("wire", "body"), COMPLETE.values(), ids=COMPLETE.keys())
def test_cut_short(wire: bytes, body: bytes) -> None:
    for end in range(len(wire)):
        found = outcome([wire[:end]], closed=True)
        assert not found.complete
        assert found.error is None
        assert body.startswith(found.body)


def test_a_head_request_has_no_body() -> None:
    found = at_every_offset(OK + b"Content-Length: 5\r\n\r\n", bodiless=True)
    assert found[1:] == (b"", True, False, None)
    assert found.head is not None
    assert found.head.fields == ((b"Content-Length", b"5"),)


@pytest.mark.parametrize("head", [OK + b"\r\n", b"HTTP/1.0 200 OK\r\nX: y\r\n\r\n", OK + b"Connection: close\r\n\r\n"])
def test_until_close(head: bytes) -> None:
    assert at_every_offset(head + b"hello", closed=True)[1:] == (b"hello", True, False, None)
    assert at_every_offset(head + b"hello")[1:] == (b"hello", False, False, None)
    parser = ReplyParser("x")
    parser.feed(head)
    assert parser.close_delimited
    assert at_every_offset(head, closed=True)[1:] == (b"", True, False, None)


BROKEN = {
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n", b""),
    "garbage without an end": (b"\x16\x03\x01\x00\xa5", b""),
    "a line before": (b"\r\n" + OK + b"\r\n", b""),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b""),
    "one bare line feed": (OK + b"X: y\nContent-Length: 0\r\n\r\n", b""),
    "bare CR": (OK + b"X: y\rz\r\n\r\n", b""),
    "fold": (OK + b"X: y\r\n z\r\n\r\n", b""),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", b""),
    "1xx for ever": (b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1), b""),
    "both framings": (CHUNKED[:-2] + b"Content-Length: 1\r\n\r\nx", b""),
    "no size": (CHUNKED + b"\r\n", b""),
    "bad size": (CHUNKED + b"1\r\nx\r\nxyz\r\n", b"x"),
    "prefixed size": (CHUNKED + b"1\r\nx\r\n0x1\r\ny\r\n", b"x"),
    "signed size": (CHUNKED + b"+1\r\nx\r\n", b""),
    "negative size": (CHUNKED + b"-1\r\nx\r\n", b""),
    "underscored size": (CHUNKED + b"1_0\r\nx\r\n", b""),
    "padded size": (CHUNKED + b" 1\r\nx\r\n", b""),
    "space after size": (CHUNKED + b"1 \r\nx\r\n", b""),
    "huge size": (CHUNKED + b"11111111111111111\r\nx\r\n", b""),
    "bare LF after size": (CHUNKED + b"1\nx\r\n", b""),
    "bare CR in an extension": (CHUNKED + b"1;a\rb\r\nx\r\n", b""),
    "NUL in an extension": (CHUNKED + b"1;a\0b\r\nx\r\n", b""),
    "control character in an extension": (CHUNKED + b"1;a\x01b\r\nx\r\n", b""),
    "long extension": (CHUNKED + b"1;" + b"a" * 600 + b"\r\nx\r\n", b""),
    "chunk too long": (CHUNKED + b"1\r\nxy\r\n0\r\n\r\n", b"x"),
    "chunk and bare LF": (CHUNKED + b"1\r\nx\n0\r\n\r\n", b"x"),
    "chunk and CR": (CHUNKED + b"1\r\nx\rx0\r\n\r\n", b"x"),
    "later chunk too long": (CHUNKED + b"2\r\nhi\r\n3\r\nabcd\r\n0\r\n\r\n", b"hiabc"),
    "bad trailer": (CHUNKED + b"1\r\nx\r\n0\r\nno colon\r\n\r\n", b"x"),
    "folded trailer": (CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n", b""),
    "bare LF in trailers": (CHUNKED + b"0\r\nX: y\nZ: a\r\n\r\n", b""),
    "bare CR in trailers": (CHUNKED + b"0\r\nX: y\rZ: a\r\n\r\n", b""),
}


@pytest.mark.parametrize(("wire", "body"), BROKEN.values(), ids=BROKEN.keys())
def test_broken(wire: bytes, body: bytes) -> None:
    found = at_every_offset(wire)
    assert found[1:] == (body, False, False, UpstreamBadReply)
    assert at_every_offset(wire + b"more", closed=True) == found


def test_what_is_no_reply_is_refused_at_its_first_wrong_byte() -> None:
    for wire in (b"S", b"HTTP/2", b"HTTP/1.1 200 OK\n"):
        assert outcome([wire]).error is UpstreamBadReply
    for wire in (b"H", b"HTTP/1.", OK[:-1]):
        assert outcome([wire]).error is None


def test_a_head_is_bounded_wherever_it_is_cut() -> None:
    start = OK + b"X: "
    fits = start + b"y" * (MAX_HEAD - len(start)) + b"\r\n\r\n"
    grows = start + b"y" * (MAX_HEAD - len(start) + 1) + b"\r\n\r\n"
    endless = start + b"y" * 10_000_000
    for size in (1, 2, 3, 1000, 65535, 65536, 65537, 10_000_100):
        assert _cut(fits, size).error is None
        assert _cut(fits, size).head is not None
        assert _cut(grows, size)[1:] == (b"", False, False, UpstreamReplyTooLarge)
        if size > 10:
            assert _cut(endless, size).error is UpstreamReplyTooLarge


def test_many_fields_are_too_much() -> None:
    assert _cut(OK + b"X: y\r\n" * 201 + b"\r\n", 100).error is UpstreamReplyTooLarge


def test_trailers_are_bounded_wherever_they_are_cut() -> None:
    one = CHUNKED + b"1\r\nx\r\n0\r\nX: " + b"y" * MAX_TRAILERS + b"\r\n\r\n"
    many = CHUNKED + b"1\r\nx\r\n0\r\n" + b"X: y\r\n" * MAX_TRAILERS + b"\r\n"
    for size in (1, 7, 1000, 100_000):
        for wire in (one, many):
            assert _cut(wire, size)[1:] == (b"x", False, False, UpstreamReplyTooLarge)


def test_bodies_are_not_copied_where_that_is_not_needed() -> None:
    data = b"x" * 1000
    for head in (OK + b"\r\n", OK + b"Content-Length: 5000\r\n\r\n", CHUNKED + b"1388\r\n"):
        parser = ReplyParser("x")
        parser.feed(head)
        assert parser.feed(data) is data


def test_one_piece_per_read() -> None:
    parser = ReplyParser("x")
    parser.feed(CHUNKED)
    assert parser.feed(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n2\r\nd") == b"abcd"
    assert parser.feed(b"e\r\n") == b"e"


@given(chunks=st.lists(st.binary(min_size=1, max_size=60), max_size=8), cuts=st.lists(st.integers(0, 600), max_size=9))
def test_any_chunks_cut_anywhere(chunks: list[bytes], cuts: list[int]) -> None:
    wire = CHUNKED + b"".join(b"%X\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    assert outcome(_pieces(wire, cuts))[1:] == (b"".join(chunks), True, False, None)


@given(
    wire=st.lists(
        st.sampled_from(
            [
                OK,
                CHUNKED,
                b"\r\n",
                b"\n",
                b"\r",
                b"0",
                b"3",
                b"abc",
                b";",
                b":",
                b" ",
                b"Content-Length: 3\r\n",
                b"\0",
                b"X: y",
            ]
        ),
        max_size=14,
    ).map(b"".join),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_nonsense_cut_anywhere(wire: bytes, cuts: list[int]) -> None:
    for start in (b"", OK, CHUNKED):
        assert outcome(_pieces(start + wire, cuts), closed=True) == outcome([start + wire], closed=True)


def _cut(wire: bytes, size: int) -> Outcome:
    return outcome([wire[i : i + size] for i in range(0, len(wire), size)])


def _pieces(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    return [wire[a:b] for a, b in pairwise(edges)]
