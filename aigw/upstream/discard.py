"""Where the rest of a body goes that nobody reads."""

from __future__ import annotations

from aigw.errors import GatewayError
from aigw.exchange import Source


class Discard:
    """A `aigw.exchange.Sink` that takes up to ``limit`` bytes, so that the connection can be used again."""

    def __init__(self, body: Source, limit: int) -> None:
        self._body = body
        self._left = limit

    def write(self, data: bytes) -> None:
        """Count it."""
        self._left -= len(data)
        if self._left < 0:
            self._body.abort()

    def finished(self) -> None:
        """That was all."""

    def broke(self, error: GatewayError) -> None:
        """Nobody minds."""
