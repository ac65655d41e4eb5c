"""The reactor as endpoints see it, with TCP connections that send at once."""

from __future__ import annotations

import socket
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IConnector, IListeningPort, IReactorSocket, IReactorSSL, IReactorTCP
from twisted.internet.posixbase import PosixReactorBase
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import directlyProvides, providedBy

from aigw.net.transport import EagerConnector, EagerPort, EagerTLSPort

BAD_ENDPOINT = (ValueError, TypeError, LookupError, OSError, SSL.Error, crypto.Error)
"""What the parsers of endpoint strings raise, Twisted's and other people's, and those of the key files in them."""


class EagerSockets:
    """A reactor for endpoints: what it has of TCP is its own, TLS over it included; all else is the reactor's.

    Use it where endpoints are made, not where time is asked: going through it to the reactor takes longer.
    """

    def __init__(self, reactor: PosixReactorBase) -> None:
        self._reactor = reactor
        directlyProvides(self, providedBy(reactor), IReactorTCP, IReactorSSL, IReactorSocket)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> IListeningPort:
        """See `IReactorTCP`."""
        listening = EagerPort(port, factory, backlog, interface, self._reactor)
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: Any, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> IConnector:
        """See `IReactorTCP`."""
        connector = EagerConnector(host, port, factory, timeout, bindAddress, self._reactor)
        connector.connect()
        return connector

    def listenSSL(
        self, port: Any, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """See `IReactorSSL`."""
        secure = TLSMemoryBIOFactory(contextFactory, False, factory, self._reactor)
        listening = EagerTLSPort(port, secure, backlog, interface, self._reactor)
        listening.startListening()
        return listening

    def connectSSL(
        self, host: str, port: Any, factory: Any, contextFactory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> IConnector:
        """See `IReactorSSL`."""
        secure = TLSMemoryBIOFactory(contextFactory, True, factory, self._reactor)
        return self.connectTCP(host, port, secure, timeout, bindAddress)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> IListeningPort:
        """See `IReactorSocket`: a socket that another process listens on."""
        if addressFamily not in (socket.AF_INET, socket.AF_INET6):
            listening: Any = self._reactor.adoptStreamPort(fileDescriptor, addressFamily, factory)
        else:
            adopt: Any = EagerPort._fromListeningDescriptor
            listening = adopt(self._reactor, fileDescriptor, addressFamily, factory)
            listening.startListening()
        adopted: IListeningPort = listening
        return adopted


def eager_sockets(reactor: Any) -> Any:
    """The reactor for endpoints: `EagerSockets` over one that works with file descriptors, any other as it is."""
    return EagerSockets(reactor) if isinstance(reactor, PosixReactorBase) else reactor
