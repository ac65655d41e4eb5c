"""A client that is gone costs nothing any more: within a second its upstream connection is closed, in every phase."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from aigw.testing import SILENCE, Behaviour, Moment, chat, play
from aigw.testing.behaviours import JSON, Step, endless, head
from aigw.testing.openai import PING, chunk, event, usage_chunk
from aigw.testing.process import GatewayProcess
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

ROLE, HI = event(chunk({"role": "assistant", "content": ""})), event(chunk({"content": "Hi"}))
PING_AND_PAUSE: tuple[Step, ...] = (PING, 0.05)
REQUEST = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}


PHASES: Mapping[str, tuple[Behaviour, bytes]] = {
    "before the status": (play(SILENCE), b""),
    "before the first event": (play(head(), SILENCE), b""),
    "while it is held": (play(head() + ROLE, *[step for _ in range(100) for step in PING_AND_PAUSE], SILENCE), b""),
    "in mid-stream": (play(head() + ROLE + HI, SILENCE), b"Hi"),
    "in a busy stream": (chat(pieces=["word "] * 1000, pace=0.01), b"word"),
    "in a whole answer being collected": (play(head(200, JSON, length=9999) + b'{"a":', SILENCE), b""),
    "in a long answer": (endless(b"x" * 65536, head(200, b"application/octet-stream", length=1 << 40)), b"xxx"),
}
"""What the upstream does, and what of the answer the client waits for before it leaves."""


class Client:
    """One that can leave at any time."""

    def __init__(self, url: str, body: Any) -> None:
        parts = urlsplit(url)
        content = json.dumps(body).encode()
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
        request = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        self.socket.sendall(f"{request}Content-Length: {len(content)}\r\n\r\n".encode() + content)

    def read(self) -> bytes:
        return self.socket.recv(65536)

    def read_until(self, expected: bytes) -> None:
        got = b""
        while expected not in got:
            got += self.read()

    def leave(self) -> None:
        self.socket.close()


@pytest.fixture
def clients() -> Iterator[Callable[..., Client]]:
    """Makes clients that are gone after the test, at the latest."""
    with ExitStack() as stack:

        def make(url: str, body: Any = REQUEST) -> Client:
            client = Client(url, body)
            stack.callback(client.leave)
            return client

        yield make


def wait_for(condition: Callable[[], object], patience: float = 3.0) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < patience
        time.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.parametrize("lonely", [True, False])
@pytest.mark.parametrize("phase", PHASES)
def test_the_upstream_sees_it_within_a_second(
    phase: str,
    lonely: bool,
    single: Callable[..., str],
    hybrid: Callable[..., str],
    upstream: ServedUpstream,
    upstreams: Callable[[], ServedUpstream],
    clients: Callable[..., Client],
) -> None:
    behaviour, expected = PHASES[phase]
    upstream.does(behaviour)
    cloud = upstreams()
    client = clients(single(upstream) if lonely else hybrid(upstream, cloud))
    wait_for(lambda: upstream.received)
    client.read_until(expected)
    time.sleep(0.05)
    client.leave()
    assert wait_for(lambda: upstream.received[0].left is not None) < 1
    assert upstream.fake.open == 0
    assert cloud.received == []


def test_a_request_that_is_not_finished_reaches_nobody(single: Callable[..., str], upstream: ServedUpstream) -> None:
    parts = urlsplit(single(upstream))
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
        client.sendall(f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode())
        time.sleep(0.05)
    time.sleep(0.05)
    assert upstream.fake.connections == 0


def test_one_that_leaves_while_the_request_goes_out(
    single: Callable[..., str], upstream: ServedUpstream, clients: Callable[..., Client]
) -> None:
    async def deaf_for_a_while(talk: Any) -> None:
        talk.stop_reading()
        await talk.sleep(0.3)
        talk.start_reading()
        await talk.silence()

    upstream.does(deaf_for_a_while, Moment.HEAD)
    client = clients(single(upstream), {**REQUEST, "filling": "x" * 30_000_000})
    wait_for(lambda: upstream.received)
    client.leave()
    wait_for(lambda: upstream.fake.open == 0)


def test_the_usage_so_far_is_accounted(
    gateway: GatewayProcess, single: Callable[..., str], upstream: ServedUpstream, clients: Callable[..., Client]
) -> None:
    usage = {"prompt_tokens": 1234, "completion_tokens": 56, "total_tokens": 1290}
    upstream.does(play(head() + HI + event(usage_chunk(usage=usage)) + HI, SILENCE))
    client = clients(url := single(upstream))
    client.read_until(b"Hi")
    time.sleep(0.1)
    client.leave()
    (line,) = log_lines(gateway, urlsplit(url).path)
    assert (line["llm_prompt_tokens"], line["llm_completion_tokens"]) == (1234, 56)
    assert line["outcome"] == "client_left"


def test_many_that_leave_leave_nothing_behind(
    gateway: GatewayProcess, single: Callable[..., str], upstream: ServedUpstream, clients: Callable[..., Client]
) -> None:
    upstream.does(play(head() + HI, SILENCE))
    url = single(upstream)
    crowd = [clients(url) for _ in range(100)]
    wait_for(lambda: len(upstream.received) == len(crowd))
    assert in_flight(gateway) == len(crowd)
    for client in crowd:
        client.leave()
    wait_for(lambda: upstream.fake.open == 0)
    wait_for(lambda: in_flight(gateway) == 0)


def test_a_slow_client_slows_its_upstream_down(
    gateway: GatewayProcess, single: Callable[..., str], upstream: ServedUpstream, clients: Callable[..., Client]
) -> None:
    """A stream without end, and a client that does not read: it stops after what fits into the kernel's buffers."""
    upstream.does(endless(event(chunk({"content": "x" * 60_000})), head()))
    before = resident(gateway)
    client = clients(single(upstream))
    wait_for(lambda: upstream.received)
    written = wait_until_it_stands(lambda: upstream.received[0].written)
    assert written < 30_000_000
    assert resident(gateway) - before < 20_000_000
    got = 0
    while got < 2 * written:
        got += len(client.read())
    assert upstream.received[0].written > written
    client.leave()
    wait_for(lambda: upstream.received[0].left is not None)


