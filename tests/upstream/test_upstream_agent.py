"""Requests, and all that can go wrong with them before the body of a reply."""

from __future__ import annotations

import gc

import pytest
from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionDone, DNSLookupError
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IClientRequest, IResponse
from zope.interface import implementer
from zope.interface.verify import verifyObject

from aigw import errors
from aigw.upstream.agent import Agent
from aigw.upstream.headers import HeaderBlock
from aigw.upstream.pool import Pool
from aigw.upstream.profile import Profile
from aigw.upstream.sending import ONE_PIECE, BytesBody
from aigw.upstream.testing import Fired, Line, Network, Reader

URL = b"http://up.example:8080/v1/chat?key=secret"
SECURE_URL = b"https://up.example/v1/chat?key=secret"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Exchanged:
    """One request that is on its way, on a connection that was accepted."""

    def __init__(self, agent: Agent, network: Network, url: bytes = URL) -> None:
        self.head = Fired(agent.request(b"POST", url, None, BytesBody(b"{}")))
        self.line = network.accept()
        self.line.take()


@pytest.fixture
def exchange(agent: Agent, network: Network) -> Exchanged:
    return Exchanged(agent, network)


# What is sent.


def sent(agent: Agent, network: Network, *args: object) -> bytes:
    Fired(agent.request(*args))  # type: ignore[arg-type]
    line = network.accept()
    assert len(line.writes) == 1
    return line.take()


def test_it_is_an_agent(agent: Agent) -> None:
    verifyObject(IAgent, agent)


