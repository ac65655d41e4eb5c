"""Where a request goes, read from its URL. This module is pure.

A URL is taken apart once and strictly: what a server could read differently than we do is no URL.
"""

from __future__ import annotations

import re

import attrs
from twisted.internet.abstract import isIPAddress, isIPv6Address

from aigw.errors import UpstreamUnreachable

_PORTS = {b"http": 80, b"https": 443}
_URL = re.compile(
    rb"(https?)://"
    rb"(?:([a-z0-9_\-]{1,63}(?:\.[a-z0-9_\-]{1,63})*\.?)|\[([0-9a-f:.]{2,45})\])"
    rb"(?::([0-9]{1,5}))?"
    rb"(/[!-\"$->@-~]*)?(\?[!-\"$-~]*)?(?:#[!-~]*)?",
    re.IGNORECASE,
).fullmatch


@attrs.frozen(cache_hash=True)
class Origin:
    """Whom a connection is to. Connections are shared by whatever has the same Origin.

    ``host``: lower-case name, or an IP literal without brackets. ``verified``: its certificate is checked.
    """

    secure: bool
    host: str
    port: int
    verified: bool

    @property
    def label(self) -> str:
        """``host:port``, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_ipv4(self) -> bool:
        """Is the host an IPv4 literal?"""
        return isIPAddress(self.host)

    @property
    def is_ipv6(self) -> bool:
        """Is the host an IPv6 literal?"""
        return isIPv6Address(self.host)


@attrs.frozen
class Destination:
    """An URL, as requests to it need it.

    ``target``: the request target (path and query). ``opening``: the head's bytes from there through the Host field.
    Both are hidden from repr: a query may hold a credential.
    """

    origin: Origin
    target: bytes = attrs.field(repr=False)
    opening: bytes = attrs.field(repr=False)


def parse_url(url: bytes, *, verified: bool) -> Destination:
    """Take an URL apart.

    :raises UpstreamUnreachable: if it is no absolute http or https URL, or holds a user name; the message doesn't
        repeat it.
    """
    match = _URL(url)
    if match is None:
        raise UpstreamUnreachable("the upstream's URL is not a valid http or https URL")
    scheme, name, ipv6, digits, path, query = match.groups()
    scheme = scheme.lower()
    default = _PORTS[scheme]
    port = int(digits) if digits else default
    host = (name or ipv6).lower().decode("ascii")
    if not 0 < port < 65536 or (ipv6 and not isIPv6Address(host)):
        raise UpstreamUnreachable("the upstream's URL has an invalid address")
    target = (path or b"/") + (query or b"")
    authority = (name or b"[%b]" % ipv6) + (b"" if port == default else b":%d" % port)
    origin = Origin(scheme == b"https", host, port, verified)
    return Destination(origin, target, b" %b HTTP/1.1\r\nHost: %b\r\n" % (target, authority))
