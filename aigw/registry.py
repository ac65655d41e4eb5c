"""The in-memory registry that both faces share: the current Snapshot of each gateway group.

It holds no lock and needs none: a Snapshot is immutable, and is swapped whole in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aigw.model.snapshot import Key, Snapshot

Subscriber = Callable[[str, Snapshot, frozenset[Key]], None]
"""Called in the reactor's thread with (group, the new Snapshot, the keys that changed)."""


class Registry:
    """Gateway group -> its current Snapshot."""

    def __init__(self) -> None:
        self._snapshots: dict[str, Snapshot] = {}
        self._subscribers: list[Subscriber] = []

    def snapshot(self, group: str) -> Snapshot:
        """The current Snapshot of a group (an empty one if nobody wrote to it)."""
        return self._snapshots.get(group) or Snapshot()

    def groups(self) -> Mapping[str, Snapshot]:
        """All groups that were ever written to."""
        return dict(self._snapshots)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have ``subscriber`` told of every replacement from now on, before `replace` returns."""
        self._subscribers.append(subscriber)

    def replace(self, group: str, snapshot: Snapshot, changed: frozenset[Key]) -> None:
        """Make ``snapshot`` current; when this returns, it is active."""
        self._snapshots[group] = snapshot
        for subscriber in self._subscribers:
            subscriber(group, snapshot, changed)