def test_head_and_body_leave_in_one_write(agent: Agent, network: Network) -> None:
    headers = Headers({b"Content-Type": [b"application/json"], b"Authorization": [b"Bearer x"]})
    for body in (b"{}", b"x" * ONE_PIECE):
        assert sent(agent, network, b"POST", URL, headers, BytesBody(body)) == (
            b"POST /v1/chat?key=secret HTTP/1.1\r\nHost: up.example:8080\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )


def test_a_prepared_block_leaves_as_it_is(agent: Agent, network: Network) -> None:
    block = HeaderBlock([(b"x-b", b"1"), (b"X-a", b"2")])
    assert sent(agent, network, b"POST", URL, block, BytesBody(b"")) == (
        b"POST /v1/chat?key=secret HTTP/1.1\r\nHost: up.example:8080\r\nx-b: 1\r\nX-a: 2\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    "headers", [Headers({b"host": [b"other.example"]}), HeaderBlock([(b"Host", b"other.example")])]
)
def test_a_host_of_the_callers_choice(agent: Agent, network: Network, headers: Headers) -> None:
    assert (
        sent(agent, network, b"GET", URL, headers) == b"GET /v1/chat?key=secret HTTP/1.1\r\nHost: other.example\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "framing"),
    [
        (b"GET", b""),
        (b"HEAD", b""),
        (b"DELETE", b""),
        (b"OPTIONS", b""),
        (b"POST", b"Content-Length: 0\r\n"),
        (b"PUT", b"Content-Length: 0\r\n"),
        (b"PATCH", b"Content-Length: 0\r\n"),
    ],
)
def test_framing_without_a_body(agent: Agent, network: Network, method: bytes, framing: bytes) -> None:
    expected = method + b" / HTTP/1.1\r\nHost: up.example\r\n" + framing + b"\r\n"
    assert sent(agent, network, method, b"http://up.example") == expected


def test_without_keep_alive_it_says_so(pool: Pool, network: Network) -> None:
    agent = Agent(pool, Profile(keepalive=False))
    expected = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    assert sent(agent, network, b"GET", b"http://h/") == expected


@pytest.mark.parametrize("method", [b"", b"GE T", b"GET\r\n", b"G\0T", b"CONNECT", b"x" * 33])
def test_methods_that_can_not_be_sent(agent: Agent, network: Network, method: bytes) -> None:
    assert isinstance(Fired(agent.request(method, URL)).error, ValueError)
    assert network.knocks == []


def test_urls_that_can_not_be_asked(agent: Agent, network: Network) -> None:
    head = Fired(agent.request(b"GET", b"http://user:secret@h/"))
    assert isinstance(head.error, errors.UpstreamUnreachable)
    assert "secret" not in str(head.error)


def test_urls_are_remembered_within_bounds(agent: Agent, network: Network) -> None:
    for number in range(3000):
        Fired(agent.request(b"GET", b"http://h/%d" % number))
    Fired(agent.request(b"GET", b"http://h/" + b"x" * 5000))
    assert len(agent._destinations) == 1024
    assert max(map(len, agent._destinations)) < 100


# What comes back.


def test_a_response(exchange: Exchanged) -> None:
    exchange.line.say(b"HTTP/1.1 201 Created Well\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\nContent-Length: 2\r\n\r\nhi")
    response = exchange.head.value
    verifyObject(IResponse, response)
    verifyObject(IClientRequest, response.request)
    assert (response.version, response.code, response.phrase) == ((b"HTTP", 1, 1), 201, b"Created Well")
    assert response.fields == ((b"X-B", b"1"), (b"x-a", b"2"), (b"X-B", b"3"))
    assert response.headers == Headers({b"X-A": [b"2"], b"X-B": [b"1", b"3"]})
    assert response.headers is response.headers
    assert response.length == 2
    assert (response.request.method, response.request.absoluteURI) == (b"POST", URL)
    assert response.history() == []
    response.setPreviousResponse(previous := object())
    assert response.previousResponse is previous


def test_nothing_secret_in_a_repr(exchange: Exchanged) -> None:
    exchange.line.say(OK)
    assert repr(exchange.head.value) == "<Response 200 of <Request POST to up.example:8080>>"


def test_the_bytes_of_a_request_are_let_go_once_it_is_answered(exchange: Exchanged) -> None:
    exchange.line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    request = exchange.head.value.request
    assert (request.head, request.body) == (b"", None)


def test_a_request_leaves_nothing_for_the_garbage_collector(agent: Agent, network: Network) -> None:
    def exchange(line: Line | None) -> Line:
        head, reader = Fired(agent.request(b"POST", URL, None, BytesBody(b"{}"))), Reader()
        line = line or network.accept()
        line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        head.value.deliverBody(reader)
        line.say(b"2\r\nhi\r\n0\r\n\r\n")
        assert reader.body == b"hi"
        return line

    line = exchange(None)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            exchange(line)
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
def test_interim_replies_are_skipped(exchange: Exchanged, interim: bytes) -> None:
    exchange.line.say(interim)
    assert not exchange.head.fired
    exchange.line.say(interim + OK)
    assert exchange.head.value.code == 200


def test_a_reply_to_head_has_no_body(agent: Agent, network: Network, reader: Reader) -> None:
    head = Fired(agent.request(b"HEAD", URL))
    network.accept().say(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    assert head.value.length == 0
    assert head.value.headers.getRawHeaders(b"content-length") == [b"20"]
    assert head.value.whole() == b""


def test_a_redirect_is_a_response_like_any_other(exchange: Exchanged, network: Network) -> None:
    exchange.line.say(b"HTTP/1.1 302 Found\r\nLocation: http://other/\r\nContent-Length: 0\r\n\r\n")
    assert exchange.head.value.code == 302
    assert network.knocks == []


# What goes wrong while connecting.


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (None, "refused"),
        (DNSLookupError("x"), "host name is unknown"),
        (OSError(24, "Too many open files"), "can't be connected to"),
    ],
)
def test_no_connection(agent: Agent, network: Network, reason: Exception | None, words: str) -> None:
    head = Fired(agent.request(b"GET", URL))
    network.knock().refuse(reason)
    assert isinstance(head.error, errors.UpstreamUnreachable)
    assert str(head.error).startswith("up.example:8080")
    assert words in str(head.error)
    assert "secret" not in str(head.error)


def test_no_connection_in_time(agent: Agent, network: Network, clock: Clock) -> None:
    head = Fired(agent.request(b"GET", URL))
    clock.advance(9.9)
    assert not head.fired
    clock.advance(0.1)
    assert isinstance(head.error, errors.UpstreamTimeout)
    assert str(head.error) == "up.example:8080: no connection within 10 s"
    assert network.knock().given_up
    assert not clock.getDelayedCalls()


def test_a_connection_in_time_leaves_no_timer(exchange: Exchanged, clock: Clock) -> None:
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("reason", [TLSError([("", "", "certificate verify failed")]), ConnectionDone()])
def test_no_handshake(agent: Agent, network: Network, reason: Exception) -> None:
    head = Fired(agent.request(b"GET", SECURE_URL))
    line = network.knock().accept()
    assert line.take() == b""
    line.fail(reason)
    assert isinstance(head.error, errors.UpstreamUnreachable)
    assert "TLS handshake" in str(head.error)


