"""The epoll reactor without a logging context around each event, and with the sends of one turn side by side.

For a socket that can be read, it is just read. All other events, and whatever goes wrong, take Twisted's own path. Only
messages that an application logs by the old `twisted.python.log` while it reads notice a difference: their system is
``-``. Errors are logged as ever.

Where more than two sockets can be read at once, the transports of `aigw.net.transport` send when all of them were. A
send wakes who waits for it; sends in a row find the peers of the first awake, and the kernel's code in the cache.

Importing this module raises ImportError where there is no epoll, as Twisted's own reactor modules do.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.epollreactor import EPOLLIN, EPollReactor
from twisted.internet.error import ConnectionFdescWentAway
from twisted.internet.main import installReactor
from twisted.python import log
from twisted.python.failure import Failure

NO_DESCRIPTOR = ConnectionFdescWentAway("File descriptor lost")

FEW = 2
"""So many events at once are answered each at once: while we deal with the second, the peer of the first is at work."""
MOST_HELD = 16
"""Connections that hold back what they send, at most: who came first must not wait for hundreds of others."""


class LeanEpollReactor(EPollReactor):
    """An `EPollReactor` that spends less on each event.

    ``held``: the connections that have something to send at the end of this turn; None = what is written is sent
    at once.
    """

    held: list[Any] | None = None

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, ``timeout`` seconds at most (None: as long as it takes), and have them dealt with."""
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, len(self._selectables))
        except InterruptedError:
            return
        if len(events) > FEW:
            self.held = []
        try:
            self._deal_with(events)
        finally:
            if self.held is not None:
                self._send_held(self.held)
                self.held = None

    doIteration = doPoll

    def _deal_with(self, events: list[tuple[int, int]]) -> None:
        selectables, held = self._selectables, self.held
        for fd, event in events:
            selectable = selectables.get(fd)
            if selectable is None:  # one of the events before made an end of it
                continue
            if event != EPOLLIN:
                log.callWithLogger(selectable, self._doReadOrWrite, selectable, fd, event)
            else:
                try:
                    why = selectable.doRead() if selectable.fileno() != -1 else NO_DESCRIPTOR
                except BaseException as e:  # noqa: BLE001 - the stock reactor's rule: no descriptor's error stops others
                    self._end(selectable, e)
                else:
                    if why:
                        log.callWithLogger(selectable, self._disconnectSelectable, selectable, why, True)
            if held and len(held) >= MOST_HELD:
                self._send_held(held)

    def _send_held(self, held: list[Any]) -> None:
        for connection in held:
            try:
                connection.send_held()
            except BaseException as e:  # noqa: BLE001 - likewise: a producer may raise when it is paused
                self._end(connection, e)
        held.clear()

    def _end(self, selectable: Any, error: BaseException) -> None:
        """Log the error that is being handled, and disconnect."""
        log.callWithLogger(selectable, log.err, Failure())
        log.callWithLogger(selectable, self._disconnectSelectable, selectable, error, False)


def install() -> None:
    """Make a `LeanEpollReactor` the reactor of this process.

    :raises twisted.internet.error.ReactorAlreadyInstalledError: if it has one.
    """
    installReactor(LeanEpollReactor())  # type: ignore[no-untyped-call]
