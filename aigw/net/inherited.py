"""Listening sockets that another process has bound, for endpoints that think they bind them.

So an endpoint string means the same in the process that binds and in those that serve, whatever is wrapped around the
socket: TLS, a plugin's protocol. Nothing here closes a socket for the others, or removes its path.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, IReactorSocket, IReactorSSL, IReactorTCP, IReactorUNIX
from twisted.internet.posixbase import PosixReactorBase
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import directlyProvides, providedBy

from aigw.net.transport import EagerPort


class SharedPort(EagerPort):
    """Accepts one connection in a turn: who takes all that wait leaves nothing to the processes beside it."""

    def doRead(self) -> None:
        """Accept a connection."""
        self.numberAccepts = 1
        super().doRead()  # type: ignore[no-untyped-call]


class SharedUNIXPort(unix.Port):
    """The same for a UNIX socket. Its path and its lock are the other process's business."""

    _shouldShutdown = False

    def startListening(self) -> None:
        """Begin to accept."""
        self.factory.doStart()  # type: ignore[union-attr]
        bound: Any = self._preexistingSocket
        self.socket, self._preexistingSocket = bound, None
        self.fileno = bound.fileno  # type: ignore[method-assign]
        self.connected = True
        self.startReading()  # type: ignore[no-untyped-call]

    def doRead(self) -> None:
        """Accept a connection."""
        self.numberAccepts = 1
        super().doRead()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Any) -> None:
        """Accept no more."""
        tcp.Port.connectionLost(self, reason)


class InheritedSocket:
    """The reactor, to make one endpoint of: wherever that listens, it listens on the socket with descriptor ``fd``."""

    def __init__(self, reactor: PosixReactorBase, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        directlyProvides(self, providedBy(reactor), IReactorTCP, IReactorSSL, IReactorUNIX, IReactorSocket)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> IListeningPort:
        """See `IReactorTCP`."""
        return self._adopt(factory)

    def listenSSL(
        self, port: Any, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """See `IReactorSSL`."""
        return self._adopt(TLSMemoryBIOFactory(contextFactory, False, factory, self._reactor))

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> IListeningPort:
        """See `IReactorUNIX`."""
        return self._adopt(factory)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> IListeningPort:
        """See `IReactorSocket`."""
        return self._adopt(factory)

    def _adopt(self, factory: Any) -> IListeningPort:
        with socket.socket(fileno=os.dup(self._fd)) as bound:
            family = bound.family
        adopted: Any
        if family == socket.AF_UNIX:
            adopt_unix: Any = SharedUNIXPort._fromListeningDescriptor
            adopted = adopt_unix(self._reactor, self._fd, factory)
        else:
            adopt: Any = SharedPort._fromListeningDescriptor
            adopted = adopt(self._reactor, self._fd, family, factory)
        adopted.startListening()
        os.close(self._fd)
        listening: IListeningPort = adopted
        return listening
