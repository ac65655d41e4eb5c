"""Where several sockets can be read at once, what is written goes out when all of them were."""

# mypy: allow-untyped-calls
from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.protocol import Protocol

from aigw.net.reactor import FEW, MOST_HELD, LeanEpollReactor
from aigw.net.transport import MOST_HELD as MOST_BYTES
from aigw.net.transport import EagerServer


class Turn:
    """Connections that answer what they read, and what happened in which order."""

    def __init__(self, reactor: LeanEpollReactor, number: int, answer: list[bytes]) -> None:
        self.reactor = reactor
        self.events: list[str] = []
        self.peers: list[socket.socket] = []
        self.transports: list[Any] = []
        for _ in range(number):
            ours, peer = socket.socketpair()
            peer.settimeout(5)
            transport = Noting(self.events, ours, Answering(self.events, answer), reactor)
            transport.protocol.makeConnection(transport)
            transport.startReading()
            self.peers.append(peer)
            self.transports.append(transport)

    def happens(self) -> list[str]:
        """Let all be readable, and the reactor deal with it."""
        for peer in self.peers:
            peer.send(b"?")
        self.reactor.doPoll(0)
        return self.events

    def end(self) -> None:
        for peer, transport in zip(self.peers, self.transports, strict=True):
            peer.close()
            transport.abortConnection()
        self.reactor.iterate(0)


class Answering(Protocol):
    def __init__(self, events: list[str], answer: list[bytes]) -> None:
        self._events = events
        self._answer = answer

    def dataReceived(self, data: bytes) -> None:
        self._events.append("read")
        for piece in self._answer:
            self.transport.write(piece)


class Noting(EagerServer):
    """Notes each send."""

    def __init__(self, events: list[str], ours: socket.socket, protocol: Protocol, reactor: Any) -> None:
        self._events = events
        super().__init__(ours, protocol, ("peer", 0), None, 0, reactor)  # type: ignore[arg-type]

    def _send(self, data: bytes) -> int:
        self._events.append(f"send {len(data)}")
        return super()._send(data)


@pytest.fixture
def turn(hand: Any) -> Iterator[Any]:
    made: list[Turn] = []

    def make(number: int, answer: list[bytes]) -> Turn:
        made.append(Turn(hand.reactor, number, answer))
        return made[0]

    yield make
    made[0].end()


@pytest.mark.parametrize("number", range(1, FEW + 1))
def test_few_events_are_answered_each_at_once(turn: Any, number: int) -> None:
    assert turn(number, [b"one", b"two"]).happens() == ["read", "send 3", "send 3"] * number


def test_the_answers_to_several_wait_for_each_other(turn: Any) -> None:
    assert turn(3, [b"one", b"two"]).happens() == ["read", "read", "read", "send 6", "send 6", "send 6"]


def test_all_of_it_arrives_and_nothing_waits_for_another_turn(turn: Any) -> None:
    several = turn(3, [b"one", b"two"])
    several.happens()
    assert [peer.recv(100) for peer in several.peers] == [b"onetwo"] * 3
    assert several.reactor.held is None
    assert several.reactor.getWriters() == []


def test_nobody_waits_for_more_than_so_many_others(turn: Any) -> None:
    events = turn(MOST_HELD + 2, [b"x"]).happens()
    assert events == ["read"] * MOST_HELD + ["send 1"] * MOST_HELD + ["read"] * 2 + ["send 1"] * 2


def test_much_is_sent_at_once(turn: Any) -> None:
    much = b"x" * (MOST_BYTES + 1)
    assert turn(3, [much]).happens() == ["read", f"send {len(much)}"] * 3


def test_what_has_become_much_does_not_wait_longer(turn: Any) -> None:
    half = b"x" * (MOST_BYTES // 2 + 1)
    sent = f"send {2 * len(half)}"
    assert turn(3, [half, half, b"y"]).happens() == ["read", sent] * 3 + ["send 1"] * 3


def test_an_error_of_one_keeps_no_other_from_being_sent(turn: Any, expected_failures: list[str]) -> None:
    expected_failures.append("{log_text}")
    several = turn(4, [b"one"])
    several.transports[1].doRead = lambda: 1 / 0
    assert several.happens().count("send 3") == 3


def test_an_error_while_it_is_sent_keeps_no_other_from_being_sent(turn: Any, expected_failures: list[str]) -> None:
    expected_failures.append("{log_text}")
    several = turn(3, [b"one"])
    several.transports[0]._send = lambda data: 1 / 0
    assert several.happens().count("send 3") == 2
    assert several.transports[0].disconnected
    assert [peer.recv(100) for peer in several.peers] == [b"", b"one", b"one"]


def test_a_connection_that_ends_in_its_turn_sends_nothing(turn: Any) -> None:
    several = turn(3, [b"one"])
    reading = several.transports[2].protocol
    reading.dataReceived = lambda data: [t.abortConnection() for t in several.transports]
    several.happens()
    assert "send 3" not in several.events
