"""The same through the real client and its pool of connections, down to the bytes of HTTP, over a network in memory."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import pytest
from twisted.internet.task import Clock

from aigw.errors import UpstreamError
from aigw.exchange import Outcome
from aigw.testing import openai
from aigw.testing.gateway import Client, MemoryGateway
from aigw.upstream.clients import Clients
from aigw.upstream.testing import Line, Network

STREAM = {"messages": [], "stream": True}
WORD = openai.event(openai.chunk({"content": "Hi"}))
END = openai.event(openai.chunk({}, finish="stop"))
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = json.dumps(openai.completion()).encode()


class Wired:
    """A route to two models, one after the other, on a network in memory."""

    def __init__(self, **fields: Any) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self.gateway = MemoryGateway(clock=self.clock, clients=Clients(self.clock, self.network))
        instances = [
            {
                "name": name,
                "provider": "openai-compatible",
                "auth": {"header": {"Authorization": f"Bearer key-of-{name}"}},
                "override": {"endpoint": f"http://{name}:8000/v1/chat/completions"},
                "weight": 1,
                "priority": priority,
            }
            for priority, name in enumerate(("first", "second"))
        ]
        strategy = ["http_429", "http_5xx"]
        self.gateway.put({"ai-proxy-multi": {"fallback_strategy": strategy, "instances": instances, **fields}})

    def ask(self, body: Any = None, **headers: str) -> Client:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.gateway.ask(body or {"messages": []}, headers=said)

    def accept(self, host: str = "first") -> Line:
        """Accept the connection that the gateway wants to make, and look where to."""
        assert self.network.knocks[0].origin.host == host
        return self.network.accept()

    def settle(self) -> None:
        """Let everything happen that is about to."""
        self.clock.pump([0] * 5)

    def second_answers(self, client: Client) -> None:
        """The other model takes over."""
        self.settle()
        line = self.accept("second")
        line.say(answer())
        self.settle()
        assert (client.status, client.body) == (200, BODY)
        assert [name for name, _, _ in client.attempts] == ["first", "second"]
        assert self.gateway.meter.under_way == 0


def answer(status: int = 200, body: bytes = BODY, *fields: bytes) -> bytes:
    head = [b"HTTP/1.1 %d X" % status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
def wired() -> Wired:
    return Wired()


def test_a_request_and_its_answer(wired: Wired) -> None:
    client = wired.ask(
        {"messages": [], "x": 1.5},
        authorization="Bearer client",
        cookie="a=b",
        accept_encoding="gzip",
        connection="keep-alive, x-mine",
        x_mine="1",
        x_yours="2",
        transfer_encoding="chunked",
        te="trailers",
    )
    line = wired.accept()
    head, _, body = line.take().partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    assert first == b"POST /v1/chat/completions HTTP/1.1"
    assert sorted(fields) == [
        b"Authorization: Bearer key-of-first",
        b"Content-Length: 23",
        b"Host: first:8000",
        b"content-type: application/json",
        b"x-yours: 2",
    ]
    assert body == b'{"messages":[],"x":1.5}'
    line.say(answer(200, BODY, b"X-Request-Id: u-1", b"Set-Cookie: a=b", b"Connection: x-hop", b"X-Hop: 1"))
    assert (client.status, client.body, client.outcome) == (200, BODY, Outcome.DONE)
    assert client.headers == {"content-type": "application/json", "x-request-id": "u-1"}
    assert client.exchange.usage.total_tokens == 10


def test_a_connection_is_used_again(wired: Wired) -> None:
    clients = []
    line = None
    for _ in range(3):
        clients.append(wired.ask())
        line = line or wired.accept()
        assert line.take().startswith(b"POST ")
        line.say(answer())
        wired.settle()
    assert [client.status for client in clients] == [200, 200, 200]
    assert wired.network.knocks == []


def test_a_connection_that_was_closed_just_then_counts_as_no_failure(wired: Wired) -> None:
    wired.ask()
    line = wired.accept()
    line.say(answer())
    wired.settle()
    client = wired.ask()
    line.take()
    line.close()
    wired.settle()
    again = wired.accept()
    assert again.take().startswith(b"POST ")
    again.say(answer())
    assert client.status == 200
    assert client.attempts == [("first", 200, None)]
    assert wired.gateway.meter.fallbacks == []


def test_nobody_listens(wired: Wired) -> None:
    client = wired.ask()
    wired.network.knock().refuse()
    wired.second_answers(client)
    assert client.attempts[0] == ("first", None, "upstream_unreachable")


def test_nobody_accepts_in_time() -> None:
    wired = Wired(timeout=1000)
    client = wired.ask()
    knock = wired.network.knock()
    wired.clock.advance(1)
    assert knock.given_up
    wired.second_answers(client)
    assert client.attempts[0] == ("first", None, "upstream_timeout")


def test_silence() -> None:
    wired = Wired(timeout=1000)
    client = wired.ask()
    line = wired.accept()
    wired.clock.advance(1)
    assert line.aborted
    wired.second_answers(client)
    assert client.attempts[0] == ("first", None, "upstream_timeout")


BAD: list[tuple[bytes, str, int | None]] = [
    # what the first model says, the error, the status that came
    (b"SSH-2.0-OpenSSH_9\r\n", "upstream_bad_reply", None),
    (b"\x16\x03\x01\x02\x00", "upstream_bad_reply", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "upstream_bad_reply", None),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000_000 + b"\r\n\r\n", "upstream_reply_too_large", None),
    (b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", "upstream_bad_reply", 302),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "upstream_bad_reply", None),
    (b"HTTP/1.1 304 Not Modified\r\n\r\n", "upstream_bad_reply", 304),
]


@pytest.mark.parametrize(("said", "error", "status"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_what_is_no_reply(wired: Wired, said: bytes, error: str, status: int | None) -> None:
    client = wired.ask()
    line = wired.accept()
    line.say(said)
    wired.second_answers(client)
    assert client.attempts[0] == ("first", status, error)
    assert line.closing == (status is None)


def test_other_statuses_before_the_real_one(wired: Wired) -> None:
    client = wired.ask()
    wired.accept().say(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer())
    assert (client.status, client.body) == (200, BODY)


def test_a_body_that_is_shorter_than_it_said(wired: Wired) -> None:
    client = wired.ask()
    line = wired.accept()
    line.say(answer()[:-5])
    line.close()
    wired.second_answers(client)
    assert client.attempts[0] == ("first", 200, "upstream_cut_short")


def test_a_body_without_a_length(wired: Wired) -> None:
    client = wired.ask()
    line = wired.accept()
    line.say(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY)
    assert client.waits()
    line.close()
    assert (client.status, client.body) == (200, BODY)


def test_a_connection_whose_error_nobody_reads_is_used_again(wired: Wired) -> None:
    client = wired.ask()
    line = wired.accept()
    line.take()
    line.say(answer(500, b"x" * 1000))
    wired.second_answers(client)
    wired.ask()
    wired.settle()
    assert line.take().startswith(b"POST ")


def test_a_stream_event_by_event(wired: Wired) -> None:
    client = wired.ask(STREAM)
    line = wired.accept()
    line.say(EVENTS_HEAD)
    assert client.waits()
    line.say(chunk(WORD))
    assert client.body == WORD
    line.say(chunk(END) + chunk(openai.DONE) + b"0\r\nX-Trailer: 1\r\n\r\n")
    assert client.body == WORD + END + openai.DONE
    assert client.outcome is Outcome.DONE
    wired.settle()
    assert not line.closing


def test_a_stream_that_does_not_begin(wired: Wired) -> None:
    client = wired.ask(STREAM)
    line = wired.accept()
    line.say(EVENTS_HEAD + chunk(openai.event(openai.error(500))))
    assert line.aborted
    wired.second_answers(client)


@pytest.mark.parametrize("rest", [b"", b"5\r\nda"])
def test_a_stream_that_breaks(wired: Wired, rest: bytes) -> None:
    client = wired.ask(STREAM)
    line = wired.accept()
    line.say(EVENTS_HEAD + chunk(WORD) + rest)
    line.close()
    wired.settle()
    assert client.outcome is Outcome.UPSTREAM_BROKE
    assert isinstance(client.broken, UpstreamError)
    assert client.body.startswith(WORD + b'data: {"error":')
    assert b"[DONE]" not in client.body


def test_a_slow_client_stops_the_reading(wired: Wired) -> None:
    client = wired.ask(STREAM)
    line = wired.accept()
    line.say(EVENTS_HEAD + chunk(WORD))
    assert client.reply is not None
    assert client.reply.source is not None
    client.reply.source.pause()
    line.say(chunk(WORD))
    assert not line.reading
    client.reply.source.resume()
    wired.settle()
    assert client.body == WORD + WORD


def connecting(wired: Wired, client: Client) -> Line | None:
    return None


def asking(wired: Wired, client: Client) -> Line | None:
    return wired.accept()


def holding(wired: Wired, client: Client) -> Line | None:
    line = wired.accept()
    line.say(EVENTS_HEAD + chunk(openai.PING))
    return line


def collecting(wired: Wired, client: Client) -> Line | None:
    line = wired.accept()
    line.say(answer()[:-1])
    return line


def streaming(wired: Wired, client: Client) -> Line | None:
    line = wired.accept()
    line.say(EVENTS_HEAD + chunk(WORD))
    return line


@pytest.mark.parametrize("phase", [connecting, asking, holding, collecting, streaming])
def test_a_client_that_leaves_closes_its_upstream_at_once(wired: Wired, phase: Any) -> None:
    client = wired.ask(STREAM)
    line = phase(wired, client)
    client.leave()
    if line is None:
        assert wired.network.knock().given_up
    else:
        assert line.aborted
    wired.settle()
    assert wired.network.knocks == []
    assert wired.gateway.meter.under_way == 0
    assert len(client.attempts) == 1


def test_a_gateway_that_leaves(wired: Wired) -> None:
    client = wired.ask()
    line = wired.accept()
    closed: list[None] = []
    wired.gateway.parts.clients.close().addCallback(closed.append)
    wired.settle()
    assert line.aborted
    assert closed == [None]
    assert client.status == 503
    assert wired.network.knocks == []


@pytest.mark.parametrize("body", [{"messages": []}, STREAM])
def test_what_a_request_needed_goes_when_it_is_over(wired: Wired, body: Any) -> None:
    """Not when garbage is collected: nothing in it refers to itself."""
    reply = answer() if body is not STREAM else EVENTS_HEAD + chunk(WORD + END + b"data: [DONE]\n\n") + b"0\r\n\r\n"
    client = wired.ask(body)
    wired.settle()
    wired.accept().say(reply)
    wired.settle()
    assert client.outcome is Outcome.DONE
    left = weakref.ref(client.exchange)
    gc.disable()
    try:
        del client
        assert left() is None
    finally:
        gc.enable()
