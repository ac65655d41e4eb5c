"""Connections kept alive, per origin: the last one used is the first one used again.

An idle connection goes when the upstream closes it, says anything, or when its time is over: one sweeper looks after
all of them. No request has a timer of its own here, except while a connection is being made.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from aigw.errors import NotServing, UpstreamTimeout
from aigw.ports import Clock
from aigw.upstream.connection import Connection, Lane
from aigw.upstream.endpoints import EndpointFactory
from aigw.upstream.failures import translate
from aigw.upstream.head import Head
from aigw.upstream.origin import Origin
from aigw.upstream.request import Request

MAX_IDLE = 1024
"""Idle connections over all origins; the one that rests longest goes first."""

SWEEP = 1.0
"""Seconds between two looks at the idle connections."""

SURPLUS = 1.0
"""Seconds for which more idle connections are kept than a profile wants. Under load the same requests need them again
at once, and to connect for each costs more than the request.
"""

FAREWELL = 2.0
"""Seconds that an upstream has to close a connection with us, before it is just cut."""

JUST_REUSED = 2.0
"""Seconds within which the loss of a reused connection means that the upstream had closed it before it saw the request.
An upstream that fails after that was at work, and is not asked to begin again."""


class Pool:
    """The connections of a gateway to all its upstreams."""

    def __init__(self, clock: Clock, endpoints: EndpointFactory, *, max_idle: int = MAX_IDLE) -> None:
        self._clock = clock
        self._endpoints = endpoints
        self._max_idle = max_idle
        self._lanes: dict[Origin, Lane] = {}  # of the origins to which there are connections
        self._idle: dict[Connection, None] = {}  # all of them, the one that rests longest first
        self._leaving: dict[Connection, float] = {}  # being closed, and when that has taken too long
        self._open: set[Connection] = set()
        self._connecting: set[Deferred[Connection]] = set()
        self._sweeper: IDelayedCall | None = None
        self._closed = False
        self._closers: list[Deferred[None]] = []

    def send(self, request: Request) -> None:
        """Send a request, on an idle connection or on a new one; whatever comes of it, it is told."""
        connection = self._take(request.origin)
        if connection is not None:
            connection.send(request)
        else:
            self._connect_for(request)

    def close(self) -> Deferred[None]:
        """Close everything, what is under way too. Fires when all connections are gone. Idempotent."""
        self._closed = True
        for connecting in tuple(self._connecting):
            connecting.cancel()
        for connection in tuple(self._open):
            if connection in self._idle:
                self.retire(connection)
            elif connection not in self._leaving:
                connection.abandon(NotServing("the gateway is shutting down"))
        closed: Deferred[None] = Deferred()
        self._closers.append(closed)
        self._check_closed()
        return closed

    # Connecting.

    def _connect_for(self, request: Request) -> None:
        if self._closed:
            request.fail(NotServing("the gateway is shutting down"))
            return
        origin, seconds = request.origin, request.profile.connect_timeout
        connecting = Deferred.fromCoroutine(self._connect(origin, seconds))
        connecting.addTimeout(seconds, self._clock, lambda result, _: _too_late(origin, seconds))
        request.carrier = connecting
        self._connecting.add(connecting)
        connecting.addBoth(self._connected, connecting, request)

    async def _connect(self, origin: Origin, timeout: float) -> Connection:
        factory = Factory.forProtocol(lambda: Connection(origin, self))
        connection = await self._endpoints(origin, timeout).connect(factory)
        assert isinstance(connection, Connection)  # as the factory makes no others
        await connection.ready()
        return connection

    def _connected(self, result: Connection | Failure, connecting: Deferred[Connection], request: Request) -> None:
        self._connecting.discard(connecting)
        if self._closed:
            request.fail(NotServing("the gateway is shutting down"))
        elif isinstance(result, Failure):
            request.fail(translate(result, request.origin.label))
        else:
            result.send(request)

    # As the keeper of connections.

    def made(self, connection: Connection) -> None:
        """It is connected."""
        self._open.add(connection)
        lane = self._lanes.get(connection.origin)
        if lane is None:
            lane = self._lanes[connection.origin] = Lane()
        lane.connections += 1
        connection.lane = lane

    def rested(self, connection: Connection, request: Request, head: Head) -> None:
        """Keep it, for as long as its last request's profile and its upstream allow."""
        profile = request.profile
        seconds = profile.keepalive_timeout
        if head.kept_for is not None:
            seconds = min(seconds, head.kept_for - 1.0)
        if self._closed or seconds <= 0 or not profile.keepalive_pool:
            self.retire(connection)
            return
        idle = connection.lane.idle
        if len(idle) >= profile.keepalive_pool:
            seconds = min(seconds, SURPLUS)
        if len(self._idle) >= self._max_idle:
            self.retire(next(iter(self._idle)))
        connection.idle_until = self._clock.seconds() + seconds
        idle.append(connection)
        self._idle[connection] = None
        if self._sweeper is None:
            self._keep_sweeping()

    def unanswered(self, connection: Connection, request: Request) -> bool:
        """Send again, once, what a connection got that the upstream had closed already."""
        reused_at = connection.reused_at
        if reused_at is None or self._clock.seconds() - reused_at > JUST_REUSED or not request.can_be_resent:
            return False
        request.resent = True
        self._connect_for(request)
        return True

    def retire(self, connection: Connection) -> None:
        """Close it properly; cut it if that takes too long."""
        self._forget_idle(connection)
        if connection not in self._leaving:
            self._leaving[connection] = self._clock.seconds() + FAREWELL
            self._keep_sweeping()
            connection.close()

    def lost(self, connection: Connection) -> None:
        """It is gone."""
        self._forget_idle(connection)
        self._leaving.pop(connection, None)
        self._open.discard(connection)
        connection.lane.connections -= 1
        if not connection.lane.connections:
            del self._lanes[connection.origin]
        self._check_closed()

    # Idle connections.

    def _take(self, origin: Origin) -> Connection | None:
        lane = self._lanes.get(origin)
        if lane is None or not lane.idle:
            return None
        now = self._clock.seconds()
        while lane.idle:
            connection = lane.idle.pop()
            del self._idle[connection]
            if connection.idle_until > now:
                connection.reused_at = now
                return connection
            self.retire(connection)
        return None

    def _forget_idle(self, connection: Connection) -> None:
        if connection in self._idle:
            del self._idle[connection]
            connection.lane.idle.remove(connection)

    def _keep_sweeping(self) -> None:
        if self._sweeper is None:
            self._sweeper = self._clock.callLater(SWEEP, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._clock.seconds()
        for connection in [c for c in self._idle if c.idle_until <= now]:
            self.retire(connection)
        for connection in [c for c, end in self._leaving.items() if end <= now]:
            connection.cancel()
        if self._idle or self._leaving:
            self._keep_sweeping()

    def _check_closed(self) -> None:
        if self._closed and not self._open:
            if self._sweeper is not None:
                self._sweeper.cancel()
                self._sweeper = None
            closers, self._closers = self._closers, []
            for closed in closers:
                closed.callback(None)


def _too_late(origin: Origin, seconds: float) -> Failure:
    return Failure(UpstreamTimeout(f"{origin.label}: no connection within {seconds:g} s"))
