"""Deferreds for conditions: whoever changes something asks to look round."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from aigw.ports import Clock


class Waiting:
    """Everybody who waits for something."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def until(self, condition: Callable[[], bool], patience: float | None = None) -> Deferred[None]:
        """Fires when the condition holds, at once if it does; or after ``patience`` seconds."""
        done: Deferred[None] = Deferred()
        if patience is not None:
            giving_up = self._clock.callLater(patience, self._give_up, done)
            done.addCallback(lambda _: giving_up.cancel() if giving_up.active() else None)
        self._waiting.append((condition, done))
        self.look_round()
        return done

    def look_round(self) -> None:
        """Something has changed."""
        come = [done for condition, done in self._waiting if condition()]
        self._forget(come)
        for done in come:
            done.callback(None)

    def _give_up(self, done: Deferred[None]) -> None:
        self._forget([done])
        done.callback(None)

    def _forget(self, come: list[Deferred[None]]) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting[1] not in come]
