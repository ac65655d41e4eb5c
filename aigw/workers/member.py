"""One worker, as the parent sees it: what it was told, what it has done of that, and how long it has been silent."""

from __future__ import annotations

import enum
from collections import deque

import attrs

from aigw.workers.channel import Channel
from aigw.workers.spawning import Process

START_PATIENCE = 120
"""Seconds that a worker has until it has the Snapshot. One of 100,000 routes takes it about 20."""

PATIENCE = 10
"""Seconds that a worker has for anything else. It answers at once unless it hangs."""

LAST_WORDS = 20


class Phase(enum.Enum):
    """``STARTING``: until it has the Snapshot. ``SERVING``: it was told to listen. ``LEAVING``: it accepts no more."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"


@attrs.define(kw_only=True, eq=False)
class Member:
    """``id``: its own. ``number``: 1 to N, that of whomever it replaces. ``told``, ``applied``: numbers of changes.

    ``silent``: for how many seconds it has owed an answer. ``listens``: it has said so. ``last_words``: what it wrote
    outside of its channel.
    """

    id: int
    number: int
    born: float
    told: int
    applied: int = -1
    phase: Phase = Phase.STARTING
    listens: bool = False
    silent: int = 0
    in_flight: int = 0
    killed: str | None = None
    channel: Channel = attrs.field(init=False)
    process: Process | None = None
    ended: str | None = None
    lost: bool = False
    last_words: deque[str] = attrs.field(factory=lambda: deque(maxlen=LAST_WORDS))

    @property
    def pid(self) -> int:
        """Of its process."""
        return 0 if self.process is None else self.process.pid

    @property
    def gone(self) -> bool:
        """Its process has ended, and all that it said was heard."""
        return self.ended is not None and self.lost

    def heard(self, number: int) -> None:
        """It has done what had this number.

        :raises ValueError: if it was not told that.
        """
        if not self.applied < number <= self.told:
            raise ValueError(f"number {number} is done, of {self.applied} to {self.told}")
        self.applied, self.silent = number, 0

    def second_passed(self) -> bool:
        """Whether it has been silent for too long."""
        self.silent = self.silent + 1 if self.applied < self.told else 0
        return self.silent > (START_PATIENCE if self.phase is Phase.STARTING else PATIENCE)

    def kill(self, reason: str) -> None:
        """End it; the first reason counts."""
        if self.killed is None:
            self.killed = reason
        if self.process is not None:
            self.process.kill()
