"""Making a worker process: what it inherits, and how the parent hears that it has ended."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.python.failure import Failure

from aigw.workers.channel import Channel

FIRST_DESCRIPTOR = 3
"""Where systemd puts the sockets that it passes (sd_listen_fds(3)), and then we ours."""

PARENTS_ONLY = ("AIGW_ADMIN_KEY", "AIGW_VIEWER_KEY", "AIGW_DATA_KEY")
"""Variables that no worker needs: whoever breaks into one finds no key to the configuration."""

MOST_OF_A_LINE = 4096


class Process(Protocol):
    """A worker process."""

    @property
    def pid(self) -> int:
        """Its number."""

    def kill(self) -> None:
        """End it, now. Idempotent."""


class Spawn(Protocol):
    """Starts a process."""

    def __call__(self, channel: Channel, said: Callable[[str], object], ended: Callable[[str], object]) -> Process:
        """``channel``: will be connected to it. ``said``: takes what it writes to its standard error, line by line.
        ``ended``: called once, with how it ended.

        :raises OSError: if there can't be another process.
        """


def descriptors(environ: Mapping[str, str]) -> int:
    """The first descriptor that is ours in a worker: that of its channel; `Hello` says what follows."""
    passed = environ.get("LISTEN_FDS", "")
    return FIRST_DESCRIPTOR + (int(passed) if passed.isdecimal() else 0)


class Spawner:
    """Starts workers that run what this process runs, on the same kind of reactor.

    ``sockets``: further descriptors that each inherits: the listening sockets, and what else `Hello` tells of.
    """

    def __init__(self, reactor: Any, environ: Mapping[str, str], sockets: Callable[[], Sequence[int]]) -> None:
        self._reactor = reactor
        self._sockets = sockets
        self._first = descriptors(environ)
        self._environ = {name: value for name, value in environ.items() if name not in PARENTS_ONLY}
        self._environ["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path)

    def __call__(self, channel: Channel, said: Callable[[str], object], ended: Callable[[str], object]) -> Process:
        """See `Spawn`."""
        ours, theirs = socket.socketpair()
        with ours, theirs, open(os.devnull, "rb") as nothing:
            ours.setblocking(False)
            inherited = {self._first + i: fd for i, fd in enumerate([theirs.fileno(), *self._sockets()])}
            watched = _Watched(said, ended)
            arguments = [sys.executable, "-P", "-m", "aigw.workers", type(self._reactor).__module__, str(self._first)]
            self._reactor.spawnProcess(
                watched,
                sys.executable,
                arguments,
                env=self._environ,
                childFDs={0: nothing.fileno(), 1: "r", 2: "r", **inherited},
            )
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: channel))
        return watched


class _Watched(ProcessProtocol):
    """One process."""

    transport: IProcessTransport

    def __init__(self, said: Callable[[str], object], ended: Callable[[str], object]) -> None:
        self._said = said
        self._ended = ended
        self._begun = b""
        self.pid = 0

    def connectionMade(self) -> None:
        """It runs."""
        self.pid = int(self.transport.pid)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It says something outside of its channel: it starts with difficulty, or dies."""
        *lines, begun = (self._begun + data).split(b"\n")
        self._begun = begun[:MOST_OF_A_LINE]
        for line in lines:
            self._said(line[:MOST_OF_A_LINE].decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and said all."""
        if self._begun:
            self._said(self._begun.decode("utf-8", "replace"))
        self._ended(how_ended(reason.value))

    def kill(self) -> None:
        """See `Process`."""
        try:
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            return


def how_ended(reason: BaseException | None) -> str:
    """In a word or two: ``SIGKILL``, ``exit status 1``."""
    if not isinstance(reason, ProcessTerminated):
        return "exit status 0"
    if reason.signal is not None:
        return next((known.name for known in signal.Signals if known == reason.signal), f"signal {reason.signal}")
    return f"exit status {reason.exitCode}"
