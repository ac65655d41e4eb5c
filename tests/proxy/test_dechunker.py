"""Chunked bodies: whole, cut anywhere, malformed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.errors import BadRequest
from aigw.proxy.chunked import Dechunker

GOOD = b'5\r\nhello\r\n00A;ext=1;q="\xc3\xa9"\r\n, world...\r\n0;last\r\nX-Trailer: a\r\nY: b\r\n\r\n'


def feed(*pieces: bytes) -> tuple[bytes, Dechunker]:
    dechunker = Dechunker()
    return b"".join(dechunker.feed(piece) for piece in pieces), dechunker


def test_a_body_is_the_same_wherever_it_is_cut() -> None:
    for first in range(len(GOOD)):
        for second in range(first, len(GOOD)):
            body, dechunker = feed(GOOD[:first], GOOD[first:second], GOOD[second:])
            assert body == b"hello, world..."
            assert (dechunker.finished, dechunker.surplus) == (True, b"")


def test_byte_by_byte() -> None:
    body, dechunker = feed(*(GOOD[i : i + 1] for i in range(len(GOOD))))
    assert (body, dechunker.finished) == (b"hello, world...", True)


def test_it_ends_only_where_it_ends() -> None:
    for end in range(len(GOOD)):
        assert not feed(GOOD[:end])[1].finished


def test_what_comes_behind_is_left() -> None:
    body, dechunker = feed(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n")
    assert (body, dechunker.surplus) == (b"a", b"GET / HTTP/1.1\r\n")


def test_data_goes_on_as_it_comes() -> None:
    dechunker = Dechunker()
    assert [dechunker.feed(piece) for piece in (b"5\r\nhe", b"ll", b"o\r\n2\r\n!")] == [b"he", b"ll", b"o!"]


@pytest.mark.parametrize(
    "data",
    [
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b";ext\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhello\n0\n\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\0b\r\nhello\r\n0\r\n\r\n",
        b"1000000000000000\r\n",
        b"0\r\nX : a\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\n\n\r\n\r\n",
        b"0\r\nX: a\n\r\n\r\n",
        b"0\r\nGET / HTTP/1.1\r\n\r\n",
        b"5;" + b"a" * 300 + b"\r\n",
        b"5;" + b"a" * 300,
        b"0\r\nX: " + b"a" * 9000,
    ],
)
def test_malformed_framing_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        feed(data)


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"1;" + b"e" * 200 + b"\r\na\r\n"])
def test_framing_must_not_outweigh_the_data(chunk: bytes) -> None:
    with pytest.raises(BadRequest, match="too much chunk framing"):
        feed(chunk * 30_000)


def test_trailers_must_not_outweigh_the_data() -> None:
    with pytest.raises(BadRequest, match="too much chunk framing"):
        feed(b"0\r\n" + b"X: a\r\n" * 30_000)


def test_small_chunks_are_no_attack() -> None:
    body, _ = feed(b"8\r\n12345678\r\n" * 100_000 + b"0\r\n\r\n")
    assert len(body) == 800_000


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=30), max_size=8), st.lists(st.integers(0, 300), max_size=6))
def test_any_body_comes_back(chunks: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    body, dechunker = feed(*pieces)
    assert (body, dechunker.finished) == (b"".join(chunks), True)
