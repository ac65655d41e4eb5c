"""Bodies: delivered in order, at the reader's pace, to an end that is told for what it is."""

from __future__ import annotations

import pytest
import treq
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.web.client import ResponseDone, readBody
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH

from aigw import errors
from aigw.upstream.agent import Agent
from aigw.upstream.response import Response
from aigw.upstream.testing import Fired, Line, Network, Reader

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\n"


class Arriving:
    """A response whose head is in."""

    def __init__(self, agent: Agent, network: Network) -> None:
        self.agent = agent
        self.network = network
        self.line: Line

    def __call__(self, wire: bytes, url: bytes = b"http://up.example/") -> Response:
        head = Fired(self.agent.request(b"GET", url))
        self.line = self.network.accept() if self.network.knocks else self.line
        self.line.say(wire)
        response = head.value
        assert isinstance(response, Response)
        return response


@pytest.fixture
def arriving(agent: Agent, network: Network) -> Arriving:
    return Arriving(agent, network)


# All of it.


@pytest.mark.parametrize(
    ("wire", "length"),
    [(LENGTH + b"hellohello", 10), (CHUNKED + b"5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", UNKNOWN_LENGTH)],
)
def test_at_every_offset(agent: Agent, network: Network, wire: bytes, length: object) -> None:
    lines = []
    for offset in range(1, len(wire)):
        head, reader = Fired(agent.request(b"GET", b"http://up.example/")), Reader()
        lines += [network.accept() for _ in network.knocks]
        [line] = lines
        line.say(wire[:offset])
        if head.fired:
            head.value.deliverBody(reader)
        line.say(wire[offset:])
        if not reader.end:
            head.value.deliverBody(reader)
        assert head.value.length == length
        assert reader.body == b"hellohello"
        assert isinstance(reader.end, ResponseDone)


def test_a_complete_reply_can_be_taken_as_a_whole(arriving: Arriving) -> None:
    response = arriving(LENGTH + b"hellohello")
    assert response.whole() == b"hellohello"
    assert response.whole() is None
    with pytest.raises(RuntimeError):
        response.deliverBody(Reader())


def test_an_incomplete_reply_can_not(arriving: Arriving, reader: Reader) -> None:
    response = arriving(LENGTH + b"hello")
    assert response.whole() is None
    response.deliverBody(reader)
    arriving.line.say(b"hello")
    assert response.whole() is None
    assert reader.pieces == [b"hello", b"hello"]


def test_a_body_is_delivered_once(arriving: Arriving, reader: Reader) -> None:
    response = arriving(LENGTH)
    response.deliverBody(reader)
    with pytest.raises(RuntimeError):
        response.deliverBody(Reader())


def test_one_piece_per_read(arriving: Arriving, reader: Reader) -> None:
    arriving(CHUNKED + b"1\r\na\r\n1\r\nb\r\n").deliverBody(reader)
    arriving.line.say(b"1\r\nc\r\n2\r\nd")
    arriving.line.say(b"e\r\n0\r\n\r\n")
    assert reader.pieces == [b"ab", b"cd", b"e"]
    assert isinstance(reader.end, ResponseDone)


# The reader's pace.


def test_what_nobody_asked_for_yet_is_held_and_not_read_on(arriving: Arriving, reader: Reader, clock: Clock) -> None:
    response = arriving(LENGTH + b"he")
    arriving.line.say(b"llo")
    assert (arriving.line.reading, reader.pieces) == (False, [])
    response.deliverBody(reader)
    assert reader.pieces == [b"he"]
    clock.advance(0)
    assert (arriving.line.reading, reader.pieces) == (True, [b"he", b"llo"])


def test_a_reader_that_asks_at_once_costs_no_pause(agent: Agent, network: Network, reader: Reader) -> None:
    agent.request(b"GET", b"http://h/").addCallback(lambda response: response.deliverBody(reader))
    line = network.accept()
    line.pauseProducing = None  # type: ignore[assignment, method-assign]
    line.say(LENGTH + b"he")
    line.say(b"llohello")
    assert reader.body == b"hellohello"


def test_pause_and_resume(arriving: Arriving, reader: Reader, clock: Clock) -> None:
    response = arriving(CHUNKED)
    response.deliverBody(reader)
    response.pauseProducing()
    response.pauseProducing()
    assert not arriving.line.reading
    arriving.line.say(b"2\r\nhi\r\n0\r\n\r\n")
    clock.advance(1)
    assert reader.pieces == []
    response.resumeProducing()
    response.resumeProducing()
    clock.advance(0)
    assert reader.pieces == [b"hi"]
    assert isinstance(reader.end, ResponseDone)


