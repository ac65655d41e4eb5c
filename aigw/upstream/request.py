"""One request on its way: what is sent, and the Deferred that waits for the head of the reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IClientRequest
from zope.interface import implementer

from aigw.upstream.origin import Origin
from aigw.upstream.profile import Profile
from aigw.upstream.sending import BytesBody

if TYPE_CHECKING:
    from aigw.upstream.response import Response


class Carrier(Protocol):
    """Who has the request now: a connection, or the Deferred of one that is being made."""

    def cancel(self) -> None:
        """Drop it: close the connection at once."""


@implementer(IClientRequest)
class Request:
    """A request. ``head``: its bytes, complete; hidden from repr with everything else that may hold a credential."""

    __slots__ = (
        "_waiting",
        "absoluteURI",
        "body",
        "carrier",
        "head",
        "headers",
        "method",
        "origin",
        "profile",
        "resent",
    )

    def __init__(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        head: bytes,
        body: IBodyProducer | None,
        origin: Origin,
        profile: Profile,
    ) -> None:
        self.method = method
        self.absoluteURI = uri
        self.headers = headers
        self.head = head
        self.body = body
        self.origin = origin
        self.profile = profile
        self.carrier: Carrier | None = None
        self.resent = False
        self._waiting: Deferred[Response] | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method.decode('ascii', 'replace')} to {self.origin.label}>"

    def wait(self) -> Deferred[Response]:
        """Fires with the response once its head is in. Cancelling it closes the connection, in every phase."""
        waiting: Deferred[Response] = Deferred(self._cancel)
        self._waiting = waiting
        return waiting

    @property
    def can_be_resent(self) -> bool:
        """Can the same bytes be sent once more?"""
        return not self.resent and (self.body is None or isinstance(self.body, BytesBody))

    def answer(self, response: Response) -> None:
        """The head is in."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(response)

    def fail(self, reason: Failure | Exception) -> None:
        """There will be no response. Does nothing if nobody waits any more."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(reason)

    def sent(self) -> None:
        """It won't be sent again: let go of its bytes, and of the connection."""
        self.head = b""
        self.body = None
        self.carrier = None

    def _cancel(self, _: Deferred[Response]) -> None:
        self._waiting = None
        if self.carrier is not None:
            self.carrier.cancel()
