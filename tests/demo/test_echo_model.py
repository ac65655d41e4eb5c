"""The model of the demo, through its real site in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from aigw.demo.echo import LONGEST_DELAY, SECONDS_PER_WORD, Wish, echo_site, wish_for

HELLO = {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "Hello there"}]}


class Visit:
    """One connection with one request on it."""

    def __init__(
        self,
        body: Any = HELLO,
        path: str = "/v1/chat/completions",
        echo: str = "",
        method: str = "POST",
        name: str = "demo",
    ) -> None:
        self.clock = Clock()
        self.transport = StringTransport()
        self._channel = echo_site(self.clock, name).buildProtocol(None)
        assert self._channel is not None
        self._channel.makeConnection(self.transport)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = f"Host: h\r\nX-Echo: {echo}\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
        self._channel.dataReceived(f"{method} {path} HTTP/1.1\r\n{fields}".encode() + content)
        self.clock.advance(0)

    def leave(self) -> None:
        assert self._channel is not None
        self._channel.connectionLost(Failure(ConnectionDone()))

    @property
    def head(self) -> str:
        head: bytes = self.transport.value().partition(b"\r\n\r\n")[0]
        return head.decode()

    @property
    def status(self) -> int | None:
        return int(self.head.split(" ")[1]) if self.head else None

    @property
    def body(self) -> bytes:
        raw: bytes = self.transport.value().partition(b"\r\n\r\n")[2]
        return raw if "transfer-encoding" not in self.head.lower() else _unchunked(raw)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        data = [block.removeprefix("data: ") for block in self.body.decode().split("\n\n") if block]
        return [one if one == "[DONE]" else json.loads(one) for one in data]


def _unchunked(raw: bytes) -> bytes:
    pieces = []
    while raw:
        size, _, rest = raw.partition(b"\r\n")
        pieces.append(rest[: int(size, 16)])
        raw = rest[int(size, 16) + 2 :]
    return b"".join(pieces)


def test_an_answer() -> None:
    visit = Visit({**HELLO, "model": "echo-a"})
    assert visit.status == 200
    assert "Content-Type: application/json" in visit.head
    answer = visit.json
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "demo: you said Hello there"}, "finish_reason": "stop"}
    ]
    assert (answer["object"], answer["model"]) == ("chat.completion", "echo-a")
    assert answer["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}


def test_its_name() -> None:
    answer = Visit(name="self-hosted").json
    assert answer["choices"][0]["message"]["content"] == "self-hosted: you said Hello there"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ""),
        (None, ""),
        ([{"type": "text", "text": "Hi"}, {"type": "image_url"}, {"text": "you"}], " Hi you"),
        (5, " 5"),
    ],
)
def test_whatever_a_message_says(content: Any, words: str) -> None:
    visit = Visit({"messages": [{"role": "user", "content": content}]})
    assert visit.json["choices"][0]["message"]["content"] == "demo: you said" + words


@pytest.mark.parametrize("asks", [True, False])
def test_a_stream_comes_word_by_word(asks: bool) -> None:
    visit = Visit({**HELLO, "stream": True, "stream_options": {"include_usage": asks}})
    assert "Content-Type: text/event-stream" in visit.head
    assert len(visit.events) == 1
    for n in range(2, 7):
        visit.clock.advance(SECONDS_PER_WORD)
        assert len(visit.events) == n
    visit.clock.pump([SECONDS_PER_WORD] * 5)
    *chunks, done = visit.events
    assert done == "[DONE]"
    said = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert said[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in said) == "demo: you said Hello there"
    assert chunks[6]["choices"][0]["finish_reason"] == "stop"
    assert [chunk.get("usage") for chunk in chunks[7:]] == (
        [{"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}] if asks else []
    )
    assert visit.transport.disconnecting


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        {"messages": []},
        {"messages": {}},
        {"messages": "text"},
        {"messages": ["text"]},
        {"messages": [None, {"content": "x"}]},
        {"messages": [{"content": ["text"]}]},
        {"messages": {"-1": {}}},
    ],
)
def test_what_is_no_chat_is_a_400(body: Any) -> None:
    visit = Visit(body)
    assert visit.status == 400
    assert visit.json["error"]["message"] == "expected a JSON object with messages"


@pytest.mark.parametrize(("status", "retry"), [(429, True), (500, False), (404, False), (302, False)])
def test_a_status_that_is_asked_for(status: int, retry: bool) -> None:
    visit = Visit(echo=f"status={status}")
    assert visit.status == status
    assert visit.json["error"]["message"] == f"demo: status {status}, as asked for"
    assert ("Retry-After: 1" in visit.head) == retry


def test_a_delay_that_is_asked_for() -> None:
    visit = Visit(echo="delay=2.5")
    visit.clock.advance(2.4)
    assert visit.status is None
    visit.clock.advance(0.2)
    assert visit.transport.value().startswith(b"HTTP/1.1 200")


def test_a_status_for_one_model_only() -> None:
    echo = "model=echo-a, status=503"
    assert Visit({**HELLO, "model": "echo-a"}, echo=echo).status == 503
    assert Visit({**HELLO, "model": "echo-b"}, echo=echo).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_is_forgotten(stream: bool) -> None:
    visit = Visit({**HELLO, "stream": stream}, echo="" if stream else "delay=5")
    visit.leave()
    said = visit.transport.value()
    visit.clock.advance(10)
    assert visit.transport.value() == said
    assert visit.clock.getDelayedCalls() == []


def test_the_models() -> None:
    visit = Visit(b"", "/v1/models", method="GET")
    assert (visit.status, [model["id"] for model in visit.json["data"]]) == (200, ["echo"])


WISHES: list[tuple[str, Wish]] = [
    ("", Wish()),
    ("status=503", Wish(status=503)),
    ("status = 503 , delay = 1", Wish(status=503, delay=1.0)),
    ("status=600", Wish()),
    ("status=100", Wish()),
    ("status=5xx", Wish()),
    ("delay=-1", Wish()),
    ("delay=nan", Wish()),
    ("delay=1e9", Wish()),
    ("delay=99999", Wish(delay=LONGEST_DELAY)),
    ("model=echo, delay=1", Wish(delay=1.0)),
    ("model=other, delay=1", Wish()),
    ("nonsense", Wish()),
]


@pytest.mark.parametrize(("header", "wish"), WISHES)
def test_wishes(header: str, wish: Wish) -> None:
    assert wish_for("echo", header) == wish
