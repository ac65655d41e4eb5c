"""A reactor for endpoints: TCP sends at once, in all ways to come by it; the rest is the reactor's own."""

# mypy: allow-untyped-calls
from __future__ import annotations

import datetime
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, clientFromString, serverFromString
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorFDSet,
    IReactorSocket,
    IReactorTCP,
    IReactorTime,
    IReactorUNIX,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, DefaultOpenSSLContextFactory, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer

from aigw.net.sockets import EagerSockets, eager_sockets
from aigw.net.transport import EagerClient, EagerPort, EagerServer

BIG = b"0123456789abcdef" * 100_000


class Wire(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008
        self.lost = reason


class Wires(Factory):
    """Makes wires, and keeps them."""

    noisy = False

    def __init__(self) -> None:
        self.made: list[Any] = []

    def buildProtocol(self, addr: object) -> Wire:
        self.made.append(Wire())
        return self.made[-1]  # type: ignore[no-any-return]


def result(hand: Any, deferred: Deferred[Any]) -> Any:
    """What a Deferred comes to while the reactor turns."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    hand.until(lambda: results)
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def exchange(hand: Any, port: Any, servers: Wires, client: Any, first: bytes = b"hello") -> tuple[Any, Any]:
    """Send little and much to and fro; returns both transports' lowest layers."""
    hand.until(lambda: servers.made and servers.made[0].transport)
    server = servers.made[0]
    lowest = [getattr(end.transport, "transport", end.transport) for end in (server, client)]
    client.transport.write(first)
    hand.until(lambda: server.received == first)
    server.transport.write(first)
    hand.until(lambda: client.received == first)
    client.transport.writeSequence([b"and ", BIG])
    hand.until(lambda: len(server.received) == len(first) + 4 + len(BIG))
    server.transport.write(BIG)
    server.transport.loseConnection()
    hand.until(lambda: client.lost and server.lost)
    assert server.received == first + b"and " + BIG
    assert client.received == first + BIG
    result(hand, port.stopListening())
    return lowest[0], lowest[1]


@pytest.fixture
def sockets(hand: Any) -> EagerSockets:
    return EagerSockets(hand.reactor)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of localhost, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + signed.public_bytes(Encoding.PEM))
    return path


TLS = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted does


def trusting(certificate: Path) -> Any:
    return optionsForClientTLS("localhost", Certificate.loadPEM(certificate.read_bytes()))


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_tcp(hand: Any, sockets: EagerSockets, host: str, family: int) -> None:
    escaped = host.replace(":", r"\:")
    kind = "tcp" if family == socket.AF_INET else "tcp6"
    servers = Wires()
    port = result(hand, serverFromString(sockets, f"{kind}:0:interface={escaped}").listen(servers))
    client = result(hand, clientFromString(sockets, f"tcp:{escaped}:{port.getHost().port}").connect(Wires()))
    hand.until(lambda: servers.made and servers.made[0].transport)
    addresses = [(end.transport.getHost(), end.transport.getPeer()) for end in (servers.made[0], client)]
    assert addresses[0] == (port.getHost(), client.transport.getHost())
    assert addresses[1] == (client.transport.getHost(), port.getHost())
    assert addresses[1][0] == tcp.Client.getHost(client.transport)
    assert isinstance(port, EagerPort)
    ends = exchange(hand, port, servers, client)
    assert [type(end) for end in ends] == [EagerServer, EagerClient]
    assert [end.reactor for end in ends] == [hand.reactor] * 2
    assert [(end.getHost(), end.getPeer()) for end in ends] == addresses  # asked of the kernel while connected


@implementer(IHostnameResolver)
class Loopback:
    """Every name is ours."""

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, *_: object) -> Any:
        receiver.resolutionBegan(None)
        receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        receiver.resolutionComplete()


def test_by_name(hand: Any, sockets: EagerSockets) -> None:
    servers = Wires()
    port: Any = sockets.listenTCP(0, servers, interface="127.0.0.1")
    hand.reactor.installNameResolver(Loopback())
    endpoint = HostnameEndpoint(sockets, b"model.example", port.getHost().port)
    client = result(hand, endpoint.connect(Wires()))
    assert isinstance(exchange(hand, port, servers, client)[1], EagerClient)


