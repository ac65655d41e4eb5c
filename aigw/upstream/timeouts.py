"""Many deadlines of few durations: those that last equally long end in the order in which they began.

So there is one queue and one timer for each duration, and a request that is answered in time costs two dict operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from aigw.ports import Clock


class Timeout(Protocol):
    """One deadline that is running."""

    def stop(self) -> None:
        """It is met. Idempotent."""


class _Queued:
    """``ends``: seconds of the clock. ``waiting``: those that it waits with, in order."""

    __slots__ = ("_waiting", "ends", "expire")

    def __init__(self, ends: float, expire: Callable[[], None], waiting: dict[_Queued, None]) -> None:
        self.ends = ends
        self.expire = expire
        self._waiting = waiting
        waiting[self] = None

    def stop(self) -> None:
        self._waiting.pop(self, None)


class _Alone:
    __slots__ = ("_timer",)

    def __init__(self, timer: IDelayedCall) -> None:
        self._timer = timer

    def stop(self) -> None:
        if self._timer.active():
            self._timer.cancel()


class Timeouts:
    """The deadlines that are running, by their duration in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[float, _Queue] = {}

    def start(self, seconds: float, expire: Callable[[], None]) -> Timeout:
        """Have ``expire`` called in ``seconds``, a duration that many have."""
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = _Queue(self._clock, lambda: self._queues.pop(seconds, None))
        timeout = _Queued(self._clock.seconds() + seconds, expire, queue.waiting)
        if not queue.timed:
            queue.time(timeout)
        return timeout

    def start_one_of(self, usual: float | None, seconds: float, expire: Callable[[], None]) -> Timeout:
        """`start` it if it is as long as most are, else `start_alone`."""
        return self.start(seconds, expire) if seconds == usual else self.start_alone(seconds, expire)

    def start_alone(self, seconds: float, expire: Callable[[], None]) -> Timeout:
        """The same for a duration that no other has: what is left of a longer time."""
        return _Alone(self._clock.callLater(seconds, expire))


class _Queue:
    """``waiting``: a dict for its order. Its timer is set for the oldest one that there was when it was set.

    ``timed``: it is set.
    """

    def __init__(self, clock: Clock, unused: Callable[[], object]) -> None:
        self.waiting: dict[_Queued, None] = {}
        self.timed = False
        self._clock = clock
        self._unused = unused

    def time(self, oldest: _Queued) -> None:
        """Set the timer."""
        self.timed = True
        self._clock.callLater(max(0.0, oldest.ends - self._clock.seconds()), self._look)

    def _look(self) -> None:
        """End those whose time has come, wait for the next."""
        try:
            self._end_those_due(self._clock.seconds())
        finally:
            self.timed = False
            if self.waiting:
                self.time(next(iter(self.waiting)))
            else:
                self._unused()

    def _end_those_due(self, now: float) -> None:
        for timeout in [*self.waiting]:
            if timeout.ends > now:
                return
            if self.waiting.pop(timeout, timeout) is None:  # one that ended before may have stopped it
                timeout.expire()
