"""What a client meets when there are too many connections."""

from __future__ import annotations

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol

from aigw.errors import NotServing
from aigw.proxy.face import Face
from aigw.proxy.wire import http1_refusal


class Turnaway(Protocol):
    """Says 503 and closes, without reading. A TLS handshake is too much to spend on it: there it only closes."""

    def __init__(self, face: Face) -> None:
        self._face = face

    def connectionMade(self) -> None:
        """Send it away."""
        assert self.transport is not None
        if ISSLTransport.providedBy(self.transport):
            self.transport.abortConnection()
            return
        error = NotServing("too many connections", headers=((b"Retry-After", b"1"),))
        self.transport.write(http1_refusal(error, self._face.signature()))
        self.transport.loseConnection()
