"""Frames between two processes: cut anywhere, too long, nonsense, a peer that is slow, a peer that is gone."""

# mypy: allow-untyped-calls
from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from aigw.workers.channel import Channel
from aigw.workers.messages import MAX_FRAME, Applied, Leave, Lines, Message, Said, Sync, ToParent, encode


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class End:
    """One end of a channel. ``heard``: what came. ``lost``: how often it was told that the other end is gone."""

    def __init__(self, connected: bool = True) -> None:
        self.heard: list[Message] = []
        self.lost = 0
        self.channel = Channel(ToParent, self._hear, self._lose)
        self.transport = Transport()
        if connected:
            self.channel.makeConnection(self.transport)

    def _hear(self, message: Message) -> None:
        if message == Applied(13):
            raise ValueError("an unlucky number")
        self.heard.append(message)

    def _lose(self) -> None:
        self.lost += 1


@pytest.fixture
def end() -> End:
    return End()


def frame(message: Message) -> bytes:
    content = encode(message)
    return struct.pack("!I", len(content)) + content


SAID: list[Message] = [Applied(1), Said("info", "héllo"), Lines(b"\x00\xff\n"), Applied(2**40)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_frames_may_be_cut_anywhere(size: int, end: End) -> None:
    stream = b"".join(map(frame, SAID))
    for start in range(0, len(stream), size):
        end.channel.dataReceived(stream[start : start + size])
    assert end.heard == SAID


def test_every_cut_in_two(end: End) -> None:
    stream = b"".join(map(frame, SAID))
    for cut in range(len(stream)):
        end.channel.dataReceived(stream[:cut])
        end.channel.dataReceived(stream[cut:])
    assert end.heard == SAID * len(stream)


HOSTILE: list[bytes] = [
    struct.pack("!I", MAX_FRAME + 1),
    b"\xff\xff\xff\xff",
    struct.pack("!I", 0),
    struct.pack("!I", 1) + b"\xc1",
    struct.pack("!I", 3) + b"\x93\x01",
    frame(Sync(1)),
    frame(Leave(1, 2.0)),
    struct.pack("!I", 10) + b"\x92\xa7Applied\xc0",
    struct.pack("!I", 12) + b"\x92\xa8Nonsense\x01\x01",
    frame(Applied(13)),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
@pytest.mark.parametrize("whole", [True, False])
def test_what_makes_no_sense_is_the_end(hostile: bytes, whole: bool, end: End) -> None:
    stream = frame(Applied(1)) + hostile + b"\x00" * 8
    for piece in [stream] if whole else [stream[i : i + 1] for i in range(len(stream))]:
        if not end.transport.aborted:
            end.channel.dataReceived(piece)
    assert end.transport.aborted
    assert end.heard == [Applied(1)]
    end.transport.clear()
    end.channel.send(Applied(2))
    assert end.transport.value() == b""


def test_what_is_said_before_there_is_a_connection_is_said_then() -> None:
    end = End(connected=False)
    end.channel.send(Applied(1))
    end.channel.send(Applied(2))
    end.channel.makeConnection(end.transport)
    assert end.transport.value() == frame(Applied(1)) + frame(Applied(2))


def test_a_slow_peer_gets_frames_as_it_reads_them_and_all_in_order(end: End) -> None:
    made: list[int] = []

    def frames() -> Iterator[bytes]:
        for i in range(5):
            made.append(i)
            if i == 2:
                end.channel.pauseProducing()
            yield encode(Applied(i))

    end.channel.send_frames(frames())
    end.channel.send(Applied(100))
    assert (made, end.channel.full) == ([0, 1, 2], True)
    assert end.transport.value() == b"".join(frame(Applied(i)) for i in range(3))
    end.channel.resumeProducing()
    assert not end.channel.full
    assert end.transport.value() == b"".join(frame(Applied(i)) for i in (0, 1, 2, 3, 4, 100))


def test_the_transport_tells_when_it_is_full(end: End) -> None:
    assert (end.transport.producer, end.transport.streaming) == (end.channel, True)


def test_a_peer_that_is_gone_is_told_of_once_and_gets_nothing_more(end: End) -> None:
    end.channel.stopProducing()
    end.channel.connectionLost()
    end.channel.send(Applied(1))
    end.channel.close()
    assert (end.lost, end.transport.value()) == (1, b"")


def test_closing(end: End) -> None:
    end.channel.send(Applied(1))
    end.channel.close()
    producer: Any = end.transport.producer
    assert (end.transport.disconnecting, producer) == (True, None)
    assert end.transport.value() == frame(Applied(1))
