from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable
from http.client import HTTPResponse, IncompleteRead
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.server import Site

from aigw.control import SCRAPE_SECONDS, control_site

parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics_parser.text_string_to_metric_families

METRICS = "/apisix/prometheus/metrics"


Transport: Any = StringTransport  # it has no annotations


class Connection(Transport):  # type: ignore[misc]
    """A client's connection to the face: it buffers ``room`` bytes, then asks for a pause."""

    def __init__(self, site: Site, room: int = 10**9) -> None:
        super().__init__()
        self.room = room
        self.protocol = site.buildProtocol(self.getPeer())
        self.protocol.makeConnection(self)

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self.value()) > self.room and self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def read_on(self) -> None:
        self.room = 10**9
        assert self.producer is not None
        self.producer.resumeProducing()

    def ask(self, request: str) -> None:
        self.protocol.dataReceived(request.encode())

    def drop(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionLost()))


class Answered:
    """What a client reads."""

    def __init__(self, data: bytes, method: str) -> None:
        class Socket:
            def makefile(self, mode: str) -> io.BytesIO:
                return io.BytesIO(data)

        response = HTTPResponse(Socket(), method=method)  # type: ignore[arg-type]
        response.begin()
        self.status, self.headers, self.body = response.status, response.headers, response.read()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def ready() -> list[bool]:
    return [True]


@pytest.fixture
def site(registry: CollectorRegistry, ready: list[bool], clock: Clock) -> Site:
    return control_site(registry, lambda: ready[0], clock)


