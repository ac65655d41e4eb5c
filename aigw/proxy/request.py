"""A request while it arrives: its route is found when its head is there, its body is gathered within the route's limit.

The channel below (HTTP/1) and the stream (HTTP/2) call the same hooks of it: `head_received`, `handleContentChunk`,
`complete`, `connectionLost`.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from aigw.errors import GatewayError, MethodNotAllowed, RequestTimeout, RouteNotFound
from aigw.exchange import Exchange, Reply, Timeline
from aigw.pipeline import Matched
from aigw.proxy.body import Body
from aigw.proxy.errors import NOT_FOUND
from aigw.proxy.face import Face
from aigw.proxy.resource import Answer
from aigw.proxy.wire import Http1Wire, Wire
from aigw.routing.target import host_of, normalise

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Request:
    """One request of one client. ``channel``: where it came from and its reply goes; None once that is given back.
    ``refusal``: why it will get an error, which need not stop it from being read.
    """

    method: bytes
    uri: bytes
    version: bytes
    requestHeaders: Headers
    refusal: GatewayError | None = None
    _matched: Matched | None = None
    _body: Body | None = None
    _answer: Answer | None = None
    _over = False

    def __init__(self, channel: Any, remote_addr: str, secure: bool) -> None:
        self.channel = channel
        self.remote_addr = remote_addr
        self.scheme = "https" if secure else "http"
        self._face: Face = channel.site.face

    def head_received(self, method: bytes, uri: bytes, version: bytes, headers: Headers, length: int | None) -> None:
        """Decide what will become of the request. ``length``: of its body, in bytes; None = unknown.

        :raises GatewayError: if the rest of it need not even be read.
        """
        face = self._face
        self.method, self.uri, self.version, self.requestHeaders = method, uri, version, headers
        face.in_flight += 1
        self._began = self._progressed = face.clock.seconds()
        self.check()
        self._find()
        limit = self._matched.max_body if self._matched is not None else None
        self._body = body = Body(face.limits.max_body if limit is None else limit, face.memory)
        if self.refusal is not None:
            body.discard()
        if length:
            body.expect(length)

    def check(self) -> None:
        """Read the head strictly, if nobody has."""

    def refuse(self, error: GatewayError) -> None:
        """Answer with an error now, whatever of the request is still missing."""
        if self._answer is None and not self._over:
            self._receive(b"").refuse(error)

    def sweep(self, now: float) -> None:
        """Look for a missed deadline."""
        if self._answer is not None:
            self._answer.sweep(now)
        elif self._body is not None and now >= self._body_deadline(self._body):
            self.reject(RequestTimeout("the request body took too long"))

    def reject(self, error: GatewayError) -> None:
        """Refuse, and have the rest of the request go nowhere."""
        self.channel.refuse(error)

    def wire(self) -> Wire:
        """Where the reply goes."""
        return Http1Wire(self, self.channel)

    def leave(self) -> None:
        """The reply is written: give the connection back."""
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.request_done()

    # What the channel calls

    def handleContentChunk(self, data: bytes) -> None:
        """Some of the body. An empty piece is no progress."""
        if self._body is None or self._answer is not None or not data:
            return
        self._progressed = self._face.clock.seconds()
        try:
            self._body.add(data)
        except GatewayError as error:
            self.reject(error)

    def whole_body(self, data: bytes) -> None:
        """All of the body, at once with the head: there is nothing to gather."""
        assert self._body is not None
        try:
            body = self._body.count(data)
        except GatewayError as error:
            self.reject(error)
        else:
            self._begin(body)

    def complete(self) -> None:
        """All of the request is there."""
        if self._body is not None and self._answer is None:
            self._begin(self._body.join())

    def _begin(self, body: bytes) -> None:
        answer = self._receive(body)
        if self.refusal is not None:
            answer.refuse(self.refusal)
        elif self._matched is not None:
            answer.handle(self._matched.handler)
        else:
            answer.handle(_tell_methods)

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone, or has cancelled."""
        self.channel = None
        if self._answer is None and self._body is not None:
            self._receive(b"")
        if self._answer is not None:
            self._answer.client_left()

    def _find(self) -> None:
        """The route, or what is to be said instead."""
        if self.method in (b"CONNECT", b"TRACE"):
            self.refusal = MethodNotAllowed("this method is not allowed here", headers=((b"Allow", METHODS),))
        elif self.uri != b"*":
            find = self._face.lookup.find
            try:
                self._matched = find(self.method, self.uri, self.requestHeaders, self.remote_addr, self.scheme)
            except Exception:  # noqa: BLE001  # the edge: as in `Face.attempt`, without its cost for each request
                self.refusal = self._face.error_of("-", find)
            else:
                if self._matched is None:
                    self.refusal = RouteNotFound(NOT_FOUND)

    def _receive(self, body: bytes) -> Answer:
        exchange = self._exchange(body)
        self._answer = Answer(exchange=exchange, wire=self.wire(), face=self._face, done=self._done)
        return self._answer

    def _done(self) -> None:
        """Leave no cycle of references behind, for what is in one stays until the collector comes."""
        self._face.in_flight -= 1
        if self._body is not None:
            self._body.release()
        self._body = self._matched = self._answer = None
        self._over = True

    def _body_deadline(self, body: Body) -> float:
        limits = self._face.limits
        slowest = self._began + body.received / limits.body_min_rate
        return min(self._progressed, slowest) + limits.body_idle_timeout

    def _exchange(self, body: bytes) -> Exchange:
        matched, headers = self._matched, self.requestHeaders
        if matched is not None:
            path, host, route, params = matched.path, matched.host, matched.resource, matched.params
        else:
            path, host, route, params = _path(self.uri), _host(headers), None, {}
        return Exchange(
            id=self._id(),
            method=self.method,
            target=self.uri,
            path=path,
            headers=headers,
            body=body,
            host=host,
            remote_addr=self.remote_addr,
            scheme=self.scheme,
            route=route,
            params=params,
            timeline=Timeline(started=self._face.clock.seconds()),
        )

    def _id(self) -> str:
        """The client's own, so that it can find its request in our log, if it is harmless there."""
        theirs = self.requestHeaders.getRawHeaders(b"x-request-id")
        if theirs is not None and len(theirs) == 1 and _SANE_ID.fullmatch(theirs[0]):
            return theirs[0].decode("ascii")
        return self._face.ids()


async def _tell_methods(exchange: Exchange) -> Reply:
    """``OPTIONS *`` (RFC 9110 section 9.3.7) is about the gateway, not about a route."""
    return Reply(status=204, headers=[(b"Allow", METHODS)])


def _path(target: bytes) -> str:
    """For a log only: the request has no route."""
    try:
        return normalise(target)
    except ValueError:
        return target.partition(b"?")[0].decode("latin-1")


def _host(headers: Headers) -> str:
    try:
        return host_of(headers.getRawHeaders(b"host", [b""])[0])
    except ValueError:
        return ""
