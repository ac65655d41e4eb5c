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


def adopted(hand: Any, bound: socket.socket, endpoint: str) -> Any:
    outcome: list[Any] = []
    inherited: Any = InheritedSocket(hand.reactor, os.dup(bound.fileno()))
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


def test_it_is_the_reactor_in_all_else(hand: Any) -> None:
    inherited = InheritedSocket(hand.reactor, 0)
    for interface in (IReactorTCP, IReactorSSL, IReactorUNIX, IReactorSocket, IReactorTime):
        assert interface.providedBy(inherited)
    assert inherited.callLater == hand.reactor.callLater


def test_what_is_leaned_on_is_there() -> None:
    """A Twisted that shuts the socket down, or adopts it otherwise, would do so for all processes."""
    assert unix.Port._shouldShutdown is True
    assert unix.Port(b"/x", Factory())._preexistingSocket is None
