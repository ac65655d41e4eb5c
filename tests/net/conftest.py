"""Reactors that a test turns by hand, Twisted's and ours, with real sockets."""

# mypy: allow-untyped-calls
from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from aigw.net.reactor import LeanEpollReactor
from aigw.net.sockets import EagerSockets

TURNS = 500


class Wire(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008
        assert self.lost is None
        self.lost = reason


@pytest.fixture
def wire() -> Wire:
    """A protocol on its own."""
    return Wire()


class Hand:
    """A reactor that runs while a test waits for something."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.internal = set(reactor.getReaders())

    def until(self, condition: Callable[[], object]) -> None:
        """Turn it until the condition holds."""
        for _ in range(TURNS):
            if condition():
                return
            self.reactor.iterate(0.02)
        raise AssertionError("it never happens")

    def settle(self) -> None:
        """Turn it until nothing is left to do now; enough for local sockets, whose kernel side is synchronous."""
        for _ in range(TURNS):
            self.reactor.iterate(0)
            if not self.reactor._poller.poll(0) and not self.reactor.getDelayedCalls():
                return
        raise AssertionError("it never rests")

    def close(self) -> None:
        """Close what it has open; nothing of a test's own may be left."""
        left = set(self.reactor.getReaders() + self.reactor.getWriters()) - self.internal
        for waker in self.internal:
            self.reactor.removeReader(waker)
            waker.connectionLost(None)
        self.reactor._poller.close()
        assert not left


class Pair:
    """A connection over loopback: ``transport`` is ours, ``peer`` a plain socket."""

    def __init__(self, hand: Hand, sockets: Any, wire: Wire | None = None) -> None:
        self.hand = hand
        self.wire = wire or Wire()
        factory = Factory.forProtocol(lambda: self.wire)
        factory.noisy = False
        port = sockets.listenTCP(0, factory, interface="127.0.0.1")
        self.peer = socket.create_connection(("127.0.0.1", port.getHost().port))
        self.peer.settimeout(5)
        hand.until(lambda: self.wire.transport)
        stopped: list[object] = []
        port.stopListening().addCallback(stopped.append)
        hand.until(lambda: stopped)

    @property
    def transport(self) -> Any:
        """Ours."""
        return self.wire.transport

    def reset(self) -> None:
        """Have the peer end the connection by a reset, whatever it has read."""
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.peer.close()

    def read(self, count: int) -> bytes:
        """What the peer reads, while our side goes on."""
        data = b""
        self.peer.setblocking(False)

        def enough() -> bool:
            nonlocal data
            try:
                while len(data) < count:
                    more = self.peer.recv(count - len(data))
                    if not more:
                        return True
                    data += more
            except BlockingIOError:
                return False
            return True

        self.hand.until(enough)
        return data

    def end(self) -> None:
        """Leave nothing open."""
        self.peer.close()
        if self.wire.lost is None:
            self.transport.abortConnection()
            self.hand.until(lambda: self.wire.lost)


@pytest.fixture
def hand() -> Iterator[Hand]:
    """Our reactor."""
    hand = Hand(LeanEpollReactor())
    yield hand
    hand.close()


@pytest.fixture
def stock_hand() -> Iterator[Hand]:
    """Twisted's."""
    hand = Hand(EPollReactor())
    yield hand
    hand.close()


@pytest.fixture
def pair(hand: Hand) -> Iterator[Pair]:
    """A connection on our transport, in our reactor."""
    pair = Pair(hand, EagerSockets(hand.reactor))
    yield pair
    pair.end()


@pytest.fixture
def stock_pair(stock_hand: Hand) -> Iterator[Pair]:
    """A connection on Twisted's transport, in Twisted's reactor."""
    pair = Pair(stock_hand, stock_hand.reactor)
    yield pair
    pair.end()


@pytest.fixture(params=["pair", "stock_pair"])
def either_pair(request: pytest.FixtureRequest) -> Pair:
    """One after the other: what holds for both."""
    pair: Pair = request.getfixturevalue(request.param)
    return pair


@pytest.fixture(params=["hand", "stock_hand"])
def either_hand(request: pytest.FixtureRequest) -> Hand:
    """One after the other: what holds for both."""
    hand: Hand = request.getfixturevalue(request.param)
    return hand
