"""A connection that remembers heads, and a process that remembers lines, do what they would do without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, product
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

import aigw.proxy.channel as channel_module
import aigw.proxy.head as head_module
from aigw.exchange import Exchange, Reply
from aigw.proxy.limits import Limits
from aigw.testing.full_path import forget_lines, read_heads_afresh, without_shortcuts


def request(first: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([first + b" HTTP/1.1", b"Host: gateway", b"X-Note: a", *fields, b"", body])


def length(size: bytes) -> bytes:
    return b"Content-Length: " + size


POST, EXPECT = b"POST /a", b"Expect: 100-continue"

REQUESTS: Mapping[str, bytes] = {
    "no body": request(b"GET /a"),
    "another target": request(b"GET /b?c"),
    "answered later": request(b"GET /later"),
    "a body": request(POST, length(b"5"), body=b"hello"),
    "a longer one": request(POST, length(b"12"), body=b"hello, world"),
    "an empty one": request(POST, length(b"0")),
    "padded": request(POST, length(b"0005"), body=b"hello"),
    "like a head": request(POST, length(b"%d" % len(request(b"GET /a"))), body=request(b"GET /a")),
    "ends like a head": request(POST, length(b"4"), body=b"\r\n\r\n"),
    "too long": request(b"POST /tiny", length(b"12"), body=b"hello, world"),
    "not too long": request(b"POST /tiny", length(b"5"), body=b"hello"),
    "chunked": request(POST, b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
    "expects": request(POST, length(b"5"), EXPECT, body=b"hello"),
    "expects nothing": request(POST, length(b"0"), EXPECT),
    "closes": request(POST, length(b"5"), b"Connection: close", body=b"hello"),
    "keeps": request(POST, length(b"5"), b"Connection: keep-alive", body=b"hello"),
    "1.0": request(POST, length(b"5"), body=b"hello").replace(b"1.1", b"1.0"),
    "an id": request(POST, length(b"5"), b"X-Request-Id: mine", body=b"hello"),
    "a key": request(POST, b"Authorization: s", length(b"5"), body=b"hello"),
    "lower case": request(POST, length(b"5"), body=b"hello").replace(b"Content-Length", b"content-length"),
    "no space": request(POST, b"Content-Length:5", body=b"hello"),
    "a space behind": request(POST, b"Content-Length: 5 ", body=b"hello"),
    "a line before": b"\r\n" + request(POST, length(b"5"), body=b"hello"),
    "no route": request(b"GET /none"),
    "no length": request(POST, length(b"x")),
    "two lengths": request(POST, length(b"5"), length(b"5"), body=b"hello"),
    "both framings": request(POST, length(b"5"), b"Transfer-Encoding: chunked", body=b"hello"),
    "an absurd length": request(POST, length(b"9" * 19)),
    "one that is over every limit": request(POST, length(b"9" * 18)),
    "bare line feeds": request(POST, length(b"5"), body=b"hello").replace(b"\r\n", b"\n"),
    "no end": request(POST, length(b"5"))[:-3],
}
"""What a client may send, one after another."""


@attrs.frozen
class Came:
    """What came of it. ``ends``: how the connection did. ``seen``: each request, and what was told of its reply."""

    got: bytes
    ends: tuple[bool, bool, bool, bool]
    seen: list[tuple[Any, ...]]
    phase: str


def told(exchange: Exchange) -> tuple[Any, ...]:
    headers = exchange.headers
    return (
        exchange.method,
        exchange.target,
        getattr(headers, "fields", None),
        {name: [*values] for name, values in headers.getAllRawHeaders()},
        exchange.body,
        exchange.id,
        exchange.host,
    )


class Later:
    """A handler that answers ``/later`` when it is told to, all else at once."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[Reply]] = []

    def __call__(self, exchange: Exchange) -> Deferred[Reply]:
        reply: Deferred[Reply] = Deferred()
        reply.addCallback(
            lambda _: Reply(status=200, body=b" ".join([exchange.method, exchange.target, exchange.body]))
        )
        self._waiting.append(reply)
        if exchange.target != b"/later":
            self.answer()
        return reply

    def answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for reply in waiting:
            reply.callback(None)  # type: ignore[arg-type]


