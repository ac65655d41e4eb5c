"""The server side of the admin face's HTTP: long bodies are refused early, and do no harm while they come."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from aigw.admin.body import MAX_BODY
from aigw.admin.site import PATIENCE, admin_site

HEAD = b"PUT /apisix/admin/services/s HTTP/1.1\r\nHost: x\r\nX-API-KEY: an-admin-key-of-some-length\r\n"


@pytest.fixture
def wire(face: Any) -> Any:
    protocol, transport = face.connect()
    yield protocol, transport
    protocol.connectionLost(None)


def body_of(protocol: Any) -> Any:
    """Where the body of the request goes that is just coming in."""
    return protocol._channel.requests[0].content


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_a_body_comes_in_pieces(wire: Any, face: Any) -> None:
    protocol, transport = wire
    for byte in HEAD + b"Content-Length: 12\r\n\r\n" + b'{"name":"n"}':
        protocol.dataReceived(bytes([byte]))
    assert transport.value().startswith(b"HTTP/1.1 201 ")
    transport.clear()
    protocol.dataReceived(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b'{"name"') + chunk(b':"m"}') + b"0\r\n\r\n"
    )
    assert transport.value().startswith(b"HTTP/1.1 200 ")


def test_a_body_stays_in_memory(wire: Any) -> None:
    protocol, _ = wire
    protocol.dataReceived(HEAD + b"Content-Length: 1000000\r\n\r\n")
    assert isinstance(body_of(protocol), BytesIO)


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_an_announced_long_body_is_refused_before_it_comes(wire: Any, face: Any, expect: bytes) -> None:
    protocol, transport = wire
    protocol.dataReceived(HEAD + expect + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1))
    refusal = transport.value()
    assert refusal.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close\r\n" in refusal
    assert refusal.endswith(b'{"error_msg":"the body is over the limit of 1572864 bytes"}')
    protocol.dataReceived(b" " * (MAX_BODY + 1))
    assert transport.value() == refusal
    assert transport.disconnecting
    assert face.ask("GET", "/services").json["total"] == 0


def test_a_short_body_may_be_expected(wire: Any) -> None:
    protocol, transport = wire
    protocol.dataReceived(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert transport.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
    protocol.dataReceived(b"{}")
    assert b"HTTP/1.1 201 " in transport.value()


def test_a_long_chunked_body_is_refused_as_soon_as_it_is_too_long(wire: Any) -> None:
    protocol, transport = wire
    protocol.dataReceived(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    piece = chunk(b" " * 65536)
    for _ in range(MAX_BODY // 65536):
        protocol.dataReceived(piece)
    assert transport.value() == b""
    protocol.dataReceived(piece)
    assert transport.value().startswith(b"HTTP/1.1 413 ")
    assert len(body_of(protocol).getvalue()) <= MAX_BODY
    protocol.dataReceived(b"0\r\n\r\n")
    assert transport.disconnecting
    assert transport.value().count(b"HTTP/1.1") == 1


def test_nobody_sends_for_ever(wire: Any) -> None:
    protocol, transport = wire
    protocol.dataReceived(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    piece = chunk(b" " * 1_000_000)
    for _ in range(PATIENCE // 1_000_000 + 1):
        protocol.dataReceived(piece)
    assert transport.disconnected


def test_nor_takes_for_ever(wire: Any, face: Any) -> None:
    protocol, transport = wire
    protocol.dataReceived(HEAD + b"Content-Length: 1000\r\n\r\n")
    for _ in range(4):
        face.clock.advance(24)
        protocol.dataReceived(b" ")
    assert not transport.disconnected
    face.clock.advance(24)
    assert transport.disconnected


def test_a_body_in_time_leaves_no_timer(wire: Any, face: Any) -> None:
    protocol, transport = wire
    protocol.dataReceived(HEAD + b"Content-Length: 2\r\n\r\n{}")
    face.clock.advance(50)
    assert not transport.disconnected
    protocol.dataReceived(HEAD + b"Content-Length: 2\r\n\r\n")
    protocol.connectionLost(None)
    assert face.clock.getDelayedCalls() == []


def test_the_key_in_a_url_is_not_logged(wire: Any, events: list[Any]) -> None:
    protocol, transport = wire
    protocol.dataReceived(b"GET /apisix/admin/routes?api_key=my-secret-key HTTP/1.1\r\nHost: x\r\n\r\n")
    assert transport.value().startswith(b"HTTP/1.1 401 ")
    assert "my-secret-key" not in repr(events)


def test_it_speaks_http_1_only(face: Any) -> None:
    assert admin_site(face.resource, face.clock).acceptableProtocols() == [b"http/1.1"]
