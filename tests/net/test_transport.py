"""Transports that send at once: when they do, when they leave it to Twisted, and what a protocol sees of it."""

# mypy: allow-untyped-calls
from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.logger import capturedLogs
from zope.interface import implementer

from aigw.net.transport import EagerServer

BIG = b"0123456789abcdef" * 500_000  # 8 MB: more than the kernel takes


class Counting:
    """An epoll object that counts what is asked of it."""

    def __init__(self, poller: Any) -> None:
        self._poller = poller
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._poller, name)


@implementer(IPushProducer)
class Told:
    """A producer that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@implementer(IPullProducer)
class Pulled:
    """Writes one piece whenever it is asked, then leaves and closes."""

    def __init__(self, transport: Any, pieces: list[bytes]) -> None:
        self.transport = transport
        self.pieces = pieces

    def resumeProducing(self) -> None:
        if self.pieces:
            self.transport.write(self.pieces.pop(0))
        else:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self) -> None:
        pass


@pytest.mark.parametrize("write", [lambda t: t.write(b"hello"), lambda t: t.writeSequence([b"he", b"", b"llo"])])
def test_a_write_asks_nothing_of_the_reactor(pair: Any, write: Any) -> None:
    counting = pair.hand.reactor._poller = Counting(pair.hand.reactor._poller)
    write(pair.transport)
    assert pair.peer.recv(100) == b"hello"
    assert counting.calls == []


def test_the_stock_one_would(stock_pair: Any) -> None:
    counting = stock_pair.hand.reactor._poller = Counting(stock_pair.hand.reactor._poller)
    stock_pair.transport.write(b"hello")
    assert counting.calls == ["modify"]


@pytest.mark.parametrize("data", ["text", bytearray(b"bytes"), memoryview(b"bytes"), None, 3])
@pytest.mark.parametrize("buffered", [b"", BIG])
def test_only_bytes_are_taken(either_pair: Any, data: Any, buffered: bytes) -> None:
    either_pair.transport.write(buffered)
    with pytest.raises(TypeError, match="must be bytes"):
        either_pair.transport.write(data)
    with pytest.raises(TypeError, match="must be bytes"):
        either_pair.transport.writeSequence([b"first", data])


def test_nothing_to_write(either_pair: Any) -> None:
    either_pair.transport.write(b"")
    either_pair.transport.writeSequence([])
    either_pair.transport.writeSequence([b"", b""])
    either_pair.transport.write(b"end")
    assert either_pair.read(3) == b"end"


def test_pieces_from_a_generator(pair: Any) -> None:
    pair.transport.writeSequence(piece for piece in (b"he", b"llo"))
    pair.transport.write(BIG)
    pair.transport.writeSequence(piece for piece in (b"l", b"ast"))
    assert pair.read(5 + len(BIG) + 4) == b"hello" + BIG + b"last"


def test_what_the_kernel_does_not_take_keeps_its_order(either_pair: Any) -> None:
    pieces = [BIG[i : i + 100_000] for i in range(0, len(BIG), 100_000)]
    for piece in pieces:
        either_pair.transport.write(piece)
    either_pair.transport.writeSequence([b"la", b"st"])
    assert either_pair.read(len(BIG) + 4) == BIG + b"last"


def test_a_large_write_leaves_the_others_their_turn(pair: Any) -> None:
    sent: list[int] = []
    real = pair.transport.socket
    pair.transport.socket = Spy(real, sent)
    pair.transport.write(BIG)
    assert sent == []
    assert pair.read(len(BIG)) == BIG
    assert max(sent) <= pair.transport.SEND_LIMIT


class Spy:
    """A socket that notes the sizes of what is sent, or fails as it is told."""

    def __init__(self, real: Any, sent: list[int], error: OSError | None = None) -> None:
        self._real = real
        self._sent = sent
        self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def send(self, data: Any) -> int:
        if self.error is not None:
            raise self.error
        self._sent.append(len(data))
        count: int = self._real.send(data)
        return count


# Producers


def test_a_streaming_producer_is_paused_when_the_peer_is_slow(pair: Any) -> None:
    producer = Told()
    pair.transport.registerProducer(producer, True)
    written = 0
    while not producer.told:
        pair.transport.write(BIG[:10_000])
        written += 10_000
        assert written < len(BIG)
    waiting = len(pair.transport.dataBuffer) + pair.transport._tempDataLen
    assert producer.told == ["pause"]
    assert pair.transport.bufferSize < waiting <= pair.transport.bufferSize + 10_000
    assert len(pair.read(written)) == written
    pair.hand.until(lambda: producer.told[1:])
    assert producer.told == ["pause", "resume"]
    pair.transport.write(b"and on")
    assert pair.peer.recv(10) == b"and on"
    pair.transport.unregisterProducer()


def test_a_streaming_producer_is_not_told_to_pause_for_what_is_sent(pair: Any) -> None:
    producer = Told()
    pair.transport.registerProducer(producer, True)
    for _ in range(20):
        pair.transport.write(b"x" * 66_000)
        assert len(pair.read(66_000)) == 66_000
    assert producer.told == []
    pair.transport.unregisterProducer()


def test_a_pull_producer_is_asked_again(either_pair: Any) -> None:
    pieces = [b"a", b"b" * 100_000, b"c"]
    either_pair.transport.registerProducer(Pulled(either_pair.transport, list(pieces)), False)
    assert either_pair.read(1 << 20) == b"".join(pieces)
    either_pair.hand.until(lambda: either_pair.wire.lost)


# Ends


def test_a_close_after_all_is_sent(either_pair: Any) -> None:
    either_pair.transport.write(b"bye")
    either_pair.transport.loseConnection()
    assert either_pair.read(100) == b"bye"
    either_pair.hand.until(lambda: either_pair.wire.lost)
    assert either_pair.wire.lost.type is ConnectionDone


def test_a_close_waits_for_what_is_buffered(either_pair: Any) -> None:
    either_pair.transport.write(b"x")
    either_pair.transport.write(BIG)
    either_pair.transport.loseConnection()
    assert either_pair.read(1 << 30) == b"x" + BIG
    either_pair.hand.until(lambda: either_pair.wire.lost)
    assert either_pair.wire.lost.type is ConnectionDone


def test_a_close_does_not_wait_for_a_peer_that_does_not_read(hand: Any, wire: Any) -> None:
    ours, peer = socket.socketpair()  # whose kernel side says nothing of room until three quarters are free
    transport: Any = EagerServer(ours, wire, ("peer", 0), None, 0, hand.reactor)  # type: ignore[arg-type]
    wire.makeConnection(transport)
    transport.write(BIG[:131_072])
    assert not transport.dataBuffer
    transport.loseConnection()
    hand.settle()
    assert wire.lost.type is ConnectionDone
    with peer, peer.makefile("rb") as all_of_it:
        assert all_of_it.read() == BIG[:131_072]


def test_a_half_close(either_pair: Any) -> None:
    either_pair.transport.write(b"bye")
    either_pair.transport.loseWriteConnection()
    assert either_pair.read(100) == b"bye"
    either_pair.transport.write(b"too late")
    either_pair.transport.writeSequence([b"too", b"late"])
    either_pair.peer.setblocking(True)
    either_pair.peer.send(b"still heard")
    either_pair.hand.until(lambda: either_pair.wire.received)
    assert either_pair.peer.recv(100) == b""
    assert either_pair.wire.received == b"still heard"


def test_an_error_after_a_close(either_pair: Any, expected_failures: list[str]) -> None:
    expected_failures.append("{log_text}")

    def fail(data: bytes) -> None:
        either_pair.transport.loseConnection()
        raise ZeroDivisionError

    either_pair.wire.dataReceived = fail
    either_pair.peer.send(b"x")
    with capturedLogs() as events:
        either_pair.hand.until(lambda: either_pair.wire.lost)
        either_pair.hand.settle()
    assert either_pair.wire.lost.type is ZeroDivisionError
    assert [event["failure"].type for event in events if event.get("isError")] == [ZeroDivisionError]


def test_nothing_is_sent_after_an_abort(pair: Any) -> None:
    sent: list[int] = []
    pair.transport.socket = Spy(pair.transport.socket, sent)
    pair.transport.abortConnection()
    pair.transport.write(b"too late")
    pair.hand.until(lambda: pair.wire.lost)
    pair.transport.write(b"later still")
    pair.transport.writeSequence([b"later", b"still"])
    assert pair.wire.lost.type is ConnectionAborted
    assert sent == []
    with pytest.raises(ConnectionResetError):
        pair.peer.recv(100)


def test_a_write_into_a_reset_connection_is_no_news_to_its_writer(either_pair: Any) -> None:
    either_pair.reset()
    for _ in range(3):
        either_pair.transport.write(b"hello?")
        assert either_pair.wire.lost is None
    either_pair.hand.until(lambda: either_pair.wire.lost)
    assert either_pair.wire.lost.type is ConnectionLost


def test_what_came_before_a_reset_is_delivered(either_pair: Any) -> None:
    """An upstream that answers while a request still goes out, and hangs up: its answer counts."""
    either_pair.peer.send(b"413 too large")
    either_pair.reset()
    either_pair.transport.write(b"more")
    either_pair.hand.until(lambda: either_pair.wire.lost)
    assert either_pair.wire.received == b"413 too large"
    assert either_pair.wire.lost.type is ConnectionLost


def test_a_reset_while_reading_is_paused(either_pair: Any) -> None:
    either_pair.transport.pauseProducing()
    either_pair.reset()
    either_pair.transport.write(b"hello?")
    either_pair.hand.until(lambda: either_pair.wire.lost)
    assert either_pair.wire.lost.type is ConnectionLost


def test_a_write_after_the_peer_ended(either_pair: Any) -> None:
    either_pair.peer.close()
    either_pair.transport.write(b"hello?")
    either_pair.hand.until(lambda: either_pair.wire.lost)
    assert either_pair.wire.lost.type is ConnectionDone


def test_a_lost_connection_is_noticed_at_the_second_write_of_a_turn(pair: Any) -> None:
    """Where Twisted joins both writes, and sees nothing while it does not read."""
    pair.transport.pauseProducing()
    pair.peer.close()
    pair.transport.write(b"hello?")
    pair.transport.write(b"hello?")
    pair.hand.until(lambda: pair.wire.lost)
    assert pair.wire.lost.type is ConnectionLost


def test_no_room_in_the_kernel_is_no_error(pair: Any) -> None:
    sent: list[int] = []
    real = pair.transport.socket
    pair.transport.socket = Spy(real, sent, OSError(errno.ENOBUFS, "No buffer space available"))
    pair.transport.write(b"a little ")
    pair.transport.socket = real
    pair.transport.write(b"later")
    assert pair.read(14) == b"a little later"
    pair.peer.close()
    pair.hand.until(lambda: pair.wire.lost)
    assert pair.wire.lost.type is ConnectionDone


# Addresses


def test_addresses(pair: Any) -> None:
    transport = pair.transport
    assert transport.getHost() == tcp.Server.getHost(transport)
    assert transport.getPeer() == tcp.Server.getPeer(transport)
    assert (transport.getPeer().host, transport.getPeer().port) == pair.peer.getsockname()
    assert (transport.getHost().host, transport.getHost().port) == pair.peer.getpeername()
    assert transport.getHost() is transport.getHost()
    assert transport.getPeer() is transport.getPeer()
