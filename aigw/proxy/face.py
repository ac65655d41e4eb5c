"""What all connections and requests of one proxy face share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

from twisted.logger import Logger
from twisted.web.http import datetimeToString

from aigw.errors import GatewayError
from aigw.exchange import Aftermath, Exchange, Outcome
from aigw.pipeline import Finder
from aigw.ports import Clock
from aigw.proxy.body import BodyMemory
from aigw.proxy.errors import internal_error
from aigw.proxy.limits import Limits

P = ParamSpec("P")
T = TypeVar("T")

SERVER = b"aigw"
"""The value of the Server header."""

Observer = Callable[[Exchange, int, Outcome, GatewayError | None, int], None]
"""Told of each request that is over: (exchange, status of the reply, how it ended, what went wrong, body bytes sent).

The status is 499 if the client left before there was one. An error that the client was told of in a complete reply
comes with ``Outcome.DONE``.
"""


class Face:
    """The parts that a proxy face works with.

    ``ids``: makes the id of a request whose client gave it none. ``in_flight``: requests whose head has come and
    which are not over. ``draining``: connections close as soon as they are idle.
    """

    log = Logger()

    def __init__(
        self,
        *,
        lookup: Finder,
        clock: Clock,
        limits: Limits,
        observers: Sequence[Observer],
        ids: Callable[[], str],
    ) -> None:
        self.lookup = lookup
        self.clock = clock
        self.limits = limits
        self.ids = ids
        self.memory = BodyMemory(limits.body_memory)
        self.in_flight = 0
        self.draining = False
        self._observers = tuple(observers)
        self._second = -1
        self._date = self._signature = b""

    def date(self) -> bytes:
        """The value of a Date header, worked out once a second."""
        self.signature()
        return self._date

    def signature(self) -> bytes:
        """The fields that every reply has, as lines: Server and Date."""
        second = int(self.clock.seconds())
        if second != self._second:
            self._second = second
            self._date = datetimeToString(second)
            self._signature = b"Server: %b\r\nDate: %b\r\n" % (SERVER, self._date)
        return self._signature

    def observe(self, exchange: Exchange, status: int, outcome: Outcome, error: GatewayError | None, sent: int) -> None:
        """Tell every observer of a request that is over, whatever the others do."""
        self._tell_all(exchange, self._observers, exchange, status, outcome, error, sent)

    def conclude(
        self, exchange: Exchange, aftermaths: Iterable[Aftermath], outcome: Outcome, error: GatewayError | None
    ) -> None:
        """Run every aftermath of a reply, whatever the others do."""
        self._tell_all(exchange, aftermaths, outcome, error)

    def _tell_all(self, exchange: Exchange, calls: Iterable[Callable[..., object]], *args: object) -> None:
        for call in calls:
            try:
                call(*args)
            except Exception:  # noqa: BLE001  # the edge: as in `guard`, without its cost for each request
                self.log.failure("request {id}: {call} failed", id=exchange.id, call=_name(call))

    def guard(self, exchange: Exchange, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call what must not keep anything else from happening; a failure of it is logged."""
        try:
            call(*args, **kwargs)
        except Exception:  # noqa: BLE001  # the edge: somebody else's turn comes next
            self.log.failure("request {id}: {call} failed", id=exchange.id, call=_name(call))

    def attempt(self, id: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | GatewayError:
        """What ``call`` returns, or the error it raises for request ``id``; any but a `GatewayError` is a bug of ours,
        of which the log is told everything and the client nothing.
        """
        try:
            return call(*args, **kwargs)
        except Exception:  # noqa: BLE001  # the edge: whatever went wrong, the client gets an answer
            return self.error_of(id, call)

    def error_of(self, id: str, call: Callable[..., object]) -> GatewayError:
        """The error that ``call`` has just raised for request ``id``, as `attempt` has it."""
        error = sys.exception()
        if isinstance(error, GatewayError):
            return error.with_traceback(None)
        self.log.failure("request {id}: {call} failed", id=id, call=_name(call))
        return internal_error()


def _name(call: object) -> str:
    """Not its repr: that of a partial shows its arguments, and with them what clients sent."""
    return getattr(call, "__qualname__", type(call).__qualname__)
