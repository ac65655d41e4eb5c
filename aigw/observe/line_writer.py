"""Lines on their way to a file or pipe: gathered, written in batches, bounded, and lost rather than waited for."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from aigw.observe.log_destination import Destination
from aigw.ports import Clock

FLUSH_SECONDS = 1.0
FLUSH_BYTES = 64 * 1024
HELD_BYTES = 1024 * 1024
"""How much is kept for a destination that takes nothing, before lines are lost."""

COMPLAINT_SECONDS = 60.0


class LineWriter:
    """Writes lines at the latest ``flush_seconds`` after it got them, if the destination takes them.

    A destination in trouble is offered everything again at every flush; it is told to the operator at most once in
    `COMPLAINT_SECONDS`. No method raises because of the destination.
    """

    log = Logger()

    def __init__(self, destination: Destination, clock: Clock, flush_seconds: float = FLUSH_SECONDS) -> None:
        self._destination = destination
        self._clock = clock
        self._flush_seconds = flush_seconds
        self._pending: list[bytes] = []
        self._size = 0
        self._stalled = False
        self._timer: IDelayedCall | None = None
        self._trouble = ""
        self._lost = 0
        self._complained: float | None = None
        self._closed = False

    def write(self, line: bytes) -> None:
        """Take one line, or several at once, with their newlines."""
        size = self._size + len(line)
        if size > HELD_BYTES or self._closed:
            self._lost += line.count(b"\n")
            return
        self._pending.append(line)
        self._size = size
        if self._timer is None:
            self._timer = self._clock.callLater(self._flush_seconds, self._tick)
        if size >= FLUSH_BYTES and not self._stalled:
            self.flush()

    def flush(self) -> None:
        """Write as much as the destination takes now."""
        data = b"".join(self._pending)
        if not self._lost:
            self._trouble = ""
        try:
            written = self._destination.write(data) if data else 0
        except OSError as e:
            written = 0
            self._trouble = e.strerror or type(e).__name__
        rest = data[written:]
        self._pending = [rest] if rest else []
        self._size = len(rest)
        self._stalled = bool(rest)

    def reopen(self) -> None:
        """Write what there is, then begin a new file where the old one was moved away."""
        self.flush()
        try:
            self._destination.reopen()
        except OSError as e:
            self.log.warn("the log file can't be opened again: {reason}", reason=e.strerror)

    def close(self) -> None:
        """Write what can be written and let go of the destination. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush()
        self._lost += b"".join(self._pending).count(b"\n")
        self._pending.clear()
        self._complained = None
        self._complain()
        self._destination.close()

    def _tick(self) -> None:
        self._timer = None
        self.flush()
        self._complain()
        if self._pending:
            self._timer = self._clock.callLater(self._flush_seconds, self._tick)

    def _complain(self) -> None:
        now = self._clock.seconds()
        if not self._lost and not (self._trouble and self._stalled):
            return
        if self._complained is not None and now - self._complained < COMPLAINT_SECONDS:
            return
        self.log.warn(
            "log lines can't be written: {reason}; {lost} lost since this was last told",
            reason=self._trouble or "the reader is too slow",
            lost=self._lost,
        )
        self._lost, self._trouble, self._complained = 0, "", now