def wait_until_it_stands(value: Callable[[], int]) -> int:
    """The value once it has not changed for a while."""
    last, since = value(), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.02)
        if value() != last:
            last, since = value(), time.monotonic()
    return last


def resident(gateway: GatewayProcess) -> int:
    """Bytes of memory that the gateway has."""
    with open(f"/proc/{gateway.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def in_flight(gateway: GatewayProcess) -> int:
    (line,) = [line for line in gateway.metrics().splitlines() if line.startswith("aigw_requests_in_flight ")]
    return int(float(line.split()[1]))


def log_lines(gateway: GatewayProcess, path: str) -> list[dict[str, Any]]:
    """The access log's lines about a path, once there are any."""

    def lines() -> list[dict[str, Any]]:
        text = (gateway.data / "access.log").read_text()
        return [line for line in map(json.loads, text.splitlines()) if line["uri"].startswith(path)]

    wait_for(lines)
    return lines()


def test_a_kept_connection_serves_on_after_many_answers(single: Callable[..., str], upstream: ServedUpstream) -> None:
    url = urlsplit(single(upstream))
    connection = HTTPConnection(url.hostname or "", url.port, timeout=10)
    for number in range(50):
        body = {"messages": [{"role": "user", "content": f"number {number}"}], "stream": number % 2 == 0}
        connection.request("POST", url.path, json.dumps(body), {"Content-Type": "application/json"})
        assert str(number).encode() in connection.getresponse().read()
    connection.close()
    assert upstream.fake.connections == 1
