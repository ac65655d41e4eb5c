"""Our reading of replies next to that of Twisted's stock client, on the same bytes.

What both accept they take for the same: status, fields, body, and whether it is complete. Where one of them refuses
what the other one accepts, that is meant to be so, and said here why.
"""

# mypy: allow-untyped-calls
# (the stock client has no annotations)
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from aigw.exchange import HOP_BY_HOP
from aigw.upstream.testing import Fired, Reader
from aigw.upstream.wire import ReplyParser

NOT_COMPARED = HOP_BY_HOP | {b"content-length", b"trailers"}
"""Fields of the connection and the framing, of which each shows others."""


@attrs.frozen
class Read:
    """What a client made of some bytes. ``refused``: why it wants no more of them. ``head``: version, code, phrase,
    fields (sorted), length. ``complete``: the reply ended as it should.
    """

    head: tuple[Any, ...] | None
    body: bytes
    complete: bool
    refused: str


def shown(fields: Iterable[tuple[bytes, bytes]], named: bytes) -> list[tuple[bytes, bytes]]:
    """``named``: by Connection, so that only ours does not show them."""
    hidden = NOT_COMPARED | {token.strip() for token in named.lower().split(b",")}
    return sorted((name.lower(), value.strip()) for name, value in fields if name.lower() not in hidden)


def named_by(wire: bytes) -> bytes:
    return b",".join(re.findall(rb"(?i)\nconnection:([^\r\n]*)", wire))


def stock(wire: bytes, method: bytes, closed: bool) -> Read:
    client, transport, reader = HTTP11ClientProtocol(), StringTransport(), Reader()
    client.makeConnection(transport)
    fired = Fired(client.request(Request(method, b"/", Headers({b"Host": [b"a"]}), None)))
    client.dataReceived(wire)
    if fired.value is not None:
        fired.value.deliverBody(reader)
    refused = isinstance(reader.end or fired.error, Exception) and not isinstance(reader.end, ResponseDone)
    if closed and not refused and reader.end is None:
        client.connectionLost(Failure(ConnectionDone()))
    response, head = fired.value, None
    if response is not None:
        fields = ((name, value) for name, values in response.headers.getAllRawHeaders() for value in values)
        length = None if response.length is UNKNOWN_LENGTH else response.length
        head = (response.version, response.code, response.phrase, shown(fields, named_by(wire)), length)
    complete = isinstance(reader.end, ResponseDone | PotentialDataLoss)
    return Read(head, reader.body, complete, "refused" if refused else "")


def ours(wire: bytes, method: bytes, closed: bool) -> Read:
    parser = ReplyParser("up", bodiless=method == b"HEAD")
    body = parser.feed(wire)
    if closed and parser.error is None:
        parser.close()
    head = parser.head
    told = head and (head.version, head.code, head.phrase, shown(head.fields, named_by(wire)), head.length)
    return Read(told, body, parser.complete, parser.error.message if parser.error else "")


# What is meant to be different.

TAKES, END = "(takes it)", b"\r\n\r\n"


@attrs.frozen
class Difference:
    """``ours``: how we refuse ``example`` (a pattern), which the stock client takes, or that it is the other way round.

    ``pattern``: is in all bytes for which that is so, with the request's method in front.
    """

    ours: str
    pattern: bytes
    example: bytes
    method: bytes = b"GET"


