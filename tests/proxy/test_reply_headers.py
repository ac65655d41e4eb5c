"""Which header fields of a reply get out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

import aigw.proxy.headers as headers_module
from aigw.exchange import Attempt, Exchange, HeaderList, Timeline
from aigw.proxy.headers import outgoing, outgoing_lines
from aigw.testing.full_path import forget_lines, without_shortcuts


def exchange(**fields: Any) -> Exchange:
    return Exchange(
        id="the-id",
        method=b"GET",
        target=b"/",
        path="/",
        headers=Headers(),
        body=b"",
        host="",
        remote_addr="",
        scheme="http",
        route=None,
        params={},
        timeline=Timeline(started=0),
        **fields,
    )


def kept(headers: HeaderList) -> HeaderList:
    return outgoing(headers, exchange())[:-1]


def test_what_is_added() -> None:
    assert outgoing([], exchange()) == [(b"X-Request-Id", b"the-id")]


def test_attempts_are_told_if_there_were_any() -> None:
    made = exchange(attempts=[Attempt(instance="first"), Attempt(instance="zweite Straße")])
    assert outgoing([], made)[1:3] == [
        (b"X-AIGW-Instance", "zweite Straße".encode()),
        (b"X-AIGW-Attempts", b"2"),
    ]


def test_an_instance_whose_name_would_split_the_reply_is_not_named() -> None:
    made = exchange(attempts=[Attempt(instance="a\r\nSet-Cookie: b")])
    assert outgoing([], made) == [(b"X-Request-Id", b"the-id"), (b"X-AIGW-Attempts", b"1")]


def test_an_upstreams_request_id_stays_and_ours_stands_beside_it() -> None:
    assert outgoing([(b"x-request-id", b"req_1")], exchange())[:2] == [
        (b"x-request-id", b"req_1"),
        (b"X-AIGW-Request-Id", b"the-id"),
    ]


def test_order_and_repetition_are_kept() -> None:
    headers = [(b"Set-Cookie", b"a"), (b"X", b"1"), (b"Set-Cookie", b"b")]
    assert kept(headers) == headers


@pytest.mark.parametrize(
    "name",
    [
        *(b"Connection", b"keep-alive", b"Proxy-Connection", b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade"),
        *(b"Content-Length", b"Date", b"SERVER", b"X-AIGW-Instance", b"X-AIGW-Attempts", b"Proxy-Authenticate"),
    ],
)
def test_what_is_the_connections_or_ours_is_dropped(name: bytes) -> None:
    assert kept([(name, b"x"), (b"A", b"b")]) == [(b"A", b"b")]


def test_what_connection_names_is_dropped() -> None:
    assert kept([(b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"Y", b"2")]) == [(b"Y", b"2")]


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b", b"\x1b[2J"])
def test_a_value_that_could_split_the_reply_is_dropped(value: bytes) -> None:
    assert kept([(b"X", value), (b"A", b"b")]) == [(b"A", b"b")]


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xff"])
def test_a_bad_name_is_dropped(name: bytes) -> None:
    assert kept([(name, b"x"), (b"A", b"b")]) == [(b"A", b"b")]


@pytest.mark.parametrize("name", [b"X-REQUEST-ID", b"X-Request-Id", b"x-request-id"])
def test_their_request_id_is_known_in_any_case_and_place(name: bytes) -> None:
    for headers in ([(name, b"req_1"), (b"A", b"b")], [(b"A", b"b"), (name, b"req_1")]):
        assert outgoing(headers, exchange())[-1] == (b"X-AIGW-Request-Id", b"the-id")
    assert outgoing([(b"A", name + b": 1"), (b"AX-Request-Id", b"1")], exchange())[-1][0] == b"X-Request-Id"


@pytest.mark.parametrize("dropped", [b"x-request-id", b"x-request-id\r\nx", b"x-request-id "])
def test_one_that_is_dropped_is_none(dropped: bytes) -> None:
    headers = [(dropped, b"1"), (b"Connection", b"X-Request-Id")]
    assert outgoing(headers, exchange()) == [(b"X-Request-Id", b"the-id")]


FIELDS = [
    *((b"X-A", b"1"), (b"x-a", b"1"), (b"X-A", b" 1\t"), (b"X-A", b""), (b"X-A", b"a: b"), (b"X-A", b"1\r\nX-B: 2")),
    *((b"X A", b"1"), (b"X:A", b"1"), (b"", b"1"), (b"Set-Cookie", b"a=b"), (b"Content-Type", b"application/json")),
    *((b"X-Request-Id", b"theirs"), (b"x-request-id", b"theirs"), (b"X-Request-Id", b"\0"), (b"Server", b"x")),
    *(
        (b"Connection", b"X-A"),
        (b"connection", b"close, x-request-id"),
        (b"Content-Length", b"5"),
        (b"X-Api-Key", b"k"),
    ),
    (b"X-Long", b"a" * 300),
]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(headers=st.lists(st.sampled_from(FIELDS), max_size=5), attempts=st.integers(0, 2))
def test_what_is_remembered_changes_nothing(headers: HeaderList, attempts: int) -> None:
    made = exchange(attempts=[Attempt(instance="i")] * attempts)
    forget_lines()
    cold, warm = outgoing_lines(headers, made), outgoing_lines(headers, made)
    with without_shortcuts():
        never = outgoing_lines(headers, made)
    assert cold == warm == never
    assert cold == b"".join(b"%b: %b\r\n" % field for field in outgoing(headers, made))


def test_nothing_that_may_be_secret_is_remembered() -> None:
    forget_lines()
    names = [
        b"Set-Cookie",
        b"set-cookie",
        b"X-Api-Key",
        b"Authorization",
        b"X-Session",
        b"X-Signature",
        b"X-Request-Id",
    ]
    outgoing([(name, b"s3cret") for name in names], exchange())
    assert not headers_module._known


def test_no_more_is_remembered_than_that() -> None:
    for i in range(5000):
        outgoing([(b"X", b"%d" % i), (b"X", b"%d" % i + b"y" * 300)], exchange())
    assert len(headers_module._known) <= 2048
    assert max(map(len, headers_module._known.values())) <= 256
