from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from aigw.observe.line_writer import FLUSH_BYTES, HELD_BYTES, LineWriter


class Pipe:
    """A destination with ``room`` for so many bytes, or in ``trouble``."""

    def __init__(self) -> None:
        self.data = b""
        self.room = 10**9
        self.trouble: int | None = None
        self.writes = 0
        self.reopened = self.closed = 0

    def write(self, data: bytes) -> int:
        self.writes += 1
        if self.trouble is not None:
            raise OSError(self.trouble, "in trouble")
        taken = data[: self.room]
        self.room -= len(taken)
        self.data += taken
        return len(taken)

    def reopen(self) -> None:
        self.reopened += 1
        if self.trouble is not None:
            raise OSError(self.trouble, "in trouble")

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture
def writer(pipe: Pipe, clock: Clock) -> LineWriter:
    return LineWriter(pipe, clock)


@pytest.fixture
def warnings() -> Iterator[Callable[[], list[str]]]:
    with capturedLogs() as events:
        yield lambda: [formatEvent(e) for e in events if e["log_level"] is LogLevel.warn]


def test_lines_wait_a_second_at_most(writer: LineWriter, pipe: Pipe, clock: Clock) -> None:
    writer.write(b"1\n")
    clock.advance(0.5)
    writer.write(b"2\n")
    assert pipe.writes == 0
    clock.advance(0.5)
    assert (pipe.data, pipe.writes) == (b"1\n2\n", 1)
    assert clock.getDelayedCalls() == []


def test_a_full_batch_does_not_wait(writer: LineWriter, pipe: Pipe, clock: Clock) -> None:
    line = b"x" * 1023 + b"\n"
    for _ in range(FLUSH_BYTES // 1024):
        writer.write(line)
    assert (len(pipe.data), pipe.writes) == (FLUSH_BYTES, 1)
    clock.advance(1)
    assert pipe.writes == 1
    assert clock.getDelayedCalls() == []


def test_a_slow_reader_gets_every_line_whole(writer: LineWriter, pipe: Pipe, clock: Clock) -> None:
    pipe.room = 3
    expected = b"".join(b"line %d\n" % n for n in range(20))
    for line in expected.splitlines(keepends=True):
        writer.write(line)
    for _ in range(100):
        clock.advance(1)
        pipe.room = 7
    assert pipe.data == expected
    assert clock.getDelayedCalls() == []


def test_a_destination_in_trouble_is_tried_once_a_second(
    writer: LineWriter, pipe: Pipe, clock: Clock, warnings: Callable[[], list[str]]
) -> None:
    pipe.trouble = errno.ENOSPC
    line = b"x" * 1023 + b"\n"
    for _ in range(2 * HELD_BYTES // 1024):
        writer.write(line)
    assert pipe.writes == 1
    clock.pump([1] * 59)
    assert pipe.writes == 60
    assert len(warnings()) == 1
    pipe.trouble = None
    clock.advance(1)
    assert len(pipe.data) == HELD_BYTES
    assert pipe.data == line * 1024
    assert clock.getDelayedCalls() == []


def test_the_operator_is_told_once_a_minute(
    writer: LineWriter, pipe: Pipe, clock: Clock, warnings: Callable[[], list[str]]
) -> None:
    pipe.trouble = errno.EPIPE
    line = b"x" * (64 * 1024 - 1) + b"\n"
    for _ in range(180):
        writer.write(line)
        clock.advance(1)
    assert len(warnings()) == 3
    assert "in trouble; 0 lost" in warnings()[0]
    assert "in trouble; 45 lost" in warnings()[1]
    assert "in trouble; 60 lost" in warnings()[2]
    writer.close()
    assert "75 lost" in warnings()[3]


def test_a_moment_of_trouble_is_not_worth_a_word(
    writer: LineWriter, pipe: Pipe, clock: Clock, warnings: Callable[[], list[str]]
) -> None:
    pipe.trouble = errno.EAGAIN
    writer.write(b"1\n")
    writer.flush()
    pipe.trouble = None
    clock.advance(1)
    pipe.room = 0
    writer.write(b"2\n")
    clock.advance(5)
    assert warnings() == []
    assert pipe.data == b"1\n"


def test_close_writes_what_is_held(writer: LineWriter, pipe: Pipe, clock: Clock) -> None:
    writer.write(b"1\n")
    writer.close()
    writer.close()
    writer.write(b"2\n")
    assert (pipe.data, pipe.closed) == (b"1\n", 1)
    assert clock.getDelayedCalls() == []


def test_close_does_not_wait_for_a_sleeping_reader(
    writer: LineWriter, pipe: Pipe, clock: Clock, warnings: Callable[[], list[str]]
) -> None:
    pipe.room = 5
    for n in range(4):
        writer.write(b"%d\n" % n)
    writer.close()
    assert pipe.data == b"0\n1\n2"
    assert len(warnings()) == 1
    assert "2 lost" in warnings()[0]
    assert pipe.closed == 1


def test_reopening_begins_with_what_comes_after(
    writer: LineWriter, pipe: Pipe, warnings: Callable[[], list[str]]
) -> None:
    writer.write(b"1\n")
    writer.reopen()
    assert (pipe.data, pipe.reopened) == (b"1\n", 1)
    pipe.trouble = errno.EACCES
    writer.reopen()
    assert len(warnings()) == 1
    assert "in trouble" in warnings()[0]


def test_of_several_lines_at_once_all_are_written_or_all_are_counted_as_lost(
    writer: LineWriter, pipe: Pipe, warnings: Callable[[], list[str]]
) -> None:
    pipe.room = 0
    writer.write(b"x" * (HELD_BYTES - 8) + b"\n")
    writer.write(b"a\nb\nc\n")
    writer.write(b"d\ne\nf\ng\n")
    pipe.room = 10**9
    writer.close()
    assert pipe.data.endswith(b"x\na\nb\nc\n")
    assert "4 lost" in warnings()[0]
