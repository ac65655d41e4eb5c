"""Request bodies that leave in pieces."""

from __future__ import annotations

from io import BytesIO

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock, Cooperator
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from aigw.upstream.sending import ONE_PIECE, BytesBody, Upload
from aigw.upstream.testing import Line

LARGE = bytes(range(256)) * 1024


@implementer(IBodyProducer)
class Pieces:
    """A producer whose pieces a test sends."""

    def __init__(self, length: object) -> None:
        self.length = length
        self.calls: list[str] = []
        self.done: Deferred[None] = Deferred()
        self.consumer: IConsumer | None = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.consumer = consumer
        return self.done

    def send(self, data: bytes) -> None:
        assert self.consumer is not None
        self.consumer.write(data)

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Sending:
    """An upload under way, and how it ended."""

    def __init__(self, body: IBodyProducer) -> None:
        self.line = Line(Clock(), Protocol())
        self.ends: list[Failure | None] = []
        self.upload = Upload(body, self.line, self.ends.append)
        self.upload.start()


def test_a_known_length_is_sent_as_it_comes() -> None:
    body = Pieces(5)
    sending = Sending(body)
    body.send(b"he")
    body.send(b"")
    body.send(b"llo")
    assert sending.line.writes == [b"he", b"llo"]
    assert sending.ends == []
    body.done.callback(None)
    assert sending.ends == [None]
    assert sending.line.producer is None


def test_an_unknown_length_is_chunked() -> None:
    body = Pieces(UNKNOWN_LENGTH)
    sending = Sending(body)
    body.send(b"he")
    body.send(b"")
    body.send(b"l" * 17)
    body.done.callback(None)
    assert sending.line.writes == [b"2\r\nhe\r\n", b"11\r\n" + b"l" * 17 + b"\r\n", b"0\r\n\r\n"]
    assert sending.ends == [None]


def test_the_transport_paces_the_producer() -> None:
    body = Pieces(5)
    sending = Sending(body)
    sending.line.fill()
    sending.line.drain()
    assert body.calls == ["pause", "resume"]


@pytest.mark.parametrize(("length", "pieces"), [(3, [b"hell"]), (3, [b"he", b"ll", b"o"]), (9, [b"hello"])])
def test_a_producer_that_lies_about_its_length(length: int, pieces: list[bytes]) -> None:
    body = Pieces(length)
    sending = Sending(body)
    for piece in pieces:
        body.send(piece)
    body.done.callback(None)
    assert len(sending.line.take()) <= length
    [reason] = sending.ends
    assert reason is not None
    assert reason.check(ValueError)
    assert sending.line.producer is None


def test_a_producer_that_fails() -> None:
    body = Pieces(5)
    sending = Sending(body)
    body.done.errback(ZeroDivisionError())
    [reason] = sending.ends
    assert reason is not None
    assert reason.check(ZeroDivisionError)


def test_a_producer_that_can_not_even_start() -> None:
    class Unable(Pieces):
        def startProducing(self, consumer: IConsumer) -> Deferred[None]:
            raise ZeroDivisionError

    [reason] = Sending(Unable(5)).ends
    assert reason is not None
    assert reason.check(ZeroDivisionError)


def test_stopping_is_final() -> None:
    body = Pieces(5)
    sending = Sending(body)
    sending.upload.stop()
    sending.upload.stop()
    sending.upload.pauseProducing()
    sending.upload.resumeProducing()
    body.send(b"late")
    body.done.callback(None)
    assert body.calls == ["stop"]
    assert sending.line.producer is None
    assert (sending.line.writes, sending.ends) == ([], [])


def test_a_lost_transport_stops_it_once() -> None:
    body = Pieces(5)
    sending = Sending(body)
    sending.line.reset()
    sending.upload.stop()
    body.done.errback(ZeroDivisionError())
    assert body.calls == ["stop"]
    assert sending.ends == []


def test_a_transport_that_is_gone_already() -> None:
    class Gone(Line):
        def registerProducer(self, producer: IBodyProducer, streaming: bool) -> None:
            producer.stopProducing()

    body = Pieces(5)
    ends: list[Failure | None] = []
    Upload(body, Gone(Clock(), Protocol()), ends.append).start()
    assert (body.calls, body.consumer, ends) == (["stop"], None, [])


def test_it_is_its_own_producer() -> None:
    upload = Sending(Pieces(5)).upload
    upload.unregisterProducer()
    with pytest.raises(RuntimeError):
        upload.registerProducer(upload, True)


class Narrow(Line):
    """A connection that is full after each write."""

    def write(self, data: bytes) -> None:
        super().write(data)
        self.fill()


def test_large_bytes_leave_in_slices_at_the_pace_of_the_transport() -> None:
    ends: list[Failure | None] = []
    line = Narrow(Clock(), Protocol())
    Upload(BytesBody(LARGE), line, ends.append).start()
    for already in range(1, len(LARGE) // ONE_PIECE + 1):
        assert [len(piece) for piece in line.writes] == [ONE_PIECE] * already
        line.drain()
    assert line.take() == LARGE
    assert ends == [None]


def test_bytes_that_nobody_paces_leave_at_once_and_again() -> None:
    body = BytesBody(LARGE + b"!")
    verifyObject(IBodyProducer, body)
    for _ in range(2):
        sending = Sending(body)
        assert sending.line.take() == LARGE + b"!"
        assert sending.ends == [None]


def test_bytes_stopped_on_their_way() -> None:
    line = Narrow(Clock(), Protocol())
    body = BytesBody(LARGE)
    for call in (body.pauseProducing, body.resumeProducing, body.stopProducing):
        call()
    ends: list[Failure | None] = []
    upload = Upload(body, line, ends.append)
    upload.start()
    upload.stop()
    body.resumeProducing()
    assert (len(line.writes), ends) == (1, [])


def test_twisteds_own_producer() -> None:
    clock = Clock()
    cooperator = Cooperator(lambda: lambda: True, lambda call: clock.callLater(0.01, call))
    body = FileBodyProducer(BytesIO(LARGE), cooperator=cooperator)
    sending = Sending(body)
    clock.pump([0.01] * 2)
    sending.line.fill()
    sent = len(sending.line.writes)
    clock.pump([0.01] * 5)
    assert len(sending.line.writes) == sent
    sending.line.drain()
    clock.pump([0.01] * 50)
    assert sending.line.take() == LARGE
    assert sending.ends == [None]


def test_twisteds_own_producer_stopped() -> None:
    clock = Clock()
    cooperator = Cooperator(lambda: lambda: True, lambda call: clock.callLater(0.01, call))
    source = BytesIO(LARGE)
    sending = Sending(FileBodyProducer(source, cooperator=cooperator))
    clock.pump([0.01])
    assert len(sending.line.writes) == 1
    sending.line.reset()
    sending.upload.stop()
    assert source.closed
    assert sending.ends == []


def test_startproducing_may_be_done_at_once() -> None:
    class Empty(Pieces):
        def startProducing(self, consumer: IConsumer) -> Deferred[None]:
            return succeed(None)

    class Failing(Pieces):
        def startProducing(self, consumer: IConsumer) -> Deferred[None]:
            return fail(ZeroDivisionError())

    assert Sending(Empty(0)).ends == [None]
    assert len(Sending(Failing(0)).ends) == 1
