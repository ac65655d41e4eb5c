"""The whole gateway on a reactor in memory: it starts whole or not at all, and leaves without losing a request."""

# mypy: allow-untyped-calls
# (the fakes of Twisted that are extended here have no annotations)
from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from aigw.service import Gateway, StartupFailed
from aigw.settings import Settings
from aigw.stores.testing import Turnstile

KEY = "an-admin-key-of-some-length"
PORTS = {"control": 9091, "admin": 7080, "proxy": 9080}
FACES = {port: face for face, port in PORTS.items()}
ANY_PORT = 40_000
"""What the reactor chooses, if it may."""


class Transport(StringTransport):
    """Closes when it is told to."""

    protocol: Any = None

    def loseConnection(self) -> None:
        self._lose()

    def abortConnection(self) -> None:
        self._lose()

    def _lose(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


@attrs.define(eq=False)
class Port:
    """Something that listens."""

    number: int
    factory: Any
    interface: str
    listening: bool = True

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", self.interface, self.number)

    def stopListening(self) -> None:
        self.listening = False


class Reactor(MemoryReactorClock):
    """``taken``: ports that can't be listened on."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Port] = []
        self.taken: set[int] = set()
        self.callFromThread = Turnstile()

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if port in self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        self.ports.append(Port(port or ANY_PORT, factory, interface))
        return self.ports[-1]

    @property
    def listening(self) -> list[str]:
        """The faces that listen, in the order in which they began."""
        return [FACES.get(port.number, "model") for port in self.ports if port.listening]

    def connect(self, face: str) -> Transport:
        (port,) = [p for p in self.ports if FACES.get(p.number, "model") == face]
        transport = Transport()
        transport.protocol = port.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        transport.protocol.makeConnection(transport)
        return transport

    def ask(self, face: str, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        """One request, answered at once."""
        transport = self.connect(face)
        fields = f"Host: h\r\nX-API-KEY: {KEY}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        transport.protocol.dataReceived(f"{method} {path} HTTP/1.1\r\n{fields}".encode() + body)
        while not transport.value() and method != "GET":
            self.callFromThread.admit()
        self.pump([0] * 10)
        head, _, content = transport.value().partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), content


def settings(data: Path, **fields: Any) -> Settings:
    said: dict[str, Any] = {
        "admin": [f"tcp:{PORTS['admin']}"],
        "proxy": [f"tcp:{PORTS['proxy']}"],
        "control": [f"tcp:{PORTS['control']}"],
        "data": data,
        "admin_key_file": None,
        "viewer_key_file": None,
        "gateway_group": "default",
        "priority_order": "lowest_first",
        "access_log": "off",
        "drain": 600.0,
        "demo": False,
        "environ": {"AIGW_ADMIN_KEY": KEY},
    }
    return Settings(**{**said, **fields})


class Running:
    """A gateway that was started."""

    def __init__(self, data: Path, reactor: Reactor | None = None, **fields: Any) -> None:
        self.reactor = reactor or Reactor()
        self.service = Gateway(settings(data, **fields), self.reactor)
        self.service.startService()

    def leave(self) -> list[object]:
        """Begin to leave; there is something in the list once it has left."""
        left: list[object] = []
        leaving: Deferred[None] = self.service.stopService()
        leaving.addBoth(left.append)
        self.leaving = leaving
        self.reactor.pump([0] * 5)
        return left

    def stop(self) -> None:
        """Leave, with nothing in flight."""
        left = self.leave()
        while not left:
            self.reactor.callFromThread.admit()
        assert left == [None]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def running(data: Path) -> Iterator[Running]:
    running = Running(data)
    yield running
    if running.service.running:
        running.stop()


@pytest.fixture
def told() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


# Starting.


def test_all_faces_listen_the_proxy_last(running: Running) -> None:
    assert running.reactor.listening == ["control", "admin", "proxy"]
    assert running.reactor.ask("control", "/healthz")[0] == 200
    assert running.reactor.ask("control", "/readyz")[0] == 200
    status, content = running.reactor.ask("proxy", "/nowhere")
    assert (status, json.loads(content)["error_msg"]) == (404, "404 Route Not Found")


def test_what_the_admin_face_puts_the_proxy_face_serves_and_a_restart_keeps(running: Running, data: Path) -> None:
    route = json.dumps({"id": "r", "uri": "/a", "plugins": {"proxy-buffering": {}}}).encode()
    assert running.reactor.ask("admin", "/apisix/admin/routes", "PUT", route)[0] == 201
    assert running.reactor.ask("proxy", "/a")[0] == 503  # there is nothing behind this route, but it is there
    running.stop()
    again = Running(data)
    assert again.reactor.ask("proxy", "/a")[0] == 503
    assert again.reactor.ask("proxy", "/b")[0] == 404
    again.stop()


def test_a_face_may_listen_on_several_endpoints(data: Path) -> None:
    running = Running(data, proxy=["tcp:1:interface=127.0.0.1", "tcp:2"])
    assert [(p.number, p.interface) for p in running.reactor.ports[2:]] == [(1, "127.0.0.1"), (2, "")]
    running.stop()
    assert running.reactor.listening == []


def test_the_group_that_is_served(data: Path) -> None:
    running = Running(data, gateway_group="blue")
    route = json.dumps({"id": "r", "uri": "/a", "plugins": {}}).encode()
    assert running.reactor.ask("admin", "/apisix/admin/routes", "PUT", route)[0] == 201
    assert running.reactor.ask("proxy", "/a")[0] == 404
    assert running.reactor.ask("admin", "/apisix/admin/routes?gateway_group_id=blue", "PUT", route)[0] == 201
    assert running.reactor.ask("proxy", "/a")[0] == 503
    running.stop()


def test_the_log_tells_where_the_generated_key_is_and_not_what_it_is(data: Path, told: list[LogEvent]) -> None:
    running = Running(data, environ={})
    key = (data / "admin.key").read_text().strip()
    origins = [event["origin"] for event in told if "origin" in event]
    assert len(origins) == 1
    assert str(data / "admin.key") in origins[0]
    assert not any(key in str(event) for event in told)
    running.stop()


@pytest.mark.parametrize("face", ["control", "admin", "proxy"])
def test_a_port_that_is_taken_leaves_nothing_behind(data: Path, face: str) -> None:
    reactor = Reactor()
    reactor.taken = {PORTS[face]}
    with pytest.raises(StartupFailed) as caught:
        Running(data, reactor)
    assert str(caught.value) == f"--{face}: tcp:{PORTS[face]}: Address already in use"
    assert reactor.listening == []
    assert reactor.getDelayedCalls() == []
    reactor.callFromThread.admit()  # the store is closed, so that another gateway can have it
    Running(data).stop()


BAD: list[tuple[str, str]] = [
    ("nonsense:1", "--proxy: nonsense:1: no endpoint to listen on: Unknown endpoint type: 'nonsense'"),
    ("tcp", "--proxy: tcp: no endpoint to listen on: "),
    ("tcp:http", "--proxy: tcp:http: no endpoint to listen on: "),
    ("tcp:1:x=2", "--proxy: tcp:1:x=2: no endpoint to listen on: "),
    ("", "--proxy: "),
    ("ssl:443:privateKey=/nowhere", "--proxy: ssl:443:privateKey=/nowhere: no endpoint to listen on: "),
]


@pytest.mark.parametrize(("endpoint", "words"), BAD)
def test_an_endpoint_that_is_none_is_one_line_that_names_it(data: Path, endpoint: str, words: str) -> None:
    reactor = Reactor()
    with pytest.raises(StartupFailed) as caught:
        Running(data, reactor, proxy=[endpoint])
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
    assert reactor.listening == []
    reactor.callFromThread.admit()


def test_an_endpoint_that_takes_its_time_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def listen(self, factory: Any) -> Deferred[None]:
            return Deferred()

    monkeypatch.setattr("aigw.service.serverFromString", lambda reactor, endpoint: Slow())
    reactor = Reactor()
    with pytest.raises(StartupFailed, match=r"^--control: tcp:9091 does not begin to listen at once$"):
        Running(data, reactor)
    reactor.callFromThread.admit()


def test_a_key_that_everybody_can_read_is_warned_of(data: Path, tmp_path: Path, told: list[LogEvent]) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o644)
    Running(data, admin_key_file=tmp_path / "key", environ={}).stop()
    (warning,) = [event["warning"] for event in told if "warning" in event]
    assert str(tmp_path / "key") in warning
    assert KEY not in warning


def test_the_access_log_is_written_to_its_end(data: Path, tmp_path: Path) -> None:
    running = Running(data, access_log=str(tmp_path / "access.log"))
    running.reactor.ask("proxy", "/nowhere")
    running.stop()
    (line,) = (tmp_path / "access.log").read_text().splitlines()
    assert json.loads(line)["status"] == 404


def test_a_store_that_can_not_be_read_is_one_line_and_nothing_listens(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "aigw.sqlite").write_bytes(b"this is no database" * 100)
    reactor = Reactor()
    with pytest.raises(StartupFailed) as caught:
        Running(data, reactor, environ={"AIGW_ADMIN_KEY": KEY, "AIGW_DATA_KEY": "00" * 32})
    assert str(data / "aigw.sqlite") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert reactor.ports == []


def test_a_service_that_did_not_start_can_be_stopped(data: Path) -> None:
    reactor = Reactor()
    reactor.taken = {PORTS["proxy"]}
    service = Gateway(settings(data), reactor)
    with pytest.raises(StartupFailed):
        service.startService()
    left: list[object] = []
    service.stopService().addBoth(left.append)
    assert left == [None]
    reactor.callFromThread.admit()


# Leaving.


def begin_request(running: Running) -> Transport:
    """A request whose body is still to come."""
    transport = running.reactor.connect("proxy")
    transport.protocol.dataReceived(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n")
    return transport


@pytest.fixture
def in_flight(running: Running) -> Transport:
    route = json.dumps({"id": "r", "uri": "/x", "plugins": {}}).encode()
    assert running.reactor.ask("admin", "/apisix/admin/routes", "PUT", route)[0] == 201
    return begin_request(running)


def finish_leaving(running: Running, left: list[object]) -> None:
    running.reactor.pump([0] * 5)
    while not left:
        running.reactor.callFromThread.admit()
    assert left == [None]
    assert running.reactor.listening == []


def test_with_nothing_in_flight_it_leaves_at_once(running: Running) -> None:
    running.stop()
    assert running.reactor.listening == []
    assert running.reactor.getDelayedCalls() == []


def test_it_accepts_nothing_more_and_waits_for_what_is_in_flight(running: Running, in_flight: Transport) -> None:
    left = running.leave()
    assert running.reactor.listening == ["control"]
    assert running.reactor.ask("control", "/readyz")[0] == 503
    assert running.reactor.ask("control", "/healthz")[0] == 200
    running.reactor.advance(5)
    assert left == []
    in_flight.protocol.dataReceived(b"{}")
    assert b"503" in in_flight.value().partition(b"\r\n")[0]
    finish_leaving(running, left)
    assert running.reactor.getDelayedCalls() == []


def test_idle_connections_hold_nothing_up(running: Running) -> None:
    idle = running.reactor.connect("proxy")
    left = running.leave()
    assert idle.disconnecting
    finish_leaving(running, left)


def test_its_patience_ends(data: Path) -> None:
    running = Running(data, drain=3.0)
    route = json.dumps({"id": "r", "uri": "/x", "plugins": {}}).encode()
    running.reactor.ask("admin", "/apisix/admin/routes", "PUT", route)
    transport = begin_request(running)
    left = running.leave()
    running.reactor.advance(2.9)
    closing = [transport.disconnecting]
    running.reactor.advance(0.2)
    assert [*closing, transport.disconnecting] == [False, True]
    finish_leaving(running, left)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(running: Running, in_flight: Transport, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    left = running.leave()
    assert signal.getsignal(number) is not before
    signal.raise_signal(number)
    signal.raise_signal(number)
    closing = [in_flight.disconnecting]
    running.reactor.callFromThread.admit()
    assert [*closing, in_flight.disconnecting] == [False, True]
    finish_leaving(running, left)
    assert signal.getsignal(number) is before


def test_a_signal_that_comes_when_it_has_left_changes_nothing(running: Running) -> None:
    running.stop()
    running.service._hurry()


# The demo.


def test_the_demo(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    running = Running(data, demo=True, environ={})
    assert running.reactor.listening == ["control", "admin", "proxy", "model"]
    model = running.reactor.ports[-1]
    assert (model.number, model.interface) == (ANY_PORT, "127.0.0.1")
    (directory,) = tmp_path.iterdir()
    printed = capsys.readouterr().out
    assert "curl http://127.0.0.1:9080/demo" in printed
    assert str(directory / "admin.key") in printed
    assert not data.exists()
    left = running.leave()
    assert left == [None]
    assert running.reactor.listening == []
    assert list(tmp_path.iterdir()) == []
