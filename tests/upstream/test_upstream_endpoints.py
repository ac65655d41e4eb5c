"""How origins are reached: which kind of endpoint, over which addresses, with which TLS."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IResolutionReceiver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.test import iosim
from zope.interface import implementer

from aigw import errors
from aigw.upstream.agent import Agent
from aigw.upstream.endpoints import ATTEMPT_DELAY, LOOPBACK_ATTEMPT_DELAY, MAX_TLS_CONTEXTS, Endpoints
from aigw.upstream.origin import Origin, parse_url
from aigw.upstream.pool import Pool
from aigw.upstream.profile import Profile
from aigw.upstream.resolving import PATIENCE, SharedResolver
from aigw.upstream.testing import Fired

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Names:
    """A resolver that answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, IResolutionReceiver]] = []

    def resolveHostName(self, receiver: IResolutionReceiver, name: str, portNumber: int = 0, *_: object) -> None:
        receiver.resolutionBegan(None)  # type: ignore[arg-type]
        self.asked.append((name, receiver))

    def answer(self, *addresses: IPv4Address | IPv6Address) -> None:
        _, receiver = self.asked.pop(0)
        for address in addresses:
            receiver.addressResolved(address)
        receiver.resolutionComplete()


@pytest.fixture
def reactor() -> Any:
    return MemoryReactorClock()


@pytest.fixture
def names(reactor: Any) -> Names:
    names = Names()
    reactor.installNameResolver(names)
    return names


def agent_over(reactor: Any, **options: Any) -> Agent:
    return Agent(Pool(reactor, Endpoints(reactor)), Profile(**{"connect_timeout": 10.0, **options}))


def get(agent: Agent, url: bytes) -> Fired:
    return Fired(agent.request(b"GET", url))


# Addresses.


@pytest.mark.parametrize(
    ("url", "host"), [(b"http://10.1.2.3:81/", "10.1.2.3"), (b"http://[2001:db8::1]:81/", "2001:db8::1")]
)
def test_literals_are_not_looked_up(reactor: Any, names: Names, url: bytes, host: str) -> None:
    get(agent_over(reactor), url)
    [(connected, port, _, timeout, _)] = reactor.tcpClients
    assert (connected, port, timeout) == (host, 81, 10.0)
    assert names.asked == []


def test_names_are_looked_up(reactor: Any, names: Names) -> None:
    get(agent_over(reactor), b"http://up.example:81/")
    assert [name for name, _ in names.asked] == ["up.example"]
    assert reactor.tcpClients == []
    names.answer(IPv4Address("TCP", "10.0.0.1", 81))
    assert reactor.tcpClients[0][:2] == ("10.0.0.1", 81)


def test_a_name_that_nobody_knows(reactor: Any, names: Names) -> None:
    head = get(agent_over(reactor), b"http://up.example:81/")
    names.answer()
    assert isinstance(head.error, errors.UpstreamUnreachable)
    assert str(head.error) == "up.example:81: the host name is unknown"


@pytest.mark.parametrize(("host", "delay"), [("up.example", ATTEMPT_DELAY), ("localhost", LOOPBACK_ATTEMPT_DELAY)])
def test_the_next_address_is_tried_soon(reactor: Any, names: Names, host: str, delay: float) -> None:
    get(agent_over(reactor), b"http://%b/" % host.encode())
    names.answer(IPv6Address("TCP", "::1", 80), IPv4Address("TCP", "127.0.0.1", 80))
    assert [client[0] for client in reactor.tcpClients] == ["::1"]
    reactor.advance(delay)
    assert [client[0] for client in reactor.tcpClients] == ["::1", "127.0.0.1"]


def test_all_addresses_refuse(reactor: Any, names: Names) -> None:
    head = get(agent_over(reactor), b"http://up.example/")
    names.answer(IPv6Address("TCP", "::1", 80), IPv4Address("TCP", "127.0.0.1", 80))
    reactor.pump([ATTEMPT_DELAY] * 3)
    for client, connector in zip(reactor.tcpClients, reactor.connectors, strict=True):
        client[2].clientConnectionFailed(connector, Failure(ConnectionRefusedError()))
    assert isinstance(head.error, errors.UpstreamUnreachable)
    assert "refused" in str(head.error)


