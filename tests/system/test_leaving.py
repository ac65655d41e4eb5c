"""SIGTERM loses no request: what is in flight ends well, nothing new begins; a second signal ends everything."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from aigw.testing import SILENCE, chat, play
from aigw.testing.asking import Answered, ask
from aigw.testing.behaviours import head
from aigw.testing.openai import chunk, completion, event
from aigw.testing.process import GatewayProcess
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

SOON = 1.5
BODY = {"messages": [{"role": "user", "content": "one two three four five"}], "stream": True}


class Asking(threading.Thread):
    """A request on its way. ``answered``: how it ended; None if it broke before a status."""

    def __init__(self, url: str, upstream: ServedUpstream) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.answered: Answered | None = None
        self.start()
        while not upstream.received:
            time.sleep(0.01)

    def run(self) -> None:
        try:
            self.answered = ask("POST", self._url, BODY)
        except OSError:
            self.answered = None

    def end(self) -> Answered | None:
        self.join(10)
        assert not self.is_alive()
        return self.answered


@pytest.fixture
def gateway(gateways: Callable[..., GatewayProcess]) -> GatewayProcess:
    """One that may be ended."""
    return gateways("--drain=30").start()


def is_refused(url: str) -> bool:
    try:
        ask("GET", url)
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_in_flight_ends_well(
    number: signal.Signals, gateway: GatewayProcess, upstream: ServedUpstream
) -> None:
    upstream.does(chat(pace=0.2))
    url = gateway.put_route("slow", {"ai-proxy": upstream.as_model()})
    asking = Asking(url, upstream)
    gateway.signal(number)
    gateway.until(lambda: ask("GET", gateway.url("control", "/readyz")).status == 503)
    assert ask("GET", gateway.url("control", "/healthz")).status == 200
    assert is_refused(url)
    assert is_refused(gateway.url("admin", "/apisix/admin/routes"))
    assert asking.is_alive()
    answered = asking.end()
    assert answered is not None
    assert (answered.cut, answered.events[-1]) == (False, "[DONE]")
    assert gateway.wait(SOON) in (0, -number)
    assert "Traceback" not in gateway.log
    assert '"status":200' in (gateway.data / "access.log").read_text()


def test_a_request_without_an_answer_yet_gets_it(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    whole = event(completion("late"))
    upstream.does(play(0.7, head(200, b"application/json", length=len(whole)) + whole))
    asking = Asking(gateway.put_route("late", {"ai-proxy": upstream.as_model()}), upstream)
    gateway.stop()
    answered = asking.end()
    assert answered is not None
    assert (answered.status, answered.body) == (200, whole)


def test_idle_connections_hold_nothing_up(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    url = urlsplit(gateway.put_route("quick", {"ai-proxy": upstream.as_model()}))
    kept = HTTPConnection(url.hostname or "", url.port, timeout=5)
    kept.request("POST", url.path, b'{"messages": []}', {"Content-Type": "application/json"})
    assert kept.getresponse().read()
    silent = HTTPConnection(url.hostname or "", url.port, timeout=5)
    silent.connect()
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < SOON
    for connection in (kept, silent):
        connection.close()


def test_a_second_signal_ends_it_at_once(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    upstream.does(play(head(200) + event(chunk({"content": "Hi"})), SILENCE))
    asking = Asking(gateway.put_route("endless", {"ai-proxy": upstream.as_model()}), upstream)
    gateway.signal(signal.SIGTERM)
    gateway.until(lambda: ask("GET", gateway.url("control", "/readyz")).status == 503)
    began = time.monotonic()
    gateway.signal(signal.SIGTERM)
    assert gateway.wait(SOON) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < SOON
    answered = asking.end()
    assert answered is None or answered.cut
    assert "Traceback" not in gateway.log


@pytest.mark.ways("fast")
def test_patience_ends(gateways: Callable[..., GatewayProcess], upstream: ServedUpstream) -> None:
    gateway = gateways("--drain=0.5").start()
    upstream.does(play(SILENCE))
    Asking(gateway.put_route("silent", {"ai-proxy": upstream.as_model()}), upstream)
    began = time.monotonic()
    gateway.stop()
    assert 0.4 < time.monotonic() - began < 0.5 + SOON
