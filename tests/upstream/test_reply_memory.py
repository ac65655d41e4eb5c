"""Lines of heads, and of chunks, that upstreams have sent before are read as if they never had."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aigw.upstream.chunked as chunked_module
import aigw.upstream.head as head_module
from aigw.errors import UpstreamError
from aigw.testing.full_path import forget_lines, without_shortcuts
from aigw.upstream.chunked import ChunkedDecoder
from aigw.upstream.head import parse_head

LINES = [
    *(b"X-A: 1", b"x-a: 1", b"X-A:1", b"X-A: 1 ", b"X-A:\t", b"Set-Cookie: a=b", b"Content-Type: application/json"),
    *(b"Content-Length: 5", b"content-length: 05", b"Content-Length: x", b"Transfer-Encoding: chunked"),
    *(b"Connection: close", b"Connection: X-A", b"Keep-Alive: timeout=5", b" folded", b"X-A : 1", b"X-A", b"X-A: \0"),
    b"X-Long: " + b"a" * 300,
]
STATUSES = [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 204 No Content", b"HTTP/1.1 20 OK", b""]


def read(block: bytes, bodiless: bool) -> object:
    try:
        return parse_head(block, "up", bodiless=bodiless)
    except UpstreamError as error:
        return type(error), error.message


@settings(max_examples=300, deadline=None, derandomize=True)
@given(status=st.sampled_from(STATUSES), lines=st.lists(st.sampled_from(LINES), max_size=5), bodiless=st.booleans())
def test_it_changes_nothing(status: bytes, lines: list[bytes], bodiless: bool) -> None:
    block = b"\r\n".join([status, *lines])
    forget_lines()
    cold, warm = read(block, bodiless), read(block, bodiless)
    with without_shortcuts():
        never = read(block, bodiless)
    assert cold == warm == never


def test_a_reader_can_change_nothing_that_is_remembered() -> None:
    block = b"HTTP/1.1 200 OK\r\nX-A: 1"
    head = parse_head(block, "up")
    assert hash((head.fields, head.names))  # they are tuples, all the way down
    assert (head.fields, head.names) == (((b"X-A", b"1"),), (b"x-a",))


def test_no_cookie_is_kept() -> None:
    parse_head(b"HTTP/1.1 200 OK\r\nSet-Cookie: s3cret\r\nset-cookie:s3cret", "up")
    assert b"s3cret" not in b"".join(head_module._lines)


def test_it_is_bounded() -> None:
    for i in range(5000):
        parse_head(b"HTTP/1.1 200 %d\r\nX: %d\r\nY: %b" % (i, i, b"y" * 300), "up")
    for memory in (head_module._lines, head_module._statuses):
        assert len(memory) <= 2048
        assert max(map(len, memory)) <= 256


CHUNKS = [
    *(
        b"5\r\nhello\r\n",
        b"05\r\nhello\r\n",
        b"5;x\r\nhello\r\n",
        b"5;x=5\r\n\r\n5\r\n\r\n",
        b"A\r\nhello\r\n123\r\n",
        b"a\r\n",
    ),
    *(
        b"5\nhello\r\n",
        b"5\r\nhello!\r\n",
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5_0\r\n",
        b"\r\n",
    ),
    *(
        b"+5\r\nhello\r\n",
        b"5\r",
        b"\nhello",
        b"\r\n",
        b"0\r\n",
        b"\r\n",
        b"000\r\nX: y\r\n\r\n",
        b"0\r\n5\r\nhello\r\n\r\n",
    ),
    b"5;" + b"x" * 100 + b"\r\nhello\r\n",
]


def decode(pieces: list[bytes]) -> object:
    decoder = ChunkedDecoder("up")
    body = []
    for piece in pieces:
        if decoder.error is None and not decoder.complete:
            body.append(decoder.feed(piece))
    return body, decoder.complete, decoder.excess, decoder.error and (type(decoder.error), decoder.error.message)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(wire=st.lists(st.sampled_from(CHUNKS), max_size=6).map(b"".join), cuts=st.lists(st.integers(0, 80), max_size=3))
def test_it_changes_no_chunk(wire: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(wire)]
    pieces = [piece for piece in (wire[a:b] for a, b in pairwise(at)) if piece]
    forget_lines()
    cold, warm = decode(pieces), decode(pieces)
    with without_shortcuts():
        never = decode(pieces)
    assert cold == warm == never


def test_chunks_are_bounded() -> None:
    for i in range(5000):
        ChunkedDecoder("up").feed(b"%x\r\n" % i)
        ChunkedDecoder("up").feed(b"5;%d%b\r\n" % (i, b"x" * 30))
    assert b"1387" in chunked_module._sizes
    assert len(chunked_module._sizes) <= 2048
    assert max(map(len, chunked_module._sizes)) <= 18


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    before=st.sampled_from([b"", b"4", b"4\r\nab", b"4\r\nabcd", b"4\r\nabcd\r", b"4\r\nabcd\r\n", b"0\r\n"]),
    data=st.lists(st.sampled_from([*CHUNKS, b"", b"2\r\nhi\r\n", b"b\r\nhello world\r\n", b"\r\n"]), max_size=2).map(
        b"".join
    ),
)
def test_a_chunk_on_its_own_is_what_reading_it_gives(before: bytes, data: bytes) -> None:
    """And to ask for it changes nothing."""
    asked, other = ChunkedDecoder("up"), ChunkedDecoder("up")
    asked.feed(before), other.feed(before)
    carried = asked.whole(data)
    read = other.feed(data)
    assert asked.feed(data) == read
    assert (asked.complete, asked.excess, repr(asked.error)) == (other.complete, other.excess, repr(other.error))
    if carried:
        assert carried == read
        assert data == b"%x\r\n%b\r\n" % (len(carried), carried)
        assert asked.whole(data) == carried


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"5",
        b"\r\n",
        b"0\r\n\r\n",
        b"5\r\nhello",
        b"5\r\nhello\r",
        b"5\r\nhello\n\n",
        b"05\r\nhello\r\n",
        b"5;a\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"4\r\nhello\r\n",
        b"6\r\nhello\r\n",
        b"5\r\nhello\r\n5\r\nhello\r\n",
        b"A\r\n0123456789\r\n",
        b"-1\r\n\r\n",
    ],
)
def test_what_is_not_just_one_chunk_as_we_would_write_it(data: bytes) -> None:
    assert ChunkedDecoder("up").whole(data) == b""