def reply(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", body: bytes = b"") -> bytes:
    return b"\r\n".join([line, *fields, b"", body])


def chunks(body: bytes) -> bytes:
    return reply(b"Transfer-Encoding: chunked", body=body)


STATUS, FIELD = "malformed status line", "an invalid header field"
BODILESS = rb"\AHEAD|HTTP/1\.. (204|304)"

DIFFERENCES: Mapping[str, Difference] = {
    "RFC 9112 2.2: lines end with CRLF": Difference(
        f"bare line feed|not HTTP/1|{STATUS}|{FIELD}", rb"(?<!\r)\n", reply(b"X: y\nZ: a")
    ),
    "RFC 9112 5.2: folding may be refused": Difference("folded", rb"\n[ \t]", reply(b"X: a", b" b")),
    "RFC 9112 4: a status has three digits, and is of a version that is spoken": Difference(
        f"{STATUS}|not HTTP/1",
        rb"\A\w+ (HTTP/1\.[01] 1[0-9]{2}[^\n]*\n([^\r\n]+\r\n)*\r\n)*(?!HTTP/1\.[01] [1-9][0-9]{2}( |\r\n))",
        reply(line=b"HTTP/1.2 2000 OK"),
    ),
    "nothing ends its line early": Difference(STATUS, rb"HTTP/[^\n]*[\0\r][^\n]", reply(line=b"HTTP/1.1 200 O\0K")),
    "nor a field's": Difference(FIELD, rb":[^\n]*(\0|\r[^\n])", reply(b"X: a\0b")),
    "RFC 9112 6.3: two framings may be an attempt to smuggle": Difference(
        "both Content-Length and Transfer-Encoding",
        rb"(?is)content-length:.*transfer-encoding:|transfer-encoding:.*content-length:",
        reply(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    ),
    "RFC 9112 6.1: nothing is chunked twice": Difference(
        "other than chunked",
        rb"(?is)transfer-encoding:.*transfer-encoding:",
        reply(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    ),
    "no length is that long": Difference(
        "invalid Content-Length", rb"(?i)content-length:[^\r]*[0-9]{19}", reply(b"Content-Length: " + b"0" * 19)
    ),
    "a framing has to be right, whether there is a body or not": Difference(
        "Content-Length|other than chunked", BODILESS, reply(b"Content-Length: +5"), b"HEAD"
    ),
    "or overruled by chunks": Difference(
        "Content-Length",
        rb"(?i)transfer-encoding:",
        reply(b"Content-Length: +5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    ),
    "nothing was asked to be upgraded": Difference(
        "unexpected 101", rb"HTTP/1\.. 101", reply(line=b"HTTP/1.1 101 Yes") + reply()
    ),
    "interim replies are limited": Difference(
        "unexpected 100", rb"(\n.*){16}", b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + reply()
    ),
    "and so are fields": Difference("more than 200 header fields", rb"(\n.*){200}", reply(*[b"X: y"] * 201)),
    "no chunk is that long": Difference(
        "invalid line between chunks", rb"[0-9a-fA-F]{17}", chunks(b"0" * 17 + b"\r\n\r\n")
    ),
    "RFC 9112 7.1.1: extensions should be limited": Difference(
        "invalid line between chunks", rb";[^\r]{470}", chunks(b"0;" + b"a" * 600 + b"\r\n\r\n")
    ),
    "RFC 9112 7.1.2: trailers are fields": Difference(
        "invalid trailer field", rb"\n0+[^\n]*\r\n", chunks(b"0\r\nbad\r\n\r\n")
    ),
    "RFC 9112 7.1.1: strings in extensions may have quoted pairs": Difference(
        TAKES, rb";[^\r]*\\", chunks(b'0;a="\\""\r\n\r\n')
    ),
    "and there may be spaces before them": Difference(TAKES, rb"[0-9a-fA-F][ \t]+;", chunks(b"0 ;a\r\n\r\n")),
}


def difference(wire: bytes, method: bytes = b"GET", closed: bool = False) -> str:
    """What we do with ``wire`` and the stock client does not; nothing if there is no difference.

    One may refuse at once what the other refuses when the line or the head is over.
    """
    theirs, mine = stock(wire, method, closed), ours(wire, method, closed)
    if mine.refused:
        return "" if theirs.refused or stock(wire + END, method, closed).refused else mine.refused
    if theirs.refused:
        late = ours(wire + END, method, closed)
        return "" if late.refused and not mine.complete else TAKES
    assert mine == theirs
    return ""


def is_meant(found: str, told: bytes) -> bool:
    rows = DIFFERENCES.values()
    return any((found == row.ours or re.search(row.ours, found)) and re.search(row.pattern, told) for row in rows)


@pytest.mark.parametrize("row", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_a_difference_that_is_meant(row: Difference) -> None:
    found = difference(row.example, row.method)
    assert found == row.ours or re.search(row.ours, found)
    assert found
    assert re.search(row.pattern, row.method + b" " + row.example)


LINES = st.sampled_from(
    [
        *[b"HTTP/1.1 200 OK"] * 12,
        *(b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 N"),
        *(b"HTTP/1.1 404 a b", b"HTTP/1.1 599 \xff", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 +20 OK"),
        *(b"HTTP/2.0 200 OK", b"http/1.1 200 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 200\tOK", b"ICY 200 OK", b""),
        *(b"HTTP/1.1 099 OK", b"HTTP/1.2 200 OK", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"),
        *(b"HTTP/1.1 103 H\r\nLink: x\r\n\r\nHTTP/1.1 200 OK", b"HTTP/1.1 101 S\r\n\r\nHTTP/1.1 200 OK"),
    ]
)
FIELDS = st.sampled_from(
    [
        *[b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"] * 5,
        *(
            b"x:z ",
            b"X:\t",
            b"Empty:",
            b"X: \xff",
            b"X: \x01",
            b"X: a\x0b",
            b"Content-Length: 0",
            b"content-length:5\t",
        ),
        *(b"Content-Length: 5, 05", b"Content-Length: 5,", b"Content-Length: +5", b"Content-Length: " + b"0" * 20),
        *(
            b"Content-Length:",
            b"Content-Length: \xb2",
            b"Content-Length: 5\r\nContent-Length: 6",
            b"Content-Length: 5_0",
        ),
        *(b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked", b"TRANSFER-ENCODING: Chunked"),
        *(b"Transfer-Encoding:", b"Connection: close", b"Connection: x, close", b"Keep-Alive: timeout=5", b"TE: x"),
        *(
            b" folded",
            b"\tfolded",
            b"X : y",
            b"X: \0",
            b"X: a\rb",
            b"X: a\nb",
            b"X",
            b": y",
            b"X\x80: y",
            b"Trailer: X",
        ),
    ]
)
BODIES = st.sampled_from(
    [
        *[b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"] * 4,
        *(b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", b'5 ;a="\\""\r\nhello\r\n0\r\n\r\n', b"05\r\nhello\r\n00\r\n\r\n"),
        *(b"0x5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nbad\r\n\r\n", b"hell"),
        *(
            b"5\r\nhelloo\r\n0\r\n\r\n",
            b"5;\x01\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\n0\n\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
        ),
        *(b"5;" + b"a" * 600 + b"\r\nhello\r\n0\r\n\r\n", b"hello, world", b"-1\r\n\r\n", b"0\r\n\r", b"a\r\nhello"),
        *(
            b"0" * 20 + b"5\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
            b";\r\n",
            b"5\r\nhello\r\n",
        ),
    ]
)
CHANGES = st.sampled_from([b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b"0", b"9", b"\xe9", b",", b";"])


@st.composite
def a_reply(draw: st.DrawFn) -> bytes:
    """Usually one in which few things are odd."""
    data = bytearray(reply(*draw(st.lists(FIELDS, max_size=3)), line=draw(LINES), body=draw(BODIES)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(CHANGES)
    return bytes(data)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(wire=a_reply(), method=st.sampled_from([b"GET", b"GET", b"HEAD"]), closed=st.booleans())
def test_any_reply(wire: bytes, method: bytes, closed: bool) -> None:
    found = difference(wire, method, closed)
    assert not found or is_meant(found, method + b" " + wire), (found, wire)
