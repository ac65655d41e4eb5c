"""A scriptable HTTP/1.1 server: what it does with a request is a coroutine that writes raw bytes, waits, and closes.

Nothing corrects what a behaviour writes: a lie about the length, half a chunk or plain garbage go out as they are.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from aigw.ports import Clock
from aigw.testing.requests import Received as Received
from aigw.testing.requests import RequestReader


class Moment(enum.Enum):
    """When a behaviour begins."""

    CONNECTED = "before a byte of the request was read"
    HEAD = "after the head, while the body may still be coming"
    REQUEST = "after the whole request"


class Talk:
    """One answer being given: what a behaviour works with. ``request``: what it answers."""

    def __init__(self, request: Received, connection: _Connection, clock: Clock) -> None:
        self.request = request
        self.clock = clock
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Write these bytes, whatever they are."""
        self.request.written += len(data)
        self._connection.write(data)

    def sleep(self, seconds: float) -> Deferred[None]:
        """Fires after a while."""
        timer = self.clock.callLater(seconds, lambda: done.callback(None))
        done: Deferred[None] = Deferred(lambda _: timer.cancel())
        return done

    def silence(self) -> Deferred[None]:
        """Never fires; the behaviour ends when the other side closes."""
        return Deferred()

    def writable(self) -> Deferred[None]:
        """Fires when the other side has taken (nearly) all that was sent."""
        return self._connection.writable()

    def stop_reading(self) -> None:
        """Take nothing more of the request, so that its sender's buffers fill up."""
        self._connection.stop_reading()

    def start_reading(self) -> None:
        """Take it again."""
        self._connection.start_reading()

    def close(self) -> None:
        """Close properly, after what was sent."""
        self._connection.close()

    def reset(self) -> None:
        """Close with a TCP reset; what has not left yet is lost."""
        self._connection.reset()


Behaviour = Callable[[Talk], Coroutine[Any, Any, None] | Awaitable[None]]
"""What is done with one request. When it returns, the connection is ready for the next one, if it is still open."""


class FakeUpstream(Factory):
    """A server for ``reactor.listenTCP`` or a transport in memory. ``clock``: the reactor, or a Clock.

    ``behaviour``: what it does with each request that the script has nothing for. ``moment``: when it begins.
    ``received``: all requests so far (with `Moment.CONNECTED`: connections), in order. ``connections``: how many were
    ever made; ``open``: how many are. ``failures``: of behaviours that broke, which a test should look at.
    """

    noisy = False

    def __init__(self, clock: Clock, behaviour: Behaviour, *, moment: Moment = Moment.REQUEST) -> None:
        self.clock = clock
        self.behaviour = behaviour
        self.moment = moment
        self.received: list[Received] = []
        self.connections = 0
        self.failures: list[Failure] = []
        self._script: deque[Behaviour] = deque()
        self._open: set[_Connection] = set()

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def script(self, *behaviours: Behaviour) -> None:
        """Have each of the next requests answered by the next of these."""
        self._script.extend(behaviours)

    def drop_all(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.reset()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """A connection was made."""
        self.connections += 1
        return _Connection(self, self.connections)

    def opened(self, connection: _Connection) -> None:
        """A connection is there."""
        self._open.add(connection)

    def lost(self, connection: _Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)

    def next_behaviour(self, request: Received) -> Behaviour:
        """Note the request and say what to do with it."""
        self.received.append(request)
        return self._script.popleft() if self._script else self.behaviour


@implementer(IPushProducer)
class _Connection(Protocol):
    """One connection: requests come one after another, each has its talk."""

    log = Logger()

    def __init__(self, upstream: FakeUpstream, number: int) -> None:
        self._upstream = upstream
        self._number = number
        self._count = 0
        self._reader = RequestReader()
        self._talk: Talk | None = None
        self._running: Deferred[None] | None = None
        self._paused = False
        self._writable: Deferred[None] | None = None
        self._gone = False
        self._begun = False  # the talk about the request that is still being read

    def connectionMade(self) -> None:
        self._upstream.opened(self)
        self._transport.registerProducer(self, True)
        if self._upstream.moment is Moment.CONNECTED:
            self._begin(Received())

    def dataReceived(self, data: bytes) -> None:
        self._reader.feed(data)
        self._go_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = True
        self._upstream.lost(self)
        if self._talk is not None:
            self._talk.request.left = self._upstream.clock.seconds()
        self._stop()

    # For the talk.

    def write(self, data: bytes) -> None:
        if not self._gone:
            self._transport.write(data)

    def writable(self) -> Deferred[None]:
        writable: Deferred[None] = Deferred()
        self._writable = writable
        if not self._paused:
            writable.callback(None)
        return writable

    def stop_reading(self) -> None:
        self._transport.pauseProducing()

    def start_reading(self) -> None:
        self._transport.resumeProducing()

    def close(self) -> None:
        self._leave()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def reset(self) -> None:
        self._leave()
        self._transport.abortConnection()

    # IPushProducer

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        if self._writable is not None and not self._writable.called:
            self._writable.callback(None)

    def stopProducing(self) -> None:
        """The end comes by `connectionLost`."""

    # Inside

    @property
    def _transport(self) -> Any:
        return self.transport

    def _leave(self) -> None:
        """It is us who close: nobody left early."""
        self._gone, self._talk = True, None

    def _go_on(self) -> None:
        if self._gone or self._upstream.moment is Moment.CONNECTED:
            return
        if self._upstream.moment is Moment.HEAD and self._reader.head is not None and not self._begun:
            self._begun = True
            self._begin(Received(head=self._reader.head))
        elif self._talk is None and (request := self._reader.take()) is not None:
            if self._begun:
                self._begun = False
                self._go_on()
            else:
                self._begin(request)

    def _begin(self, request: Received) -> None:
        self._count += 1
        request.connection, request.nth, request.at = self._number, self._count, self._upstream.clock.seconds()
        self._talk = Talk(request, self, self._upstream.clock)
        self._running = Deferred.fromCoroutine(self._perform(self._upstream.next_behaviour(request), self._talk))
        self._running.addErrback(self._failed)
        self._running.addCallback(self._over)

    async def _perform(self, behaviour: Behaviour, talk: Talk) -> None:
        await behaviour(talk)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._upstream.failures.append(failure)
            self.log.failure("a behaviour failed", failure)
            self.reset()

    def _over(self, _: None) -> None:
        self._talk = self._running = None
        self._go_on()

    def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
