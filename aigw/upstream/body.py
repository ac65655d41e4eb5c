"""The body of an upstream's response as a Source: watched while it is held, bounded, decoded, under deadlines.

It buffers two reads of the network beyond what its watcher allows; whoever wants no more for now stops its reading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from aigw.errors import GatewayError, UpstreamCutShort
from aigw.exchange import Forward, Sink
from aigw.ports import Clock
from aigw.upstream.arrivals import Arrivals
from aigw.upstream.discard import Discard
from aigw.upstream.patience import Patience
from aigw.upstream.timeouts import Timeouts

REST = 64 * 1024
"""Bytes of a body that nobody wants that are worth reading, to keep the connection."""

Judge = Callable[[bytes], bool]
"""Is shown each arrival while the body is held; True = seen enough."""


class UpstreamBody(Protocol):
    """Give it to ``response.deliverBody``; then `watch` it, or `start` it at once.

    ``idle``, ``deadline`` (by which it must be complete) and ``timeouts``: see `Patience`. ``max_bytes`` and
    ``encoding``: see `Arrivals`.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        idle: float | None,
        deadline: float | None = None,
        max_bytes: int | None = None,
        encoding: bytes = b"",
        timeouts: Timeouts | None = None,
    ) -> None:
        self._clock = clock
        self._patience = Patience(clock, timeouts, idle, deadline)
        self._arrivals = Arrivals(max_bytes, encoding)  # shown to nobody yet
        self._held: list[bytes] = []  # shown to the judge, not yet to the sink
        self._held_bytes = self._held_limit = 0
        self._judge: Judge | None = None
        self._watching: Deferred[None] | None = None
        self._sink: Sink | None = None
        self._direct: Sink | None = None  # the sink, while what arrives can go there as it is
        self._forward_on: Forward | None = None  # the sink's shorter way, if it has one
        self._end: GatewayError | bool | None = None  # None: still arriving; True: complete; or why it broke
        self._told = self._paused = self._reading_stopped = self._pumping = self._sated = False
        self._producer: Any = None  # the transport, once there is one

    # What the attempt asks for.

    @property
    def complete(self) -> bool:
        """Has the whole body arrived and been shown to the watcher?"""
        return self._end is True and not self._arrivals

    @property
    def early(self) -> bytes:
        """The first of what came before anybody asked; it is still to be delivered. Nothing if it has to be decoded."""
        return self._arrivals.first

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
        self._wait()
        return watching

    def release(self) -> None:
        """End `watch` now, as if the judge had seen enough."""
        watching, self._watching, self._judge = self._watching, None, None
        if watching is not None:
            watching.callback(None)

    def fail(self, error: GatewayError) -> None:
        """End the body with an error of ours (a deadline): its connection is closed; the watcher or sink is told."""
        if self._end is None:
            self._arrivals.clear()
            self._end, self._direct = error, None
            self._patience.stop()
            self._close_connection()
            self._tell_end(error)

    def discard(self, limit: int = REST) -> None:
        """Let a short rest arrive, so that its connection can be used again; close it for a long one."""
        self.start(Discard(self, limit))

    def suffice(self) -> None:
        """The piece that the sink is just taking completes what it needs, whatever may follow.

        A short rest may still arrive, for nobody, so that its connection can be used again.
        """
        self._sated, self._direct = True, None

    # Source

    def start(self, sink: Sink) -> None:
        """Deliver to ``sink`` what was held, as one piece, then every arrival."""
        held = self.held()
        self._held = []
        self._judge = self._watching = None
        self._sink = sink
        self._forward_on = getattr(sink, "forward", None)
        if self._forward_on is not None and hasattr(self._producer, "forward_to"):
            self._producer.forward_to(self._forward)
        if held:
            self._deliver(sink, held)
        self._pump()
        self._wait()

    def pause(self) -> None:
        """Read no more for now; the idle deadline stands still."""
        self._paused, self._direct, self._patience.since = True, None, None
        self._stop_reading()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._patience.since = self._clock.seconds()
        self._pump()

    def abort(self) -> None:
        """Close the connection; nobody is told."""
        self._sink = self._direct = self._judge = self._watching = None
        self._told = True
        self._arrivals.clear()
        self._held = []
        if self._end is None:
            self._end = UpstreamCutShort("the rest was not wanted")
            self._close_connection()
        self._patience.stop()

    # The network.

    def makeConnection(self, transport: Any) -> None:
        """The body begins; ``transport`` can pause, resume and abort it."""
        self._producer = transport

    def dataReceived(self, data: bytes) -> None:
        """Some of the body."""
        sink = self._direct
        if sink is None or self._pumping:
            self._put(data)
            return
        self._patience.since = self._clock.seconds()
        self._pumping = True
        try:
            sink.write(data)
        finally:
            self._pumping = False
        if self._direct is not sink:
            self._settle(sink)

    def _forward(self, chunk: bytes, data: bytes) -> bool:
        """The same, in short, for what the sink would send on as it came."""
        if self._direct is None or self._pumping or self._forward_on is None:
            return False
        self._patience.since = self._clock.seconds()
        return self._forward_on(chunk, data)

    def _put(self, data: bytes) -> None:
        """Keep it for whoever wants it, now or later."""
        if self._end is not None:
            return
        self._direct = None
        if not self._paused:
            self._patience.since = self._clock.seconds()
        self._arrivals.put(data)
        if self._wanted():
            self._pump()
        if not self._wanted() and self._arrivals.is_full:
            self._stop_reading()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is complete, or never will be."""
        if self._end is not None:
            return
        if isinstance(reason.value, (ResponseDone, PotentialDataLoss)):
            self._finish(True)
        elif isinstance(reason.value, GatewayError):
            self._finish(reason.value)
        else:
            self._finish(UpstreamCutShort("the upstream closed the connection before its reply was complete"))

    # From there to here.

    def _finish(self, end: GatewayError | bool) -> None:
        self._end, self._direct = end, None
        self._patience.stop()
        self._pump()

    def _pump(self) -> None:
        """Move what there is to whoever wants it; called again from inside, it leaves the work to the outer call."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while (wanted := self._wanted()) and (piece := self._next()) is not None:
                self._show(piece)
        finally:
            self._pumping = False
        if wanted and self._end is None:
            self._direct = self._sink if self._arrivals.plain else None
            self._read_on()  # which may bring more at once
        elif wanted and self._end is not None:
            self._tell_end(self._end)

    def _wanted(self) -> bool:
        return self._judge is not None or (self._sink is not None and not self._paused)

    def _next(self) -> bytes | None:
        try:
            return self._arrivals.take(self._end is True)
        except GatewayError as error:
            self._arrivals.clear()
            self._end = error
            self._close_connection()
            return None

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
        if self._sated:
            self._leave_rest(sink)

    def _settle(self, sink: Sink) -> None:
        """Something happened while the sink took an arrival."""
        if self._sated:
            self._leave_rest(sink)
        self._pump()

    def _leave_rest(self, sink: Sink) -> None:
        """The sink has all it needs, if it did not leave."""
        self._sated = False
        if self._sink is sink:
            self._paused, self._sink = False, Discard(self, REST)
            self._patience.since = self._clock.seconds()
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

    # Waiting for, reading, and closing the connection that it comes from.

    def _wait(self) -> None:
        if self._end is None:
            self._patience.begin(self.fail)

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
