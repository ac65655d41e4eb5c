"""A worker: the data path, on sockets that the parent has bound, with the Snapshot that the parent sends."""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from aigw import __version__
from aigw.balancing.sharing import SharedHealths, keyed_digest
from aigw.datapath import DataPath, Scope
from aigw.net.inherited import InheritedSocket
from aigw.net.shares import Courtesy, Shares
from aigw.net.sockets import BAD_ENDPOINT
from aigw.observe.access_log import AccessLog
from aigw.observe.adding import Growing
from aigw.observe.line_writer import LineWriter
from aigw.plugins import CONFIGS
from aigw.registry import Registry
from aigw.workers import messages
from aigw.workers.channel import Channel
from aigw.workers.circuits import WorkerMetrics
from aigw.workers.follower import Follower
from aigw.workers.healths import shared_healths
from aigw.workers.messages import Applied, Change, Grown, Hello, Leaving, Listener, Listening, ToWorker
from aigw.workers.saying import EventsToParent, ParentsLog
from aigw.workers.topics import Topics

FLUSH_SECONDS = 0.1
"""How long a line of the access log stays here, where it is lost if the worker is killed."""

LAST_REQUESTS = 0.1
"""Seconds for a connection that was accepted last to become a request; without one it counts as idle, and is closed."""

MOST_GROWTHS = 500
"""In one message."""


class CannotServe(Exception):
    """A worker can't do what it is here for; the message is for the operator."""


class Worker:
    """One worker's life. ``environ``: where ``$env://`` references are looked up. ``failed``: it can't serve."""

    log = Logger()

    def __init__(self, reactor: Any, environ: Mapping[str, str]) -> None:
        self._reactor = reactor
        self._environ = environ
        self.channel = Channel(ToWorker, self._heard, self._lost)
        self._topics = Topics(self.channel.send)
        self._metrics = WorkerMetrics(self._topics)
        self._growing = Growing(self._metrics)
        self._registry = Registry()
        self._hello: Hello | None = None
        self._follower: Follower | None = None
        self._healths: SharedHealths | None = None
        self._access_log: AccessLog | None = None
        self._path: DataPath | None = None
        self._ports: list[IListeningPort] = []
        self._courtesy: Courtesy | None = None
        self._leaving = False
        self.failed = False

    def run(self, fd: int) -> None:
        """Live. ``fd``: of the channel."""
        # The terminal's Ctrl-C is the parent's business; a SIGTERM that is sent to this process alone is ours.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self.asked_to_leave))
        globalLogBeginner.beginLoggingTo([EventsToParent(self.channel)], redirectStandardIO=False)
        os.set_blocking(fd, False)
        self._reactor.adoptStreamConnection(fd, socket.AF_UNIX, Factory.forProtocol(lambda: self.channel))
        os.close(fd)
        self._reactor.run(installSignalHandlers=False)

    def asked_to_leave(self) -> None:
        """By a signal: the parent has another worker in our place."""
        if self._hello is not None:
            self._leave(self._hello.drain)

    # What the parent says

    def _heard(self, said: ToWorker) -> None:
        try:
            self._obey(said)
        except CannotServe as e:
            self.failed = True
            self.log.error("{reason}", reason=str(e))
            self.channel.close()

    def _obey(self, said: ToWorker) -> None:
        match said:
            case Change():
                self._change(said)
            case messages.Sync(number):
                self._tell_all()
                self.channel.send(Applied(number))
            case messages.Shared():
                self._topics.heard(said)
            case Hello():
                self._begin(said)
            case messages.Listen():
                self._listen()
            case messages.Leave(number, seconds):
                self._leave(seconds)
                self.channel.send(Applied(number))
            case messages.Hurry():
                self._hurry()

    def _begin(self, hello: Hello) -> None:
        if hello.version != __version__:
            raise CannotServe(f"aigw {__version__} is installed, the gateway runs {hello.version}: restart it")
        self._hello = hello
        self._follower = Follower(hello.group, self._registry, CONFIGS)
        self._healths = shared_healths(self._topics, keyed_digest(hello.key))
        if hello.access_log:
            self._access_log = AccessLog(LineWriter(ParentsLog(self.channel), self._reactor, FLUSH_SECONDS))

    def _change(self, change: Change) -> None:
        assert self._follower is not None
        if self._follower.follow(change):
            if self._path is None:
                self._path = self._data_path()
            self.channel.send(Applied(change.number))

    def _data_path(self) -> DataPath:
        hello = self._hello
        assert hello is not None
        scope = Scope(
            group=hello.group,
            priority_order=hello.priority_order,
            environ=self._environ,
            digest=keyed_digest(hello.key),
        )
        return DataPath(
            scope,
            registry=self._registry,
            metrics=self._metrics,
            access_log=self._access_log,
            reactor=self._reactor,
            healths=self._healths,
        )

    def _listen(self) -> None:
        assert self._hello is not None
        assert self._path is not None
        hello, path = self._hello, self._path
        shares = Shares(hello.shares, hello.places)
        self._courtesy = Courtesy(shares, hello.place, lambda: len(path.site.connections))
        for listener in hello.listeners:
            self._ports.append(self._listen_on(listener, path, self._courtesy))
        self._courtesy.tell()
        gc.collect()
        gc.freeze()  # as the gateway does in a single process
        self.channel.send(Listening())

    def _listen_on(self, listener: Listener, path: DataPath, courtesy: Courtesy) -> IListeningPort:
        outcome: list[Any] = []
        inherited: Any = InheritedSocket(self._reactor, listener.fd, courtesy)
        try:
            listening = serverFromString(inherited, listener.endpoint).listen(path.site)
        except BAD_ENDPOINT as e:
            raise CannotServe(f"--proxy: {listener.endpoint}: no endpoint to listen on: {e}") from e
        listening.addBoth(outcome.append)
        if not outcome or isinstance(outcome[0], Failure):
            reason = outcome[0].value if outcome else "not at once"
            raise CannotServe(f"--proxy: {listener.endpoint}: does not begin to listen: {reason}")
        port: IListeningPort = outcome[0]
        return port

    def _tell_all(self) -> None:
        growths = list(self._growing.since_last())
        in_flight = 0 if self._path is None else self._path.in_flight
        for start in range(0, len(growths) or 1, MOST_GROWTHS):
            self.channel.send(Grown(growths[start : start + MOST_GROWTHS], in_flight))

    # Leaving

    def _leave(self, seconds: float) -> None:
        if self._leaving:
            return
        self._leaving = True
        leaving = Deferred.fromCoroutine(self._drain(seconds))
        leaving.addErrback(lambda failure: self.log.failure("a worker did not leave as it should", failure=failure))
        leaving.addBoth(lambda _: self.channel.close())

    async def _drain(self, seconds: float) -> None:
        if self._courtesy is not None:
            self._courtesy.leave()
        await DeferredList([maybeDeferred(port.stopListening) for port in self._ports])
        self.channel.send(Leaving())
        if self._ports:
            await deferLater(self._reactor, LAST_REQUESTS)
        if self._path is not None:
            await self._path.drain(seconds)
            await self._path.close_clients()
            self._path.close()
        self._tell_all()

    def _hurry(self) -> None:
        self._leave(0)
        if self._path is not None:
            self._path.hurry()

    def _lost(self) -> None:
        """The parent is gone, or has heard all that there was to say."""
        if self._reactor.running:
            self._reactor.stop()
