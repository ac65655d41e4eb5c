"""The gateway's own IAgent: everything that a request needs before it can be sent, and nothing twice."""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred, fail
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer
from zope.interface import implementer

from aigw.errors import UpstreamUnreachable
from aigw.upstream.headers import block_of
from aigw.upstream.origin import Destination, parse_url
from aigw.upstream.pool import Pool
from aigw.upstream.profile import Profile
from aigw.upstream.request import Request
from aigw.upstream.response import Response

__all__ = ["Agent", "Profile"]

MAX_DESTINATIONS = 1024
_MAX_REMEMBERED_URL = 2048

_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods whose requests tell the length of their body even if there is none (RFC 9110 section 8.6)."""

_is_method = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}").fullmatch


@implementer(IAgent)
class Agent:
    """Sends requests over the connections of a pool, which all agents may share.

    It follows no redirect, keeps no cookie, decodes nothing and tries nothing twice, but for a connection that had been
    closed before it was used again.
    """

    def __init__(self, pool: Pool, profile: Profile) -> None:
        self._pool = pool
        self._profile = profile
        self._ending = b"\r\n" if profile.keepalive else b"Connection: close\r\n\r\n"
        self._destinations: dict[bytes, Destination] = {}

    def request(  # type: ignore[override]  # a Deferred of our own IResponse, and Deferred is invariant
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[Response]:
        """Send a request; fires with its response as soon as the head of that is in.

        ``headers``: sent as they are, but for those that concern one connection only; a
        `aigw.upstream.headers.HeaderBlock` costs nothing. ``bodyProducer``: a `aigw.upstream.sending.BytesBody` leaves
        in one write with the head. Cancelling the Deferred closes the connection at once, in every phase.

        Fails with a `GatewayError`; with `ValueError` for a method or header that can't be sent.
        """
        try:
            destination = self._destinations.get(uri) or self._destination(uri)
            head = self._head(method, destination, headers, bodyProducer)
        except (UpstreamUnreachable, ValueError) as e:
            return fail(e)
        request = Request(method, uri, headers, head, bodyProducer, destination.origin, self._profile)
        response = request.wait()
        self._pool.send(request)
        return response

    def _destination(self, uri: bytes) -> Destination:
        destination = parse_url(uri, verified=self._profile.ssl_verify)
        if len(uri) <= _MAX_REMEMBERED_URL:
            if len(self._destinations) >= MAX_DESTINATIONS:
                del self._destinations[next(iter(self._destinations))]
            self._destinations[uri] = destination
        return destination

    def _head(
        self, method: bytes, destination: Destination, headers: Headers | None, body: IBodyProducer | None
    ) -> bytes:
        if method not in _WITH_BODY and (not _is_method(method) or method == b"CONNECT"):
            raise ValueError("not a method that can be sent")
        block, names_host = block_of(headers)
        opening = b" %b HTTP/1.1\r\n" % destination.target if names_host else destination.opening
        if body is None:
            framing = b"Content-Length: 0\r\n" if method in _WITH_BODY else b""
        elif body.length is UNKNOWN_LENGTH:
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            framing = b"Content-Length: %d\r\n" % body.length
        return b"".join((method, opening, block, framing, self._ending))
