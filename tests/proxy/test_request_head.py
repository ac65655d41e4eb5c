"""The strict reading of heads: what is refused, with what status, and that it is refused as early as can be."""

from __future__ import annotations

import pytest
from twisted.web.http_headers import Headers

import aigw.proxy.head as head_module
from aigw.errors import GatewayError
from aigw.proxy.head import check_http2, head_size, read_field, read_head
from aigw.proxy.limits import Limits

LIMITS = Limits()
H = b"Host: a\r\n"


@pytest.mark.parametrize(
    ("block", "method", "target", "length", "persistent"),
    [
        (b"GET / HTTP/1.1\r\n" + H, b"GET", b"/", 0, True),
        (b"GET /a?b=%20c HTTP/1.1\r\n" + H, b"GET", b"/a?b=%20c", 0, True),
        (b"GET / HTTP/1.1\r\nHost:\r\n", b"GET", b"/", 0, True),
        (b"GET / HTTP/1.1\r\nHost: [::1]:9080\r\n", b"GET", b"/", 0, True),
        (b"GET / HTTP/1.0\r\n", b"GET", b"/", 0, False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", b"GET", b"/", 0, False),
        (b"OPTIONS * HTTP/1.1\r\n" + H, b"OPTIONS", b"*", 0, True),
        (b"CONNECT a:1 HTTP/1.1\r\n" + H, b"CONNECT", b"a:1", 0, True),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + H, b"POST", b"/", 5, True),
        (b"POST / HTTP/1.1\r\nContent-Length:5 \t\r\n" + H, b"POST", b"/", 5, True),
        (b"POST / HTTP/1.0\r\nContent-Length: 5\r\n", b"POST", b"/", 5, False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n" + H, b"POST", b"/", None, True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n" + H, b"GET", b"/", 0, False),
        (b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nConnection: a,\tClose ,b\r\n" + H, b"GET", b"/", 0, False),
        (b"GET / HTTP/1.1\r\nX: caf\xc3\xa9\tb\r\nY:\r\n" + H, b"GET", b"/", 0, True),
    ],
)
def test_what_is_accepted(block: bytes, method: bytes, target: bytes, length: int | None, persistent: bool) -> None:
    head = read_head(block + b"\r\n", LIMITS)
    assert (head.method, head.target, head.length, head.persistent) == (method, target, length, persistent)


@pytest.mark.parametrize(
    ("block", "status"),
    [
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n" + H, 400, id="same length twice"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n" + H, 400, id="two lengths"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n" + H, 400, id="a list of lengths"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: +5\r\n" + H, 400, id="a signed length"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 0x5\r\n" + H, 400, id="a hexadecimal length"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 5_0\r\n" + H, 400, id="a Python length"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n" + H, 400, id="a superscript length"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length:\r\n" + H, 400, id="no length at all"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 19 + b"\r\n" + H, 400, id="an absurd length"),
        pytest.param(
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n" + H, 400, id="length and chunked"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n" + H, 400, id="chunked and length"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n" + H, 400, id="gzip, chunked"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n" + H, 400, id="identity"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n" + H, 400, id="xchunked"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n" + H, 400, id="vertical tab"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding:\r\n" + H, 400, id="no coding"),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + H, 400, id="twice"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + H, 400, id="two"
        ),
        pytest.param(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400, id="chunked in 1.0"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n", 400, id="folding"),
        pytest.param(b"GET / HTTP/1.1\r\n X: b\r\n" + H, 400, id="folded into the request line"),
        pytest.param(b"GET / HTTP/1.1\r\nX : b\r\n" + H, 400, id="space before colon"),
        pytest.param(b"GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n" + H, 400, id="space before this colon"),
        pytest.param(b"GET / HTTP/1.1\r\nX\xe9: b\r\n" + H, 400, id="bad name"),
        pytest.param(b"GET / HTTP/1.1\r\n: b\r\n" + H, 400, id="no name"),
        pytest.param(b"GET / HTTP/1.1\r\nX\r\n" + H, 400, id="no colon"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\0b\r\n" + H, 400, id="NUL"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\x7fb\r\n" + H, 400, id="DEL"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\rb\r\n" + H, 400, id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\r\r\n" + H, 400, id="CR CR LF"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\nContent-Length: 5\r\n" + H, 400, id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\n" + H, 400, id="bare LF after the request line"),
        pytest.param(b"GET / HTTP/1.1\r\n", 400, id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400, id="two Hosts"),
        pytest.param(b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n", 400, id="two Hosts in 1.0"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a/b\r\n", 400, id="a path in Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: u@a\r\n", 400, id="a user in Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a, b\r\n", 400, id="a list in Host"),
        pytest.param(b"GET http://a/ HTTP/1.1\r\n" + H, 400, id="absolute target"),
        pytest.param(b"GET a HTTP/1.1\r\n" + H, 400, id="relative target"),
        pytest.param(b"GET * HTTP/1.1\r\n" + H, 400, id="GET *"),
        pytest.param(b"GET  HTTP/1.1\r\n" + H, 400, id="no target"),
        pytest.param(b"GET /  HTTP/1.1\r\n" + H, 400, id="two spaces"),
        pytest.param(b"GET\t/ HTTP/1.1\r\n" + H, 400, id="a tab"),
        pytest.param(b" GET / HTTP/1.1\r\n" + H, 400, id="leading space"),
        pytest.param(b"GET / HTTP/1.1 \r\n" + H, 400, id="trailing space"),
        pytest.param(b"GET /\x80 HTTP/1.1\r\n" + H, 400, id="non-ASCII target"),
        pytest.param(b"G(T / HTTP/1.1\r\n" + H, 400, id="bad method"),
        pytest.param(b"M" * 33 + b" / HTTP/1.1\r\n" + H, 400, id="endless method"),
        pytest.param(b"GET /\r\n" + H, 400, id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/1.10\r\n" + H, 400, id="odd version"),
        pytest.param(b"GET / http/1.1\r\n" + H, 400, id="lower-case version"),
        pytest.param(b"GET / HTTP/1.2\r\n" + H, 505, id="HTTP/1.2"),
        pytest.param(b"PRI * HTTP/2.0\r\n", 505, id="HTTP/2 without being asked"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 200-ok\r\n" + H, 417, id="expectation"),
        pytest.param(b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n" + H, 414, id="long request line"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 65536 + b"\r\n" + H, 431, id="long field"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + H, 431, id="many fields"),
    ],
)
def test_what_is_refused(block: bytes, status: int) -> None:
    with pytest.raises(GatewayError) as caught:
        read_head(block + b"\r\n", LIMITS)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("version", "fields", "expects"),
    [
        (b"1.1", b"Content-Length: 1\r\nExpect: 100-Continue\r\n", True),
        (b"1.1", b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", True),
        (b"1.1", b"Expect: 100-continue\r\n", False),
        (b"1.0", b"Content-Length: 1\r\nExpect: 100-continue\r\n", False),
        (b"1.0", b"Content-Length: 1\r\nExpect: anything\r\n", False),
        (b"1.1", b"Content-Length: 1\r\n", False),
    ],
)
def test_expectations(version: bytes, fields: bytes, expects: bool) -> None:
    head = read_head(b"POST / HTTP/%b\r\n%b%b\r\n" % (version, fields, H), LIMITS)
    assert head.expects_continue is expects


def test_fields_are_lower_case_and_stripped() -> None:
    assert read_head(b"GET / HTTP/1.1\r\nHOST: a \r\nX-y:\t b c\t\r\n\r\n", LIMITS).headers.fields == [
        (b"host", b"a"),
        (b"x-y", b"b c"),
    ]


def test_a_field_of_spaces_costs_no_more_than_one_of_letters() -> None:
    assert read_field(b"X: " + b" " * 60_000 + b"b" + b" " * 60_000) == (b"x", b"b")


class TestMemory:
    """Lines that were read before are remembered."""

    def test_it_changes_nothing(self) -> None:
        block = b"POST /a HTTP/1.1\r\nHOST: a \r\nX-y:\tb\r\nX-Y: c\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
        first, second = (read_head(block, LIMITS) for _ in range(2))
        assert first == second
        assert first.headers.fields == second.headers.fields
        assert list(second.headers.getAllRawHeaders())[1] == (b"x-y", [b"b", b"c"])

    @pytest.mark.parametrize("line", [b"X\r", b"X : a", b" X: a", b"X: a\0"])
    def test_what_was_refused_is_refused_again(self, line: bytes) -> None:
        for _ in range(2):
            with pytest.raises(GatewayError):
                read_head(b"GET / HTTP/1.1\r\n%b\r\n%b\r\n" % (line, H), LIMITS)

    @pytest.mark.parametrize(
        "name", ["Authorization", "X-API-Key", "api-key", "Cookie", "Proxy-Authorization", "X-Goog-Api-Key", "X-Token"]
    )
    def test_no_credential_is_kept(self, name: str) -> None:
        line = f"{name}: s3cret".encode()
        read_head(b"GET /?key=s3cret HTTP/1.1\r\n%b\r\n%b\r\n" % (line, H), LIMITS)
        assert b"s3cret" not in b"".join([*head_module._field_lines, *head_module._request_lines])

    def test_it_is_bounded(self) -> None:
        for i in range(5000):
            read_head(b"GET /%d HTTP/1.1\r\nX: %d\r\nY: %b\r\n%b\r\n" % (i, i, b"y" * 300, H), LIMITS)
        for memory in (head_module._field_lines, head_module._request_lines):
            assert len(memory) <= 2048
            assert max(map(len, memory)) <= 256


class TestHeaders:
    """What a handler gets of them is a `Headers` like any other, that does not change."""

    HEADERS = read_head(
        b"GET / HTTP/1.1\r\nX-A: 1\r\nAuthorization: s3cret\r\nx-a: 2\r\n" + H + b"\r\n", LIMITS
    ).headers
    STOCK = Headers({b"x-a": [b"1", b"2"], b"authorization": [b"s3cret"], b"host": [b"a"]})

    def test_looking_up(self) -> None:
        assert self.HEADERS.getRawHeaders(b"X-A") == [b"1", b"2"]
        assert self.HEADERS.getRawHeaders("x-A") == ["1", "2"]
        assert (self.HEADERS.getRawHeaders(b"y"), self.HEADERS.getRawHeaders("y", ["z"])) == (None, ["z"])
        assert (self.HEADERS.hasHeader("X-a"), self.HEADERS.hasHeader(b"y")) == (True, False)
        assert self.HEADERS.fields == [(b"x-a", b"1"), (b"authorization", b"s3cret"), (b"x-a", b"2"), (b"host", b"a")]

    def test_it_equals_stock_headers(self) -> None:
        assert self.HEADERS == self.STOCK
        assert self.HEADERS.copy() == self.STOCK

    def test_it_does_not_change_but_a_copy_does(self) -> None:
        for change in (self.HEADERS.setRawHeaders, self.HEADERS.addRawHeader):
            with pytest.raises(TypeError):
                change(b"x", b"y")
        with pytest.raises(TypeError):
            self.HEADERS.removeHeader(b"x-a")
        copy = self.HEADERS.copy()
        copy.addRawHeader(b"x-a", b"3")
        assert self.HEADERS.getRawHeaders(b"x-a") == [b"1", b"2"]

    def test_no_secret_in_its_repr(self) -> None:
        assert "s3cret" not in repr(self.HEADERS)


def test_the_end_of_a_head_is_found_wherever_it_is_cut() -> None:
    block = b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n"
    for first in range(1, len(block)):
        for second in range(first, len(block)):
            assert head_size(block[:first], 0, LIMITS) == 0
            assert head_size(block[:second], first, LIMITS) == 0
            assert head_size(block + b"GET", second, LIMITS) == len(block)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"\r\n", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\n", 400),
        (b"G" * 8193, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 65536, 431),
    ],
)
def test_a_hopeless_head_is_refused_before_its_end(data: bytes, status: int) -> None:
    with pytest.raises(GatewayError) as caught:
        head_size(data, 0, LIMITS)
    assert caught.value.status == status


def test_a_bare_line_feed_is_found_wherever_the_head_is_cut() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\n\nX"
    for cut in range(1, data.index(b"a\n") + 2):
        head_size(data[: min(cut, data.index(b"\n\n"))], 0, LIMITS)
        with pytest.raises(GatewayError):
            head_size(data, min(cut, data.index(b"\n\n")), LIMITS)


@pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    [
        (b"GET", b"/", {b"host": [b"a"]}, None),
        (b"GET", b"/", {b"host": [b"a", b"a"]}, None),
        (b"GET", b"/", {b"host": [b"a", b"b"]}, 400),
        (b"GET", b"/", {}, 400),
        (b"GET", b"", {b"host": [b"a"]}, 400),
        (b"GET", b"/ b", {b"host": [b"a"]}, 400),
        (b"", b"/", {b"host": [b"a"]}, 400),
        (b"GET", b"http://a/", {b"host": [b"a"]}, 400),
        (b"GET", b"/", {b"host": [b"a"], b"x": [b"a\r\nb"]}, 400),
        (b"GET", b"/" * 8193, {b"host": [b"a"]}, 414),
        (b"GET", b"/", {b"host": [b"a"], b"x": [b"a"] * 200}, 431),
    ],
)
def test_http2_heads(method: bytes, target: bytes, fields: dict[bytes, list[bytes]], status: int | None) -> None:
    if status is None:
        check_http2(method, target, fields, LIMITS)
        return
    with pytest.raises(GatewayError) as caught:
        check_http2(method, target, fields, LIMITS)
    assert caught.value.status == status
