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

from aigw.net.shares import BATCH, MOMENT, Courtesy
from aigw.net.transport import EagerPort


class SharedPort(EagerPort):
    """Accepts one connection in a turn, and lets others go first: see `aigw.net.shares`."""

    courtesy: Courtesy

    def doRead(self) -> None:
        """Accept a connection, or leave it to another process for a moment."""
        if self.courtesy.is_our_turn():
            self._accept(1)
        else:
            self.stopReading()  # type: ignore[no-untyped-call]
            self.reactor.callLater(MOMENT, self._accept_after_all)  # type: ignore[attr-defined]

    def _accept_after_all(self) -> None:
        if self.connected and not self.disconnecting:
            self._accept(BATCH)
            self.startReading()  # type: ignore[no-untyped-call]

    def _accept(self, most: int) -> None:
        self.numberAccepts = most
        super().doRead()  # type: ignore[no-untyped-call]
        self.courtesy.tell()


class SharedUNIXPort(SharedPort, unix.Port):
    """The same for a UNIX socket. Its path and its lock are the other process's business."""

    transport = unix.Server  # type: ignore[assignment]
    _shouldShutdown = False

    def startListening(self) -> None:
        """Begin to accept."""
        self.factory.doStart()  # type: ignore[union-attr]
        bound: Any = self._preexistingSocket
        self.socket, self._preexistingSocket = bound, None
        self.fileno = bound.fileno  # type: ignore[method-assign]
        self.connected = True
        self.startReading()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Any) -> None:
        """Accept no more."""
        tcp.Port.connectionLost(self, reason)


class InheritedSocket:
    """The reactor, to make one endpoint of: wherever that listens, it listens on the socket with descriptor ``fd``."""

    def __init__(self, reactor: PosixReactorBase, fd: int, courtesy: Courtesy) -> None:
        self._reactor = reactor
        self._fd = fd
        self._courtesy = courtesy
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
        adopted.courtesy = self._courtesy
        adopted.startListening()
        os.close(self._fd)
        listening: IListeningPort = adopted
        return listening
