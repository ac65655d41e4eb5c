"""A network in memory, whose upstreams are played by a test. It behaves as real transports do, in the order they do.

A `Network` is what `aigw.upstream.clients.Clients` takes as its ``endpoints``: ``Clients(clock, Network(clock))``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from aigw.ports import Clock
from aigw.upstream.origin import Origin


class Network:
    """Records who wants to connect; see `knocks`."""

    def __init__(self, clock: Clock) -> None:
        self.knocks: list[Knock] = []
        self._clock = clock

    def __call__(self, origin: Origin, timeout: float) -> IStreamClientEndpoint:
        """The endpoint for an origin."""
        return _Endpoint(self, origin, timeout)

    def knock(self) -> Knock:
        """The attempt to connect that has waited longest; it's off the list then."""
        return self.knocks.pop(0)

    def accept(self) -> Line:
        """Accept it, handshake included."""
        line = self.knock().accept()
        line.shake_hands()
        return line

    def line(self, protocol: IProtocol) -> Line:
        """A connection with ``protocol`` at its near end."""
        return Line(self._clock, protocol)


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, network: Network, origin: Origin, timeout: float) -> None:
        self._network = network
        self._origin = origin
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        knock = Knock(self._network, self._origin, self._timeout, protocolFactory)
        self._network.knocks.append(knock)
        return knock.waiting


class Knock:
    """An attempt to connect. ``given_up``: whoever wanted to connect doesn't any more."""

    def __init__(self, network: Network, origin: Origin, timeout: float, factory: IProtocolFactory) -> None:
        self.origin = origin
        self.timeout = timeout
        self.given_up = False
        self.waiting: Deferred[IProtocol] = Deferred(self._give_up)
        self._network = network
        self._factory = factory

    def accept(self) -> Line:
        """TCP is connected."""
        protocol = self._factory.buildProtocol(None)  # type: ignore[arg-type]  # nobody looks at the address
        assert protocol is not None
        line = self._network.line(protocol)
        line.connect()
        self.waiting.callback(protocol)
        return line

    def refuse(self, reason: Exception | None = None) -> None:
        """No connection; ``reason``: why, if not because nobody listens."""
        self.waiting.errback(reason or ConnectionRefusedError())

    def _give_up(self, _: Deferred[IProtocol]) -> None:
        self.given_up = True


@implementer(ITransport, IConsumer, IPushProducer)
class Line:
    """A connection: a transport for its near end, and for the test that plays the far end all that happens there.

    ``writes``: what was written, one item a write. ``reading``: the near end reads. ``closing``, ``aborted``: what it
    asked for; ``lost``: it has been told of the end. ``stubborn``: the far end doesn't answer a close.
    """

    def __init__(self, clock: Clock, protocol: IProtocol) -> None:
        self.writes: list[bytes] = []
        self.reading = True
        self.closing = self.aborted = self.lost = self.stubborn = False
        self.producer: Any = None
        self._clock = clock
        self._protocol = protocol
        self._unread: list[bytes | Failure] = []

    # The far end.

    def connect(self) -> None:
        """Connect the near end."""
        self._protocol.makeConnection(self)

    def shake_hands(self) -> None:
        """The TLS handshake is complete, if there is one."""
        if IHandshakeListener.providedBy(self._protocol):
            self._protocol.handshakeCompleted()

    def take(self) -> bytes:
        """All that was written since the last time."""
        taken = b"".join(self.writes)
        self.writes.clear()
        return taken

    def say(self, data: bytes) -> None:
        """Send something."""
        self._arrive(data)

    def close(self) -> None:
        """Close properly."""
        self._arrive(Failure(ConnectionDone()))

    def reset(self) -> None:
        """Break the connection."""
        self._arrive(Failure(ConnectionLost()))

    def fail(self, reason: Exception) -> None:
        """Break it for another reason."""
        self._arrive(Failure(reason))

    def fill(self) -> None:
        """The near end's buffer is full."""
        if self.producer is not None:
            self.producer.pauseProducing()

    def drain(self) -> None:
        """There is room in it again."""
        if self.producer is not None:
            self.producer.resumeProducing()

    # The near end.

    def write(self, data: bytes) -> None:
        """Send something."""
        assert isinstance(data, bytes)
        if not self.lost:
            self.writes.append(data)

    def writeSequence(self, data: Any) -> None:
        """Send several things."""
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have a producer paused by `fill`."""
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Forget it."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Stop reading."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read on."""
        if not self.reading:
            self.reading = True
            self._clock.callLater(0, self._read)

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close properly."""
        if not self.closing:
            self.closing = True
            if not self.stubborn:
                self._clock.callLater(0, self._lose, Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        """Close at once; nothing is read after that."""
        if not self.aborted:
            self.aborted = self.closing = True
            self._clock.callLater(0, self._lose, Failure(ConnectionAborted()))

    def getPeer(self) -> IAddress:
        """Nobody asks."""
        raise NotImplementedError

    getHost = getPeer

    def _arrive(self, what: bytes | Failure) -> None:
        self._unread.append(what)
        self._read()

    def _read(self) -> None:
        while self._unread and self.reading and not self.aborted and not self.lost:
            what = self._unread.pop(0)
            if isinstance(what, Failure):
                self._lose(what)
            elif not self.closing:
                self._protocol.dataReceived(what)

    def _lose(self, reason: Failure) -> None:
        if not self.lost:
            self.lost = True
            producer, self.producer = self.producer, None
            if producer is not None:
                producer.stopProducing()
            self._protocol.connectionLost(reason)


class Fired:
    """What a Deferred has fired with: nothing yet, a ``value``, or an ``error``; the Deferred keeps None."""

    def __init__(self, deferred: Deferred[Any]) -> None:
        self.deferred = deferred
        self.fired = False
        self.value: Any = None
        self.error: BaseException | None = None
        deferred.addBoth(self._look)

    def _look(self, result: Any) -> None:
        assert not self.fired
        self.fired = True
        if isinstance(result, Failure):
            self.error = result.value
        else:
            self.value = result


class Reader(Protocol):
    """Receives the body of a response. ``end``: what it was told at the end. ``on_data``: called after each piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.end: BaseException | None = None
        self.on_data: Callable[[], object] | None = None

    @property
    def body(self) -> bytes:
        """All so far."""
        return b"".join(self.pieces)

    def dataReceived(self, data: bytes) -> None:
        """Some of the body."""
        assert data
        assert self.end is None
        self.pieces.append(data)
        if self.on_data is not None:
            self.on_data()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end of it."""
        assert self.end is None
        self.end = reason.value
