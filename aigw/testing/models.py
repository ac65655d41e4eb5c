"""Models in memory, behind the seam where plugins ask for an HTTP client: no network, no bytes of HTTP.

`Models` stands in for `aigw.upstream.clients.Clients`. Each request waits in ``asked`` until the test answers it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from aigw.testing import openai
from aigw.upstream.profile import Profile

Fields = Mapping[str, str] | Iterable[tuple[str, str]]


class Models:
    """All upstreams there are. ``asked``: every request so far, the oldest first."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.profiles: list[Profile] = []

    def client(self, profile: Profile) -> _Client:
        """A client whose requests end up here."""
        self.profiles.append(profile)
        return _Client(self)

    def close(self) -> Deferred[None]:
        """There is nothing to close."""
        return succeed(None)

    @property
    def last(self) -> Asked:
        """The request that came last."""
        return self.asked[-1]


class _Client:
    def __init__(self, models: Models) -> None:
        self._models = models

    def request(
        self, method: str, url: bytes, *, headers: Headers, data: bytes | None = None, timeout: float | None = None
    ) -> Deferred[ModelResponse]:
        asked = Asked(method, url, headers, data)
        self._models.asked.append(asked)
        return asked.waiting


class Asked:
    """A request that reached a model. ``response``: what it got. ``cancelled``: whoever asked doesn't want any more.

    ``has_body``: it has one, be it an empty one (with a Content-Length of 0).
    """

    def __init__(self, method: str, url: bytes, headers: Headers, data: bytes | None) -> None:
        self.method = method
        self.url = url.decode("ascii")
        self.headers = headers
        self.data = data or b""
        self.has_body = data is not None
        self.cancelled = False
        self.response: ModelResponse | None = None
        self.waiting: Deferred[ModelResponse] = Deferred(self._cancel)

    @property
    def json(self) -> Any:
        """Its body, decoded."""
        return json.loads(self.data)

    def header(self, name: str) -> list[str]:
        """The values of a header."""
        return [str(value) for value in self.headers.getRawHeaders(name, [])]

    def fail(self, error: Exception) -> None:
        """There is no response."""
        self.waiting.errback(error)

    def begin(
        self, status: int, media_type: str = "", headers: Fields = (), length: int | None = None
    ) -> ModelResponse:
        """Send the head of a response; the body is up to the test."""
        fields = list(headers.items() if isinstance(headers, Mapping) else headers)
        response = ModelResponse(status, [*([("Content-Type", media_type)] if media_type else []), *fields], length)
        self.response = response
        self.waiting.callback(response)
        return response

    def answer(self, status: int = 200, body: Any = None, headers: Fields = ()) -> ModelResponse:
        """Send a whole response. ``body``: bytes as they are, anything else as JSON; by default a chat completion, or
        OpenAI's error object.
        """
        if body is None:
            body = openai.completion() if status < 400 else openai.error(status)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = self.begin(status, "application/json", headers, len(content))
        response.send(content)
        response.end()
        return response

    def stream(self, *events: bytes, headers: Fields = ()) -> ModelResponse:
        """Begin a stream of events, with these."""
        response = self.begin(200, "text/event-stream", headers)
        for event in events:
            response.send(event)
        return response

    def _cancel(self, _: object) -> None:
        self.cancelled = True


@implementer(IResponse)
class ModelResponse:
    """A response, and the transport that its body comes from.

    ``aborted``: its connection was closed before the end. ``reading``: nobody has paused it.
    """

    version = (b"HTTP", 1, 1)
    phrase = b""
    request: Any = None
    previousResponse: Any = None

    def __init__(self, status: int, headers: Iterable[tuple[str, str]], length: int | None) -> None:
        self.code = status
        self.headers = Headers()
        for name, value in headers:
            self.headers.addRawHeader(name, value)
        self.length: Any = UNKNOWN_LENGTH if length is None else length
        self.aborted = False
        self.reading = True
        self.ended = False
        self._protocol: IProtocol | None = None
        self._waiting: list[bytes] = []
        self._end: Failure | None = None

    def send(self, data: bytes) -> None:
        """Some of the body."""
        if self._protocol is None or not self.reading:
            self._waiting.append(data)
        elif not self.aborted:
            self._protocol.dataReceived(data)

    def end(self, reason: Exception | None = None) -> None:
        """The body is complete; or, with a reason, never will be."""
        self._end = Failure(reason or ResponseDone())
        self._flush()

    def deliverBody(self, protocol: IProtocol) -> None:
        """Deliver what there is, and what will come."""
        self._protocol = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]  # as much of a transport as anybody looks at
        self._flush()

    def setPreviousResponse(self, response: IResponse) -> None:
        """Nobody asks for it."""

    def pauseProducing(self) -> None:
        """Deliver nothing for now."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Go on."""
        self.reading = True
        self._flush()

    def abortConnection(self) -> None:
        """Close the connection."""
        self.aborted = True

    def _flush(self) -> None:
        protocol = self._protocol
        while protocol is not None and self._waiting and self.reading and not self.aborted:
            protocol.dataReceived(self._waiting.pop(0))
        if protocol is not None and self._end is not None and not self._waiting and not (self.aborted or self.ended):
            self.ended = True
            protocol.connectionLost(self._end)
