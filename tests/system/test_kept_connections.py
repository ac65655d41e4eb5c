"""Connections to upstreams are kept and used again, also by those who are unlucky with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aigw.testing import CLOSE, RESET, Moment, answer, chat, play
from aigw.testing.asking import ask, chat_with
from aigw.testing.behaviours import JSON, head, unless_reused
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways


@pytest.mark.parametrize("ending", [CLOSE, RESET])
def test_a_kept_connection_that_closes_as_it_is_reused(
    ending: Any, single: Callable[..., str], upstream: ServedUpstream
) -> None:
    url = single(upstream)
    upstream.does(unless_reused(chat(), play(ending)))
    for _ in range(3):
        answered = chat_with(url)
        assert (answered.status, answered.headers["x-aigw-attempts"]) == (200, "1")
    assert upstream.fake.connections == 3


def test_a_connection_is_kept(single: Callable[..., str], upstream: ServedUpstream) -> None:
    url = single(upstream)
    for stream in (False, True, False, True):
        assert chat_with(url, stream=stream).status == 200
    assert upstream.fake.connections == 1


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_kept_connection_that_closes_while_a_request_goes_out(
    size: int, single: Callable[..., str], upstream: ServedUpstream
) -> None:
    url = single(upstream)
    assert chat_with(url).status == 200
    upstream.fake.moment = Moment.HEAD
    upstream.fake.script(play(RESET), answer(200, {"once": "more"}))
    answered = ask("POST", url, {"messages": [], "filling": "x" * size})
    upstream.fake.moment = Moment.REQUEST
    assert (answered.status, answered.json) == (200, {"once": "more"})
    assert answered.headers["x-aigw-attempts"] == "1"
    assert upstream.fake.connections == 2


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_an_answer_before_the_request_is_all_out(
    size: int, single: Callable[..., str], upstream: ServedUpstream
) -> None:
    upstream.does(play(answer_bytes(401), 0.2, CLOSE), Moment.HEAD)
    answered = ask("POST", single(upstream), {"messages": [], "filling": "x" * size})
    assert (answered.status, answered.json) == (401, {"early": True})


def answer_bytes(status: int) -> bytes:
    body = b'{"early": true}'
    return head(status, JSON, length=len(body), headers={"Connection": "close"}) + body
