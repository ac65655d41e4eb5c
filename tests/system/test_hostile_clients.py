"""What a client must not do is refused with one answer and a closed connection; nothing of it reaches an upstream."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import pytest

from aigw.testing.asking import ask
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

BODY = b'{"messages": []}'
SMUGGLED = b"POST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


def request(*headers: bytes, line: bytes = b"POST %b HTTP/1.1", body: bytes = BODY) -> bytes:
    return b"\r\n".join([line, b"Host: x", b"Content-Type: application/json", *headers]) + b"\r\n\r\n" + body


CASES: Mapping[str, tuple[int, bytes]] = {
    "two lengths": (400, request(b"Content-Length: 16", b"Content-Length: 4") + SMUGGLED),
    "a length and chunks": (400, request(b"Content-Length: 4", b"Transfer-Encoding: chunked") + SMUGGLED),
    "chunks that are not": (400, request(b"Transfer-Encoding: chunked", body=b"xyz\r\n") + SMUGGLED),
    "an unknown coding": (400, request(b"Transfer-Encoding: xchunked") + SMUGGLED),
    "a negative length": (400, request(b"Content-Length: -1") + SMUGGLED),
    "a folded header": (400, request(b"X: a\r\n b", b"Content-Length: 16") + SMUGGLED),
    "a space before the colon": (400, request(b"Content-Length : 16") + SMUGGLED),
    "a NUL": (400, request(b"X: a\0b", b"Content-Length: 16") + SMUGGLED),
    "a bare CR": (400, request(b"X: a\rb", b"Content-Length: 16") + SMUGGLED),
    "bare line feeds": (400, request(b"Content-Length: 16").replace(b"\r\n", b"\n") + SMUGGLED),
    "no host": (400, b"POST %b HTTP/1.1\r\nContent-Length: 16\r\n\r\n" + BODY),
    "a request line without end": (414, b"POST /" + b"x" * 100_000),
    "headers without end": (431, request(b"X: " + b"y" * 200_000, b"Content-Length: 16")),
    "a body that is too long": (413, request(b"Content-Length: 99999999999")),
    "another version": (505, request(b"Content-Length: 16", line=b"POST %b HTTP/3.0")),
    "TLS on a plain port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50)),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str, single: Callable[..., str], upstream: ServedUpstream) -> None:
    status, sent = CASES[name]
    parts = urlsplit(single(upstream))
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=8) as client:
        client.sendall(sent.replace(b"%b", parts.path.encode(), 1))
        got = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), got
    assert json.loads(body)["error"]["code"]
    assert upstream.received == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "invalid_json"),
        (b"{", {}, 400, "invalid_json"),
        (b"[1]", {}, 400, "invalid_json"),
        (b'{"messages": [' * 10_000, {}, 400, "invalid_json"),
        (BODY + b"x", {}, 400, "invalid_json"),
        (b'{"messages": "\xff"}', {}, 400, "invalid_json"),
        (BODY, {"Content-Type": "text/plain"}, 400, "unsupported_media_type"),
        (BODY, {"Content-Type": "multipart/form-data; boundary=x"}, 400, "unsupported_media_type"),
    ],
)
def test_a_body_that_is_none(
    body: bytes, headers: dict[str, str], status: int, code: str, single: Callable[..., str], upstream: ServedUpstream
) -> None:
    answered = ask("POST", single(upstream), body, headers=headers)
    assert (answered.status, answered.json["error"]["code"]) == (status, code)
    assert upstream.received == []


def test_other_methods(single: Callable[..., str], upstream: ServedUpstream) -> None:
    url = single(upstream)
    for method in ("GET", "DELETE", "OPTIONS"):
        answered = ask(method, url)
        assert (answered.status, answered.headers["allow"]) == (405, "POST")
    assert upstream.received == []


def test_what_the_client_wrote_goes_out_as_it_is(single: Callable[..., str], upstream: ServedUpstream) -> None:
    """Key order, number formats, escapes, lone surrogates: everything but the field that has to change."""
    body = (
        b'{ "z": 1.00, "messages":[{"role":"user","content":"\\ud83d \\u00e9"}], "big":123456789012345678901234567890 }'
    )
    assert ask("POST", single(upstream), body).status == 200
    assert upstream.received[-1].body == body
    assert ask("POST", single(upstream, options={"model": "m"}), body).status == 200
    sent = upstream.received[-1].body
    assert b'"z": 1.00' in sent or b'"z":1.00' in sent
    assert b"123456789012345678901234567890" in sent
    assert b'"\\ud83d \\u00e9"' in sent
    assert json.loads(sent) == {**json.loads(body), "model": "m"}