def test_no_handshake_in_time(agent: Agent, network: Network, clock: Clock) -> None:
    head = Fired(agent.request(b"GET", SECURE_URL))
    clock.advance(6)
    line = network.knock().accept()
    clock.advance(4)
    assert isinstance(head.error, errors.UpstreamTimeout)
    assert line.aborted
    clock.advance(1)
    assert line.lost


def test_a_handshake(agent: Agent, network: Network) -> None:
    head = Fired(agent.request(b"GET", SECURE_URL))
    line = network.accept()
    assert line.take().startswith(b"GET /v1/chat?key=secret HTTP/1.1\r\nHost: up.example\r\n")
    line.say(OK)
    assert head.value.whole() == b"hi"


# What goes wrong instead of a reply.


@pytest.mark.parametrize(
    ("said", "ours", "words"),
    [
        (b"", errors.UpstreamReset, "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\n", errors.UpstreamCutShort, "closed the connection before"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", errors.UpstreamCutShort, "closed the connection before"),
    ],
)
def test_closed_before_the_head(exchange: Exchanged, said: bytes, ours: type[Exception], words: str) -> None:
    if said:
        exchange.line.say(said)
    exchange.line.close()
    assert type(exchange.head.error) is ours
    assert words in str(exchange.head.error)
    assert str(exchange.head.error).startswith("up.example:8080")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_reset_before_the_head(exchange: Exchanged, said: bytes) -> None:
    if said:
        exchange.line.say(said)
    exchange.line.reset()
    assert type(exchange.head.error) is errors.UpstreamReset


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        (b"SSH-2.0-OpenSSH\r\n", errors.UpstreamBadReply),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", errors.UpstreamBadReply),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", errors.UpstreamBadReply),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000_000, errors.UpstreamReplyTooLarge),
    ],
)
def test_nothing_that_could_be_a_reply(exchange: Exchanged, said: bytes, ours: type[Exception], clock: Clock) -> None:
    for start in range(0, len(said), 65536):
        exchange.line.say(said[start : start + 65536])
    assert type(exchange.head.error) is ours
    assert exchange.line.aborted
    clock.advance(0)


def test_an_upstream_that_stalls_is_left_to_the_callers_deadline(exchange: Exchanged, clock: Clock) -> None:
    exchange.line.say(b"HTTP/1.1 200")
    clock.advance(1e6)
    assert not exchange.head.fired
    assert not clock.getDelayedCalls()


# Cancelling, in each phase.


def test_cancel_while_connecting(agent: Agent, network: Network, clock: Clock) -> None:
    head = Fired(agent.request(b"GET", URL))
    head.deferred.cancel()
    assert isinstance(head.error, CancelledError)
    assert network.knock().given_up
    assert not clock.getDelayedCalls()


def test_cancel_during_the_handshake(agent: Agent, network: Network, clock: Clock) -> None:
    head = Fired(agent.request(b"GET", SECURE_URL))
    line = network.knock().accept()
    head.deferred.cancel()
    assert isinstance(head.error, CancelledError)
    assert line.aborted
    clock.advance(0)
    assert line.lost


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX"])
def test_cancel_while_waiting_for_the_head(exchange: Exchanged, network: Network, clock: Clock, said: bytes) -> None:
    if said:
        exchange.line.say(said)
    exchange.head.deferred.cancel()
    assert isinstance(exchange.head.error, CancelledError)
    assert exchange.line.aborted
    exchange.line.say(OK)
    clock.advance(0)
    assert exchange.line.lost
    assert network.knocks == []


def test_cancel_while_sending(agent: Agent, network: Network, clock: Clock) -> None:
    head = Fired(agent.request(b"POST", URL, None, BytesBody(b"x" * 1_000_000)))
    line = network.knock().accept()
    line.fill()
    head.deferred.cancel()
    assert isinstance(head.error, CancelledError)
    assert line.aborted
    assert line.producer is None
    clock.advance(0)


def test_cancel_comes_too_late_for_a_response(exchange: Exchanged, reader: Reader) -> None:
    exchange.line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    exchange.head.value.deliverBody(reader)
    exchange.head.deferred.cancel()
    exchange.line.say(b"hi")
    assert reader.body == b"hi"


# Bodies that leave in pieces.


@implementer(IBodyProducer)
class Pieces:
    """A body that a test sends."""

    def __init__(self, length: object) -> None:
        self.length = length
        self.stopped = False
        self.done: Deferred[None] = Deferred()

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.write = consumer.write
        return self.done

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None:
        self.stopped = True


