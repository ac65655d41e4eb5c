"""Every wait for a client has an end."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from aigw.exchange import Outcome


@pytest.fixture
def gateway(make_gateway: Any) -> Any:
    """With deadlines that are easy to tell apart."""
    return make_gateway(
        handshake_timeout=3,
        head_timeout=10,
        body_idle_timeout=20,
        body_min_rate=100,
        idle_timeout=40,
        send_timeout=60,
        linger_timeout=5,
    )


def test_a_head_that_trickles(gateway: Any) -> None:
    client = gateway.connect()
    for byte in b"GET / HTTP":
        client.send(bytes([byte]))
        gateway.advance(1)
    assert (client.reply.status, client.reply.headers["connection"]) == (408, "close")
    assert client.closed
    gateway.advance(7)
    assert client.transport.lost
    assert not gateway.seen


def test_a_pipelined_head_that_does_not_go_on(gateway: Any) -> None:
    client = gateway.connect().send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /")
    gateway.advance(11)
    assert [r.status for r in client.replies] == [200, 408]


def test_a_body_that_stalls(gateway: Any) -> None:
    client = gateway.connect().send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n")
    for _ in range(4):
        client.send(b"x" * 2000)
        gateway.advance(19)
    assert client.got == b""
    gateway.advance(2)
    assert (client.reply.status, client.closed) == (408, True)
    (seen,) = gateway.seen
    assert (seen.status, seen.exchange.target, seen.outcome) == (408, b"/a", Outcome.DONE)
    gateway.advance(6)
    assert client.transport.lost
    assert gateway.site.in_flight == 0


def test_a_body_that_trickles(gateway: Any) -> None:
    client = gateway.connect().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n")
    for _ in range(21):
        assert client.got == b""
        client.send(b"x")
        gateway.advance(1)
    assert client.reply.status == 408


def test_a_body_that_is_slow_but_steady(gateway: Any) -> None:
    client = gateway.connect().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12000\r\n\r\n")
    for _ in range(120):
        client.send(b"x" * 100)
        gateway.advance(1)
    assert client.reply.status == 200


def test_a_chunked_body_that_is_never_ended(gateway: Any) -> None:
    client = gateway.connect().send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    )
    gateway.advance(21)
    assert client.reply.status == 408


def test_an_expected_body_that_does_not_come(gateway: Any) -> None:
    client = gateway.connect().send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    gateway.advance(21)
    assert [r.status for r in client.replies] == [100, 408]


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_connection_on_which_nothing_happens(gateway: Any, before: bytes) -> None:
    client = gateway.connect()
    if before:
        client.send(before)
    written = client.got
    gateway.advance(39)
    assert not client.closed
    gateway.advance(2)
    assert (client.got, client.transport.lost) == (written, True)


def test_a_tls_handshake_that_stalls(gateway: Any) -> None:
    client = gateway.connect(tls="http/1.1")
    gateway.advance(4)
    assert client.transport.aborted
    assert client.transport.lost


def test_after_a_tls_handshake_there_is_time(gateway: Any) -> None:
    client = gateway.connect(tls="http/1.1")
    client.channel.handshakeCompleted()
    gateway.advance(20)
    assert client.get().reply.status == 200


def test_a_handler_has_its_own_deadlines(gateway: Any) -> None:
    gateway.handler = lambda exchange: Deferred()
    client = gateway.connect().get()
    gateway.advance(1000)
    assert not client.closed
    client.leave()


def test_a_closing_connection_whose_client_reads_nothing(gateway: Any) -> None:
    client = gateway.connect(capacity=10)
    client.get(b"/", b"Connection: close")
    client.transport.producer = None
    gateway.advance(59)
    assert not client.transport.aborted
    gateway.advance(2)
    assert client.transport.aborted


def test_the_clients_time_begins_anew_with_each_request(gateway: Any) -> None:
    client = gateway.connect()
    for _ in range(5):
        client.get()
        gateway.advance(30)
    assert len(client.replies) == 5
    assert not client.closed
