"""Several processes behind one port: what they share, and what becomes of it when one of them, or the parent, dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from aigw.testing import SILENCE, answer, chat, play
from aigw.testing.asking import Answered, ask, asking, chat_with
from aigw.testing.behaviours import head
from aigw.testing.openai import chunk, event
from aigw.testing.process import GatewayProcess
from aigw.testing.thread import ServedUpstream

Gateways = Callable[..., GatewayProcess]


@pytest.fixture
def gateway(gateways: Gateways) -> GatewayProcess:
    """One with two workers."""
    return gateways("--workers=2", "--drain=20").start()


def worker_of(answered: Answered) -> str:
    """Ids of requests begin alike if one worker has made them."""
    return answered.headers["x-request-id"][:20]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ask_until(url: str, condition: Callable[[Answered], bool]) -> list[Answered]:
    """Ask on new connections until an answer is as it should be; all answers."""
    answers: list[Answered] = []
    while not answers or not condition(answers[-1]):
        answers.append(chat_with(url))
        assert len(answers) < 500
    return answers


def both(url: str) -> list[Answered]:
    """Ask until both workers have answered."""
    seen: set[str] = set()

    def is_other(answered: Answered) -> bool:
        seen.add(worker_of(answered))
        return len(seen) == 2

    return ask_until(url, is_other)


class Stream(threading.Thread):
    """A stream that is read as it comes. ``worker``: who serves it."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._begun = threading.Event()
        self.worker = ""
        self.events: list[str] = []
        self.broken = False
        self.start()
        assert self._begun.wait(10)

    def run(self) -> None:
        body = {"messages": [{"role": "user", "content": "a " * 20}], "stream": True}
        try:
            with asking("POST", self._url, body) as response:
                self.worker = response.getheader("X-Request-Id", "")[:20]
                self._begun.set()
                self.events = [line.decode().strip() for line in response if line.startswith(b"data: ")]
        except OSError:
            self.broken = True
        self._begun.set()

    @property
    def complete(self) -> bool:
        self.join(20)
        assert not self.is_alive()
        return not self.broken and bool(self.events) and self.events[-1] == "data: [DONE]"


def series(metrics: str, name: str) -> dict[str, float]:
    """The samples of one metric: labels -> value."""
    lines = [line for line in metrics.splitlines() if line.partition("{")[0].partition(" ")[0] == name]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def total(gateway: GatewayProcess, name: str) -> float:
    return sum(series(gateway.metrics(), name).values())


# What is shared.