def uploading(agent: Agent, network: Network, body: Pieces) -> tuple[Fired, Line]:
    head = Fired(agent.request(b"POST", b"http://h/", None, body))
    line = network.accept()
    return head, line


@pytest.mark.parametrize(
    ("length", "framing", "wire"),
    [(5, b"Content-Length: 5", b"hello"), (UNKNOWN_LENGTH, b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")],
)
def test_any_producer_will_do(agent: Agent, network: Network, length: object, framing: bytes, wire: bytes) -> None:
    body = Pieces(length)
    head, line = uploading(agent, network, body)
    body.write(b"hello")
    body.done.callback(None)
    assert line.take() == b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n" + wire
    line.say(OK)
    assert head.value.whole() == b"hi"
    again = Fired(agent.request(b"GET", b"http://h/"))
    line.say(OK)
    assert again.value.code == 200


def test_large_bytes_are_not_copied_as_a_whole(agent: Agent, network: Network) -> None:
    body = b"x" * (ONE_PIECE * 3 + 1)
    Fired(agent.request(b"POST", URL, None, BytesBody(body)))
    line = network.accept()
    head, *pieces = line.writes
    assert head.endswith(b"\r\n\r\n")
    assert [len(piece) for piece in pieces] == [ONE_PIECE] * 3 + [1]


@pytest.mark.parametrize("code", [b"413 Too Large", b"302 Found", b"500 Oops"])
def test_an_early_refusal_is_delivered_and_ends_the_upload(
    agent: Agent, network: Network, code: bytes, clock: Clock
) -> None:
    body = Pieces(100)
    head, line = uploading(agent, network, body)
    body.write(b"x" * 10)
    line.say(b"HTTP/1.1 " + code + b"\r\nContent-Length: 4\r\n\r\nno")
    assert head.value.code == int(code[:3])
    assert (body.stopped, line.aborted) == (True, False)
    content = Fired(head.value.content())
    line.say(b"!!")
    assert content.value == b"no!!"
    assert line.aborted
    clock.advance(0)
    Fired(agent.request(b"GET", b"http://h/"))
    assert len(network.knocks) == 1


def test_an_early_answer_goes_on_beside_the_upload(
    agent: Agent, network: Network, reader: Reader, clock: Clock
) -> None:
    body = Pieces(4)
    head, line = uploading(agent, network, body)
    line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    head.value.deliverBody(reader)
    line.take()
    body.write(b"ping")
    body.done.callback(None)
    assert line.take() == b"ping"
    line.say(b"pong")
    assert reader.body == b"pong"
    clock.advance(0)
    assert not line.closing


def test_an_answer_complete_before_the_upload_ends_the_connection(agent: Agent, network: Network, clock: Clock) -> None:
    body = Pieces(4)
    head, line = uploading(agent, network, body)
    line.say(OK)
    assert head.value.whole() == b"hi"
    assert line.aborted
    assert body.stopped
    body.done.callback(None)
    clock.advance(0)


def test_a_body_that_can_not_be_sent(agent: Agent, network: Network, clock: Clock) -> None:
    body = Pieces(4)
    head, line = uploading(agent, network, body)
    body.done.errback(ZeroDivisionError())
    assert isinstance(head.error, ZeroDivisionError)
    assert line.aborted
    clock.advance(0)

    class Failing(Pieces):
        def startProducing(self, consumer: IConsumer) -> Deferred[None]:
            return fail(ZeroDivisionError())

    head, line = uploading(agent, network, Failing(4))
    assert isinstance(head.error, ZeroDivisionError)
    clock.advance(0)


def test_a_body_that_fails_beside_its_answer(agent: Agent, network: Network, reader: Reader, clock: Clock) -> None:
    body = Pieces(4)
    head, line = uploading(agent, network, body)
    line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npo")
    head.value.deliverBody(reader)
    body.done.errback(ZeroDivisionError())
    assert isinstance(reader.end, ZeroDivisionError)
    assert line.aborted
    clock.advance(0)


def test_a_connection_lost_in_the_middle_of_an_upload(agent: Agent, network: Network) -> None:
    body = Pieces(100)
    head, line = uploading(agent, network, body)
    body.write(b"x")
    line.reset()
    assert isinstance(head.error, errors.UpstreamReset)
    assert body.stopped
