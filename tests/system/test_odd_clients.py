"""Clients that speak HTTP in their own way, and are right."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aigw.testing import CLOSE, chat, play
from aigw.testing.asking import ask
from aigw.testing.behaviours import head
from aigw.testing.openai import chunk, event
from aigw.testing.process import LOOPBACK, GatewayProcess
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

BODY = b'{"messages": [{"role": "user", "content": "Good day"}], "stream": true}'


def exchange(url: str, request: bytes) -> bytes:
    """Send bytes, and read until the connection closes. ``PATH`` in them is the URL's."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        client.sendall(request.replace(b"PATH", parts.path.encode()))
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_chunked_request(single: Callable[..., str], upstream: ServedUpstream) -> None:
    pieces = b"".join(b"%x;ext\r\n%b\r\n" % (len(BODY[i : i + 9]), BODY[i : i + 9]) for i in range(0, len(BODY), 9))
    headers = b"POST PATH HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    got = exchange(single(upstream), headers + pieces + b"0\r\nX-Trailer: y\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    sent = upstream.received[0]
    assert sent.json()["messages"] == json.loads(BODY)["messages"]
    assert "transfer-encoding" not in sent.headers
    assert "x-trailer" not in sent.headers


def test_http_1_0(single: Callable[..., str], upstream: ServedUpstream) -> None:
    request = b"POST PATH HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    got = exchange(single(upstream), request)
    assert got.endswith(b"data: [DONE]\n\n")
    assert b"chunked" not in got


def test_http_1_0_sees_that_a_stream_was_cut(single: Callable[..., str], upstream: ServedUpstream) -> None:
    upstream.does(play(head() + event(chunk({"content": "Hi"})), 0.1, CLOSE))
    request = b"POST PATH HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    try:
        got = exchange(single(upstream), request)
    except ConnectionResetError:
        return
    assert b'"error"' in got


def test_pipelined_requests_are_answered_in_order(single: Callable[..., str], upstream: ServedUpstream) -> None:
    def request(number: int, more: bytes = b"") -> bytes:
        body = b'{"messages": [{"role": "user", "content": "number %d"}]}' % number
        length = b"Content-Length: %d\r\n" % len(body)
        return b"POST PATH HTTP/1.1\r\nHost: x\r\n" + length + more + b"\r\n" + body

    got = exchange(single(upstream), request(1) + request(2) + request(3, b"Connection: close\r\n"))
    positions = [got.index(b"number %d" % number) for number in (1, 2, 3)]
    assert positions == sorted(positions)
    assert got.count(b"HTTP/1.1 200 ") == 3


def test_a_client_that_waits_for_100_continue(
    single: Callable[..., str], upstream: ServedUpstream, tmp_path: Path
) -> None:
    """As curl does with long bodies; it would wait a second for nothing."""
    body = {"messages": [{"role": "user", "content": "short"}], "filling": "x" * 3_000_000}
    (tmp_path / "body").write_text(json.dumps(body))
    began = time.monotonic()
    command = ["curl", "--silent", "--show-error", "--fail", "--data-binary", f"@{tmp_path / 'body'}"]
    command += ["--header", "Content-Type: application/json", "--header", "Expect: 100-continue"]
    done = subprocess.run([*command, single(upstream)], capture_output=True, text=True, timeout=20, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "short"
    assert time.monotonic() - began < 0.9
    assert "expect" not in upstream.received[0].headers


def test_one_byte_after_another(single: Callable[..., str], upstream: ServedUpstream) -> None:
    parts = urlsplit(single(upstream))
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request % (parts.path.encode(), len(BODY), BODY):
            client.send(bytes([byte]))
        got = b"".join(iter(lambda: client.recv(65536), b""))
    assert got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_one_that_has_sent_everything_and_closed_its_half(single: Callable[..., str], upstream: ServedUpstream) -> None:
    """What it asked for is still answered (or it is taken for gone, but nobody hangs)."""
    upstream.does(chat(pace=0.05))
    parts = urlsplit(single(upstream))
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        client.sendall(
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (parts.path.encode(), len(BODY), BODY)
        )
        client.shutdown(socket.SHUT_WR)
        got = b"".join(iter(lambda: client.recv(65536), b""))
    assert got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") or got == b""


def test_a_unix_socket(gateways: Callable[..., GatewayProcess], upstream: ServedUpstream, tmp_path: Path) -> None:
    place = tmp_path / "proxy.sock"
    gateway = gateways(f"--proxy=unix:{place}", f"--proxy={LOOPBACK}").start()
    gateway.put_route("chat", {"ai-proxy": upstream.as_model()})
    command = ["curl", "--silent", "--unix-socket", os.fspath(place), "--data", BODY.decode(), "http://x/chat"]
    command += ["--header", "Content-Type: application/json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.endswith("data: [DONE]\n\n")
    gateway.stop()
    assert not place.exists()


@pytest.mark.parametrize("path", ["/%2e%2e/etc", "//x", "/a%2Fb", "/%00", "/%ff", "/?" + "q" * 5000, "/" + "é"])
def test_odd_targets_are_answered(path: str, gateway: GatewayProcess) -> None:
    answered = ask("GET", gateway.url("proxy") + path.encode().decode("latin-1").replace("Ã©", "%C3%A9"))
    assert answered.status in (400, 404)
    assert answered.json["error_msg"]