def test_requests_are_spread_and_ids_are_unique(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    with ThreadPoolExecutor(10) as clients:  # of clients that come one after another, whoever is awake may get all
        answers = list(clients.map(lambda _: chat_with(url), range(100)))
    shares = Counter(map(worker_of, answers))
    assert len(shares) == 2
    assert min(shares.values()) >= 5
    assert len({a.headers["x-request-id"] for a in answers}) == 100


def test_connections_that_come_at_once_are_spread(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    url = urlsplit(gateway.put_route("r", {"ai-proxy": upstream.as_model()}))
    connections = [HTTPConnection(url.hostname or "", url.port, timeout=10) for _ in range(60)]
    for connection in connections:
        connection.connect()
    time.sleep(0.2)
    shares: Counter[str] = Counter()
    for connection in connections:
        connection.request("POST", url.path, b'{"messages": []}', {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        shares[response.getheader("X-Request-Id", "")[:20]] += 1
        connection.close()
    assert len(shares) == 2
    assert min(shares.values()) >= 10


def test_a_write_is_in_force_everywhere_once_it_is_answered(gateway: GatewayProcess) -> None:
    for i in range(30):
        plugins: dict[str, Any] = {"ai-proxy": {"provider": "openai", "auth": {}}}
        url = gateway.put_route("r", plugins, uri=f"/path-{i}").replace("/r", f"/path-{i}")
        assert [ask("GET", url).status for _ in range(6)].count(404) == 0
        if i:
            before = url.replace(f"/path-{i}", f"/path-{i - 1}")
            assert {ask("GET", before).status for _ in range(6)} == {404}
    assert gateway.admin("DELETE", "/routes/r").status == 200
    assert {ask("GET", url).status for _ in range(10)} == {404}


def test_what_expires_is_gone_everywhere(gateway: GatewayProcess) -> None:
    document = {"uri": "/mortal", "plugins": {}}
    assert gateway.admin("PUT", "/routes/mortal?ttl=1", document).status == 201
    url = gateway.url("proxy", "/mortal")
    assert {ask("GET", url).status for _ in range(6)} == {503}
    gateway.until(lambda: gateway.admin("GET", "/routes/mortal").status == 404)
    assert {ask("GET", url).status for _ in range(10)} == {404}


def test_a_rest_that_one_worker_was_asked_for_is_kept_by_all(
    gateway: GatewayProcess, upstreams: Callable[..., ServedUpstream]
) -> None:
    limited, other = upstreams(), upstreams()
    limited.does(answer(429, headers={"Retry-After": "60"}))
    config = {
        "fallback_strategy": ["http_429"],
        "instances": [limited.as_instance("limited", 1), other.as_instance("other", 2)],
    }
    answers = both(gateway.put_route("r", {"ai-proxy-multi": config}))
    assert {a.status for a in answers} == {200}
    assert len(limited.received) == 1
    assert [a.headers["x-aigw-attempts"] for a in answers].count("1") == len(answers) - 1


def test_a_circuit_that_one_worker_opens_is_open_in_all_also_in_new_ones(
    gateway: GatewayProcess, upstreams: Callable[..., ServedUpstream]
) -> None:
    failing, other = upstreams(), upstreams()
    failing.does(answer(500))
    config = {
        "fallback_strategy": ["http_5xx"],
        "instances": [failing.as_instance("failing", 1), other.as_instance("other", 2)],
    }
    url = gateway.put_route("r", {"ai-proxy-multi": config})
    ask_until(url, lambda a: a.headers["x-aigw-attempts"] == "1")
    seen = len(failing.received)
    assert seen < 10
    began = time.monotonic()
    both(url)
    assert time.monotonic() - began > 0.4 or len(failing.received) == seen
    assert 'aigw_circuit_open{route_id="r",node="failing"} 1' in gateway.metrics()


def test_metrics_add_up_and_outlive_a_worker(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    count = len(both(url))
    assert total(gateway, "apisix_http_status") == count
    assert total(gateway, "apisix_llm_latency_count") == count
    assert total(gateway, "aigw_gateway_overhead_seconds_count") == count
    os.kill(gateway.worker_pids[1], signal.SIGKILL)
    gateway.until(lambda: total(gateway, "aigw_worker_ends_total") == 1)
    assert total(gateway, "apisix_http_status") == count
    gateway.until(lambda: total(gateway, "aigw_workers") == 2)
    count += len(both(url))
    assert total(gateway, "apisix_http_status") == count
    gateway.stop()


def test_gauges_of_a_dead_worker_vanish(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    upstream.does(play(head(200) + event(chunk({"content": "Hi"})), SILENCE))
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    streams = [Stream(url) for _ in range(4)]
    gateway.until(lambda: total(gateway, "aigw_requests_in_flight") == 4)
    assert total(gateway, "apisix_llm_active_connections") == 4
    for pid in gateway.worker_pids.values():
        os.kill(pid, signal.SIGKILL)
    gateway.until(lambda: total(gateway, "aigw_requests_in_flight") == 0)
    assert total(gateway, "apisix_llm_active_connections") == 0
    assert not any(stream.complete for stream in streams)


def test_the_access_log_has_one_whole_line_for_each_request(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    answers: list[Answered] = []

    def ask_many() -> None:
        answers.extend(chat_with(url) for _ in range(50))

    threads = [threading.Thread(target=ask_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    moved = gateway.data / "access.log.1"
    (gateway.data / "access.log").rename(moved)
    for thread in threads:
        thread.join(30)
    gateway.stop()
    text = moved.read_text() + (gateway.data / "access.log").read_text()
    ids = [json.loads(line)["request_id"] for line in text.splitlines()]
    assert sorted(ids) == sorted(a.headers["x-request-id"] for a in answers)


def test_references_are_resolved_and_keys_stay_with_the_parent(gateways: Gateways, upstream: ServedUpstream) -> None:
    gateway = gateways("--workers=2", MODEL_KEY="sk-from-the-environment").start()
    model = upstream.as_model(auth={"header": {"Authorization": "Bearer $env://MODEL_KEY"}})
    both(gateway.put_route("r", {"ai-proxy": model}))
    assert {r.headers["authorization"] for r in upstream.received} == {"Bearer sk-from-the-environment"}
    for pid in gateway.worker_pids.values():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"sk-" not in command
        assert b"AIGW_ADMIN_KEY" not in environ
    gateway.stop()


# A worker dies.


def test_a_killed_worker_loses_its_own_requests_and_is_replaced(
    gateway: GatewayProcess, upstream: ServedUpstream
) -> None:
    upstream.does(chat(pace=0.08))
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    streams = [Stream(url)]
    while len({stream.worker for stream in streams}) < 2:
        streams.append(Stream(url))
    before = dict(gateway.worker_pids)
    os.kill(before[1], signal.SIGKILL)
    fates = {stream.worker: stream.complete for stream in streams}
    assert sorted(fates.values()) == [False, True]
    gateway.until(lambda: gateway.worker_pids[1] != before[1])
    assert gateway.worker_pids[2] == before[2]
    upstream.does(chat())
    assert len({worker_of(a) for a in both(url)} - set(fates)) == 1
    assert "has ended: SIGKILL" in gateway.log
    gateway.stop()


def test_no_connection_is_lost_while_no_worker_is_there(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    for pid in gateway.worker_pids.values():
        os.kill(pid, signal.SIGKILL)
    gateway.until(lambda: total(gateway, "aigw_workers") == 0)
    assert ask("GET", gateway.url("control", "/readyz")).status == 503
    assert chat_with(url).status == 200
    assert ask("GET", gateway.url("control", "/readyz")).status == 200


def test_a_worker_that_hangs_holds_up_a_write_only_for_so_long(
    gateway: GatewayProcess, upstream: ServedUpstream
) -> None:
    hung = gateway.worker_pids[2]
    os.kill(hung, signal.SIGSTOP)
    began = time.monotonic()
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    assert time.monotonic() - began < 15
    assert not is_alive(hung)
    assert {chat_with(url).status for _ in range(20)} == {200}
    assert "it does not answer" in gateway.log
    gateway.stop()


def test_a_worker_that_gets_a_sigterm_leaves_and_another_takes_its_place(
    gateway: GatewayProcess, upstream: ServedUpstream
) -> None:
    upstream.does(chat(pace=0.05))
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    streams = [Stream(url) for _ in range(6)]
    before = dict(gateway.worker_pids)
    for pid in before.values():
        os.kill(pid, signal.SIGTERM)
    gateway.until(lambda: set(gateway.worker_pids.values()).isdisjoint(before.values()))
    assert all(stream.complete for stream in streams)
    gateway.until(lambda: not any(is_alive(pid) for pid in before.values()))
    assert chat_with(url).status == 200
    assert total(gateway, "aigw_worker_ends_total") == 0
    gateway.stop()


# The parent ends.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_workers_drain(number: signal.Signals, gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    upstream.does(chat(pace=0.06))
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    streams = [Stream(url) for _ in range(6)]
    pids = list(gateway.worker_pids.values())
    for pid in (gateway.pid, *pids):  # as a terminal does, and systemd
        os.kill(pid, number)
    gateway.until(lambda: ask("GET", gateway.url("control", "/readyz")).status == 503)
    gateway.until(lambda: is_refused(url))
    assert all(stream.complete for stream in streams)
    assert gateway.wait(5) in (0, -number)
    assert not any(is_alive(pid) for pid in pids)
    assert "Traceback" not in gateway.log
    assert (gateway.data / "access.log").read_text().count('"POST"') == 6


def is_refused(url: str) -> bool:
    try:
        ask("GET", url)
    except ConnectionRefusedError:
        return True
    except ConnectionError:  # closed before it was accepted
        return False
    return False


def test_a_second_signal_ends_all_at_once(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    upstream.does(play(head(200) + event(chunk({"content": "Hi"})), SILENCE))
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    streams = [Stream(url) for _ in range(4)]
    gateway.signal(signal.SIGTERM)
    gateway.until(lambda: ask("GET", gateway.url("control", "/readyz")).status == 503)
    began = time.monotonic()
    gateway.signal(signal.SIGTERM)
    assert gateway.wait(5) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 2
    assert not any(stream.complete for stream in streams)


def test_workers_end_with_a_parent_that_is_killed(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    url = gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    pids = list(gateway.worker_pids.values())
    gateway.kill()
    ends = time.monotonic() + 5
    while any(map(is_alive, pids)):
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert is_refused(url)
    gateway.start()
    assert chat_with(gateway.url("proxy", "/r")).status == 200
    gateway.stop()


# Where it listens, and how.


def test_tls_and_several_endpoints(gateways: Gateways, upstream: ServedUpstream, certificate: Any) -> None:
    secure = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    gateway = gateways("--workers=2", f"--proxy={secure}", "--proxy=tcp:0:interface=127.0.0.1").start()
    gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    tls, plain = gateway.ports("proxy")
    assert chat_with(f"http://127.0.0.1:{plain}/r").status == 200
    context = ssl.create_default_context(cafile=str(certificate.cert))
    context.set_alpn_protocols(["h2", "http/1.1"])
    for _ in range(6):
        with (
            socket.create_connection(("127.0.0.1", tls), 5) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as wrapped,
        ):
            assert wrapped.selected_alpn_protocol() == "h2"
    gateway.stop()


def test_a_unix_socket(gateways: Gateways, upstream: ServedUpstream, tmp_path: Path) -> None:
    path = tmp_path / "s"
    gateway = gateways("--workers=2", f"--proxy=unix:{path}:mode=600", "--proxy=tcp:0:interface=127.0.0.1").start()
    gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    assert path.stat().st_mode & 0o777 == 0o600
    os.kill(gateway.worker_pids[1], signal.SIGTERM)
    for _ in range(10):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 404 ")
    gateway.stop()
    assert not path.exists()


@pytest.fixture
def passed_socket() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


def test_a_socket_of_systemd(
    passed_socket: socket.socket, gateways: Gateways, upstream: ServedUpstream, tmp_path: Path
) -> None:
    place = passed_socket.fileno()
    gateway = gateways(
        "--workers=2",
        "--proxy=systemd:domain=INET:index=0",
        wrapper=["bash", "-c", f'export LISTEN_PID=$$; exec 3<&{place}; exec "$@"', "bash"],
        passed=[place],
        LISTEN_FDS="1",
        LISTEN_FDNAMES="web",
    ).start()
    gateway.put_route("r", {"ai-proxy": upstream.as_model()})
    both(f"http://127.0.0.1:{passed_socket.getsockname()[1]}/r")
    gateway.stop()


@pytest.mark.parametrize("reactor", ["poll", "epoll", "select", "asyncio"])
def test_workers_use_the_reactor_that_was_chosen(reactor: str, gateways: Gateways, upstream: ServedUpstream) -> None:
    gateway = gateways("--workers=2", twistd=[f"--reactor={reactor}"]).start()
    both(gateway.put_route("r", {"ai-proxy": upstream.as_model()}))
    for pid in gateway.worker_pids.values():
        assert reactor in Path(f"/proc/{pid}/cmdline").read_text()
    gateway.stop()


def test_a_demo(gateways: Gateways) -> None:
    gateway = gateways("--workers=2", "--demo").start()
    answered = chat_with(gateway.url("proxy", "/demo"), "Hello")
    assert "you said Hello" in answered.body.decode()
    gateway.stop()


@pytest.mark.parametrize("given", ["0", "-1", "x", "", "1.5", "100000"])
def test_a_number_of_workers_that_is_none(given: str, gateways: Gateways) -> None:
    gateway = gateways(f"--workers={given}")
    gateway.spawn()
    assert gateway.wait(20) not in (0, -signal.SIGKILL)
    assert f'--workers: expected 1 to 256 processes, got "{given}"' in gateway.log
    assert "Traceback" not in gateway.log


def test_workers_that_can_not_start_end_the_gateway(gateways: Gateways, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'aigw.workers' in sys.orig_argv: raise SystemExit('no worker today')\n"
    )
    root = Path(__file__).resolve().parents[2]
    gateway = gateways("--workers=2", PYTHONPATH=f"{tmp_path}{os.pathsep}{root}")
    gateway.spawn()
    assert gateway.wait(20) == 1
    assert "no worker can start: exit status 1" in gateway.log
    assert "no worker today" in gateway.log
