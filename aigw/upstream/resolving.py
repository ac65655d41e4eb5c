"""Name lookups, shared: while one for a name is under way, whoever asks for the same name waits for it too.

Lookups run in the reactor's few threads and can't be cancelled. Without this, a name server that hangs would have each
new request queue one more of them, in front of everything else that needs a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from zope.interface import implementer

PATIENCE = 30.0
"""Seconds after which nobody joins a lookup any more: one that died without a word must not block its name."""

_Key = tuple[str, int, Any, str]


@implementer(IResolutionReceiver, IHostResolution)
class _Lookup:
    """One lookup, and those who wait for it."""

    def __init__(self, name: str, begun: float) -> None:
        self.name = name
        self.begun = begun
        self.complete = False
        self._addresses: list[IAddress] = []
        self._waiting: list[IResolutionReceiver] = []

    def join(self, receiver: IResolutionReceiver) -> None:
        """Have ``receiver`` told too."""
        self._waiting.append(receiver)
        receiver.resolutionBegan(self)

    def cancel(self) -> None:
        """Not possible: a thread is at it."""

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Each receiver was told when it joined."""

    def addressResolved(self, address: IAddress) -> None:
        """One of the host's addresses."""
        self._addresses.append(address)

    def resolutionComplete(self) -> None:
        """These were all."""
        self.complete = True
        for receiver in self._waiting:
            for address in self._addresses:
                receiver.addressResolved(address)
            receiver.resolutionComplete()


@implementer(IHostnameResolver)
class SharedResolver:
    """Asks the reactor's resolver of the moment, once for all who ask the same at the same time."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._lookups: dict[_Key, _Lookup] = {}

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Look a host up; see `IHostnameResolver`."""
        now = self._reactor.seconds()
        self._lookups = {
            key: lookup
            for key, lookup in self._lookups.items()
            if not lookup.complete and now - lookup.begun < PATIENCE
        }
        key = (hostName, portNumber, addressTypes and tuple(addressTypes), transportSemantics)
        lookup = self._lookups.get(key)
        if lookup is not None:
            lookup.join(resolutionReceiver)
            return lookup
        lookup = self._lookups[key] = _Lookup(hostName, now)
        lookup.join(resolutionReceiver)
        self._reactor.nameResolver.resolveHostName(lookup, hostName, portNumber, addressTypes, transportSemantics)
        return lookup


@implementer(IReactorPluggableNameResolver)
class ResolvingReactor:
    """As much of a reactor as connecting by name needs, with shared lookups."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.nameResolver: IHostnameResolver = SharedResolver(reactor)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Use another resolver; returns the one before."""
        before, self.nameResolver = self.nameResolver, resolver
        return before

    def seconds(self) -> float:
        """The reactor's time."""
        now: float = self._reactor.seconds()
        return now

    def callLater(self, delay: float, callable: Any, *args: Any, **kwargs: Any) -> IDelayedCall:
        """As the reactor does it."""
        call: IDelayedCall = self._reactor.callLater(delay, callable, *args, **kwargs)
        return call

    def connectTCP(self, *args: Any, **kwargs: Any) -> Any:
        """As the reactor does it."""
        return self._reactor.connectTCP(*args, **kwargs)
