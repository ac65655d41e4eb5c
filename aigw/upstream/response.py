"""An upstream's response: its head at once, its body to whoever asks, at the pace of whoever asks.

What has arrived and is not wanted yet is kept here and the connection is not read meanwhile, so that is one read at
most. A response whose body nobody wants must be aborted: until then it holds its connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from treq.content import collect, content, json_content, text_content
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from aigw.exchange import Forward
from aigw.upstream.head import Field, Head
from aigw.upstream.headers import to_headers

DONE = Failure(ResponseDone("the body is complete"))
ABORTED = Failure(ConnectionAborted("the body was not wanted any more"))


class BodyFlow(Protocol):
    """What a response needs of the connection that its body comes from."""

    def pause(self) -> None:
        """Stop reading. Idempotent."""

    def resume(self) -> None:
        """Go on reading. Idempotent."""

    def cancel(self) -> None:
        """Close at once."""

    def forward_to(self, forward: Forward) -> None:
        """Ask ``forward`` to take what arrives, before it is taken to `Response.receive`."""


@implementer(IResponse, IPushProducer)
class Response:
    """A response, and (for the protocol that gets its body) the transport that the body comes from.

    ``fields``: the header fields in order, without those that concern the upstream's connection only; ``headers``: the
    same, to look something up; ``names``: their lower-case names. ``length``: bytes of the body, or `UNKNOWN_LENGTH`.
    """

    __slots__ = (
        "_claimed",
        "_delivering",
        "_end",
        "_flow",
        "_headers",
        "_held",
        "_paused",
        "_protocol",
        "code",
        "fields",
        "length",
        "names",
        "phrase",
        "previousResponse",
        "request",
        "version",
    )

    def __init__(self, head: Head, request: IClientRequest, flow: BodyFlow, begun: bytes = b"") -> None:
        """``begun``: bytes of the body that came together with the head."""
        self.version = head.version
        self.code = head.code
        self.phrase = head.phrase
        self.fields: Sequence[Field] = head.fields
        self.names: Sequence[bytes] = head.names
        self.length: Any = UNKNOWN_LENGTH if head.length is None else head.length
        self.request = request
        self.previousResponse: IResponse | None = None
        self._headers: Headers | None = None
        self._flow: BodyFlow | None = flow
        self._protocol: IProtocol | None = None
        self._claimed = False
        self._paused = False
        self._delivering = False
        self._held: list[bytes] = [begun] if begun else []
        self._end: Failure | None = None  # the reason why nothing more arrives, as long as nobody was told

    def __repr__(self) -> str:
        return f"<Response {self.code} of {self.request!r}>"

    @property
    def headers(self) -> Headers:
        """The header fields, built when somebody looks."""
        if self._headers is None:
            self._headers = to_headers(self.fields)
        return self._headers

    # IResponse

    def deliverBody(self, protocol: IProtocol) -> None:
        """Deliver the body to ``protocol``, once. Its ``transport`` can pause, resume and abort.

        Its ``connectionLost`` gets `ResponseDone`; or `PotentialDataLoss`, if only the end of the connection told where
        the body ends; or a `GatewayError`, if it broke; or `ConnectionAborted`, if that was asked for.
        """
        self._claim()
        self._protocol = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]  # as with stock responses, nobody writes to it
        self._deliver()

    def setPreviousResponse(self, response: IResponse) -> None:
        """Remember the response that led to this one."""
        self.previousResponse = response

    def whole(self) -> bytes | None:
        """Take the body if all of it is here already, instead of `deliverBody`; else None, and nothing has changed."""
        if self._end is not DONE or self._claimed:
            return None
        self._claimed = True
        body, self._held = b"".join(self._held), []
        return body

    # As treq's responses have it.

    def content(self) -> Deferred[bytes]:
        """The whole body."""
        return content(self)

    def text(self, encoding: str = "ISO-8859-1") -> Deferred[str]:
        """The whole body, decoded."""
        return text_content(self, encoding)

    def json(self, **kwargs: Any) -> Deferred[Any]:
        """The whole body, parsed."""
        return json_content(self, **kwargs)

    def collect(self, collector: Callable[[bytes], None]) -> Deferred[None]:
        """Have ``collector`` called with each piece of the body; fires at the end."""
        return collect(self, collector)

    def history(self) -> list[Any]:
        """The redirects that were followed: none."""
        return []

    # The transport of whoever receives the body.

    def pauseProducing(self) -> None:
        """Deliver nothing more for now, and read nothing."""
        self._paused = True
        if self._flow is not None:
            self._flow.pause()

    def resumeProducing(self) -> None:
        """Go on."""
        if self._paused:
            self._paused = False
            self._deliver()

    def abortConnection(self) -> None:
        """Nothing more is wanted: close the connection at once."""
        self._held.clear()
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.cancel()  # and `finish` follows when it's gone
        elif self._end is not None:
            self._end = ABORTED
            self._tell_end()

    stopProducing = loseConnection = abortConnection

    def forward_to(self, forward: Forward) -> None:
        """Ask ``forward`` first, for chunks that come one at a time. What it is asked for was not held back before."""
        if self._flow is not None:
            self._flow.forward_to(forward)

    # From the connection.

    @property
    def wants_more(self) -> bool:
        """May the connection be read on?"""
        return self._protocol is not None and not self._paused

    def receive(self, data: bytes) -> None:
        """Some of the body."""
        if self._protocol is not None and not self._paused and not self._held:
            self._protocol.dataReceived(data)
        else:
            self._held.append(data)
            if self._flow is not None:
                self._flow.pause()

    def finish(self, reason: Failure) -> None:
        """Nothing more will be received: ``reason`` is what the protocol's ``connectionLost`` gets."""
        self._flow = None
        self._end = reason
        if self._protocol is not None:
            self._tell_end()

    # Inside.

    def _claim(self) -> None:
        if self._claimed:
            raise RuntimeError("the body of this response was delivered already")
        self._claimed = True

    def _deliver(self) -> None:
        """Hand over what is held, then read on; as far as nobody pauses."""
        if self._delivering or self._protocol is None:
            return
        self._delivering = True
        try:
            while self._held and not self._paused:
                data, self._held = b"".join(self._held), []
                self._protocol.dataReceived(data)
        finally:
            self._delivering = False
        self._tell_end()
        if self._flow is not None and not self._paused:
            self._flow.resume()

    def _tell_end(self) -> None:
        """Tell why nothing more arrives, once everything before it is delivered. A pause doesn't hold that back."""
        protocol, end = self._protocol, self._end
        if protocol is not None and end is not None and not self._held and not self._delivering:
            self._protocol = None
            protocol.connectionLost(end)
