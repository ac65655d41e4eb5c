"""One connection over HTTP/1: what becomes a request, what is refused, what is left alone."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred

from aigw.errors import NotServing
from aigw.exchange import Exchange, Outcome, Reply

CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: x\r\n\r\n"
PIPELINE = (
    b"GET /1?q HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    + CHUNKED
    + b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n"
)
ECHOED = [b"GET /1?q ", b"POST /2 hello", b"POST /c hello"]


class Held:
    """A handler that answers when told to."""

    def __init__(self, gateway: Any) -> None:
        self.waiting: list[tuple[Exchange, Deferred[Reply]]] = []
        self.cancelled = 0
        gateway.handler = self

    def __call__(self, exchange: Exchange) -> Awaitable[Reply]:
        answer: Deferred[Reply] = Deferred(self._cancelled)
        self.waiting.append((exchange, answer))
        return answer

    def _cancelled(self, answer: Deferred[Reply]) -> None:
        self.cancelled += 1

    def answer(self, reply: Reply | None = None) -> None:
        exchange, answer = self.waiting.pop(0)
        answer.callback(reply or Reply(status=200, body=exchange.target))


def test_what_the_handler_is_told(gateway: Any) -> None:
    gateway.connect().send(
        b"POST /a%20b?c=d HTTP/1.1\r\nHost: A:80\r\nAuthorization: s\r\nX-Two: 1\r\nX-Two: 2\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    (exchange,) = gateway.exchanges
    assert (exchange.method, exchange.target, exchange.body) == (b"POST", b"/a%20b?c=d", b"{}")
    assert exchange.headers.getRawHeaders(b"x-two") == [b"1", b"2"]
    assert (exchange.path, exchange.host, exchange.params) == ("/a%20b", "gateway", {"p": "1"})
    assert (exchange.remote_addr, exchange.scheme, exchange.route.id) == ("192.168.1.1", "http", "r1")


def test_a_complete_reply_is_one_write(gateway: Any) -> None:
    client = gateway.connect().post(b"hello")
    assert len(client.transport.writes) == 1
    assert client.reply.body == b"POST / hello"
    assert client.reply.headers == {
        "content-type": "text/plain",
        "x-request-id": "id-0",
        "server": "aigw",
        "date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "content-length": "12",
    }
    assert not client.closed


def test_requests_are_the_same_wherever_they_are_cut(make_gateway: Any) -> None:
    for first in range(len(PIPELINE)):
        for second in (first, *range(first + first % 9, len(PIPELINE), 31)):
            client = make_gateway().connect()
            client.send(PIPELINE[:first]).send(PIPELINE[first:second]).send(PIPELINE[second:])
            assert [r.body for r in client.replies[:3]] == ECHOED
            assert [r.status for r in client.replies] == [200, 200, 200, 404]


def test_byte_by_byte(gateway: Any) -> None:
    client = gateway.connect()
    for i in range(len(PIPELINE)):
        client.send(PIPELINE[i : i + 1])
    assert [r.body for r in client.replies[:3]] == ECHOED


def test_pipelined_requests_wait_for_their_turn(gateway: Any) -> None:
    held = Held(gateway)
    client = gateway.connect().send(PIPELINE)
    for served in range(3):
        assert (len(held.waiting), len(client.replies)) == (1, served)
        held.answer()
    assert [r.body for r in client.replies[:3]] == [b"/1?q", b"/2", b"/c"]
    assert client.replies[3].status == 404


def test_many_requests_answered_at_once_do_not_nest(gateway: Any) -> None:
    client = gateway.connect().send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)
    assert len(client.replies) == 2000


def test_too_much_behind_a_request_is_dropped_and_the_connection_closed_after_it(make_gateway: Any) -> None:
    gateway = make_gateway(pipeline=1000)
    held = Held(gateway)
    client = gateway.connect().get(b"/1").get(b"/2").send(b"x" * 1001).get(b"/3")
    assert not client.closed
    assert client.transport.producerState == "producing"
    held.answer()
    assert client.reply.headers["connection"] == "close"
    assert client.closed
    assert not held.waiting


def test_a_client_that_leaves_is_noticed_whatever_it_sent_before(make_gateway: Any) -> None:
    gateway = make_gateway(pipeline=1000)
    held = Held(gateway)
    client = gateway.connect().get(b"/1").send(b"x" * 100_000)
    assert client.transport.producerState == "producing"
    client.leave()
    assert held.cancelled == 1


def test_http_1_0_is_answered_and_closed(gateway: Any) -> None:
    client = gateway.connect().send(b"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert client.reply.headers["connection"] == "close"
    assert client.closed


def test_connection_close(gateway: Any) -> None:
    client = gateway.connect().get(b"/", b"Connection: x, Close").get(b"/")
    assert client.reply.headers["connection"] == "close"
    assert client.closed


def test_one_empty_line_before_a_request_is_forgiven(gateway: Any) -> None:
    client = gateway.connect().get().send(b"\r").send(b"\n").get()
    assert [r.status for r in client.replies] == [200, 200]
    assert client.send(b"\r\n\r\n").replies[2].status == 400


def test_an_empty_line_does_not_begin_a_head(make_gateway: Any) -> None:
    gateway = make_gateway(head_timeout=5, idle_timeout=20)
    client = gateway.connect().get().send(b"\r\n")
    gateway.advance(10)
    assert len(client.replies) == 1
    assert not client.closed


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", id="CL CL"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="CL TE",
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", id="TE TE"),
        pytest.param(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="TE in 1.0"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", id="chunk size"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", id="chunk end"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n", id="trailer"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", id="folding"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\nHost: a\n\n", id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", id="NUL"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", id="space before colon"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two Hosts"),
        pytest.param(b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", id="absolute target"),
        pytest.param(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", id="TLS on a plain port"),
    ],
)
def test_bad_framing_gets_400_and_no_other_request_from_that_connection(gateway: Any, data: bytes) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    client = gateway.connect().get(b"/good").send(data + smuggled).send(smuggled)
    good, bad = client.replies
    assert (good.status, bad.status, bad.complete) == (200, 400, True)
    assert bad.headers["connection"] == "close"
    assert bad.headers["content-type"] == "application/json"
    assert b'"error_msg":' in bad.body
    assert client.closed
    assert [e.target for e in gateway.exchanges] == [b"/good"]
    gateway.advance(10)
    assert client.transport.lost
    assert not gateway.site.connections


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 250 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ],
)
def test_limits_of_the_head(gateway: Any, data: bytes, status: int) -> None:
    client = gateway.connect().send(data)
    assert (client.reply.status, client.closed) == (status, True)


def test_a_head_just_within_its_limits(make_gateway: Any) -> None:
    gateway = make_gateway(request_line=100, header_section=1000, header_count=20)
    target = b"/" + b"a" * (100 - len(b"GET / HTTP/1.1"))
    fields = [b"X: %02d" % i for i in range(19)]
    assert gateway.connect().get(target, *fields).reply.status == 200
    assert gateway.connect().get(target + b"a").reply.status == 414
    assert gateway.connect().get(target, *fields, b"Y: 1").reply.status == 431
    room = 1000 - len(b"\r\nHost: gateway\r\nX: \r\n\r\n")
    assert gateway.connect().get(b"/", b"X: " + b"a" * room).reply.status == 200
    assert gateway.connect().get(b"/", b"X: " + b"a" * (room + 1)).reply.status == 431


class TestBodyLimit:
    def test_a_length_over_it_is_refused_without_reading(self, gateway: Any) -> None:
        client = gateway.connect().send(b"POST /tiny HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
        assert (client.reply.status, client.reply.headers["connection"], client.closed) == (413, "close", True)
        (seen,) = gateway.seen
        assert (seen.status, seen.error.code, seen.exchange.route.id) == (413, "body_too_large", "r1")
        assert not gateway.exchanges

    def test_what_is_just_within_it(self, gateway: Any) -> None:
        assert gateway.connect().post(b"0123456789", b"/tiny").reply.status == 200

    def test_the_faces_own(self, make_gateway: Any) -> None:
        gateway = make_gateway(max_body=5)
        assert gateway.connect().post(b"123456").reply.status == 413
        assert gateway.connect().post(b"123456", b"/tiny").reply.status == 200

    def test_chunks_are_counted(self, gateway: Any) -> None:
        head = b"POST /tiny HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client = gateway.connect().send(head + b"6\r\n123456\r\n")
        assert client.got == b""
        client.send(b"5\r\n12345\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (client.reply.status, client.closed) == (413, True)
        assert not gateway.exchanges

    def test_all_bodies_together(self, make_gateway: Any) -> None:
        gateway = make_gateway(body_memory=10)
        held = Held(gateway)
        first = gateway.connect().post(b"12345678")
        second = gateway.connect().post(b"123")
        assert (second.reply.status, second.reply.headers["retry-after"]) == (503, "1")
        held.answer()
        assert first.reply.status == 200
        gateway.connect().post(b"123")
        assert len(held.waiting) == 1

    def test_what_was_sent_already_is_thrown_away_while_the_refusal_is_read(self, gateway: Any) -> None:
        client = gateway.connect().send(b"POST /tiny HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n")
        for _ in range(10):
            client.send(b"x" * 10_000)
        assert (client.transport.half_closed, client.transport.lost) == (True, False)
        gateway.advance(6)
        assert client.transport.lost


class TestExpectContinue:
    HEAD = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    def test_the_body_is_asked_for(self, gateway: Any) -> None:
        client = gateway.connect().send(self.HEAD % b"/")
        assert client.got == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert [r.status for r in client.replies] == [100, 200]

    @pytest.mark.parametrize(("target", "status"), [(b"/none", 404), (b"/bad", 400)])
    def test_not_if_the_answer_is_known(self, gateway: Any, target: bytes, status: int) -> None:
        client = gateway.connect().send(self.HEAD % target)
        assert (client.reply.status, client.closed) == (status, True)

    def test_not_if_it_is_too_large(self, gateway: Any) -> None:
        client = gateway.connect().send((self.HEAD % b"/tiny").replace(b": 5", b": 11"))
        assert (client.reply.status, client.closed) == (413, True)


def test_a_refusal_on_a_transport_that_cannot_half_close(gateway: Any) -> None:
    client = gateway.connect(tls="http/1.1").send(b"nonsense\r\n\r\n")
    assert (client.reply.status, client.transport.half_closed) == (400, False)
    gateway.advance(1)
    assert client.transport.lost


class TestTooManyConnections:
    def test_503(self, make_gateway: Any) -> None:
        gateway = make_gateway(max_connections=2)
        first, second, third = gateway.connect(), gateway.connect(), gateway.connect()
        assert (third.reply.status, third.reply.headers["retry-after"], third.closed) == (503, "1", True)
        first.leave()
        gateway.advance(1)
        assert gateway.connect().get().reply.status == 200
        assert second.get().reply.status == 200

    def test_nothing_is_said_over_tls(self, make_gateway: Any) -> None:
        client = make_gateway(max_connections=0).connect(tls="h2")
        assert (client.got, client.transport.aborted) == (b"", True)


def test_tls_is_told_to_the_handler(gateway: Any) -> None:
    gateway.connect(tls="http/1.1").get()
    assert gateway.exchanges[0].scheme == "https"


@pytest.mark.parametrize(
    ("sent", "used"),
    [([b"abc-1._Z"], True), ([b"a" * 128], True), ([b"a" * 129], False), ([b"a b"], False), ([b"a", b"b"], False)],
)
def test_the_clients_request_id_is_used_if_it_is_sane(gateway: Any, sent: list[bytes], used: bool) -> None:
    client = gateway.connect().get(b"/", *(b"X-Request-Id: " + value for value in sent))
    expected = sent[0].decode() if used else "id-0"
    assert gateway.exchanges[0].id == expected
    assert client.reply.headers["x-request-id"] == expected


@pytest.mark.parametrize("line", [b"OPTIONS * HTTP/1.1", b"TRACE /%zz HTTP/1.1"])
def test_what_has_no_route_is_observed_all_the_same(gateway: Any, line: bytes) -> None:
    gateway.connect().send(line + b"\r\nHost: a\r\n\r\n")
    assert gateway.seen[0].exchange.path == line.split(b" ")[1].decode()


def test_a_unix_socket_has_no_remote_address(gateway: Any) -> None:
    client = gateway.connect()
    client.transport.peerAddr = UNIXAddress("/run/aigw.sock")
    client.get()
    assert gateway.exchanges[0].remote_addr == ""


def test_a_client_that_leaves_in_its_body_is_told_to_the_observers(gateway: Any) -> None:
    client = gateway.connect().send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
    assert gateway.site.in_flight == 1
    client.leave()
    (seen,) = gateway.seen
    assert (seen.status, seen.outcome, seen.exchange.target) == (499, Outcome.CLIENT_LEFT, b"/a")
    assert (gateway.site.in_flight, gateway.site.face.memory.held) == (0, 0)


def test_a_client_that_leaves_in_its_head_made_no_request(gateway: Any) -> None:
    gateway.connect().send(b"POST /a HTTP/1.1\r\nHost: a\r\n").leave()
    assert not gateway.seen
    assert not gateway.site.connections


def test_when_no_connection_is_open_no_timer_runs(gateway: Any) -> None:
    client = gateway.connect()
    assert gateway.clock.getDelayedCalls()
    client.leave()
    assert not gateway.clock.getDelayedCalls()


def test_nothing_the_handler_refuses_with_closes_the_connection(gateway: Any) -> None:
    async def refuse(exchange: Exchange) -> Reply:
        raise NotServing("no")

    gateway.handler = refuse
    client = gateway.connect().post(b"a").post(b"b")
    assert [r.status for r in client.replies] == [503, 503]
    assert not client.closed


PIECES = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", b"abc"),
        *(CHUNKED, CHUNKED[:70], CHUNKED[70:], b"\r\n", b"\n", b"\0", b"GET", b" / HTTP/1.0\r\n\r\n", b"0\r\n\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Host: a\r\n", b"3\r\nabc\r\n"),
    ]
)


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(PIECES, max_size=10), size=st.integers(1, 64))
def test_whatever_comes_the_connection_ends_and_replies_stay_well_formed(
    make_gateway: Any, pieces: list[bytes], size: int
) -> None:
    gateway = make_gateway()
    data, client = b"".join(pieces), gateway.connect()
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
    gateway.advance(300)
    assert client.transport.lost
    assert all(reply.complete for reply in client.replies)
    assert gateway.site.in_flight == 0
