"""Our reading of requests next to that of Twisted's stock server, on the same bytes.

What both accept they take for the same: as many requests, with the same methods, targets, fields and bodies. Where one
of them refuses what the other one accepts, that is meant to be so, and said here why.
"""

# mypy: allow-untyped-calls
# (the stock server has no annotations)
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel, Request

Asked = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]
"""Method, target, fields (sorted), body."""


@attrs.frozen
class Heard:
    """What a server made of some bytes. ``refused``: why it wants no more of them; empty if it does.

    ``closes``: the last request was the last one of its connection.
    """

    requests: list[Asked]
    refused: str
    closes: bool


class _Stock(Request):
    """Answers at once, and never makes a file of a body."""

    def gotLength(self, length: int | None) -> None:
        self.content: Any = BytesIO()

    def process(self) -> None:
        told = {name.lower(): values for name, values in self.requestHeaders.getAllRawHeaders()}
        fields = sorted((name, value) for name, values in told.items() for value in values)
        body = b"" if self.method == b"CONNECT" else self.content.read()  # which ours does not keep
        channel: Any = self.channel
        channel.heard.append((self.method, self.uri, fields, body))
        self.finish()


class _StockChannel(HTTPChannel):
    requestFactory = _Stock
    timeOut = None

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Asked] = []


def stock(data: bytes) -> Heard:
    """Refuses with one and the same reply."""
    channel, transport = _StockChannel(), StringTransport()
    channel.makeConnection(transport)
    channel.dataReceived(data)
    refused = "bad" if b"HTTP/1.1 400 Bad Request\r\n\r\n" in transport.value() else ""
    return Heard(channel.heard, refused, not refused and transport.disconnecting)


def ours(data: bytes, make_gateway: Any) -> Heard:
    """A method that is not allowed is none that was misread."""
    gateway = make_gateway()
    client = gateway.connect().send(data)
    requests = [
        (e.method, e.target, sorted(e.headers.fields), e.body)
        for e in (seen.exchange for seen in gateway.seen if seen.error is None or seen.error.status == 405)
    ]
    refusal = re.search(rb"HTTP/1\.1 (?!405)[45][0-9]{2} .*?\r\n\r\n(\{.*\})", client.got, re.DOTALL)
    refused = json.loads(refusal[1])["error"]["message"] if refusal else ""
    return Heard(requests, refused, not refused and client.closed)


# What is meant to be different.


TAKES, CLOSES, STAYS = "(takes it)", "(closes after it)", "(does not close after it)"


@attrs.frozen
class Difference:
    """``ours``: how we refuse ``example``, which the stock server does not, or what else we do and it does not.

    ``pattern``: is in all bytes for which that is so.
    """

    ours: str
    pattern: bytes
    example: bytes