def came_of(gateway: Any, pieces: Sequence[bytes]) -> Came:
    gateway.handler = handler = Later()
    client = gateway.connect()
    for piece in pieces:
        if piece:
            client.send(piece)
            handler.answer()
    transport = client.transport
    return Came(
        got=client.got,
        ends=(client.closed, transport.aborted, transport.half_closed, transport.lost),
        seen=[(*told(s.exchange), s.status, s.outcome, s.error and s.error.code, s.sent) for s in gateway.seen],
        phase=client.channel.phase.name,
    )


def cut(data: bytes, *where: int) -> list[bytes]:
    edges = [0, *sorted(min(at, len(data)) for at in where), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


Compare = Callable[[Sequence[bytes]], Came]


@pytest.fixture(scope="module")
def both(make_gateway: Any) -> Compare:
    """Checks that what comes of some pieces does not depend on what is remembered."""

    def compare(pieces: Sequence[bytes]) -> Came:
        forget_lines()
        cold, warm = came_of(make_gateway(), pieces), came_of(make_gateway(), pieces)
        with without_shortcuts():
            full = came_of(make_gateway(), pieces)
        assert cold == full
        assert warm == full
        return full

    return compare


def test_they_are_remembered(make_gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nothing would be tested here."""
    read: list[bytes] = []

    def read_head(block: bytes, limits: Limits) -> Any:
        read.append(block)
        return head_module.read_head(block, limits)

    monkeypatch.setattr(channel_module, "read_head", read_head)
    twice = [REQUESTS["a body"], REQUESTS["a longer one"]]
    came_of(make_gateway(), twice)
    assert read == [REQUESTS["a body"][: -len(b"hello")]]
    read_heads_afresh(monkeypatch.setattr)
    came_of(make_gateway(), twice)
    assert len(read) == 3


def test_each_after_each(both: Compare) -> None:
    """And the first one once more behind them; in one piece, one by one, and with each body behind its head."""
    for first, second in product(REQUESTS, REQUESTS):
        sent = [REQUESTS[name] for name in (first, second, first)]
        for pieces in ([b"".join(sent)], sent, [part for data in sent for part in in_head_and_body(data)]):
            try:
                both(pieces)
            except AssertionError as e:
                raise AssertionError(first, second, pieces) from e


def in_head_and_body(data: bytes) -> list[bytes]:
    return cut(data, data.find(b"\r\n\r\n") + 4)


SEQUENCES: Mapping[str, Sequence[str]] = {
    "lengths": ["a body", "a longer one", "an empty one", "a body"],
    "no bodies": ["no body", "no body", "another target", "no body"],
    "chunks in between": ["a body", "chunked", "a body", "a longer one"],
    "what looks like a head": ["a body", "like a head", "ends like a head", "a body"],
    "expectations": ["expects nothing", "expects", "expects nothing", "expects"],
    "too long in between": ["not too long", "too long", "not too long"],
    "later": ["answered later", "answered later", "a body", "answered later"],
    "errors": ["a body", "a body", "no length", "a body"],
    "a line before": ["a body", "a line before", "a line before", "a body"],
    "the end": ["a body", "a body", "closes", "a body"],
}


@pytest.mark.parametrize("names", SEQUENCES.values(), ids=SEQUENCES.keys())
def test_cut_anywhere(names: Sequence[str], both: Compare) -> None:
    data = b"".join(REQUESTS[name] for name in names)
    for at in range(len(data)):
        both(cut(data, at))
    both([data[i : i + 1] for i in range(len(data))])


CHANGES = st.sampled_from([b"", b"\r\n", b"\n", b"0", b"9", b" ", b":", b"\0", b"Content-Length: 3\r\n", b"GET"])


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(st.sampled_from([*REQUESTS]), min_size=1, max_size=6),
    changes=st.lists(st.tuples(st.integers(0, 700), CHANGES, st.integers(0, 2)), max_size=2),
    cuts=st.lists(st.integers(0, 800), max_size=5),
)
def test_anything_changed_and_cut_anywhere(
    names: list[str], changes: list[tuple[int, bytes, int]], cuts: list[int], both: Compare
) -> None:
    data = bytearray(b"".join(REQUESTS[name] for name in names))
    for at, what, instead in changes:
        data[at : at + instead] = what
    both(cut(bytes(data), *cuts))
