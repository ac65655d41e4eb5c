"""Heads of replies: what is understood, what is refused."""

from __future__ import annotations

import pytest

from aigw.errors import GatewayError, UpstreamBadReply, UpstreamReplyTooLarge
from aigw.upstream.head import MAX_FIELDS, Head, parse_head


def head(block: bytes, bodiless: bool = False) -> Head:
    return parse_head(block, "up.example:80", bodiless=bodiless)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 200 OK", ((b"HTTP", 1, 1), 200, b"OK")),
        (b"HTTP/1.0 503 Service Unavailable", ((b"HTTP", 1, 0), 503, b"Service Unavailable")),
        (b"HTTP/1.1 200 ", ((b"HTTP", 1, 1), 200, b"")),
        (b"HTTP/1.1 200", ((b"HTTP", 1, 1), 200, b"")),
        (b"HTTP/1.1 999 Request denied", ((b"HTTP", 1, 1), 999, b"Request denied")),
        (b"HTTP/1.1 200 Tr\xc3\xa8s bien", ((b"HTTP", 1, 1), 200, b"Tr\xc3\xa8s bien")),
    ],
)
def test_status_lines(line: bytes, expected: tuple[object, ...]) -> None:
    for block in (line, line + b"\r\nX: y"):
        assert head(block)[:3] == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 -20 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.1 2\xb20 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.2 200 OK",
        b"HTTP/2 200",
        b"HTTP/2.0 200 OK",
        b"http/1.1 200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1 200 O\0K",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 O\nK",
        b"ICY 200 OK",
    ],
)
def test_status_lines_that_are_none(line: bytes) -> None:
    with pytest.raises(UpstreamBadReply):
        head(line)


def test_fields_keep_order_spelling_and_repetition() -> None:
    block = b"HTTP/1.1 200 OK\r\nX-B: 1\r\nx-a:2\r\nX-B:\t 3 \t\r\nEmpty:\r\nBlank: \t"
    assert head(block).fields == ((b"X-B", b"1"), (b"x-a", b"2"), (b"X-B", b"3"), (b"Empty", b""), (b"Blank", b""))


@pytest.mark.parametrize(
    "field",
    [
        b"no colon",
        b": no name",
        b"Spaced : x",
        b"Na me: x",
        b"N\xc3\xa4me: x",
        b"Na(me): x",
        b" folded: x",
        b"X: a\r\n folded",
        b"X: a\r\n\tfolded",
        b"X: a\rb",
        b"X: a\nY: b",
        b"X: a\0b",
        b"X\0: a",
        b"X: a\r",
        b"",
    ],
)
def test_fields_that_are_none(field: bytes) -> None:
    for block in (b"\r\n%b", b"\r\n%b\r\nLast: x", b"\r\nFirst: x\r\n%b"):
        with pytest.raises(UpstreamBadReply):
            head(b"HTTP/1.1 200 OK" + block % field)


def test_a_folded_field_is_named_as_such() -> None:
    with pytest.raises(UpstreamBadReply, match=r"up\.example:80 .* folded"):
        head(b"HTTP/1.1 200 OK\r\nX: a\r\n b")


def test_fields_are_bounded() -> None:
    assert len(head(b"HTTP/1.1 200 OK" + b"\r\nX: y" * MAX_FIELDS).fields) == MAX_FIELDS
    with pytest.raises(UpstreamReplyTooLarge):
        head(b"HTTP/1.1 200 OK" + b"\r\nX: y" * (MAX_FIELDS + 1))


def test_a_hostile_head_takes_no_time() -> None:
    with pytest.raises(UpstreamBadReply):
        head(b"HTTP/1.1 200 OK\r\nX:" + b" \t" * 30000 + b"\rx")
    with pytest.raises(UpstreamBadReply):
        head(b"HTTP/1.1 200 OK\r\n" + b"X" * 60000)


@pytest.mark.parametrize(
    ("fields", "length", "chunked"),
    [
        (b"Content-Length: 0", 0, False),
        (b"Content-Length: 12", 12, False),
        (b"content-length:0012", 12, False),
        (b"Content-Length: 12, 12", 12, False),
        (b"Content-Length: 12\r\nContent-Length: 12", 12, False),
        (b"Transfer-Encoding: chunked", None, True),
        (b"TRANSFER-ENCODING: Chunked", None, True),
        (b"X: y", None, False),
    ],
)
def test_framing(fields: bytes, length: int | None, chunked: bool) -> None:
    found = head(b"HTTP/1.1 200 OK\r\n" + fields)
    assert (found.length, found.chunked) == (length, chunked)
    assert not [name for name, _ in found.fields if name.lower() in (b"content-length", b"transfer-encoding")]


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length:",
        b"Content-Length: ,",
        b"Content-Length: 1,",
        b"Content-Length: +1",
        b"Content-Length: -1",
        b"Content-Length: 1.0",
        b"Content-Length: 0x1",
        b"Content-Length: 1_0",
        b"Content-Length: \xb2",
        b"Content-Length: 1 2",
        b"Content-Length: 1, 2",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length: 9999999999999999999",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked",
    ],
)
def test_framing_that_two_readers_could_see_differently(fields: bytes) -> None:
    for bodiless in (False, True):
        with pytest.raises(UpstreamBadReply):
            head(b"HTTP/1.1 200 OK\r\n" + fields, bodiless)


@pytest.mark.parametrize(
    ("block", "bodiless"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 12", False),
    ],
)
def test_a_length_without_a_body_is_only_told(block: bytes, bodiless: bool) -> None:
    found = head(block, bodiless)
    assert (found.length, found.chunked, found.fields) == (0, False, ((b"Content-Length", b"12"),))
    assert head(block.replace(b"Content-Length: 12", b"Transfer-Encoding: chunked"), bodiless).length == 0


@pytest.mark.parametrize(
    ("block", "persistent"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close", False),
        (b"HTTP/1.1 200 OK\r\nConnection: X-Y, Close", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked", False),
    ],
)
def test_persistence(block: bytes, persistent: bool) -> None:
    assert head(block).persistent is persistent


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        (b"Keep-Alive: timeout=5, max=100", 5.0),
        (b"Keep-Alive: max=1,Timeout=20", 20.0),
        (b"Keep-Alive: max=100", None),
        (b"Keep-Alive: timeout=x", None),
        (b"Keep-Alive: timeout=99999999999999999999", None),
        (b"X: timeout=5", None),
    ],
)
def test_how_long_the_upstream_keeps_it(field: bytes, seconds: float | None) -> None:
    assert head(b"HTTP/1.1 200 OK\r\n" + field).kept_for == seconds


def test_what_concerns_the_connection_is_no_field_of_the_message() -> None:
    block = b"\r\n".join(
        [
            b"HTTP/1.1 200 OK",
            b"Connection: X-Mine, keep-alive",
            b"Keep-Alive: timeout=5",
            b"x-mine: 1",
            b"X-Yours: 2",
            b"TE: trailers",
            b"Trailer: X-T",
            b"Upgrade: h2c",
            b"Proxy-Authenticate: Basic",
            b"Proxy-Connection: keep-alive",
            b"Content-Type: a/b",
        ]
    )
    assert head(block).fields == ((b"X-Yours", b"2"), (b"Content-Type", b"a/b"))


def test_messages_name_the_peer_and_nothing_that_it_sent() -> None:
    for block in (b"secret", b"HTTP/1.1 200 OK\r\nsecret", b"HTTP/1.1 200 OK\r\nContent-Length: secret"):
        with pytest.raises(GatewayError) as caught:
            head(block)
        assert "up.example:80" in caught.value.message
        assert "secret" not in caught.value.message