@pytest.mark.parametrize("url", [b"http://up.example/", b"https://up.example/", b"http://10.0.0.1/"])
@pytest.mark.parametrize("resolved", [False, True])
def test_no_connection_in_time(reactor: Any, names: Names, url: bytes, resolved: bool) -> None:
    head = get(agent_over(reactor, connect_timeout=3.0), url)
    if resolved and names.asked:
        names.answer(IPv4Address("TCP", "10.0.0.1", 80))
    reactor.advance(2.9)
    assert not head.fired
    reactor.advance(0.1)
    assert isinstance(head.error, errors.UpstreamTimeout)
    assert all(connector.stoppedConnecting for connector in reactor.connectors)
    if names.asked:
        names.answer(IPv4Address("TCP", "10.0.0.1", 80))
        assert reactor.connectors == []
    assert not reactor.getDelayedCalls()


@pytest.mark.parametrize("resolved", [False, True])
def test_cancel(reactor: Any, names: Names, resolved: bool) -> None:
    head = get(agent_over(reactor), b"http://up.example/")
    if resolved:
        names.answer(IPv4Address("TCP", "10.0.0.1", 80), IPv6Address("TCP", "::1", 80))
    head.deferred.cancel()
    assert head.fired
    assert all(connector.stoppedConnecting for connector in reactor.connectors)
    assert not reactor.getDelayedCalls()


# Shared lookups.


class Receiver:
    def __init__(self) -> None:
        self.addresses: list[object] = []
        self.began = self.complete = False

    def resolutionBegan(self, resolution: Any) -> None:
        self.began = True
        resolution.cancel()

    def addressResolved(self, address: object) -> None:
        self.addresses.append(address)

    def resolutionComplete(self) -> None:
        self.complete = True


def test_those_who_ask_for_the_same_name_share_one_lookup(reactor: Any, names: Names) -> None:
    resolver = SharedResolver(reactor)
    receivers: list[Any] = [Receiver() for _ in range(100)]
    for receiver in receivers:
        resolver.resolveHostName(receiver, "up.example", 80)
    resolver.resolveHostName(Receiver(), "up.example", 81)  # type: ignore[arg-type]
    resolver.resolveHostName(Receiver(), "other.example", 80)  # type: ignore[arg-type]
    assert [name for name, _ in names.asked] == ["up.example", "up.example", "other.example"]
    address = IPv4Address("TCP", "10.0.0.1", 80)
    names.answer(address)
    assert all(r.began and r.complete and r.addresses == [address] for r in receivers)
    resolver.resolveHostName(Receiver(), "up.example", 80)  # type: ignore[arg-type]
    assert len(names.asked) == 3


def test_a_lookup_that_died_does_not_block_its_name(reactor: Any, names: Names) -> None:
    resolver = SharedResolver(reactor)
    resolver.resolveHostName(Receiver(), "up.example", 80)  # type: ignore[arg-type]
    reactor.advance(PATIENCE)
    resolver.resolveHostName(Receiver(), "up.example", 80)  # type: ignore[arg-type]
    assert len(names.asked) == 2


def test_a_resolver_can_be_put_in(reactor: Any) -> None:
    endpoints = Endpoints(reactor)
    names = Names()
    before = endpoints._by_name.installNameResolver(names)  # type: ignore[arg-type]
    assert isinstance(before, SharedResolver)
    Fired(endpoints(Origin(False, "up.example", 80, True), 1.0).connect(Factory.forProtocol(Protocol)))
    assert len(names.asked) == 1


# TLS.


@implementer(IOpenSSLServerConnectionCreator)
class Identity:
    """A certificate that vouches for itself, and the TLS of a server that has it."""

    def __init__(self, host: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        self.certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1))
            .not_valid_after(datetime(2120, 1, 1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, SHA256())
        )
        self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        self._context.use_certificate(self.certificate)
        self._context.use_privatekey(key)
        self._context.set_alpn_select_callback(lambda _, offered: b"http/1.1" if b"http/1.1" in offered else b"h2")

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context, None)


@pytest.fixture(scope="module")
def up_example() -> Identity:
    return Identity("up.example")


