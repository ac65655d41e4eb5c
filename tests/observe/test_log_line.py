"""A usual request's line says what its record says, whatever was remembered before, and what is kept has bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from aigw.exchange import Attempt, Exchange, Outcome, Timeline, Usage
from aigw.model.route import Route
from aigw.observe.log_line import LONGEST_KIND, MOST_KINDS, UsualLines
from aigw.observe.log_record import record
from aigw.received import ReceivedHeaders

MakeExchange = Callable[..., Exchange]

SECOND, MS = b"2023-11-14T22:13:20", 42
few = st.sampled_from
TEXT = few(
    ["", "gpt-4", 'x"}\n{"a":1', "\\u000a\\n\\", "\x00\x1b[31m\x7f\x9b", "\u2028", "\ud83d", "x" * 300, "€" * 3000]
)
HOSTILE = TEXT | st.text(st.characters(exclude_categories=()), max_size=20)
MOMENT = few([0.0, 1.0, 1.0004, 1.0005, 1.5, 100.25]) | st.floats(-1e6, 1e9)
LATER = st.none() | MOMENT
COUNT = few([0, 12, 2**53 - 1, 2**53, 2**53 + 1, 2**64, 10**400, -1, -(10**400)]) | st.integers(0, 10**6)
BYTES = few([b"", b"POST", b"curl/8.5", b"\xff\xfe", b'"\\', b"\x00\x1f", b"a" * 300]) | st.binary(max_size=20)
ATTEMPT = st.builds(
    Attempt,
    instance=HOSTILE,
    status=few([None, 200, 200, 200, 429]),
    error=few([None, None, None, "upstream_reset"]),
    duration_ms=few([0.0, 0.04, 0.05, 1500.06, -5.3]) | st.floats(-1e9, 1e300),
)
FIELDS = {
    "id": few(["0f" * 16, "req-1"]) | HOSTILE,
    "remote_addr": few(["192.0.2.7"]) | HOSTILE,
    "host": HOSTILE,
    "method": BYTES,
    "path": HOSTILE,
    "body": few([b"", b"x" * 400]),
    "consumer": HOSTILE,
    "request_type": few(["", "ai_chat", "ai_stream"]),
    "request_model": HOSTILE,
    "model": HOSTILE,
    "attempts": st.lists(ATTEMPT, min_size=1, max_size=1) | st.lists(ATTEMPT, max_size=2),
    "usage": st.builds(Usage, prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT),
    "timeline": st.builds(Timeline, started=MOMENT, upstream_started=LATER, first_token=LATER, finished=LATER),
}


def headers(agent: bytes | None, *, repeated: bool) -> Headers:
    """As a client sent them; ``repeated``: on a connection where they may come again."""
    fields = [] if agent is None else [(b"user-agent", agent.replace(b"\r", b"").replace(b"\n", b""))]
    if repeated:
        return ReceivedHeaders(fields)
    return Headers({name: [value] for name, value in fields})


def shown(line: bytes) -> str:
    """What a reader of the log gets, with the types of its numbers."""
    assert line.decode().isprintable()
    return repr(json.loads(line))


def said(exchange: Exchange, status: int, sent: int) -> str:
    return shown(msgspec.json.encode(record(exchange, status, Outcome.DONE, None, sent, "2023-11-14T22:13:20.042Z")))


def assert_same(lines: UsualLines, exchange: Exchange, status: int, sent: int) -> bool:
    """Was it a usual one?"""
    line = lines.line(exchange, status, sent, SECOND, MS)
    if line is None:
        return False
    assert line.endswith(b"\n")
    assert shown(line[:-1]) == said(exchange, status, sent)
    return True


@given(
    requests=st.lists(st.fixed_dictionaries({}, optional=FIELDS), max_size=8),
    agents=st.lists(st.none() | BYTES, min_size=1, max_size=3),
    repeated=st.booleans(),
    statuses=st.lists(few([200, 200, 200, 429, 999]), min_size=8, max_size=8),
    sent=st.integers(0, 2**62),
)
def test_it_says_what_the_record_says(
    make_exchange: MakeExchange, requests: Any, agents: Any, repeated: bool, statuses: list[int], sent: int
) -> None:
    lines, heads = UsualLines(), [headers(agent, repeated=repeated) for agent in agents]
    for n, fields in enumerate(requests):
        exchange = make_exchange(**fields, headers=heads[n % len(heads)])
        for _ in range(2):
            assert_same(lines, exchange, statuses[n], sent)


@pytest.mark.parametrize(
    ("changes", "usual"),
    [
        ({}, True),
        ({"usage": Usage()}, True),
        ({"consumer": "jack", "model": "€\n" * 1000, "headers": Headers()}, True),
        ({"timeline": Timeline(started=1.0, upstream_started=0.5, first_token=0.1, finished=0.2)}, True),
        ({"route": None}, False),
        ({"attempts": []}, False),
        ({"attempts": [Attempt(instance="a", status=429), Attempt(instance="b", status=200)]}, False),
        ({"attempts": [Attempt(instance="a", status=500)]}, False),
        ({"attempts": [Attempt(instance="a", status=200, error="upstream_cut_short")]}, False),
        ({"attempts": [Attempt(instance="a", status=200, duration_ms=-1.0)]}, False),
        ({"attempts": [Attempt(instance="a", status=200, duration_ms=float("nan"))]}, False),
        ({"timeline": Timeline(started=1.0, finished=1.5)}, False),
        ({"timeline": Timeline(started=1.0, upstream_started=1.1, finished=1.5)}, False),
        ({"id": "no\nid"}, False),
        ({"id": "1" * 257}, False),
        ({"usage": Usage(completion_tokens=-1)}, False),
        ({"usage": Usage(prompt_tokens=2**64)}, False),
    ],
)
def test_what_is_usual(make_exchange: MakeExchange, changes: dict[str, Any], usual: bool) -> None:
    assert assert_same(UsualLines(), make_exchange(**changes), 200, 600) is usual


@pytest.mark.parametrize(
    "change",
    [
        {"remote_addr": "192.0.2.8"},
        {"host": "other.example"},
        {"method": b"PUT"},
        {"path": "/v2"},
        {"consumer": "jill"},
        {"request_type": "ai_chat"},
        {"request_model": "gpt-5"},
        {"model": "llama-5"},
        {"attempts": [Attempt(instance="cloud", status=200)]},
        {"attempts": [Attempt(instance="vllm", status=200, duration_ms=0.1)]},
    ],
)
def test_what_is_remembered_is_of_the_same_request(make_exchange: MakeExchange, change: dict[str, Any]) -> None:
    lines, head = UsualLines(), headers(b"curl/8.5", repeated=True)
    for changes in ({}, change, {}):
        assert assert_same(lines, make_exchange(headers=head, **changes), 200, 600)


def test_a_route_may_get_another_service(make_exchange: MakeExchange, make_resource: Any) -> None:
    lines = UsualLines()
    for service in ("one", "two", None):
        assert assert_same(lines, make_exchange(route=make_resource(Route(uri="/a", service_id=service))), 200, 600)


def test_kinds_are_bounded(make_exchange: MakeExchange) -> None:
    lines = UsualLines()
    for n in range(MOST_KINDS + 10):
        lines.line(make_exchange(model=f"m{n}"), 200, 0, SECOND, MS)
        assert len(lines._kinds) <= MOST_KINDS
    assert len(lines._kinds) == 10


@pytest.mark.parametrize("field", ["request_model", "model", "consumer"])
def test_long_kinds_are_not_remembered(make_exchange: MakeExchange, field: str) -> None:
    lines = UsualLines()
    assert assert_same(lines, make_exchange(**{field: "m" * (LONGEST_KIND + 1)}), 200, 600)
    assert not lines._kinds


def test_long_kinds_push_nothing_out(make_exchange: MakeExchange) -> None:
    lines = UsualLines()
    for n in range(MOST_KINDS):
        lines.line(make_exchange(model=f"m{n}"), 200, 0, SECOND, MS)
    lines.line(make_exchange(model="m" * 1000), 200, 0, SECOND, MS)
    assert len(lines._kinds) == MOST_KINDS


def test_one_head_keeps_one_thing(make_exchange: MakeExchange) -> None:
    lines, head = UsualLines(), headers(b"curl/8.5", repeated=True)
    for n in range(10):
        lines.line(make_exchange(headers=head, path=f"/{n}"), 200, 0, SECOND, MS)
    assert isinstance(head, ReceivedHeaders)
    assert len(head.derived) == 1
