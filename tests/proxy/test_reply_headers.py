"""Which header fields of a reply get out."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.http_headers import Headers

from aigw.exchange import Attempt, Exchange, HeaderList, Timeline
from aigw.proxy.headers import outgoing


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