@pytest.fixture
def ask(site: Site, clock: Clock) -> Callable[..., Answered]:
    def ask(path: str, method: str = "GET", **headers: str) -> Answered:
        connection = Connection(site)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        connection.ask(f"{method} {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
        clock.pump([0] * 200)
        return Answered(connection.value(), method)

    return ask


def test_a_scrape_waits_until_the_metrics_are_up_to_date(registry: CollectorRegistry, clock: Clock) -> None:
    waiting: list[Deferred[None]] = []

    def refresh() -> Deferred[None]:
        waiting.append(Deferred())
        return waiting[-1]

    site = control_site(registry, lambda: True, clock, refresh)
    connection, gone = Connection(site), Connection(site)
    for each in (connection, gone):
        each.ask(f"GET {METRICS} HTTP/1.1\r\nHost: h\r\n\r\n")
    clock.pump([0] * 10)
    assert connection.value() == b""
    gone.drop()
    for deferred in waiting:
        deferred.callback(None)
    clock.pump([0] * 10)
    assert Answered(connection.value(), "GET").status == 200
    assert gone.value() == b""


def test_alive(ask: Any) -> None:
    answered = ask("/healthz")
    assert (answered.status, answered.body) == (200, b"ok\n")
    assert answered.headers["Cache-Control"] == "no-store"


def test_ready_or_not(ask: Any, ready: list[bool]) -> None:
    for now, status in ((True, 200), (False, 503), (True, 200)):
        ready[0] = now
        answered = ask("/readyz")
        assert (answered.status, json.loads(answered.body)) == (status, {"ready": now})
    ready[0] = False
    assert ask("/healthz").status == 200


@pytest.mark.parametrize("path", ["/", "/metrics", METRICS + "/", "/healthz/x", "/..", "*", "//healthz", "/%68ealthz"])
def test_unknown(ask: Any, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answered = ask(path, method)
        assert (answered.status, answered.body) == (404, b'{"error_msg":"404 Not Found"}\n')
        assert "Server" not in answered.headers


@pytest.mark.parametrize("path", [METRICS, "/healthz", "/readyz"])
def test_methods(ask: Any, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "X"):
        answered = ask(path, method)
        assert (answered.status, answered.headers["Allow"]) == (405, "GET, HEAD")
        assert "Server" not in answered.headers
    got, head = ask(path), ask(path, "HEAD")
    assert got.status == head.status == 200
    assert head.body == b""
    for name in ("Content-Type", "Content-Length", "Server"):
        assert head.headers[name] == got.headers[name]
    assert got.headers["Server"] is None


def test_query_is_ignored(ask: Any) -> None:
    assert ask("/healthz?verbose=1").status == 200


def test_scrape(ask: Any, registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "Gauge", ["n"], registry=registry)
    for n in range(3000):
        gauge.labels(str(n)).set(n)
    answered = ask(METRICS)
    assert answered.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    [metric] = parse_text(answered.body.decode())
    assert [s.value for s in metric.samples] == list(range(3000))

    squeezed = ask(METRICS, Accept_Encoding="deflate, gzip ; q=0.5")
    assert squeezed.headers["Content-Encoding"] == "gzip"
    assert len(squeezed.body) < len(answered.body) / 3
    assert gzip.decompress(squeezed.body) == answered.body

    openmetrics = ask(METRICS, Accept="application/openmetrics-text")
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert len(next(iter(parse_openmetrics(openmetrics.body.decode()))).samples) == 3000


@pytest.mark.parametrize("coding", ["", "identity", "gzip;q=0", "gzip; q=0.000", "x-gzip", "br,zstd"])
def test_gzip_only_for_those_who_want_it(ask: Any, coding: str) -> None:
    assert ask(METRICS, Accept_Encoding=coding).headers["Content-Encoding"] is None


@pytest.fixture
def sleeper(site: Site, clock: Clock, registry: CollectorRegistry) -> Connection:
    """A scraper that asked for much and reads nothing."""
    gauge = Gauge("g", "Gauge", ["n"], registry=registry)
    for n in range(3000):
        gauge.labels("x" * 200 + str(n)).set(n)
    connection = Connection(site, room=1000)
    connection.ask(f"GET {METRICS} HTTP/1.1\r\nHost: h\r\n\r\n")
    clock.pump([0] * 50)
    return connection


def test_a_scrape_is_written_as_fast_as_it_is_read(sleeper: Connection, clock: Clock) -> None:
    assert 1000 < len(sleeper.value()) < 100_000
    sleeper.read_on()
    clock.pump([0] * 50)
    assert Answered(sleeper.value(), "GET").body.count(b"\n") == 3002


def test_a_scrape_takes_turns_with_everything_else(site: Site, clock: Clock, registry: CollectorRegistry) -> None:
    turns = []
    clock.callLater = lambda delay, f, *args: turns.append(f) or Clock.callLater(clock, delay, f, *args)  # type: ignore
    for n in range(10_000):
        Gauge(f"g{n}", "Gauge", registry=registry)
    Connection(site).ask(f"GET {METRICS} HTTP/1.1\r\nHost: h\r\n\r\n")
    clock.pump([0] * 10)
    assert len(turns) > 30_000 / 256


def test_a_scraper_that_leaves_is_forgotten(sleeper: Connection, clock: Clock) -> None:
    sleeper.drop()
    sleeper.clear()
    clock.pump([0] * 50)
    assert sleeper.value() == b""
    assert clock.getDelayedCalls() == []


def test_a_scraper_that_leaves_at_once_is_forgotten(site: Site, clock: Clock) -> None:
    connection = Connection(site)
    connection.ask(f"GET {METRICS} HTTP/1.1\r\nHost: h\r\n\r\n")
    connection.drop()
    clock.pump([0] * 10)
    assert connection.value() == b""
    assert clock.getDelayedCalls() == []


def test_a_scraper_that_does_not_read_is_cut_off_and_knows_it(sleeper: Connection, clock: Clock) -> None:
    clock.advance(SCRAPE_SECONDS)
    assert sleeper.disconnecting
    clock.advance(15)
    assert sleeper.disconnected
    with pytest.raises(IncompleteRead):
        Answered(sleeper.value(), "GET")
    sleeper.drop()
    clock.pump([0] * 10)
    assert clock.getDelayedCalls() == []


def test_one_connection_serves_many_scrapes(site: Site, clock: Clock) -> None:
    connection = Connection(site)
    for _ in range(3):
        connection.clear()
        connection.ask(f"GET {METRICS} HTTP/1.1\r\nHost: h\r\n\r\n")
        clock.pump([0] * 5)
        assert Answered(connection.value(), "GET").status == 200
    clock.advance(61)
    assert connection.disconnecting


def test_a_body_is_not_kept(site: Site, clock: Clock) -> None:
    connection = Connection(site)
    connection.ask("POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n")
    request = connection.protocol._channel.requests[-1]
    for _ in range(300):
        connection.ask("x" * 1000)
        assert request.content is None or request.content.getvalue() == b""
    assert Answered(connection.value(), "POST").status == 405
