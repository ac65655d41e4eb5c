"""The onion."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aigw.errors import Unauthorized
from aigw.exchange import Exchange, Reply
from aigw.pipeline import Handler, compose
from aigw.testing import exchange_of


@attrs.define
class Layer:
    """A plugin that writes down when it is entered and left, or answers early."""

    name: str
    priority: int
    told: list[str]
    early: Reply | Exception | None = None

    async def around(self, exchange: Exchange, proceed: Handler) -> Reply:
        self.told.append(f"+{self.name}")
        if isinstance(self.early, Exception):
            raise self.early
        reply = self.early or await proceed(exchange)
        self.told.append(f"-{self.name}")
        return reply


def onion(*layers: Layer) -> Handler:
    plugins: list[Any] = list(layers)
    return compose(plugins, innermost)


async def innermost(exchange: Exchange) -> Reply:
    return Reply(status=200, body=exchange.body)


def answer(handler: Handler) -> Reply:
    """What a handler comes to, at once."""

    async def call() -> Reply:
        return await handler(exchange_of(b"{}"))

    results: list[Reply | Failure] = []
    Deferred.fromCoroutine(call()).addBoth(results.append)
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def test_nothing_around() -> None:
    assert answer(onion()).body == b"{}"


def test_the_highest_priority_is_outermost() -> None:
    told: list[str] = []
    answer(onion(Layer("low", 1, told), Layer("high", 3, told), Layer("middle", 2, told)))
    assert told == ["+high", "+middle", "+low", "-low", "-middle", "-high"]


def test_names_break_ties_however_they_were_written() -> None:
    orders = []
    for names in ("abc", "cab", "bca"):
        told: list[str] = []
        answer(onion(*(Layer(name, 1, told) for name in names)))
        orders.append(told)
    assert orders[0] == orders[1] == orders[2]


def test_a_plugin_may_answer_itself() -> None:
    told: list[str] = []
    cached = Reply(status=200, body=b"cached")
    reply = answer(onion(Layer("in", 1, told), Layer("cache", 2, told, cached), Layer("out", 3, told)))
    assert reply is cached
    assert told == ["+out", "+cache", "-cache", "-out"]


def test_a_refusal_passes_through_those_outside() -> None:
    told: list[str] = []
    refusal = Unauthorized("no key")
    with pytest.raises(Unauthorized):
        answer(onion(Layer("in", 1, told), Layer("auth", 2, told, refusal), Layer("out", 3, told)))
    assert told == ["+out", "+auth"]


def test_a_handler_serves_any_number_of_requests() -> None:
    told: list[str] = []
    handler = onion(Layer("a", 1, told))
    assert [answer(handler).status for _ in range(3)] == [200, 200, 200]
    assert told == ["+a", "-a"] * 3