class Server(Protocol):
    """An upstream on TLS."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: object = None) -> None:
        self.lost = True


class Secured:
    """A request over real TLS, in memory; `step` moves bytes and time."""

    def __init__(self, identity: Identity, url: bytes, *, verify: bool, speaks: list[bytes] | None = None) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.agent = agent_over(self.reactor, ssl_verify=verify)
        self.head = get(self.agent, url)
        self.server = Server()
        wrapped = TLSMemoryBIOFactory(identity, False, Factory.forProtocol(lambda: self.server), clock=self.reactor)
        near = self.reactor.tcpClients[0][2].buildProtocol(None)
        far: Any = wrapped.buildProtocol(None)
        self.wire = iosim.FakeTransport(far, isServer=True)
        self.pump = iosim.connect(far, self.wire, near, iosim.FakeTransport(near, isServer=False))
        self.step()

    def step(self) -> None:
        for _ in range(10):
            self.pump.flush()
            self.reactor.advance(0)

    def say(self, data: bytes) -> None:
        assert self.server.transport is not None
        self.server.transport.write(data)
        self.step()


def test_a_certificate_that_nobody_vouches_for(up_example: Identity) -> None:
    secured = Secured(up_example, b"https://up.example/secret", verify=True)
    assert isinstance(secured.head.error, errors.UpstreamUnreachable)
    assert str(secured.head.error) == "up.example:443: the TLS handshake failed (certificate verify failed)"
    assert secured.server.received == b""


def test_it_will_do_where_nobody_asks(up_example: Identity) -> None:
    secured = Secured(up_example, b"https://other.example/", verify=False)
    transport: Any = secured.server.transport
    assert transport.getHandle().get_servername() == b"other.example"
    assert transport.negotiatedProtocol == b"http/1.1"
    assert secured.server.received == b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"
    secured.say(OK)
    assert secured.head.value.whole() == b"hi"
    again = get(secured.agent, b"https://other.example/2")
    secured.step()
    secured.say(OK)
    assert again.value.whole() == b"hi"


def test_no_server_name_for_a_literal(up_example: Identity) -> None:
    secured = Secured(up_example, b"https://10.0.0.1/", verify=False)
    transport: Any = secured.server.transport
    assert transport.getHandle().get_servername() is None


@pytest.fixture
def trusted(up_example: Identity, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Identity:
    file = tmp_path / "roots.pem"
    file.write_bytes(up_example.certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return up_example


def test_ssl_cert_file_is_heeded(trusted: Identity) -> None:
    secured = Secured(trusted, b"https://up.example./", verify=True)
    transport: Any = secured.server.transport
    assert transport.getHandle().get_servername() == b"up.example"
    assert transport.negotiatedProtocol == b"http/1.1"
    secured.say(OK)
    assert secured.head.value.whole() == b"hi"


def test_a_certificate_for_another_host(trusted: Identity) -> None:
    secured = Secured(trusted, b"https://other.example/", verify=True)
    assert isinstance(secured.head.error, errors.UpstreamUnreachable)
    assert str(secured.head.error) == "other.example:443: its certificate is for another host"


def test_a_large_body_over_tls(up_example: Identity) -> None:
    secured = Secured(up_example, b"https://up.example/", verify=False)
    secured.say(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
    content = Fired(secured.head.value.content())
    secured.say(b"x" * 300_000)
    assert len(content.value) == 300_000


@pytest.mark.parametrize("properly", [True, False])
def test_the_end_of_a_reply_without_length(up_example: Identity, properly: bool) -> None:
    secured = Secured(up_example, b"https://up.example/", verify=False)
    secured.say(b"HTTP/1.1 200 OK\r\n\r\nhello")
    content = Fired(secured.head.value.content())
    secured.step()
    if properly:
        assert secured.server.transport is not None
        secured.server.transport.loseConnection()
    else:
        secured.wire.loseConnection()
    secured.step()
    if properly:
        assert content.value == b"hello"
    else:
        assert isinstance(content.error, errors.UpstreamCutShort)


def test_cancel_over_tls(up_example: Identity) -> None:
    secured = Secured(up_example, b"https://up.example/", verify=False)
    secured.head.deferred.cancel()
    secured.step()
    assert secured.server.lost


def test_contexts_are_kept_within_bounds(reactor: Any) -> None:
    endpoints = Endpoints(reactor)
    for number in range(MAX_TLS_CONTEXTS + 10):
        endpoints(parse_url(b"https://h%d/" % number, verified=False).origin, 1.0)
    endpoints(parse_url(b"https://h%d:444/" % (MAX_TLS_CONTEXTS + 9), verified=False).origin, 1.0)
    assert len(endpoints._creators) == MAX_TLS_CONTEXTS
