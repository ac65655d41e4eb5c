"""A client that leaves, in every phase: its upstream is closed at once, nobody is blamed, nothing stays behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError

from aigw.errors import UpstreamUnreachable
from aigw.exchange import Outcome
from aigw.testing import openai
from aigw.testing.gateway import Client, MemoryGateway

Several = Callable[..., MemoryGateway]
ASK = {"messages": [], "stream": True}
WORD = openai.event(openai.chunk({"content": "Hi"}))


def awaiting_the_status(gateway: MemoryGateway, client: Client) -> None:
    pass


def awaiting_the_second_ones_status(gateway: MemoryGateway, client: Client) -> None:
    gateway.models.last.answer(500)


def collecting_an_answer(gateway: MemoryGateway, client: Client) -> None:
    gateway.models.last.begin(200, "application/json").send(b"{")


def collecting_an_error(gateway: MemoryGateway, client: Client) -> None:
    gateway.models.last.begin(400, "application/json").send(b"{")


def holding_a_stream(gateway: MemoryGateway, client: Client) -> None:
    gateway.models.last.stream(openai.PING)


def relaying_a_stream_without_a_token(gateway: MemoryGateway, client: Client) -> None:
    gateway.models.last.stream(openai.PING)
    gateway.clock.advance(10)


def relaying_a_stream(gateway: MemoryGateway, client: Client) -> None:
    gateway.models.last.stream(WORD)


def relaying_what_is_no_json(gateway: MemoryGateway, client: Client) -> None:
    gateway.models.last.begin(200, "audio/mpeg").send(b"la la")


def relaying_to_a_slow_client(gateway: MemoryGateway, client: Client) -> None:
    response = gateway.models.last.stream(WORD)
    assert client.reply is not None
    assert client.reply.source is not None
    client.reply.source.pause()
    response.send(WORD)


PHASES = [
    awaiting_the_status,
    awaiting_the_second_ones_status,
    collecting_an_answer,
    collecting_an_error,
    holding_a_stream,
    relaying_a_stream_without_a_token,
    relaying_a_stream,
    relaying_what_is_no_json,
    relaying_to_a_slow_client,
]


def is_closed(gateway: MemoryGateway) -> bool:
    """Is the upstream that was asked last?"""
    asked = gateway.models.last
    return asked.cancelled or (asked.response is not None and asked.response.aborted)


@pytest.mark.parametrize("phase", PHASES)
def test_in_every_phase(several_models: Several, phase: Callable[[MemoryGateway, Client], None]) -> None:
    gateway = several_models("first", "second", "third", deadlines={"first_token_ms": 60_000, "total_ms": 90_000})
    client = gateway.ask(ASK)
    phase(gateway, client)
    asked = len(gateway.asked)
    assert gateway.meter.under_way == 1
    client.leave()
    assert is_closed(gateway)
    assert gateway.meter.under_way == 0
    assert len(gateway.asked) == asked
    if client.reply is None:
        assert isinstance(client.error, CancelledError)
        assert client.attempts[-1][2] == "client_left"
    else:
        assert client.outcome is Outcome.CLIENT_LEFT
    body = client.body
    gateway.clock.advance(100)
    assert gateway.timers == []
    assert client.body == body


def break_first(gateway: MemoryGateway) -> None:
    """Have the first one's circuit open, and wait until it may be probed."""
    for _ in range(5):
        gateway.ask()
        gateway.models.last.fail(UpstreamUnreachable("refused"))
        gateway.models.last.answer()
    gateway.clock.advance(1)


@pytest.mark.parametrize(
    "phase",
    [phase for phase in PHASES if phase not in (awaiting_the_second_ones_status, relaying_a_stream_without_a_token)],
)
def test_a_probe_that_is_given_up_lets_another_one_probe(
    several_models: Several, phase: Callable[[MemoryGateway, Client], None]
) -> None:
    gateway = several_models("first", "second")
    break_first(gateway)
    client = gateway.ask(ASK)
    assert "//first/" in gateway.models.last.url
    phase(gateway, client)
    client.leave()
    gateway.ask()
    assert "//first/" in gateway.models.last.url


def test_clients_that_leave_do_not_open_a_circuit(several_models: Several) -> None:
    gateway = several_models("first", "second")
    for n in range(20):
        client = gateway.ask(ASK)
        PHASES[n % 2 * 6](gateway, client)
        client.leave()
    gateway.ask()
    assert "//first/" in gateway.models.last.url


def test_who_leaves_while_a_losing_answer_is_thrown_away_leaves_it_to_itself(several_models: Several) -> None:
    gateway = several_models("first", "second")
    client = gateway.ask()
    response = gateway.models.last.begin(500)
    client.leave()
    assert gateway.models.last.cancelled
    response.end()
    assert gateway.timers == []


def test_leaving_twice_and_after_the_end_changes_nothing(several_models: Several) -> None:
    gateway = several_models("first")
    client = gateway.ask()
    gateway.models.last.answer()
    client.leave()
    client.leave()
    assert client.outcome is Outcome.DONE
    assert gateway.meter.under_way == 0


def test_a_bug_is_nobodys_failure_and_leaves_nothing_behind(several_models: Several) -> None:
    gateway = several_models("first", "second")
    gateway.ask()
    gateway.models.last.fail(RuntimeError("a bug"))
    assert gateway.meter.under_way == 0
    assert len(gateway.asked) == 1
    client = gateway.ask()
    assert "//first/" in gateway.models.last.url
    assert client.waits()
