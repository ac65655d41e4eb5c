"""Where log lines go. Writing takes what can be taken at once, and never waits for a reader."""

from __future__ import annotations

import os
import select
from typing import Protocol

MODE = 0o640
CHUNK = select.PIPE_BUF
"""A pipe that is ready for writing takes this many bytes without blocking (POSIX)."""


class Destination(Protocol):
    """Takes whole lines, or the part of them that it has room for."""

    def write(self, data: bytes) -> int:
        """How many bytes of ``data`` are done with; the caller offers the rest again.

        :raises OSError: if none could be written.
        """

    def reopen(self) -> None:
        """Let go of a file that was moved away, open it anew.

        :raises OSError: if that fails; the old one stays in use.
        """

    def close(self) -> None:
        """Nothing more will be written."""


def log_destination(where: str) -> Destination:
    """What an operator means by a path, or by ``-``: standard output.

    :raises OSError: if the file can't be opened.
    """
    return StandardOutput() if where == "-" else LogFile(where)


class LogFile:
    """A file that is appended to; when another program moves or removes it, a new one is begun.

    :raises OSError: if it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = self._open()
        self._torn = False

    def write(self, data: bytes) -> int:
        """See `Destination`; of a line that was half written before the file was moved, the other half is dropped."""
        skipped = 0
        if self._moved():
            self.reopen()
            skipped = data.index(b"\n") + 1 if self._torn else 0
            self._torn = False
        written = skipped + os.write(self._fd, data[skipped:])
        self._torn = data[written - 1 : written] != b"\n"
        return written

    def reopen(self) -> None:
        """See `Destination`."""
        fd = self._open()
        os.close(self._fd)
        self._fd = fd

    def close(self) -> None:
        """See `Destination`."""
        os.close(self._fd)

    def _open(self) -> int:
        # Not blocking: the path may be a named pipe or a terminal.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        return os.open(self._path, flags, MODE)

    def _moved(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._fd))


class StandardOutput:
    """An inherited descriptor, by default standard output, which may be a pipe whose reader has fallen asleep.

    It is asked for room before each write: making it non-blocking would do so for all processes that share it.
    """

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, data: bytes) -> int:
        """See `Destination`."""
        rest = memoryview(data)
        while rest and self._poll.poll(0):
            try:
                rest = rest[os.write(self._fd, rest[:CHUNK]) :]
            except OSError:
                if len(rest) == len(data):
                    raise
                break
        return len(data) - len(rest)

    def reopen(self) -> None:
        """There is nothing to reopen."""

    def close(self) -> None:
        """It isn't ours to close."""
