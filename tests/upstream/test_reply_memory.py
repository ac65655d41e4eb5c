"""Lines of heads that upstreams have sent before are read as if they never had."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import aigw.upstream.head as head_module
from aigw.errors import UpstreamError
from aigw.testing.full_path import forget_lines, without_shortcuts
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
