"""The fake model does to the byte what a test tells it, and tells to the second what was done to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from aigw.testing import CLOSE, RESET, SILENCE, FakeUpstream, Moment, Talk, answer, chat, exchange_of, play
from aigw.testing.behaviours import deaf, endless, framed, head, unless_reused
from aigw.testing.openai import DONE, WEATHER_CALL

BODY = b'{"messages": [{"role": "user", "content": "Good day"}]}'


def request(body: bytes = BODY) -> bytes:
    return b"POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


class Client:
    """One connection to a fake upstream, in memory."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.transport = StringTransport()
        self.protocol = upstream.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    @property
    def got(self) -> bytes:
        value: bytes = self.transport.value()
        return value

    def leave(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


def body_of(reply: bytes) -> Any:
    return json.loads(reply.partition(b"\r\n\r\n")[2])


def content_of(stream: bytes) -> str:
    chunks = [json.loads(part.partition(b"\n\n")[0]) for part in stream.split(b"data: ")[1:] if part[:1] == b"{"]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_request_is_recorded_however_it_was_cut(step: int) -> None:
    upstream = FakeUpstream(Clock(), chat())
    client, sent = Client(upstream), request() * 2
    for start in range(0, len(sent), step):
        client.send(sent[start : start + step])
    first, second = upstream.received
    assert (first.method, first.target, first.body) == ("POST", "/v1/chat/completions?a=b", BODY)
    assert first.headers == {"host": "x", "x-a": "1, 2", "content-length": str(len(BODY))}
    assert first.json()["messages"][0]["content"] == "Good day"
    assert (first.connection, first.nth, second.connection, second.nth) == (1, 1, 1, 2)


def test_a_chunked_request() -> None:
    upstream = FakeUpstream(Clock(), answer(200, {}))
    client = Client(upstream)
    client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n")
    assert upstream.received == []
    client.send(b"\r\n" + request(b"next"))
    assert [r.body for r in upstream.received] == [b"abcde", b"next"]


def test_chat_whole() -> None:
    client = Client(FakeUpstream(Clock(), chat()))
    client.send(request())
    assert client.got.startswith(b"HTTP/1.1 200 ")
    whole = body_of(client.got)
    assert whole["choices"][0]["message"]["content"] == "Good day"
    assert whole["usage"]["total_tokens"] == 10


def test_chat_streamed_at_a_pace_with_usage() -> None:
    clock = Clock()
    client = Client(FakeUpstream(clock, chat(pieces=["a", "b"], pace=1.0)))
    client.send(request(b'{"stream": true, "stream_options": {"include_usage": true}, "messages": [{"content": "x"}]}'))
    assert content_of(client.got) == ""
    clock.pump([1.0] * 2)
    assert content_of(client.got) == "ab"
    assert b"usage" not in client.got
    clock.pump([1.0] * 4)
    assert b'"usage"' in client.got
    assert client.got.endswith(framed(DONE) + framed(b""))


@pytest.mark.parametrize("stream", [False, True])
def test_chat_calls_the_tool_it_is_offered(stream: bool) -> None:
    client = Client(FakeUpstream(Clock(), chat()))
    client.send(request(json.dumps({"stream": stream, "tools": [{}], "messages": [{"content": []}]}).encode()))
    assert WEATHER_CALL["function"]["name"].encode() in client.got  # type: ignore[index]
    assert b'"finish_reason": "tool_calls"' in client.got


def test_a_script_comes_before_the_usual_behaviour() -> None:
    upstream = FakeUpstream(Clock(), answer(200, {"usual": 1}))
    upstream.script(answer(429, headers={"Retry-After": "3"}), answer(500))
    client = Client(upstream)
    seen = []
    for _ in range(3):
        client.transport.clear()
        client.send(request())
        seen.append(client.got.split(b" ")[1])
    assert seen == [b"429", b"500", b"200"]


def test_play_writes_waits_and_ends() -> None:
    clock = Clock()
    upstream = FakeUpstream(clock, play(b"one", 2.0, [b"two", b"three"], CLOSE))
    client = Client(upstream)
    client.send(request())
    assert client.got == b"one"
    clock.advance(2)
    assert client.got == b"onetwothree"
    assert client.transport.disconnecting
    client.leave()
    assert upstream.received[0].left is None
    assert upstream.received[0].written == 11


def test_reset_lets_out_what_came_before() -> None:
    clock = Clock()
    client = Client(FakeUpstream(clock, play(b"one", RESET)))
    client.send(request())
    assert not client.transport.disconnected
    clock.advance(1)
    assert client.transport.disconnected


@pytest.mark.parametrize("behaviour", [play(head(), SILENCE), play(60.0), chat(pace=60.0), deaf, endless(b"x", b"")])
def test_when_the_other_side_left_is_recorded(behaviour: Any) -> None:
    clock = Clock()
    upstream = FakeUpstream(clock, behaviour)
    client = Client(upstream)
    client.send(request(b'{"stream": true, "messages": [{"content": "x"}]}'))
    assert upstream.open == 1
    clock.advance(3)
    client.leave()
    assert upstream.received[0].left == 3
    assert upstream.open == 0
    clock.advance(120)
    assert upstream.failures == []


def test_endless_sends_only_what_is_taken() -> None:
    clock = Clock()
    upstream = FakeUpstream(clock, endless(b"x" * 10, head()))
    client = Client(upstream)
    client.send(request())
    clock.pump([0.1] * 3)
    client.protocol.pauseProducing()  # type: ignore[attr-defined]
    clock.pump([0.1] * 5)
    paused_at = upstream.received[0].written
    clock.pump([0.1] * 5)
    assert upstream.received[0].written == paused_at
    client.protocol.resumeProducing()  # type: ignore[attr-defined]
    clock.pump([0.1] * 5)
    assert upstream.received[0].written > paused_at
    client.leave()


def test_only_a_reused_connection() -> None:
    client = Client(FakeUpstream(Clock(), unless_reused(answer(200, {}), play(CLOSE))))
    client.send(request())
    assert not client.transport.disconnecting
    client.send(request())
    assert client.transport.disconnecting


@pytest.mark.parametrize(
    ("moment", "begins_after"),
    [(Moment.CONNECTED, 0), (Moment.HEAD, request().index(b"\r\n\r\n") + 4), (Moment.REQUEST, len(request()))],
)
def test_the_moment(moment: Moment, begins_after: int) -> None:
    upstream = FakeUpstream(Clock(), play(b"now"), moment=moment)
    client = Client(upstream)
    sent = request()
    if begins_after:
        client.send(sent[: begins_after - 1])
        assert client.got == b""
        client.send(sent[begins_after - 1 : begins_after])
    assert client.got == b"now"
    client.send(sent[begins_after:])
    assert client.got == b"now"
    if moment is not Moment.CONNECTED:
        client.send(sent)
        assert client.got == b"nownow"


def test_a_behaviour_that_fails_is_no_secret(expected_failures: list[str]) -> None:
    expected_failures.append("a behaviour failed")

    async def broken(talk: Talk) -> None:
        raise RuntimeError("oops")

    upstream = FakeUpstream(Clock(), broken)
    client = Client(upstream)
    client.send(request())
    assert client.transport.disconnected
    assert [str(f.value) for f in upstream.failures] == ["oops"]


def test_an_exchange() -> None:
    exchange = exchange_of({"messages": []}, headers={"X-A": "1"}, remote_addr="192.0.2.9")
    assert exchange.body == b'{"messages":[]}'
    assert exchange.headers.getRawHeaders("x-a") == ["1"]
    assert exchange.remote_addr == "192.0.2.9"
    assert exchange_of(b"raw").body == b"raw"
