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
    """``ends``: seconds of the clock."""

    __slots__ = ("_queue", "ends", "expire")

    def __init__(self, ends: float, expire: Callable[[], None], queue: _Queue) -> None:
        self.ends = ends
        self.expire = expire
        self._queue = queue

    def stop(self) -> None:
        self._queue.waiting.pop(self, None)


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
        return queue.start(self._clock.seconds() + seconds, expire)

    def start_alone(self, seconds: float, expire: Callable[[], None]) -> Timeout:
        """The same for a duration that no other has: what is left of a longer time."""
        return _Alone(self._clock.callLater(seconds, expire))


class _Queue:
    """``waiting``: a dict for its order. Its timer is set for the oldest one that there was when it was set."""

    def __init__(self, clock: Clock, unused: Callable[[], object]) -> None:
        self.waiting: dict[_Queued, None] = {}
        self._clock = clock
        self._unused = unused
        self._timer: IDelayedCall | None = None

    def start(self, ends: float, expire: Callable[[], None]) -> Timeout:
        timeout = _Queued(ends, expire, self)
        self.waiting[timeout] = None
        if self._timer is None:
            self._set(timeout)
        return timeout

    def _set(self, oldest: _Queued) -> None:
        self._timer = self._clock.callLater(max(0.0, oldest.ends - self._clock.seconds()), self._look)

    def _look(self) -> None:
        """End those whose time has come, wait for the next."""
        self._timer = None
        now = self._clock.seconds()
        for timeout in [*self.waiting]:
            if timeout.ends > now:
                self._set(timeout)
                return
            if self.waiting.pop(timeout, timeout) is None:
                timeout.expire()
        if not self.waiting:
            self._unused()
