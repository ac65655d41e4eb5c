"""A reply whose head came before from its origin is read as if it never had."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

from aigw.testing.full_path import without_shortcuts
from aigw.upstream.agent import Agent
from aigw.upstream.head import Head
from aigw.upstream.pool import Pool
from aigw.upstream.profile import Profile
from aigw.upstream.repeated import LONGEST, MOST_PASSED, Repeated
from aigw.upstream.testing import Fired, Network, Reader
from aigw.upstream.wire import ReplyParser

HEAD = b"HTTP/1.1 200 OK\r\nDate: 12\r\nX: content-length: 12\r\nContent-Length: 12\r\nX-Id: a\r\n\r\n"
BODY = b"hello, world"


def read(wire: bytes, *, bodiless: bool = False) -> tuple[Head, bytes]:
    parser = ReplyParser("up", bodiless=bodiless)
    body = parser.feed(wire)
    assert parser.complete
    assert parser.head is not None
    return parser.head, body


def learnt(wire: bytes = HEAD + BODY, *, bodiless: bool = False) -> Repeated:
    repeated = Repeated()
    repeated.learn(wire, *read(wire, bodiless=bodiless))
    return repeated


def with_length(length: bytes) -> bytes:
    return HEAD.replace(b"Content-Length: 12", b"Content-Length: " + length)


@pytest.mark.parametrize("length", [b"12", b"0", b"7", b"00012", b"1234"])
def test_only_the_length_may_differ(length: bytes) -> None:
    wire = with_length(length) + b"x" * int(length)
    repeated = learnt()
    assert repeated.whole_in(wire) == read(wire)
    assert repeated.whole_in(HEAD + BODY) == read(HEAD + BODY)


@pytest.mark.parametrize(
    "length", [b"", b"+1", b"1 2", b"1,1", b"-1", b"1_0", b"\xb2", b"9" * 19, b"1\r\nContent-Length: 1", b"0x1", b"\0"]
)
def test_what_is_no_length_is_read_as_ever(length: bytes) -> None:
    for body in (b"", b"x", b"x" * 10):
        assert learnt().whole_in(with_length(length) + body) is None


def test_what_is_not_all_of_a_reply_or_more_is_read_as_ever() -> None:
    wire = HEAD + BODY
    for end in range(len(wire)):
        assert learnt().whole_in(wire[:end]) is None
    assert learnt().whole_in(wire + b"x") is None
    assert Repeated().whole_in(wire) is None


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX: %b\r\nContent-Length: 1\r\n\r\nx" % (b"x" * LONGEST),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nset-Cookie: a=b\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_unusual_replies_are_not_kept(wire: bytes) -> None:
    assert learnt(wire).whole_in(wire) is None
    repeated = learnt()
    repeated.learn(wire, *read(wire))
    assert repeated.whole_in(wire) is None
    assert repeated.whole_in(HEAD + BODY) == read(HEAD + BODY)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 0", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"]
)
def test_the_head_of_an_answer_to_head_is_not_kept(framing: bytes) -> None:
    wire = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n"
    assert learnt(wire, bodiless=True).whole_in(wire) is None


def test_where_nothing_is_repeated_little_is_tried() -> None:
    repeated, kept = Repeated(), []
    for i in range(500):
        wire = HEAD.replace(b"a\r\n", b"%d\r\n" % i) + BODY
        assert repeated.whole_in(wire) is None
        head, body = read(wire)
        repeated.learn(wire, head, body)
        if repeated._head is head:
            kept.append(i)
    assert kept[:5] == [0, 1, 3, 7, 15]
    assert max(b - a for a, b in pairwise(kept)) == MOST_PASSED + 1
    assert repeated.whole_in(HEAD.replace(b"a\r\n", b"%d\r\n" % kept[-1]) + BODY)
    repeated.learn(HEAD + BODY, *read(HEAD + BODY))
    assert repeated.whole_in(HEAD + BODY), "after a hit, the next one is kept at once"


Sent = tuple[bytes, list[bytes]]
"""A request's method, and its answer in pieces."""

