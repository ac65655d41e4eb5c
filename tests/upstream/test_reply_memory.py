"""Lines of heads, and of chunks, that upstreams have sent before are read as if they never had."""

from __future__ import annotations

from itertools import pairwise

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
