"""Who of several processes on one socket accepts the next connection: whoever has the fewest, if it is quick to do so.

All are woken for each connection, and the one that is woken first would have nearly all of them: it is awake, and on
its core, when the next one comes. So each tells how many it has, in memory that all share; and who has more than its
share leaves a connection to the others for a moment, before it takes it all the same.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable

ABSENT = 2**64 - 1
"""Stands for how many connections a process has that accepts none."""

WIDTH = 8
MOMENT = 0.002
"""Seconds that a connection is left to the others."""

BATCH = 4
"""How many are accepted then. More would undo the balance; with fewer, one process that hangs would hold up a crowd."""


class Shares:
    """How many connections each process has. ``fd``: of the memory. ``places``: how many processes there are.

    Numbers are written and read whole, and may be a bit old: they are for a guess.
    """

    def __init__(self, fd: int, places: int) -> None:
        self._counts = memoryview(mmap.mmap(fd, places * WIDTH)).cast("Q")

    def tell(self, place: int, count: int) -> None:
        """The process at a place has so many; or `ABSENT`."""
        self._counts[place] = count

    def allow(self, count: int) -> bool:
        """May who has ``count`` have one more, before the others?"""
        least = min(self._counts)
        return count <= least + 1 + least // 8


def shared_memory(places: int) -> int:
    """The descriptor of new memory for `Shares`, in which all are absent."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("aigw-shares")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.write(fd, b"\xff" * (places * WIDTH))
    return fd


class Courtesy:
    """One process's part. ``load``: how many connections it has now."""

    def __init__(self, shares: Shares, place: int, load: Callable[[], int]) -> None:
        self._shares = shares
        self._place = place
        self._load = load

    def tell(self) -> None:
        """Tell the others how many we have."""
        self._shares.tell(self._place, self._load())

    def is_our_turn(self) -> bool:
        """May we accept a connection before the others?"""
        load = self._load()
        self._shares.tell(self._place, load)
        return self._shares.allow(load)

    def leave(self) -> None:
        """We accept no more."""
        self._shares.tell(self._place, ABSENT)