FIELDS = [
    b"X-A: 1",
    b"Connection: keep-alive",
    b"Connection: X-A",
    b"Connection: close",
    b"Set-Cookie: a=b",
    b"Date: 1",
]
FRAMINGS = [
    b"Content-Length: 5",
    b"content-length:  12 ",
    b"Content-Length: 00",
    b"Transfer-Encoding: chunked",
    b"X-B: 2",
]
BODIES = [b"", b"hello", b"hello, world", b"5\r\nhello\r\n0\r\n\r\n", b"hello!"]
STATUSES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200",
]


@st.composite
def exchanges(draw: st.DrawFn) -> list[Sent]:
    """Few different heads, so that they are repeated."""
    heads = st.builds(
        lambda status, fields, framing: b"\r\n".join([status, *fields, framing]) + b"\r\n\r\n",
        st.sampled_from(STATUSES),
        st.lists(st.sampled_from(FIELDS), max_size=2),
        st.sampled_from(FRAMINGS),
    )
    some = st.sampled_from(draw(st.lists(heads, min_size=1, max_size=2)))
    sent = []
    for _ in range(draw(st.integers(1, 6))):
        wire = draw(some) + draw(st.sampled_from(BODIES))
        cut = draw(st.one_of(st.just(0), st.integers(0, len(wire))))
        sent.append((draw(st.sampled_from([b"POST", b"GET", b"HEAD"])), [p for p in (wire[:cut], wire[cut:]) if p]))
    return sent


def told(sent: list[Sent]) -> list[object]:
    """What becomes of the requests, one after the other, and which of them needed a connection of its own."""
    clock = Clock()
    network = Network(clock)
    agent = Agent(Pool(clock, network), Profile())
    line = network.line(Protocol())  # until there is a real one
    seen: list[object] = []
    for method, pieces in sent:
        answer, reader = Fired(agent.request(method, b"http://up.example/")), Reader()
        seen.append(len(network.knocks))
        if network.knocks:
            line = network.accept()
        for piece in pieces:
            line.say(piece)
        response = answer.value
        if response is not None:
            response.deliverBody(reader)
            seen.append((response.version, response.code, response.phrase, response.fields, response.names))
            seen.append((response.length, response.request.method, type(reader.end)))
        if response is None or reader.end is None:
            line.close()
        clock.advance(0)
        seen.append((reader.body, type(reader.end), type(answer.error)))
        network.knocks.clear()  # what was sent again, after a close without an answer
    return seen


@settings(max_examples=300, deadline=None, derandomize=True)
@given(exchanges())
def test_it_changes_nothing(sent: list[Sent]) -> None:
    with without_shortcuts():
        expected = told(sent)
    assert told(sent) == expected


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Head, bytes] | None]:
    """What was known again, reply after reply."""
    found = []
    whole_in = Repeated.whole_in

    def watched(repeated: Repeated, data: bytes) -> tuple[Head, bytes] | None:
        found.append(whole_in(repeated, data))
        return found[-1]

    monkeypatch.setattr(Repeated, "whole_in", watched)
    return found


def test_replies_are_repeated_there(found: list[tuple[Head, bytes] | None]) -> None:
    """So that the comparison above is one."""
    told([(b"POST", [HEAD + BODY]), (b"GET", [HEAD + BODY]), (b"HEAD", [HEAD])])
    assert found == [None, read(HEAD + BODY)]


def test_connections_to_an_origin_repeat_each_other(
    agent: Agent, network: Network, found: list[tuple[Head, bytes] | None]
) -> None:
    for url in (b"http://a/", b"http://a/b", b"http://b/"):
        agent.request(b"GET", url)
    for line in [network.accept() for _ in range(3)]:
        line.say(HEAD + BODY)
    assert found == [None, read(HEAD + BODY), None]