def test_an_address_is_not_kept_before_there_is_one(hand: Any, sockets: EagerSockets) -> None:
    servers, clients = Wires(), Wires()
    port: Any = sockets.listenTCP(0, servers, interface="127.0.0.1")
    connector: Any = sockets.connectTCP("127.0.0.1", port.getHost().port, Clients(clients))
    assert connector.transport.getHost().port == 0
    hand.until(lambda: clients.made)
    assert connector.transport.getHost().port != 0
    exchange(hand, port, servers, clients.made[0])


def test_a_refused_connection(hand: Any, sockets: EagerSockets) -> None:
    free = socket.create_server(("127.0.0.1", 0))
    number = free.getsockname()[1]
    free.close()
    with pytest.raises(ConnectionRefusedError):
        result(hand, TCP4ClientEndpoint(sockets, "127.0.0.1", number).connect(Wires()))


@TLS
def test_tls(hand: Any, sockets: EagerSockets, certificate: Path) -> None:
    servers = Wires()
    port = result(
        hand, serverFromString(sockets, f"ssl:0:interface=127.0.0.1:privateKey={certificate}").listen(servers)
    )
    clients = Wires()
    sockets.connectSSL("127.0.0.1", port.getHost().port, Clients(clients), trusting(certificate))
    hand.until(lambda: clients.made)
    server, client = exchange(hand, port, servers, clients.made[0])
    assert isinstance(server, EagerServer)
    assert isinstance(client, EagerClient)


class Clients(Factory):
    """A client's factory around another."""

    noisy = False

    def __init__(self, inner: Wires) -> None:
        self.buildProtocol = inner.buildProtocol  # type: ignore[method-assign]

    def startedConnecting(self, connector: object) -> None: ...

    def clientConnectionLost(self, connector: object, reason: Failure) -> None: ...


@TLS
def test_tls_started_later(hand: Any, sockets: EagerSockets, certificate: Path) -> None:
    servers, clients = Wires(), Wires()
    port: Any = sockets.listenTCP(0, servers, interface="127.0.0.1")
    sockets.connectTCP("127.0.0.1", port.getHost().port, Clients(clients))
    hand.until(lambda: clients.made and servers.made)
    server, client = servers.made[0], clients.made[0]
    client.transport.write(b"plain")
    hand.until(lambda: server.received)
    server.received = b""
    server.transport.startTLS(DefaultOpenSSLContextFactory(str(certificate), str(certificate)))
    client.transport.startTLS(trusting(certificate))
    exchange(hand, port, servers, client, BIG[:70_000])  # less would wait for the clock of the global reactor


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_adopted_port(hand: Any, sockets: EagerSockets, family: socket.AddressFamily) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as listening:
        listening.setblocking(False)
        servers = Wires()
        port = sockets.adoptStreamPort(listening.fileno(), family, servers)
        number = listening.getsockname()[1]
    client = result(
        hand, clientFromString(sockets, rf"tcp:{host.replace(':', chr(92) + ':')}:{number}").connect(Wires())
    )
    assert isinstance(exchange(hand, port, servers, client)[0], EagerServer)


def test_unix_sockets_are_the_reactors(hand: Any, sockets: EagerSockets, tmp_path: Path) -> None:
    servers = Wires()
    port = result(hand, serverFromString(sockets, f"unix:{tmp_path}/socket").listen(servers))
    client = result(hand, clientFromString(sockets, f"unix:{tmp_path}/socket").connect(Wires()))
    assert isinstance(exchange(hand, port, servers, client)[0], unix.Server)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/adopted")
        listening.listen()
        listening.setblocking(False)
        adopted = sockets.adoptStreamPort(listening.fileno(), socket.AF_UNIX, Wires())
    assert isinstance(adopted, unix.Port)
    result(hand, adopted.stopListening())


def test_everything_else_is_the_reactors(hand: Any, sockets: EagerSockets) -> None:
    for interface in (IReactorTCP, IReactorSocket, IReactorUNIX, IReactorFDSet, IReactorTime):
        assert interface.providedBy(sockets)
    assert sockets.seconds == hand.reactor.seconds
    assert sockets.nameResolver is hand.reactor.nameResolver
    with pytest.raises(AttributeError):
        sockets.no_such_thing


def test_only_reactors_over_descriptors(hand: Any) -> None:
    assert isinstance(eager_sockets(hand.reactor), EagerSockets)
    for other in (Clock(), MemoryReactorClock(), object()):
        assert eager_sockets(other) is other
