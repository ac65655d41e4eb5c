"""What has arrived of a body and nobody took yet: decoded, counted, in order."""

from __future__ import annotations

from collections import deque

from aigw.errors import UpstreamCutShort, UpstreamReplyTooLarge
from aigw.upstream.inflate import Inflater


class Arrivals:
    """Bytes in (`put`), pieces out (`take`).

    ``max_bytes``: of the decoded body. ``encoding``: its Content-Encoding if that is to be undone (gzip, deflate), else
    empty. ``plain``: what is put is what is taken, and nobody counts it.
    """

    __slots__ = ("_inflater", "_left", "_queue", "plain")

    def __init__(self, max_bytes: int | None, encoding: bytes) -> None:
        self._queue: deque[bytes] = deque()
        self._left = max_bytes
        self._inflater = Inflater(encoding) if encoding else None
        self.plain = max_bytes is None and not encoding

    def __len__(self) -> int:
        """How many pieces wait."""
        return len(self._queue)

    @property
    def first(self) -> bytes:
        """The first piece that waits, if that is known."""
        return self._queue[0] if self._queue else b""

    @property
    def is_full(self) -> bool:
        """Is it time to read no more, as nobody takes any? One read may wait, if it can't become many times as long."""
        return len(self._queue) > 1 or self._inflater is not None

    def put(self, data: bytes) -> None:
        """Some of the body."""
        if self._inflater is None:
            self._queue.append(data)
        else:
            self._inflater.feed(data)

    def take(self, ended: bool) -> bytes | None:
        """The next piece, or None if there is none. ``ended``: is there nothing to come?

        :raises UpstreamError: if the body is damaged, or too long.
        """
        if self._queue:
            piece: bytes | None = self._queue.popleft()
        elif self._inflater is not None:
            piece = self._inflater.take()
            if piece is None and ended and not self._inflater.finished:
                raise UpstreamCutShort("the upstream's compressed reply ended early")
        else:
            return None
        if piece is not None and self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise UpstreamReplyTooLarge("the upstream's reply is over max_response_bytes")
        return piece

    def clear(self) -> None:
        """Nobody wants what there is."""
        self._queue.clear()
        self._inflater = None
