"""What a worker has to tell to the outside: lines of the access log, and events of its log. The parent writes both."""

from __future__ import annotations

from typing import get_args

from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText
from zope.interface import implementer

from aigw.workers.channel import Channel
from aigw.workers.messages import Level, Lines, Said

MOST_TEXT = 64 * 1024
_LEVELS: dict[str, Level] = {level: level for level in get_args(Level)}


class ParentsLog:
    """A `aigw.observe.log_destination.Destination`: takes all lines, or none while the parent is slow to read."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def write(self, data: bytes) -> int:
        """See `Destination`."""
        if self._channel.full:
            return 0
        self._channel.send(Lines(data))
        return len(data)

    def reopen(self) -> None:
        """The parent does that."""

    def close(self) -> None:
        """The channel has more to carry."""


@implementer(ILogObserver)
class EventsToParent:
    """Sends what is logged; what the parent is too slow for is lost."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __call__(self, event: LogEvent) -> None:
        """See `ILogObserver`."""
        level = event.get("log_level") or LogLevel.info
        if self._channel.full or level is LogLevel.debug:
            return
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if text:
            self._channel.send(Said(_LEVELS[level.name], text[:MOST_TEXT]))
