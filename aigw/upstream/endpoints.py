"""How the gateway reaches an origin: happy eyeballs over IPv6 and IPv4, TLS with or without a check of certificates."""

from __future__ import annotations

from typing import Any, Protocol

from OpenSSL.SSL import Connection as TLSConnection
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from aigw.upstream.origin import Origin
from aigw.upstream.resolving import ResolvingReactor

ATTEMPT_DELAY = 0.1
"""Seconds before the next address of a host is tried beside the ones before (RFC 8305 section 8: 0.1 at least)."""

LOOPBACK_ATTEMPT_DELAY = 0.01
"""The same for localhost, whose IPv6 address often has nobody listening: no network to be spared there."""

MAX_TLS_CONTEXTS = 256
_PROTOCOLS = [b"http/1.1"]


class EndpointFactory(Protocol):
    """Makes the endpoint for an origin. ``timeout``: seconds that one attempt at one address may take."""

    def __call__(self, origin: Origin, timeout: float) -> IStreamClientEndpoint: ...


class Endpoints:
    """The real network's `EndpointFactory`. TLS contexts are kept, because loading the trust roots takes long."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._by_name = ResolvingReactor(reactor)
        self._creators: dict[tuple[str, bool], IOpenSSLClientConnectionCreator] = {}

    def __call__(self, origin: Origin, timeout: float) -> IStreamClientEndpoint:
        """An endpoint whose protocol is called back as soon as TCP is connected; TLS follows."""
        endpoint = self._tcp(origin, timeout)
        if not origin.secure:
            return endpoint
        return wrapClientTLS(self._creator(origin), endpoint, clock=self._reactor)

    def _tcp(self, origin: Origin, timeout: float) -> IStreamClientEndpoint:
        host, port = origin.host, origin.port
        if origin.is_ipv4:
            return TCP4ClientEndpoint(self._reactor, host, port, timeout)
        if origin.is_ipv6:
            return TCP6ClientEndpoint(self._reactor, host, port, timeout)
        delay = LOOPBACK_ATTEMPT_DELAY if host == "localhost" else ATTEMPT_DELAY
        return HostnameEndpoint(self._by_name, host, port, timeout, attemptDelay=delay)

    def _creator(self, origin: Origin) -> IOpenSSLClientConnectionCreator:
        key = (origin.host.rstrip("."), origin.verified)
        creator = self._creators.get(key)
        if creator is None:
            if len(self._creators) >= MAX_TLS_CONTEXTS:
                self._creators.pop(next(iter(self._creators)))
            creator = self._creators[key] = connection_creator(*key)
        return creator


def connection_creator(host: str, verified: bool) -> IOpenSSLClientConnectionCreator:
    """TLS for a host: verified against the platform's trust roots (``SSL_CERT_FILE`` included), or not at all."""
    if verified:
        return optionsForClientTLS(host, acceptableProtocols=_PROTOCOLS)
    return _Unverified(host)


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Takes any certificate; still tells the server which host is meant."""

    def __init__(self, host: str) -> None:
        self._options = CertificateOptions(acceptableProtocols=_PROTOCOLS)
        origin = Origin(True, host, 443, False)
        self._name = b"" if origin.is_ipv4 or origin.is_ipv6 else host.encode("ascii")

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> TLSConnection:
        """A connection for one handshake."""
        connection = self._options.clientConnectionForTLS(tlsProtocol)
        if self._name:
            connection.set_tlsext_host_name(self._name)
        return connection
