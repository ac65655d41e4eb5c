"""The proxy face with workers, as the service sees it; nothing is spawned here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from aigw import __version__
from aigw.observe.metrics import Metrics
from aigw.registry import Registry
from aigw.settings import Settings
from aigw.workers.channel import Channel
from aigw.workers.messages import Hello, Listener, ToWorker
from aigw.workers.parent import Workers


class Reactor(Clock):
    """Makes no processes, but remembers which it should have made."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[dict[int, Any]] = []
        self.channels: list[Any] = []
        self.killed = 0

    def spawnProcess(self, protocol: Any, *arguments: Any, childFDs: dict[int, Any], **named: Any) -> None:
        self.spawned.append(childFDs)
        self.pid = len(self.spawned)
        protocol.makeConnection(self)

    def signalProcess(self, name: str) -> None:
        self.killed += 1

    def adoptStreamConnection(self, fd: int, family: int, factory: Factory) -> None:
        self.channels.append(factory.buildProtocol(None))


class Port:
    """Is bound, and accepts until it is told not to."""

    reading = True

    def fileno(self) -> int:
        return 0

    def stopReading(self) -> None:
        self.reading = False


def workers(reactor: Reactor, **fields: Any) -> Workers:
    said: dict[str, Any] = {
        "admin": [],
        "control": [],
        "proxy": ["tcp:1", "tcp:2"],
        "data": Path("/nowhere"),
        "admin_key_file": None,
        "viewer_key_file": None,
        "gateway_group": "blue",
        "priority_order": "highest_first",
        "access_log": "off",
        "drain": 7.0,
        "demo": False,
        "workers": 3,
        "environ": {},
    }
    ports: Any = [Port(), Port()]
    return Workers(
        Settings(**{**said, **fields}),
        registry=Registry(),
        metrics=Metrics(build={}),
        reactor=reactor,
        ports=lambda: ports,
        gave_up=lambda reason: None,
    )


def hello_to(channel: Channel) -> Hello:
    frames = [frame for waiting in channel._outbox for frame in waiting]
    hello: Hello = msgspec.msgpack.decode(frames[0], type=ToWorker)
    return hello


def test_every_worker_is_told_where_its_sockets_are() -> None:
    reactor = Reactor()
    serving = workers(reactor)
    serving.start()
    assert [sorted(fds) for fds in reactor.spawned] == [[0, 1, 2, 3, 4, 5, 6]] * 3
    hello = hello_to(reactor.channels[0])
    assert hello.listeners == [Listener("tcp:1", 5), Listener("tcp:2", 6)]
    assert (hello.version, hello.group, hello.priority_order) == (__version__, "blue", "highest_first")
    assert (hello.drain, hello.access_log, len(hello.key)) == (7.0, False, 32)
    assert (hello.place, hello.places, hello.shares) == (0, 3, 4)
    assert (hello_to(reactor.channels[1]).key, hello_to(reactor.channels[2]).place) == (hello.key, 2)
    assert not serving.ready
    serving.close()
    assert reactor.killed == 3
    assert reactor.getDelayedCalls() == []


def test_sockets_that_systemd_has_passed_keep_their_numbers() -> None:
    reactor = Reactor()
    serving = workers(reactor, environ={"LISTEN_FDS": "2"})
    serving.start()
    assert sorted(reactor.spawned[0]) == [0, 1, 2, 5, 6, 7, 8]
    assert [listener.fd for listener in hello_to(reactor.channels[0]).listeners] == [7, 8]
    serving.close()


def test_what_is_bound_is_left_to_the_workers() -> None:
    port: Any = Port()
    workers(Reactor()).bound(port)
    assert not port.reading


def test_what_can_not_be_shared_is_refused() -> None:
    nothing: Any = object()
    with pytest.raises(ValueError, match="workers can't share what this endpoint listens on"):
        workers(Reactor()).bound(nothing)


def test_the_access_log_is_the_parents(tmp_path: Path) -> None:
    reactor = Reactor()
    serving = workers(reactor, access_log=str(tmp_path / "access.log"))
    assert (tmp_path / "access.log").exists()
    serving.start()
    assert hello_to(reactor.channels[0]).access_log
    serving.close()


def test_an_access_log_that_can_not_be_written() -> None:
    with pytest.raises(OSError, match="nowhere"):
        workers(Reactor(), access_log="/nowhere/access.log")