def get(*fields: bytes, line: bytes = b"GET / HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"Host: a", *fields, b"", body])


def chunks(body: bytes) -> bytes:
    return get(b"Transfer-Encoding: chunked", body=body)


HOST, TARGET = "exactly one Host header is required", "the request target is not a path"
CODING = "the only Transfer-Encoding accepted is chunked, in HTTP/1.1, without Content-Length"

DIFFERENCES: Mapping[str, Difference] = {
    "RFC 9112 3.2: whom a request is for must not be in doubt": Difference(
        HOST, rb"(?is)\A(?!((?!\r\n\r\n).)*\r\nhost:)|\r\nhost:.*\r\nhost:", b"GET / HTTP/1.1\r\n\r\n"
    ),
    "nor what its route is matched by": Difference(
        "the Host header is not a host",
        rb"(?i)\r\nhost:[ \t]*+(?!(\[[\w:.]+\]|[\w.-]*)(:[0-9]*)?[ \t]*\r)",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ),
    "of an absolute target, that would be in doubt": Difference(
        TARGET, rb"(?m)^\S+ [^/ ]\S* HTTP", get(line=b"GET http://b/ HTTP/1.1")
    ),
    "RFC 9112 3: targets are printable ASCII": Difference(
        "malformed request line", rb"(?m)^\S+ \S*[\x7f-\xff]\S* HTTP", get(line=b"GET /\x80 HTTP/1.1")
    ),
    "no method is that long": Difference(
        "malformed request line", rb"(?m)^[!-~]{33}", get(line=b"M" * 33 + b" / HTTP/1.1")
    ),
    "RFC 9110 5.5: no control characters": Difference(
        "malformed header field", rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", get(b"X: \x01")
    ),
    "RFC 9112 5.2: folding may be refused": Difference("obsolete line folding", rb"\r\n[ \t]", get(b"X: a", b" b")),
    "no body is that long": Difference(
        "Content-Length is not one number", rb"(?i)content-length:[ \t]*[0-9]{19}", get(b"Content-Length: " + b"0" * 19)
    ),
    "there is no such coding any more": Difference(CODING, rb"(?i)identity", get(b"Transfer-Encoding: identity")),
    "RFC 9112 6.1: the framing of a 1.0 request with codings is faulty": Difference(
        CODING,
        rb"(?is)HTTP/1\.0.*transfer-encoding",
        get(b"Transfer-Encoding: chunked", line=b"GET / HTTP/1.0", body=b"0\r\n\r\n"),
    ),
    "RFC 9110 10.1.1: a server may refuse what it can not meet": Difference(
        "the only expectation that can be met is 100-continue", rb"(?i)\r\nexpect:", get(b"Expect: x")
    ),
    "no chunk is that long": Difference("malformed chunk size", rb"[0-9a-fA-F]{16}", chunks(b"0" * 16 + b"\r\n\r\n")),
    "RFC 9112 7.1.1: extensions should be limited": Difference(
        "a line of chunk framing is too long", rb";[^\r]{200}", chunks(b"0;" + b"a" * 300 + b"\r\n\r\n")
    ),
    "trailers are fields": Difference("malformed header field", rb"\r\n0+(;[^\r]*)?\r\n", chunks(b"0\r\nbad\r\n\r\n")),
    "and end with CRLF": Difference(
        "a line of chunk framing does not end with CRLF", rb"(?<!\r)\n", chunks(b"0\r\nX: y\n")
    ),
    "RFC 9112 7.1.1: strings in extensions may have quoted pairs": Difference(
        TAKES, rb";[^\r]*\\", chunks(b'0;a="\\\\"\r\n\r\n')
    ),
    "what is refused anyway is not asked for": Difference(
        CLOSES,
        rb"(?is)CONNECT.*expect:",
        get(b"Content-Length: 5", b"Expect: 100-continue", line=b"CONNECT a:1 HTTP/1.1"),
    ),
    "RFC 9110 7.6.1: Connection is a list, which several fields may make up": Difference(
        CLOSES, rb"(?is)connection:[^\r]*[,\t]|connection:.*connection:", get(b"Connection: close, x")
    ),
    "whose members have no spaces in them": Difference(STAYS, rb"(?i)connection:[^\r]* ", get(b"Connection: x close")),
}


def difference(data: bytes, make_gateway: Any) -> str:
    """What we do with ``data`` and the stock server does not; nothing if there is no difference.

    One may refuse at once what the other refuses when the line or the head is over.
    """
    theirs, mine = stock(data), ours(data, make_gateway)
    told = len(theirs.requests)
    common = min(told, len(mine.requests))
    assert mine.requests[:common] == theirs.requests[:common]
    if mine.closes or (theirs.closes and len(mine.requests) == told):
        return "" if mine == theirs else CLOSES if mine.closes else STAYS
    if mine.refused:
        late = theirs if theirs.refused else stock(data + END)
        return "" if late.refused and late.requests == mine.requests else mine.refused
    if theirs.refused:
        late = ours(data + END, make_gateway)
        return "" if late.refused and late.requests == theirs.requests else TAKES
    assert mine == theirs
    return ""


END = b"\r\n\r\n"


@pytest.mark.parametrize("row", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_a_difference_that_is_meant(row: Difference, make_gateway: Any) -> None:
    assert difference(row.example, make_gateway) == row.ours
    assert re.search(row.pattern, row.example)


def is_meant(found: str, data: bytes) -> bool:
    return any(row.ours == found and re.search(row.pattern, data) for row in DIFFERENCES.values())


LINES = st.sampled_from(
    [
        *[b"GET / HTTP/1.1", b"POST /a?b=%20c HTTP/1.1"] * 4,
        *(b"GET / HTTP/1.0", b"OPTIONS * HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"M!#$%&'*+-.^_`|~9 /;=,@: HTTP/1.1"),
        *(b"GET http://a/ HTTP/1.1", b"GET a HTTP/1.1", b"GET / HTTP/1.2", b"GET /\x80 HTTP/1.1", b"GET  / HTTP/1.1"),
        *(b"G(T / HTTP/1.1", b"", b"M" * 33 + b" / HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET / http/1.1", b"GET /"),
    ]
)
FIELDS = st.sampled_from(
    [
        *[b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"] * 4,
        *(b"x:z ", b"X:\t", b"Empty:", b"X: \xff", b"Content-Length: 0", b"content-length:5\t", b"Content-Length: 05"),
        *(b"Content-Length: 5, 5", b"Content-Length: +5", b"Content-Length: 5_0", b"Content-Length: " + b"0" * 20),
        *(b"Content-Length:", b"Content-Length: \xb2", b"Content-Length: 0x5", b"TRANSFER-ENCODING: Chunked"),
        *(b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding:"),
        *(b"Connection: close", b"Connection: a, close", b"Connection: a close", b"Connection: keep-alive"),
        *(b"Expect: 100-continue", b"Expect: x", b" folded", b"\tfolded", b"X : y", b"X\t: y", b"X: \x01", b"X: \0"),
        *(b"X: a\rb", b"X: a\nb", b"X", b": y", b"Host: a", b"Host: a/b", b"Host:", b"X\x80: y", b"X: a\r"),
    ]
)
BODIES = st.sampled_from(
    [
        *[b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"] * 4,
        *(b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", b'5;a="\\""\r\nhello\r\n0\r\n\r\n', b"05\r\nhello\r\n00\r\n\r\n"),
        *(b"0x5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nbad\r\n\r\n"),
        *(
            b"5\r\nhelloo\r\n0\r\n\r\n",
            b"5;\x01\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\n0\n\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
        ),
        *(b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n", b"\r\nhello", b"-1\r\n\r\n", b"0\r\n\r", b"a\r\nhello"),
        *(b"0" * 20 + b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", b";\r\n", b"F\r\n"),
    ]
)
CHANGES = st.sampled_from([b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b"0", b"9", b"\xe9", b",", b";"])


@st.composite
def a_request(draw: st.DrawFn) -> bytes:
    """Usually one in which few things are odd."""
    fields = [*draw(st.sampled_from([[b"Host: a"]] * 9 + [[]])), *draw(st.lists(FIELDS, max_size=3))]
    data = bytearray(b"\r\n".join([draw(LINES), *draw(st.permutations(fields)), b"", draw(BODIES)]))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(CHANGES)
    return bytes(data)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(data=a_request())
def test_one_request(data: bytes, make_gateway: Any) -> None:
    found = difference(data, make_gateway)
    assert not found or is_meant(found, data), (found, data)


def is_clear(data: bytes, make_gateway: Any) -> bool:
    """Do both take it for one whole request, or for several?"""
    requests = ours(data, make_gateway).requests
    behind = ours(data + get(b"X-Behind: 1"), make_gateway).requests
    return (
        behind[:-1] == requests != []
        and behind[-1] == (b"GET", b"/", [(b"host", b"a"), (b"x-behind", b"1")], b"")
        and not difference(data, make_gateway)
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(requests=st.lists(a_request(), min_size=2, max_size=6))
def test_one_after_another(requests: list[bytes], make_gateway: Any) -> None:
    clear = [data for data in requests if is_clear(data, make_gateway)]
    assert difference(b"".join(clear), make_gateway) == ""
    assert ours(b"".join(clear), make_gateway).requests == [
        asked for data in clear for asked in ours(data, make_gateway).requests
    ]
