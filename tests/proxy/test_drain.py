"""Leaving: what is in flight is finished, what is idle is closed, and it has an end."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from aigw.exchange import Outcome, Reply


class Watched:
    """Did it fire?"""

    def __init__(self, deferred: Deferred[None]) -> None:
        self.fired: Any = 0
        deferred.addCallback(self._fired)

    def _fired(self, result: None) -> None:
        self.fired += 1


def test_with_no_connection_it_is_done(gateway: Any) -> None:
    assert Watched(gateway.site.drain(10)).fired
    assert not gateway.clock.getDelayedCalls()


def test_idle_connections_are_closed(gateway: Any) -> None:
    clients = [gateway.connect(), gateway.connect().get(), gateway.connect(tls="http/1.1")]
    drained = Watched(gateway.site.drain(10))
    assert all(client.closed for client in clients)
    gateway.clock.advance(0)
    assert drained.fired
    assert not gateway.clock.getDelayedCalls()


def test_a_request_in_flight_is_finished(gateway: Any) -> None:
    answer: Deferred[Reply] = Deferred()
    gateway.handler = lambda exchange: answer
    client = gateway.connect().get().get(b"/behind")
    drained = Watched(gateway.site.drain(10))
    gateway.advance(5)
    assert not drained.fired
    answer.callback(Reply(status=200, body=b"done"))
    assert (client.reply.body, client.reply.headers["connection"], client.closed) == (b"done", "close", True)
    gateway.clock.advance(0)
    assert drained.fired
    assert len(gateway.exchanges) == 1


def test_a_stream_that_began_before_is_finished(gateway: Any, make_source: Any) -> None:
    source = make_source(b"a")
    gateway.reply_with(Reply(status=200, source=source))
    client = gateway.connect().get()
    drained = Watched(gateway.site.drain(100))
    gateway.advance(50)
    source.write(b"b")
    source.finish()
    assert (client.reply.body, client.reply.complete, client.closed) == (b"ab", True, True)
    gateway.clock.advance(0)
    assert drained.fired


@pytest.mark.parametrize("cut", [5, 60])
def test_a_request_that_is_arriving_is_served(gateway: Any, cut: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"
    client = gateway.connect().send(request[:cut])
    drained = Watched(gateway.site.drain(10))
    client.send(request[cut:])
    assert client.reply.status == 200
    gateway.clock.advance(0)
    assert drained.fired


def test_new_connections_are_closed_at_once(gateway: Any) -> None:
    gateway.handler = lambda exchange: Deferred()
    client = gateway.connect().get()
    gateway.site.drain(10)
    assert gateway.connect().refused
    client.leave()


def test_what_is_not_done_in_time_is_aborted(gateway: Any) -> None:
    gateway.handler = lambda exchange: Deferred()
    client = gateway.connect().get()
    drained = Watched(gateway.site.drain(10))
    gateway.advance(9)
    assert not drained.fired
    gateway.advance(2)
    assert client.transport.aborted
    assert drained.fired
    assert [s.outcome for s in gateway.seen] == [Outcome.CLIENT_LEFT]


def test_a_second_signal_ends_at_once(gateway: Any) -> None:
    gateway.handler = lambda exchange: Deferred()
    client = gateway.connect().get()
    first = Watched(gateway.site.drain(600))
    second = Watched(gateway.site.drain(600))
    gateway.site.abort_all()
    gateway.clock.advance(0)
    assert client.transport.aborted
    assert (first.fired, second.fired) == (1, 1)
    assert not gateway.clock.getDelayedCalls()


def test_requests_are_counted(gateway: Any) -> None:
    answers: list[Deferred[Reply]] = []

    def handler(exchange: object) -> Deferred[Reply]:
        answers.append(Deferred())
        return answers[-1]

    gateway.handler = handler
    for _ in range(3):
        gateway.connect().get()
    assert gateway.site.in_flight == 3
    answers[0].callback(Reply(status=200))
    assert gateway.site.in_flight == 2
    gateway.site.abort_all()
    gateway.clock.advance(0)
    assert gateway.site.in_flight == 0
