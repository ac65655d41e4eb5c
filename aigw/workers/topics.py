"""What workers share beside the configuration: topics, each with a part in the parent and one in every worker.

The parent's part hears what workers say, decides, and tells whom it concerns; so its order is everybody's. Only changes
are worth saying: a request that changes nothing costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from aigw.workers.messages import Shared


class Hub(Protocol):
    """The parent's part of a topic. ``member``: a worker's id, never used twice."""

    def joined(self, member: int) -> None:
        """A worker is there: tell it what it has to know before it serves."""

    def heard(self, member: int, body: bytes) -> None:
        """A worker says something.

        :raises ValueError: if it makes no sense; the worker is replaced then.
        """

    def left(self, member: int) -> None:
        """A worker is gone, whatever it was about to say."""


Tell = Callable[[int, bytes], object]
"""(member, body): says something about the topic to one worker."""


class Hubs:
    """The parent's parts of all topics."""

    def __init__(self) -> None:
        self._hubs: dict[str, Hub] = {}

    def open(self, topic: str, hub: Hub) -> None:
        """Share a topic from now on."""
        self._hubs[topic] = hub

    def all(self) -> Iterable[Hub]:
        """Every one of them."""
        return self._hubs.values()

    def heard(self, member: int, said: Shared) -> None:
        """A worker says something.

        :raises ValueError: if it makes no sense.
        """
        hub = self._hubs.get(said.topic)
        if hub is None:
            raise ValueError(f"no such topic: {said.topic[:100]}")
        hub.heard(member, said.body)


class Topics:
    """A worker's parts. ``say``: takes what they say to the parent."""

    def __init__(self, say: Callable[[Shared], object]) -> None:
        self._say = say
        self._hears: dict[str, Callable[[bytes], object]] = {}

    def open(self, topic: str, hear: Callable[[bytes], object]) -> Callable[[bytes], object]:
        """Take part: ``hear`` takes what the parent says; what is returned says something to it."""
        self._hears[topic] = hear
        return lambda body: self._say(Shared(topic, body))

    def heard(self, said: Shared) -> None:
        """The parent says something.

        :raises ValueError: if it makes no sense.
        """
        hear = self._hears.get(said.topic)
        if hear is None:
            raise ValueError(f"no such topic: {said.topic[:100]}")
        hear(said.body)
