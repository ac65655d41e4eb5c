"""The server side of the admin face's HTTP: a body that is too long is refused before it is read, and never lies in a
temporary file (where stock Twisted puts long bodies, secrets and all)."""

from __future__ import annotations

from io import BytesIO

import msgspec
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from aigw.admin.answers import Refusal
from aigw.admin.body import MAX_BODY, check_size
from aigw.ports import Clock

PATIENCE = 10 * MAX_BODY
"""Bytes of a refused body that are read and dropped, so that the client gets to read why; then the connection goes."""

IDLE_TIMEOUT = 60
"""Seconds without a byte from the client."""

BODY_DEADLINE = 120
"""Seconds from the end of the head to the end of the body."""


class AdminRequest(Request):
    """A request whose body is kept in memory, and bounded."""

    content: BytesIO
    _received = 0
    _refused = False
    _deadline: IDelayedCall | None = None

    def gotLength(self, length: int | None) -> None:
        """The head is complete; ``length``: of the body, None if it comes in chunks."""
        self.content = BytesIO()
        self._deadline = self.channel.callLater(BODY_DEADLINE, self.channel.forceAbortClient)
        if length is not None:
            self._bound(length)

    def handleContentChunk(self, data: bytes) -> None:
        """A part of the body has come."""
        self._received += len(data)
        self._bound(self._received)
        if not self._refused:
            self.content.write(data)
        elif self._received > PATIENCE:
            self.channel.forceAbortClient()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The body is complete; a refused one has its answer already."""
        self._meet_deadline()
        if self._refused:
            self.channel.loseConnection()
        else:
            super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]  # it has no annotations

    def connectionLost(self, reason: Failure) -> None:
        """The client left."""
        self._meet_deadline()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # it has no annotations

    def _meet_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def _bound(self, size: int) -> None:
        if self._refused:
            return
        try:
            check_size(size)
        except Refusal as e:
            self._refused = True
            self.requestHeaders.removeHeader(b"expect")  # or the channel would go on with "100 Continue"
            self.channel.write(_last_words(e))


def admin_site(resource: IResource, clock: Clock) -> Site:
    """The protocol factory of the admin face; ``clock``: the reactor."""
    return AdminSite(resource, clock)


class AdminSite(Site):
    """Serves over HTTP/1.1 only: `AdminRequest` leans on that channel.

    It writes no access log: a key that somebody put into a URL must not get there. Writes are logged where they are
    made.
    """

    def __init__(self, resource: IResource, clock: Clock) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # it has no annotations
            resource, requestFactory=AdminRequest, timeout=IDLE_TIMEOUT, parsePOSTFormSubmission=False, reactor=clock
        )

    def log(self, request: object) -> None:
        """Nothing."""

    def acceptableProtocols(self) -> list[bytes]:
        """What TLS may agree on."""
        return [b"http/1.1"]


def _last_words(refusal: Refusal) -> bytes:
    body = msgspec.json.encode(refusal.answer.body)
    return (
        b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
