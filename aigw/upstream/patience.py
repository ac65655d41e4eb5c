"""How long a body is waited for: one timer, looked at when it fires, not moved by every arrival."""

from __future__ import annotations

import functools
from collections.abc import Callable

from aigw.errors import UpstreamTimeout
from aigw.ports import Clock
from aigw.upstream.timeouts import Timeout, Timeouts

Fail = Callable[[UpstreamTimeout], None]


class Patience:
    """``idle``: seconds between two arrivals. ``deadline``: clock time at which all is over.

    ``since``: clock time of the last arrival; None = nothing can arrive, and the idle time stands still.
    ``timeouts``: where many of one ``idle`` wait together.
    """

    __slots__ = ("_clock", "_deadline", "_idle", "_timeouts", "_timer", "since")

    def __init__(self, clock: Clock, timeouts: Timeouts | None, idle: float | None, deadline: float | None) -> None:
        self._clock = clock
        self._timeouts = timeouts
        self._idle = idle
        self._deadline = deadline
        self._timer: Timeout | None = None
        self.since: float | None = clock.seconds()

    def begin(self, fail: Fail) -> None:
        """Have ``fail`` called when one of them is over. Does nothing if that was said already."""
        if self._timer is None:
            self._look_in(self._idle if self._deadline is None else self._left(), fail)

    def stop(self) -> None:
        """Nothing is waited for any more. Idempotent."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _look_in(self, seconds: float | None, fail: Fail) -> None:
        if seconds is not None:
            timeouts = self._timeouts or Timeouts(self._clock)
            look = functools.partial(self._look, fail)
            self._timer = timeouts.start_one_of(self._idle, max(0.0, seconds), look)

    def _look(self, fail: Fail) -> None:
        self._timer = None
        now, idle_end = self._clock.seconds(), self._idle_end()
        if self._deadline is not None and now >= self._deadline:
            fail(UpstreamTimeout("the upstream's reply took longer than its deadline"))
        elif idle_end is not None and now >= idle_end:
            fail(UpstreamTimeout(f"the upstream sent nothing for {self._idle:g} s"))
        else:
            self._look_in(self._left(), fail)

    def _left(self) -> float | None:
        """Seconds until the first of them could be over."""
        moments = [moment for moment in (self._idle_end(), self._deadline) if moment is not None]
        return min(moments) - self._clock.seconds() if moments else None

    def _idle_end(self) -> float | None:
        if self._idle is None:
            return None
        return (self._clock.seconds() if self.since is None else self.since) + self._idle
