"""A worker's side: it follows the Snapshot, serves it, tells what it did, leaves, and ends when the parent is gone."""

# mypy: allow-untyped-calls
from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.python.failure import Failure

from aigw import __version__
from aigw.model.resource import decode_resource
from aigw.net.shares import shared_memory
from aigw.plugins import CONFIGS
from aigw.workers.__main__ import stand_in_for_systemd
from aigw.workers.channel import Channel
from aigw.workers.messages import (
    Applied,
    Change,
    Grown,
    Hello,
    Hurry,
    Leave,
    Leaving,
    Lines,
    Listen,
    Listener,
    Listening,
    Message,
    Said,
    Sync,
    ToParent,
    change_frames,
)
from aigw.workers.saying import EventsToParent, ParentsLog
from aigw.workers.spawning import Spawner, how_ended
from aigw.workers.worker import Worker

HELLO = Hello(__version__, "default", "lowest_first", True, 5.0, b"k" * 32, 0, 1, -1, [])


class Reactor(MemoryReactorClock):
    """``stopped``: how often it was asked to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.running = True
        self.stopped = 0

    def stop(self) -> None:
        self.stopped += 1


class Transport(StringTransport):
    """Closes when it is told to."""

    def loseConnection(self) -> None:
        self.disconnecting = True


class Living:
    """A worker, and the parent's end of its channel. ``said``: what it has said."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        self.reactor = Reactor()
        self.worker = Worker(self.reactor, environ or {})
        self.wire = Transport()
        self.worker.channel.makeConnection(self.wire)
        self.said: list[Message] = []
        self._parent = Channel(ToParent, self.said.append, lambda: None)
        self._down = StringTransport()
        self._parent.makeConnection(self._down)

    def tell(self, *messages: Message) -> list[Message]:
        """Say something to it; returns what it says then."""
        for message in messages:
            self._parent.send(message)
        return self._exchanged()

    def put(self, number: int, *documents: dict[str, Any]) -> list[Message]:
        resources = [decode_resource("routes", d["id"], d, CONFIGS) for d in documents]
        self._parent.send_frames(change_frames(number, number, resources, size=10))
        return self._exchanged()

    def passed(self, seconds: float) -> list[Message]:
        self.reactor.pump([seconds, 0, 0, 0, 0])
        return self._exchanged()

    def ask(self, path: str) -> StringTransport:
        """A request to the proxy face."""
        path_of: Any = self.worker._path
        protocol = path_of.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        transport: Any = StringTransport()
        transport.abortConnection = transport.loseConnection = lambda: protocol.connectionLost(Failure(OSError()))
        protocol.makeConnection(transport)
        protocol.dataReceived(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        self.reactor.pump([0] * 5)
        answered: StringTransport = transport
        return answered

    def _exchanged(self) -> list[Message]:
        down, up = self._down.value(), b""
        self._down.clear()
        if down:
            self.worker.channel.dataReceived(down)
        up = self.wire.value()
        self.wire.clear()
        before = len(self.said)
        if up:
            self._parent.dataReceived(up)
        return self.said[before:]


@pytest.fixture
def hello() -> Iterator[Hello]:
    """With memory that is there."""
    fd = shared_memory(1)
    yield msgspec.structs.replace(HELLO, shares=fd)
    os.close(fd)


@pytest.fixture
def living(hello: Hello) -> Living:
    living = Living()
    assert living.tell(hello) == []
    return living


def test_it_applies_a_change_when_all_of_it_is_there(living: Living) -> None:
    living._parent.send(Change(1, 1, [], [], last=False))
    assert living._exchanged() == []
    assert living.put(1, {"id": "a", "uri": "/a", "plugins": {}}, {"id": "b", "uri": "/b", "plugins": {}}) == [
        Applied(1)
    ]
    assert living.tell(Listen()) == [Listening()]
    assert living.ask("/a").value().startswith(b"HTTP/1.1 503 ")
    assert living.tell(Change(2, 2, [], [("routes", "a")], last=True)) == [Applied(2)]
    assert living.ask("/a").value().startswith(b"HTTP/1.1 404 ")
    assert living.ask("/b").value().startswith(b"HTTP/1.1 503 ")


def test_it_tells_what_has_grown_when_it_is_asked_and_only_that(living: Living) -> None:
    living.put(1)
    living.ask("/x")
    told = living.tell(Sync(2))
    growths = {g.family for m in told if isinstance(m, Grown) for g in m.growths}
    assert "apisix_http_status" in growths
    assert told[-1] == Applied(2)
    assert living.tell(Sync(3)) == [Grown([], 0), Applied(3)]


def test_its_lines_are_soon_with_the_parent(living: Living) -> None:
    living.put(1)
    living.ask("/x")
    (said,) = living.passed(0.1)
    assert isinstance(said, Lines)
    assert msgspec.json.decode(said.data)["status"] == 404


def test_without_an_access_log_there_are_no_lines() -> None:
    living = Living()
    living.tell(msgspec.structs.replace(HELLO, access_log=False))
    living.put(1)
    living.ask("/x")
    assert living.passed(5) == []


def test_it_leaves_when_what_is_in_flight_is_over(living: Living) -> None:
    living.put(1, {"id": "a", "uri": "/a", "plugins": {}})
    living.tell(Listen())
    living.ask("/x")
    told = living.tell(Leave(2, 5.0))
    assert Leaving() in told
    assert Applied(2) in told
    told += living.passed(0)
    assert any(isinstance(m, Lines) for m in told)
    assert living.wire.disconnecting
    assert living.reactor.stopped == 0
    living.worker.channel.connectionLost()
    assert living.reactor.stopped == 1


def test_it_leaves_once(living: Living) -> None:
    living.put(1)
    living.tell(Listen())
    living.worker.asked_to_leave()
    assert living.tell(Leave(2, 5.0)).count(Leaving()) <= 1


def test_hurrying_before_leaving_leaves(living: Living) -> None:
    living.put(1)
    living.tell(Listen())
    assert Leaving() in living.tell(Hurry())
    living.passed(0)
    assert living.wire.disconnecting


def test_the_parents_death_is_the_workers(living: Living) -> None:
    living.put(1)
    living.worker.channel.connectionLost()
    assert living.reactor.stopped == 1
    living.reactor.running = False
    living.worker.channel.connectionLost()
    assert living.reactor.stopped == 1


def test_another_version_does_not_serve() -> None:
    living = Living()
    with capturedLogs() as events:
        living.tell(msgspec.structs.replace(HELLO, version="0.0.0"))
    assert f"aigw {__version__} is installed, the gateway runs 0.0.0: restart it" in formatEvent(events[-1])
    assert living.wire.disconnecting
    assert living.worker.failed


@pytest.mark.parametrize("endpoint", ["nonsense:1", "ssl:0:privateKey=/nowhere"])
def test_an_endpoint_that_can_not_be_listened_on_any_more(endpoint: str, hello: Hello) -> None:
    living = Living()
    living.tell(msgspec.structs.replace(hello, listeners=[Listener(endpoint, 0)]))
    living.put(1)
    with capturedLogs() as events:
        living.tell(Listen())
    assert f"--proxy: {endpoint}: no endpoint to listen on" in formatEvent(events[-1])
    assert living.worker.failed


# What it says beside.


@pytest.fixture
def channel() -> Channel:
    channel = Channel(ToParent, lambda message: None, lambda: None)
    channel.makeConnection(StringTransport())
    return channel


def test_lines_are_taken_whole_or_not_at_all(channel: Channel) -> None:
    log = ParentsLog(channel)
    assert log.write(b"a\nb\n") == 4
    channel.pauseProducing()
    assert log.write(b"c\n") == 0
    log.reopen()
    log.close()


def test_events_are_text_with_tracebacks_and_bounded(channel: Channel) -> None:
    sent: list[Message] = []
    channel.send = sent.append  # type: ignore[assignment, method-assign]
    log = Logger(observer=EventsToParent(channel), namespace="test")
    log.info("a {thing}", thing="bird")
    log.debug("nobody wants to know")
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        log.failure("it broke")
    log.warn("{text}", text="x" * 10**6)
    channel.pauseProducing()
    log.error("lost")
    one, two, three = sent
    assert one == Said("info", "a bird")
    assert isinstance(two, Said)
    assert isinstance(three, Said)
    assert (two.level, "RuntimeError: a bug" in two.text) == ("critical", True)
    assert len(three.text) == 64 * 1024


# How it is started.


class SpawningReactor:
    """Keeps what it was asked to spawn."""

    def __init__(self) -> None:
        self.adopted: list[int] = []
        self.killed = 0
        self.gone = False

    def spawnProcess(self, protocol: Any, executable: str, arguments: list[str], *, env: Any, childFDs: Any) -> None:
        self.protocol, self.arguments, self.env = protocol, arguments, env
        self.inherited = {child: os.fstat(fd) for child, fd in childFDs.items() if isinstance(fd, int)}
        self.pid = 4711
        protocol.makeConnection(self)

    def signalProcess(self, name: str) -> None:
        assert name == "KILL"
        if self.gone:
            raise ProcessExitedAlready()
        self.killed += 1

    def adoptStreamConnection(self, fd: int, family: int, factory: Any) -> None:
        assert not os.get_blocking(fd)
        assert family == socket.AF_UNIX
        self.channel = factory.buildProtocol(None)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


def spawned(
    reactor: Any, listening: socket.socket, channel: Channel, said: Callable[[str], object] = print, **environ: str
) -> Any:
    ended: list[str] = []
    spawn = Spawner(reactor, {"A": "b", **environ}, lambda: [listening.fileno()])
    process = spawn(channel, said, ended.append)
    return process, ended


def test_what_a_worker_inherits(listening: socket.socket, channel: Channel) -> None:
    reactor = SpawningReactor()
    process, _ = spawned(reactor, listening, channel, AIGW_ADMIN_KEY="k", AIGW_DATA_KEY="d", LISTEN_FDS="2")
    assert reactor.channel is channel
    assert process.pid == 4711
    assert sorted(reactor.inherited) == [0, 5, 6]
    assert reactor.inherited[6].st_ino == os.fstat(listening.fileno()).st_ino
    assert reactor.arguments[:4] == [sys.executable, "-P", "-m", "aigw.workers"]
    assert reactor.arguments[4:] == [SpawningReactor.__module__, "5"]
    assert reactor.env["A"] == "b"
    assert set(reactor.env["PYTHONPATH"].split(os.pathsep)) >= {p for p in sys.path if os.path.isabs(p)}
    assert not {"AIGW_ADMIN_KEY", "AIGW_DATA_KEY"} & set(reactor.env)


def test_what_a_worker_writes_as_it_dies(listening: socket.socket, channel: Channel) -> None:
    reactor, said = SpawningReactor(), list[str]()
    process, ended = spawned(reactor, listening, channel, said.append)
    for piece in (b"Trace", b"back:\n  fil", b"e\n", b"Error", b"\xff" + b"x" * 10_000):
        reactor.protocol.childDataReceived(2, piece)
    process.kill()
    reactor.gone = True
    process.kill()
    reactor.protocol.processEnded(Failure(ProcessTerminated(1)))
    assert said[:2] == ["Traceback:", "  file"]
    assert said[2].startswith("Error\ufffd")
    assert len(said[2]) <= 4096
    assert (ended, reactor.killed) == (["exit status 1"], 1)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (ProcessDone(0), "exit status 0"),
        (ProcessTerminated(3), "exit status 3"),
        (ProcessTerminated(signal=9), "SIGKILL"),
        (ProcessTerminated(signal=44), "signal 44"),
    ],
)
def test_how_a_process_ended(reason: Exception, words: str) -> None:
    assert how_ended(reason) == words


def test_descriptors_stand_in_for_those_of_systemd() -> None:
    code = """if True:
        import os
        from aigw.workers.__main__ import stand_in_for_systemd
        stand_in_for_systemd()
        assert os.environ["LISTEN_PID"] == str(os.getpid())
        assert {os.fstat(fd).st_rdev for fd in (3, 4)} == {os.stat(os.devnull).st_rdev}
    """
    environ = {"PYTHONPATH": os.pathsep.join(sys.path), "LISTEN_PID": "1", "LISTEN_FDS": "2"}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=30)


def test_without_systemd_nothing_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_PID", raising=False)
    monkeypatch.setenv("LISTEN_FDS", "2")
    stand_in_for_systemd()
    assert "LISTEN_PID" not in os.environ
