"""The body of an upstream's response as a Source: watched while it is held, bounded, decoded, under deadlines.

It buffers one read of the network beyond what its watcher allows; whoever wants no more for now stops its reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from aigw.errors import GatewayError, UpstreamCutShort, UpstreamReplyTooLarge, UpstreamTimeout
from aigw.exchange import Sink
from aigw.ports import Clock
from aigw.upstream.discard import Discard
from aigw.upstream.inflate import Inflater

REST = 64 * 1024
"""Bytes of a body that nobody wants that are worth reading, to keep the connection."""

Judge = Callable[[bytes], bool]
"""Is shown each arrival while the body is held; True = seen enough."""


class UpstreamBody(Protocol):
    """Give it to ``response.deliverBody``; then `watch` it, or `start` it at once.

    ``idle``: seconds between two arrivals. ``deadline``: clock time by which it must be complete. ``max_bytes``: of
    the decoded body. ``encoding``: its Content-Encoding if that is to be undone (gzip, deflate), else empty.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        idle: float | None,
        deadline: float | None = None,
        max_bytes: int | None = None,
        encoding: bytes = b"",
    ) -> None:
        self._clock = clock
        self._idle = idle
        self._deadline = deadline
        self._bytes_left = max_bytes
        self._inflater = Inflater(encoding) if encoding else None
        self._queue: deque[bytes] = deque()  # arrived, shown to nobody yet
        self._held: list[bytes] = []  # shown to the judge, not yet to the sink
        self._held_bytes = self._held_limit = 0
        self._judge: Judge | None = None
        self._watching: Deferred[None] | None = None
        self._sink: Sink | None = None
        self._is_over: Callable[[], bool] | None = None
        self._end: GatewayError | bool | None = None  # None: still arriving; True: complete; or why it broke
        self._told = self._paused = self._reading_stopped = self._pumping = False
        self._timer: IDelayedCall | None = None
        self._producer: Any = None  # the transport, once there is one
        self._last_arrival = clock.seconds()

    # What the attempt asks for.

    @property
    def complete(self) -> bool:
        """Has the whole body arrived and been shown to the watcher?"""
        return self._end is True and not self._queue

    def held(self) -> bytes:
        """All that the watcher was shown, as one piece."""
        if len(self._held) > 1:
            self._held = [b"".join(self._held)]
        return self._held[0] if self._held else b""

    def watch(self, judge: Judge, limit: int) -> Deferred[None]:
        """Hold what arrives and show each piece to ``judge``.

        Fires when it returns True, at more than ``limit`` bytes, at the end (see `complete`), or at `release`. Fails
        with a `GatewayError` if the body breaks. Cancelling it aborts the body.
        """
        self._judge, self._held_limit = judge, limit
        watching: Deferred[None] = Deferred(lambda _: self.abort())
        self._watching = watching
        self._pump()
        self._arm()
        return watching

    def release(self) -> None:
        """End `watch` now, as if the judge had seen enough."""
        watching, self._watching, self._judge = self._watching, None, None
        if watching is not None:
            watching.callback(None)

    def fail(self, error: GatewayError) -> None:
        """End the body with an error of ours (a deadline): its connection is closed; the watcher or sink is told."""
        if self._end is None:
            self._queue.clear()
            self._end = error
            self._stop_timer()
            self._close_connection()
            self._tell_end(error)

    def discard(self, limit: int = REST) -> None:
        """Let a short rest arrive, so that its connection can be used again; close it for a long one."""
        self.start(Discard(self, limit))

    def ends_when(self, is_over: Callable[[], bool]) -> None:
        """Take the body for complete as soon as ``is_over()``, asked after each piece that the sink got.

        A short rest may still arrive, for nobody, so that its connection can be used again.
        """
        self._is_over = is_over

    # Source

    def start(self, sink: Sink) -> None:
        """Deliver to ``sink`` what was held, as one piece, then every arrival."""
        held = self.held()
        self._held = []
        self._judge = self._watching = None
        self._sink = sink
        if held:
            self._deliver(sink, held)
        self._pump()
        self._arm()

    def pause(self) -> None:
        """Read no more for now; the idle deadline stands still."""
        self._paused = True
        self._stop_reading()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._last_arrival = self._clock.seconds()
        self._pump()

    def abort(self) -> None:
        """Close the connection; nobody is told."""
        self._sink = self._judge = self._watching = None
        self._told = True
        self._queue.clear()
        self._held = []
        if self._end is None:
            self._end = UpstreamCutShort("the rest was not wanted")
            self._close_connection()
        self._stop_timer()

    # The network.

    def connectionMade(self) -> None:
        """The body begins."""
        self._producer = self.transport

    def dataReceived(self, data: bytes) -> None:
        """Some of the body."""
        if self._end is not None:
            return
        self._last_arrival = self._clock.seconds()
        if self._flows:
            self._pumping = True
            try:
                self._deliver(self._sink, data)  # type: ignore[arg-type]  # it is there
            finally:
                self._pumping = False
            if self._paused or self._queue or self._end is not None or self._reading_stopped:
                self._pump()
            return
        if self._inflater is None:
            self._queue.append(data)
        else:
            self._inflater.feed(data)
        self._pump()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is complete, or never will be."""
        if self._end is not None:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self._finish(True)
        elif isinstance(reason.value, GatewayError):
            self._finish(reason.value)
        else:
            self._finish(UpstreamCutShort("the upstream closed the connection before its reply was complete"))

    # From there to here.

    def _finish(self, end: GatewayError | bool) -> None:
        self._end = end
        self._stop_timer()
        self._pump()

    def _pump(self) -> None:
        """Move what there is to whoever wants it; called again from inside, it leaves the work to the outer call."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._wanted() and self._step():
                pass
        finally:
            self._pumping = False
        if self._wanted():
            self._read_on()
        else:
            self._stop_reading()

    @property
    def _flows(self) -> bool:
        """What arrives goes to the sink as it is: nothing is before it, and nothing has to be done to it."""
        return (
            self._sink is not None
            and not self._paused
            and not self._pumping
            and self._inflater is None
            and self._bytes_left is None
            and not self._queue
        )

    def _wanted(self) -> bool:
        return self._judge is not None or (self._sink is not None and not self._paused)

    def _step(self) -> bool:
        try:
            piece = self._next_piece()
        except GatewayError as error:
            self._queue.clear()
            self._inflater = None
            self._end = error
            self._close_connection()
            piece = None
        if piece is not None:
            self._show(piece)
            return True
        if self._end is not None:
            self._tell_end(self._end)
        return False

    def _next_piece(self) -> bytes | None:
        if self._queue:
            piece: bytes | None = self._queue.popleft()
        elif self._inflater is not None:
            piece = self._inflater.take()
            if piece is None and self._end is True and not self._inflater.finished:
                raise UpstreamCutShort("the upstream's compressed reply ended early")
        else:
            return None
        if piece is not None and self._bytes_left is not None:
            self._bytes_left -= len(piece)
            if self._bytes_left < 0:
                raise UpstreamReplyTooLarge("the upstream's reply is over max_response_bytes")
        return piece

    def _show(self, piece: bytes) -> None:
        if self._sink is not None:
            self._deliver(self._sink, piece)
        elif self._judge is not None:
            self._held.append(piece)
            self._held_bytes += len(piece)
            if self._judge(piece) or self._held_bytes > self._held_limit:
                self.release()

    def _deliver(self, sink: Sink, piece: bytes) -> None:
        sink.write(piece)
        if self._is_over is not None and self._sink is sink and self._is_over():
            self._is_over, self._paused = None, False
            self._sink = Discard(self, REST)
            sink.finished()

    def _tell_end(self, end: GatewayError | bool) -> None:
        if self._watching is not None:
            watching, self._watching, self._judge = self._watching, None, None
            if isinstance(end, GatewayError):
                self._told = True
                watching.errback(Failure(end))
            else:
                watching.callback(None)
        elif self._sink is not None and not self._told:
            self._told = True
            sink, self._sink = self._sink, None
            if isinstance(end, GatewayError):
                sink.broke(end)
            else:
                sink.finished()

    # Reading and closing the connection that it comes from.

    def _read_on(self) -> None:
        if self._reading_stopped and self._end is None and self._producer is not None:
            self._reading_stopped = False
            self._producer.resumeProducing()

    def _stop_reading(self) -> None:
        if not self._reading_stopped and self._end is None and self._producer is not None:
            self._reading_stopped = True
            self._producer.pauseProducing()

    def _close_connection(self) -> None:
        if self._producer is not None:
            self._producer.abortConnection()

    # Deadlines: one timer, looked at when it fires, not moved by every arrival.

    def _arm(self) -> None:
        if self._end is not None or self._timer is not None:
            return
        moments = [m for m in (self._idle_end(), self._deadline) if m is not None]
        if moments:
            wait = max(0.0, min(moments) - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._check_deadlines)

    def _idle_end(self) -> float | None:
        if self._idle is None:
            return None
        return (self._clock.seconds() if self._paused else self._last_arrival) + self._idle

    def _check_deadlines(self) -> None:
        self._timer = None
        now, idle_end = self._clock.seconds(), self._idle_end()
        if self._deadline is not None and now >= self._deadline:
            self.fail(UpstreamTimeout("the upstream's reply took longer than its deadline"))
        elif idle_end is not None and now >= idle_end:
            self.fail(UpstreamTimeout(f"the upstream sent nothing for {self._idle:g} s"))
        else:
            self._arm()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
