"""The factory of the proxy face's connections: counts them, looks after their deadlines, and sees them off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolNegotiationFactory
from twisted.internet.protocol import Factory
from twisted.web.http import H2_ENABLED
from zope.interface import implementer

from aigw.pipeline import Finder
from aigw.ports import Clock
from aigw.proxy.channel import Channel
from aigw.proxy.face import Face, Observer
from aigw.proxy.limits import Limits
from aigw.proxy.phases import patience
from aigw.proxy.turnaway import Turnaway

SWEEP_INTERVAL = 1.0
"""Seconds; deadlines are that exact."""


def proxy_site(
    *,
    lookup: Finder,
    clock: Clock,
    limits: Limits,
    observers: Sequence[Observer],
    ids: Callable[[], str],
) -> ProxySite:
    """The proxy face, ready to be listened with.

    ``lookup``: finds the route of a request when its head is there. ``observers``: told of every request that is over.
    ``ids``: makes ids for requests that bring none.
    """
    return ProxySite(Face(lookup=lookup, clock=clock, limits=limits, observers=observers, ids=ids))


@implementer(IProtocolNegotiationFactory)
class ProxySite(Factory):
    """One per proxy face, however many endpoints it listens on. ``connections``: those that are open."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.patience = patience(face.limits)
        self.connections: set[Channel] = set()
        self._sweeping: IDelayedCall | None = None
        self._giving_up: IDelayedCall | None = None
        self._drained: list[Deferred[None]] = []

    @property
    def in_flight(self) -> int:
        """Requests whose head has come and which are not over."""
        return self.face.in_flight

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A channel; nothing (the connection is closed) once the site is draining; a 503 if there are too many."""
        if self.face.draining:
            return None
        if len(self.connections) >= self.face.limits.max_connections:
            return Turnaway(self.face)
        return Channel(self)

    def acceptableProtocols(self) -> list[bytes]:
        """What ALPN may choose from."""
        return [b"h2", b"http/1.1"] if H2_ENABLED else [b"http/1.1"]

    def drain(self, seconds: float) -> Deferred[None]:
        """Serve what is in flight, take nothing new, close every connection as soon as it is idle.

        Fires when the last one is closed; those that are left after ``seconds`` are aborted.
        """
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        if not self.face.draining:
            self.face.draining = True
            self._giving_up = self.face.clock.callLater(seconds, self.abort_all)
            for channel in tuple(self.connections):
                channel.drain()
        self._tell_drained()
        return drained

    def abort_all(self) -> None:
        """Close every connection now, whatever is in flight."""
        for channel in tuple(self.connections):
            channel.abortConnection()

    def opened(self, channel: Channel) -> None:
        """A connection is there."""
        self.connections.add(channel)
        if self._sweeping is None:
            self._sweeping = self.face.clock.callLater(SWEEP_INTERVAL, self._sweep)

    def closed(self, channel: Channel) -> None:
        """A connection is gone."""
        self.connections.discard(channel)
        if not self.connections and self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self.face.draining:
            self._tell_drained()

    def _sweep(self) -> None:
        self._sweeping = self.face.clock.callLater(SWEEP_INTERVAL, self._sweep)
        now = self.face.clock.seconds()
        for channel in tuple(self.connections):
            channel.sweep(now)

    def _tell_drained(self) -> None:
        if self.connections:
            return
        if self._giving_up is not None and self._giving_up.active():
            self._giving_up.cancel()
        drained, self._drained = self._drained, []
        for deferred in drained:
            deferred.callback(None)
