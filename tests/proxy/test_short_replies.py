"""A reply that is complete and short is written without a relay: nobody can tell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

import aigw.proxy.resource as resource
from aigw.errors import GatewayError, UpstreamTimeout
from aigw.exchange import Attempt, Exchange, Outcome, Reply
from aigw.testing.full_path import relay_all


class Upper:
    """A stage."""

    def feed(self, data: bytes) -> list[bytes]:
        return [data.upper()]

    def close(self) -> list[bytes]:
        return []


REPLIES: Mapping[str, Callable[[], Reply]] = {
    "plain": lambda: Reply(status=200, body=b"hello"),
    "empty": lambda: Reply(status=200),
    "as long as a write": lambda: Reply(status=200, body=b"x" * 1000),
    "longer": lambda: Reply(status=200, body=b"x" * 1001),
    "headers": lambda: Reply(status=201, headers=[(b"X-A", b"1"), (b"Content-Length", b"99")], body=b"hello"),
    "no content": lambda: Reply(status=204, body=b"hello"),
    "reset content": lambda: Reply(status=205),
    "moved": lambda: Reply(status=302, headers=[(b"Location", b"/")], body=b"there"),
    "not modified": lambda: Reply(status=304, body=b"hello"),
    "an error": lambda: Reply(status=429, body=b"{}"),
    "an unknown status": lambda: Reply(status=599, body=b"{}"),
    "no status": lambda: Reply(status=600, body=b"{}"),
    "an interim status": lambda: Reply(status=103),
    "a stage": lambda: Reply(status=200, body=b"hello").through(Upper()),
}

REQUESTS: Mapping[str, bytes] = {
    "get": b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "head": b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "1.0": b"GET /a HTTP/1.0\r\n\r\n",
    "closes": b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "two": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" * 2,
}


@attrs.frozen
class Came:
    """What client, aftermaths and observers saw, step by step."""

    writes: list[bytes]
    closed: tuple[bool, ...]
    told: list[tuple[Outcome, str | None]]
    seen: list[tuple[int, Outcome, str | None, int]]
    times: list[tuple[float | None, float | None]]
    held: tuple[int, int]


@attrs.define
class Case:
    """A gateway that answers in one way, and a client. ``reply``: None = it raises."""

    gateway: Any
    reply: Callable[[], Reply] | None
    capacity: int | None
    told: list[tuple[Outcome, str | None]] = attrs.field(factory=list)
    waiting: list[Deferred[None]] = attrs.field(factory=list)
    client: Any = None

    def ask(self, request: bytes) -> None:
        self.gateway.handler = self.handle
        self.client = self.gateway.connect(capacity=self.capacity)
        self.client.send(request)

    async def handle(self, exchange: Exchange) -> Reply:
        exchange.attempts.append(Attempt(instance="i"))
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        await waiting
        if self.reply is None:
            raise UpstreamTimeout("late")
        return self.reply().afterwards(lambda outcome, error: self.told.append((outcome, code(error))))

    def answer(self) -> None:
        while self.waiting:
            self.waiting.pop(0).callback(None)

    def came(self) -> Came:
        gateway, transport = self.gateway, self.client.transport
        return Came(
            writes=list(transport.writes),
            closed=(self.client.closed, transport.aborted, transport.lost),
            told=list(self.told),
            seen=[(s.status, s.outcome, code(s.error), s.sent) for s in gateway.seen],
            times=[(s.exchange.timeline.first_byte, s.exchange.timeline.finished) for s in gateway.seen],
            held=(gateway.site.in_flight, gateway.site.face.memory.held),
        )


def code(error: GatewayError | None) -> str | None:
    return None if error is None else error.code


Scene = Callable[[Case], None]

SCENES: Mapping[str, Scene] = {
    "nothing": lambda case: None,
    "takes it": lambda case: case.client.transport.taken(),
    "takes it late": lambda case: (case.gateway.advance(9), case.client.transport.taken())[0],
    "takes nothing": lambda case: case.gateway.advance(31),
    "asks for more": lambda case: case.client.get(b"/b") and None,
    "leaves": lambda case: case.client.leave(),
    "drains": lambda case: (case.gateway.site.drain(5), case.gateway.advance(6))[1],
}
"""What happens behind the reply."""


def played(make_gateway: Any, reply: Any, request: bytes, capacity: int | None, scene: Scene) -> list[Came]:
    case = Case(make_gateway(write_size=1000, send_timeout=30), reply, capacity)
    case.ask(request)
    case.gateway.advance(1)
    case.answer()
    came = [case.came()]
    scene(case)
    case.answer()
    came.append(case.came())
    case.client.leave()
    case.gateway.advance(1)
    return [*came, case.came()]


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
@pytest.mark.parametrize("capacity", [None, 1, 300])
def test_it_is_as_if_it_were_relayed(
    make_gateway: Any, scene: Scene, capacity: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [*REPLIES.values(), None]
    cases = [(reply, request, capacity, scene) for reply, request in itertools.product(replies, REQUESTS.values())]
    usual = [played(make_gateway, *case) for case in cases]
    relay_all(monkeypatch.setattr)
    assert usual == [played(make_gateway, *case) for case in cases]


@pytest.mark.parametrize("relays", [False, True])
def test_a_client_that_leaves_within_the_write(gateway: Any, relays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if relays:
        relay_all(monkeypatch.setattr)
    client = gateway.connect()
    client.channel.write = lambda data: client.leave()
    client.get()
    (seen,) = gateway.seen
    assert (seen.status, seen.outcome, seen.sent) == (200, Outcome.CLIENT_LEFT, len(b"GET / "))
    assert gateway.site.in_flight == 0


@pytest.mark.parametrize("relays", [False, True])
def test_a_write_that_fails(
    gateway: Any, relays: bool, monkeypatch: pytest.MonkeyPatch, expected_failures: list[str]
) -> None:
    expected_failures.append("its relay failed")
    if relays:
        relay_all(monkeypatch.setattr)
    client = gateway.connect()
    client.channel.write = lambda data: 1 // 0
    client.get()
    (seen,) = gateway.seen
    assert (seen.status, seen.outcome) == (200, Outcome.UPSTREAM_BROKE)
    assert client.transport.aborted


def test_there_is_a_relay_only_where_it_is_needed(make_gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nothing would be tested here."""
    made: list[str] = []

    class Counted(resource.Relay):
        def __init__(self, **parts: Any) -> None:
            made.append("relay")
            super().__init__(**parts)

    monkeypatch.setattr(resource, "Relay", Counted)
    for capacity, reply, relays in [(None, "plain", 0), (1, "plain", 1), (None, "longer", 1), (None, "an error", 0)]:
        made.clear()
        played(make_gateway, REPLIES[reply], REQUESTS["get"], capacity, SCENES["nothing"])
        assert len(made) == relays, (capacity, reply)
