"""TLS on both sides: upstreams that are to be trusted or not, and a proxy face that speaks https and HTTP/2."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.ssl import DefaultOpenSSLContextFactory

from aigw.testing import CLOSE, RESET, SILENCE, Ending, Moment, play
from aigw.testing.asking import Answered, ask
from aigw.testing.process import LOOPBACK, GatewayProcess
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

Upstreams = Callable[..., ServedUpstream]


@pytest.fixture
def secure(upstreams: Upstreams, certificate: Any) -> ServedUpstream:
    """A model with a certificate that nobody has signed."""
    context = DefaultOpenSSLContextFactory(str(certificate.key), str(certificate.cert))
    return upstreams(tls=context)


def chat(url: str) -> Answered:
    return ask("POST", url, {"messages": [{"role": "user", "content": "Hi"}], "stream": True})


def test_an_unknown_certificate_is_refused(single: Callable[..., str], secure: ServedUpstream) -> None:
    answered = chat(single(secure))
    assert (answered.status, answered.json["error"]["code"]) == (502, "upstream_unreachable")
    assert "certificate" in answered.json["error"]["message"]
    assert secure.received == []


def test_unless_the_operator_says_so(single: Callable[..., str], secure: ServedUpstream) -> None:
    url = single(secure, ssl_verify=False)
    for _ in range(2):
        assert chat(url).events[-1] == "[DONE]"
    assert secure.fake.connections == 1


def test_a_refused_certificate_falls_back(
    hybrid: Callable[..., str], secure: ServedUpstream, upstream: ServedUpstream
) -> None:
    assert chat(hybrid(secure, upstream)).headers["x-aigw-instance"] == "cloud"


@pytest.mark.parametrize("behaviour", [play(SILENCE), play(b"HTTP/1.1 400 Bad Request\r\n\r\n", CLOSE), play(CLOSE)])
def test_no_tls_behind_https(behaviour: Any, single: Callable[..., str], upstream: ServedUpstream) -> None:
    upstream.does(behaviour, Moment.CONNECTED)
    endpoint = upstream.url.replace("http:", "https:")
    answered = chat(single(upstream, override={"endpoint": endpoint}, deadlines={"connect_ms": 400}))
    assert answered.status in (502, 504)
    assert answered.seconds < 2


@pytest.mark.parametrize(("ending", "status"), [(CLOSE, 200), (RESET, 502)])
def test_only_a_goodbye_ends_an_answer_without_a_length(
    ending: Ending, status: int, single: Callable[..., str], secure: ServedUpstream
) -> None:
    """Anybody on the way could have cut the line."""
    secure.does(play(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}", ending))
    answered = chat(single(secure, ssl_verify=False))
    assert answered.status == status
    assert (answered.body == b"{}") is (status == 200)


def test_a_proxy_face_with_tls(
    gateways: Callable[..., GatewayProcess], upstream: ServedUpstream, certificate: Any
) -> None:
    endpoint = f"ssl:0:privateKey={certificate.key}:certKey={certificate.cert}:interface=127.0.0.1"
    gateway = gateways(f"--proxy={endpoint}", f"--proxy={LOOPBACK}").start()
    gateway.put_route("chat", {"ai-proxy": upstream.as_model()})
    secure, plain = gateway.ports("proxy")
    trust = ["--cacert", str(certificate.cert)]
    assert curl(f"https://localhost:{secure}/chat", *trust, "--http1.1") == "1.1 200"
    assert curl(f"https://localhost:{secure}/chat", *trust, "--http2") == "2 200"
    assert curl(f"http://localhost:{plain}/chat", "--http1.1") == "1.1 200"
    gateway.stop()


def curl(url: str, *options: str) -> str:
    """Ask for a stream, see that it is whole; returns the version of HTTP and the status."""
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True})
    command = [
        "curl",
        "--silent",
        "--show-error",
        *options,
        "--data",
        body,
        "--write-out",
        "%{http_version} %{http_code}",
    ]
    command += ["--header", "Content-Type: application/json", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    stream, _, told = done.stdout.rpartition("data: [DONE]\n\n")
    assert stream, done
    return told