def test_what_was_read_already_waits_for_a_paused_reader(arriving: Arriving, reader: Reader, clock: Clock) -> None:
    response = arriving(LENGTH)
    response.deliverBody(reader)
    response.pauseProducing()
    arriving.line.reading = True  # TLS delivers what it has decrypted, paused or not
    arriving.line.say(b"hello")
    arriving.line.say(b"hello")
    assert reader.pieces == []
    assert reader.end is None
    response.resumeProducing()
    assert reader.pieces == [b"hellohello"]
    assert isinstance(reader.end, ResponseDone)


def test_a_pause_holds_bytes_back_and_not_the_end(arriving: Arriving, reader: Reader) -> None:
    response = arriving(LENGTH)
    response.deliverBody(reader)
    reader.on_data = response.pauseProducing
    arriving.line.say(b"hellohello")
    assert reader.pieces == [b"hellohello"]
    assert isinstance(reader.end, ResponseDone)
    response.resumeProducing()


def test_a_reader_that_pauses_in_the_middle_of_what_was_held(arriving: Arriving, reader: Reader, clock: Clock) -> None:
    response = arriving(LENGTH + b"he")
    reader.on_data = response.pauseProducing
    response.deliverBody(reader)
    assert reader.pieces == [b"he"]
    assert not arriving.line.reading
    reader.on_data = lambda: [call() for call in (response.pauseProducing, response.resumeProducing)]
    response.resumeProducing()
    clock.advance(0)
    arriving.line.say(b"llo")
    arriving.line.say(b"hello")
    clock.advance(0)
    assert reader.body == b"hellohello"
    assert isinstance(reader.end, ResponseDone)


def test_a_connection_rests_reading_whatever_the_reader_does(
    arriving: Arriving, network: Network, clock: Clock
) -> None:
    response = arriving(LENGTH)
    response.deliverBody(reader := Reader())
    response.pauseProducing()
    arriving.line.reading = True
    arriving.line.say(b"hellohello")
    assert reader.pieces == []
    clock.advance(0)
    assert arriving.line.reading
    again = Fired(arriving.agent.request(b"GET", b"http://up.example/"))
    assert network.knocks == []
    arriving.line.say(LENGTH + b"0123456789")
    assert again.value.whole() == b"0123456789"
    response.resumeProducing()
    assert reader.body == b"hellohello"


# The end.


@pytest.mark.parametrize("said", [b"", b"hello"])
def test_only_the_end_of_the_connection_tells(arriving: Arriving, reader: Reader, said: bytes) -> None:
    response = arriving(UNTIL_CLOSE + said)
    assert response.length == UNKNOWN_LENGTH
    response.deliverBody(reader)
    arriving.line.reading = True
    arriving.line.close()
    assert reader.body == said
    assert isinstance(reader.end, PotentialDataLoss)


@pytest.mark.parametrize(
    "wire", [LENGTH, LENGTH + b"hello", CHUNKED, CHUNKED + b"5\r\nhe", CHUNKED + b"2\r\nhi\r\n0\r\n"]
)
@pytest.mark.parametrize(
    ("url", "end", "ours", "words"),
    [
        (b"http://up.example/", Line.close, errors.UpstreamCutShort, "closed"),
        (b"http://up.example/", Line.reset, errors.UpstreamReset, "broke"),
        (b"https://up.example/", Line.close, errors.UpstreamCutShort, "closed"),
        (b"https://up.example/", Line.reset, errors.UpstreamCutShort, "closed"),
    ],
)
def test_incomplete(
    arriving: Arriving, wire: bytes, url: bytes, end: object, ours: type[Exception], words: str
) -> None:
    for asked_before in (True, False):
        response, reader = arriving(wire, url), Reader()
        if asked_before:
            response.deliverBody(reader)
        arriving.line.reading = True
        end(arriving.line)  # type: ignore[operator]
        if not asked_before:
            response.deliverBody(reader)
        assert type(reader.end) is ours
        assert words in str(reader.end)
        assert str(reader.end).startswith("up.example:")


def test_tls_cut_without_close_notify_is_no_end(arriving: Arriving, reader: Reader) -> None:
    arriving(UNTIL_CLOSE + b"hello", b"https://up.example/").deliverBody(reader)
    arriving.line.reading = True
    arriving.line.reset()
    assert reader.body == b"hello"
    assert isinstance(reader.end, errors.UpstreamCutShort)


def test_a_reset_is_no_end(arriving: Arriving, reader: Reader) -> None:
    arriving(UNTIL_CLOSE + b"hello").deliverBody(reader)
    arriving.line.reading = True
    arriving.line.reset()
    assert isinstance(reader.end, errors.UpstreamReset)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_body_that_breaks_the_rules(arriving: Arriving, reader: Reader, at_once: bool, clock: Clock) -> None:
    broken = b"2\r\nhi\r\nxyz\r\n"
    response = arriving(CHUNKED + broken if at_once else CHUNKED)
    response.deliverBody(reader)
    if not at_once:
        arriving.line.reading = True
        arriving.line.say(broken)
    assert reader.body == b"hi"
    assert isinstance(reader.end, errors.UpstreamBadReply)
    assert arriving.line.aborted
    clock.advance(0)


