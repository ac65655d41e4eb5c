"""Sockets that another process has bound: adopted wherever an endpoint would bind one, and left as they were."""

# mypy: allow-untyped-calls
from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import unix
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorSocket, IReactorSSL, IReactorTCP, IReactorTime, IReactorUNIX
from twisted.internet.protocol import Factory, Protocol

from aigw.net.inherited import InheritedSocket, SharedPort, SharedUNIXPort
from aigw.net.shares import ABSENT, BATCH, Courtesy, Shares, shared_memory


class Greeter(Protocol):
    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture
def bound_path(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.setblocking(False)
        yield listening


@pytest.fixture
def shares() -> Iterator[Shares]:
    fd = shared_memory(2)
    yield Shares(fd, 2)
    os.close(fd)


def adopted(hand: Any, bound: socket.socket, endpoint: str, courtesy: Courtesy | None = None) -> Any:
    outcome: list[Any] = []
    if courtesy is None:
        fd = shared_memory(1)
        courtesy = Courtesy(Shares(fd, 1), 0, lambda: 0)
        os.close(fd)
    inherited: Any = InheritedSocket(hand.reactor, os.dup(bound.fileno()), courtesy)
    factory = Factory.forProtocol(Greeter)
    factory.noisy = False
    serverFromString(inherited, endpoint).listen(factory).addBoth(outcome.append)
    return outcome[0]


def stop(hand: Any, port: Any) -> None:
    stopped: list[object] = []
    port.stopListening().addCallback(stopped.append)
    hand.until(lambda: stopped)


def greeted(hand: Any, address: Any, family: int = socket.AF_INET) -> bytes:
    with socket.socket(family) as client:
        client.connect(address)
        client.setblocking(False)
        said: list[bytes] = []

        def heard() -> bool:
            try:
                said.append(client.recv(10))
            except BlockingIOError:
                return False
            return True

        hand.until(heard)
        return said[0]


@pytest.mark.parametrize("endpoint", ["tcp:80", "tcp:80:interface=10.9.8.7", "unix:/nowhere/at/all"])
def test_whatever_the_endpoint_says_it_listens_on_the_socket(endpoint: str, hand: Any, bound: socket.socket) -> None:
    port = adopted(hand, bound, endpoint)
    assert isinstance(port, SharedPort)
    assert port.getHost().port == bound.getsockname()[1]
    assert greeted(hand, bound.getsockname()) == b"hello"
    stop(hand, port)


def test_who_stops_stops_for_itself_alone(hand: Any, bound: socket.socket) -> None:
    one, other = adopted(hand, bound, "tcp:80"), adopted(hand, bound, "tcp:80")
    stop(hand, one)
    assert greeted(hand, bound.getsockname()) == b"hello"
    stop(hand, other)
    with socket.create_connection(bound.getsockname()):
        hand.settle()
        bound.accept()[0].close()


def test_one_connection_is_accepted_in_a_turn(hand: Any, bound: socket.socket) -> None:
    port = adopted(hand, bound, "tcp:80")
    clients = [socket.create_connection(bound.getsockname()) for _ in range(3)]
    for n in range(1, 4):
        port.doRead()
        assert port.sessionno == n
    for client in clients:
        client.close()
    hand.settle()
    stop(hand, port)


def test_who_has_more_than_its_share_leaves_a_connection_to_the_others(
    hand: Any, bound: socket.socket, shares: Shares
) -> None:
    loads = [5, 0]
    ports = [adopted(hand, bound, "tcp:80", Courtesy(shares, i, lambda i=i: loads[i])) for i in range(2)]  # type: ignore[misc]
    shares.tell(1, 0)
    assert greeted(hand, bound.getsockname()) == b"hello"
    assert [port.sessionno for port in ports] == [0, 1]
    for port in ports:
        stop(hand, port)


def test_but_only_for_a_moment_and_then_takes_all_that_wait(hand: Any, bound: socket.socket, shares: Shares) -> None:
    port = adopted(hand, bound, "tcp:80", Courtesy(shares, 0, lambda: 5))
    shares.tell(1, 0)
    clients = [socket.create_connection(bound.getsockname()) for _ in range(BATCH + 1)]
    port.doRead()
    assert port.sessionno == 0
    hand.until(lambda: port.sessionno)
    assert port.sessionno == BATCH
    hand.until(lambda: port.sessionno > BATCH)
    for client in clients:
        client.close()
    hand.settle()
    stop(hand, port)


def test_who_stops_in_that_moment_takes_nothing(hand: Any, bound: socket.socket, shares: Shares) -> None:
    port = adopted(hand, bound, "tcp:80", Courtesy(shares, 0, lambda: 5))
    shares.tell(1, 0)
    with socket.create_connection(bound.getsockname()):
        port.doRead()
        stop(hand, port)
        hand.settle()
        assert port.sessionno == 0
        bound.accept()[0].close()


def test_shares() -> None:
    fd = shared_memory(3)
    one, other = Shares(fd, 3), Shares(fd, 3)
    os.close(fd)
    assert one.allow(10**6), "nobody else is there"
    other.tell(1, 0)
    assert [one.allow(n) for n in (0, 1, 2)] == [True, True, False]
    other.tell(1, 80)
    assert [one.allow(n) for n in (91, 92)] == [True, False]
    other.tell(2, 3)
    assert [one.allow(n) for n in (4, 5)] == [True, False]
    for place in (1, 2):
        other.tell(place, ABSENT)
    assert one.allow(10**6)


def test_a_path_stays_when_who_serves_it_stops(hand: Any, bound_path: socket.socket) -> None:
    path = bound_path.getsockname()
    mode = os.stat(path).st_mode
    port = adopted(hand, bound_path, "unix:/another")
    assert isinstance(port, SharedUNIXPort)
    assert greeted(hand, path, socket.AF_UNIX) == b"hello"
    stop(hand, port)
    assert os.stat(path).st_mode == mode
    again = adopted(hand, bound_path, "unix:/another")
    assert greeted(hand, path, socket.AF_UNIX) == b"hello"
    stop(hand, again)


def test_it_is_the_reactor_in_all_else(hand: Any, shares: Shares) -> None:
    inherited = InheritedSocket(hand.reactor, 0, Courtesy(shares, 0, lambda: 0))
    for interface in (IReactorTCP, IReactorSSL, IReactorUNIX, IReactorSocket, IReactorTime):
        assert interface.providedBy(inherited)
    assert inherited.callLater == hand.reactor.callLater


def test_what_is_leaned_on_is_there() -> None:
    """A Twisted that shuts the socket down, or adopts it otherwise, would do so for all processes."""
    assert unix.Port._shouldShutdown is True
    assert unix.Port(b"/x", Factory())._preexistingSocket is None
