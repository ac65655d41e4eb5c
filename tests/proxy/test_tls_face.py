"""Real TLS in memory: what ALPN chooses, and how connections end."""

# mypy: allow-untyped-calls
# (twisted.test.iosim has no annotations)
from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect

pytestmark = pytest.mark.filterwarnings("ignore:.*(X509|pyOpenSSL).*:DeprecationWarning")
"""Twisted still gives pyOpenSSL its own kind of certificates; that is between the two."""


@pytest.fixture(scope="module")
def certificate() -> Any:
    """Of localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return PrivateCertificate.loadPEM(signed.public_bytes(Encoding.PEM) + private)


class Received(Protocol):
    """What came over TLS."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost = reason


def open_tls(gateway: Any, certificate: Any, *protocols: bytes) -> tuple[Any, Any]:
    """A client that speaks the ``protocols``, and the pump between the two."""
    trust = trustRootFromCertificates([certificate])
    options = optionsForClientTLS("localhost", trustRoot=trust, acceptableProtocols=list(protocols) or None)
    factory = Factory.forProtocol(Received)
    factory.noisy = gateway.site.noisy = False
    client = TLSMemoryBIOFactory(options, True, factory, gateway.clock).buildProtocol(None)
    context = CertificateOptions(privateKey=certificate.privateKey.original, certificate=certificate.original)
    server = TLSMemoryBIOFactory(context, False, gateway.site, gateway.clock).buildProtocol(None)
    ends = FakeTransport(server, isServer=True), FakeTransport(client, isServer=False)
    pump = connect(server, ends[0], client, ends[1], clock=gateway.clock)
    pump.flush()
    return client.wrappedProtocol, pump


@pytest.mark.parametrize("protocols", [(), (b"http/1.1",)])
def test_http_1(gateway: Any, certificate: Any, read: Any, protocols: tuple[bytes, ...]) -> None:
    client, pump = open_tls(gateway, certificate, *protocols)
    client.transport.write(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    pump.flush()
    (reply,) = read(client.data)
    assert reply.body == b"POST /a hello"
    assert gateway.exchanges[0].scheme == "https"
    client.transport.loseConnection()
    pump.flush()
    assert not gateway.site.connections


def test_http_2(gateway: Any, certificate: Any) -> None:
    client, pump = open_tls(gateway, certificate, b"h2", b"http/1.1")
    h2 = H2Connection(H2Configuration(client_side=True))
    h2.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "https"), (":path", "/a"), (":authority", "gateway")]
    h2.send_headers(1, fields)
    h2.send_data(1, b"hello", end_stream=True)
    client.transport.write(h2.data_to_send())
    pump.flush()
    events = h2.receive_data(client.data)
    assert b"".join(e.data for e in events if isinstance(e, DataReceived)) == b"POST /a hello"
    assert gateway.exchanges[0].scheme == "https"
    gateway.site.drain(10)
    pump.flush()
    assert client.lost is not None
    assert not gateway.site.connections


def test_a_refusal_is_heard_to_the_end(gateway: Any, certificate: Any, read: Any) -> None:
    client, pump = open_tls(gateway, certificate)
    client.transport.write(b"POST /tiny HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n" + b"x" * 50_000)
    pump.flush()
    (reply,) = read(client.data)
    assert (reply.status, reply.complete) == (413, True)
    assert client.lost is not None
    assert not gateway.site.connections


def test_a_stalled_handshake_has_an_end(gateway: Any, certificate: Any) -> None:
    context = CertificateOptions(privateKey=certificate.privateKey.original, certificate=certificate.original)
    gateway.site.noisy = False
    server = TLSMemoryBIOFactory(context, False, gateway.site, gateway.clock).buildProtocol(None)
    transport: Any = FakeTransport(server, isServer=True)
    server.makeConnection(transport)
    server.dataReceived(b"\x16\x03\x01")
    gateway.advance(14)
    assert not transport.disconnecting
    gateway.advance(2)
    assert transport.disconnecting
    server.connectionLost(Failure(ConnectionError()))
    assert not gateway.site.connections