# Not wanted.


@pytest.mark.parametrize("name", ["abortConnection", "stopProducing", "loseConnection"])
@pytest.mark.parametrize("wire", [LENGTH, CHUNKED, UNTIL_CLOSE])
def test_abort(arriving: Arriving, reader: Reader, wire: bytes, name: str, clock: Clock) -> None:
    response = arriving(wire)
    response.deliverBody(reader)
    arriving.line.say(b"1\r\nx\r\n")
    read = list(reader.pieces)
    getattr(reader.transport, name)()
    getattr(reader.transport, name)()
    assert arriving.line.aborted
    assert reader.end is None
    arriving.line.say(b"1\r\nx\r\n")
    clock.advance(0)
    assert reader.pieces == read
    assert isinstance(reader.end, ConnectionAborted)


def test_abort_before_the_body_was_asked_for(arriving: Arriving, reader: Reader, clock: Clock) -> None:
    response = arriving(LENGTH + b"hello")
    response.abortConnection()
    assert arriving.line.aborted
    clock.advance(0)
    response.deliverBody(reader)
    assert reader.pieces == []
    assert isinstance(reader.end, ConnectionAborted)


def test_abort_from_inside(arriving: Arriving, reader: Reader, clock: Clock) -> None:
    response = arriving(LENGTH)
    reader.on_data = response.abortConnection
    response.deliverBody(reader)
    clock.advance(0)
    arriving.line.say(b"hellohello")
    assert reader.end is None
    clock.advance(0)
    assert isinstance(reader.end, ConnectionAborted)


def test_abort_of_what_is_complete_leaves_the_connection(arriving: Arriving, reader: Reader, network: Network) -> None:
    response = arriving(LENGTH + b"hellohello")
    reader.on_data = response.abortConnection
    response.deliverBody(reader)
    assert isinstance(reader.end, ConnectionAborted)
    assert not arriving.line.closing


def test_abort_of_what_is_complete_and_paused(arriving: Arriving, reader: Reader) -> None:
    response = arriving(LENGTH)
    response.deliverBody(reader)
    response.pauseProducing()
    arriving.line.reading = True
    arriving.line.say(b"hellohello")
    response.abortConnection()
    assert reader.pieces == []
    assert isinstance(reader.end, ConnectionAborted)
    response.abortConnection()


def test_abort_as_soon_as_the_head_is_in(agent: Agent, network: Network, clock: Clock) -> None:
    agent.request(b"GET", b"http://h/").addCallback(lambda response: response.abortConnection())
    line = network.accept()
    line.say(CHUNKED + b"2\r\nhi\r\n")
    assert (line.aborted, line.reading) == (True, True)
    clock.advance(0)


# What others do with a response.


def test_treqs_functions(arriving: Arriving) -> None:
    wire = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"a": "\xc3\xa4"}\r\n'
    assert Fired(treq.content(arriving(wire))).value == wire[-13:]
    assert Fired(treq.text_content(arriving(wire))).value == '{"a": "\u00e4"}\r\n'
    assert Fired(treq.json_content(arriving(wire))).value == {"a": "\u00e4"}
    pieces: list[bytes] = []
    done = Fired(treq.collect(arriving(wire), pieces.append))
    assert (pieces, done.fired, done.error) == ([wire[-13:]], True, None)


def test_treqs_methods(arriving: Arriving) -> None:
    wire = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"a": "\xc3\xa4"}\r\n'
    assert Fired(arriving(wire).content()).value == wire[-13:]
    assert Fired(arriving(wire).text()).value == '{"a": "\u00e4"}\r\n'
    assert Fired(arriving(wire).json()).value == {"a": "\u00e4"}
    pieces: list[bytes] = []
    Fired(arriving(wire).collect(pieces.append))
    assert pieces == [wire[-13:]]


@pytest.mark.parametrize("code", [b"200 OK", b"204 No Content"])
def test_an_empty_body_needs_no_reader(arriving: Arriving, network: Network, code: bytes) -> None:
    response = arriving(b"HTTP/1.1 " + code + b"\r\nContent-Length: 0\r\n\r\n")
    assert Fired(treq.content(response)).value == b""
    Fired(arriving.agent.request(b"GET", b"http://up.example/"))
    assert network.knocks == []


def test_a_collector_that_fails(arriving: Arriving, clock: Clock) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    for wire in (LENGTH + b"hello", LENGTH + b"hellohello"):
        done = Fired(treq.collect(arriving(wire), fail))
        clock.advance(0)
        assert isinstance(done.error, ZeroDivisionError)


def test_twisteds_read_body(arriving: Arriving, clock: Clock) -> None:
    body = Fired(readBody(arriving(LENGTH + b"hello")))
    clock.advance(0)
    arriving.line.say(b"hello")
    assert body.value == b"hellohello"
