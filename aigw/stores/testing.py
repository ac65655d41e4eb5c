"""What tests of a store, or of code over one, use instead of a running reactor."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Turnstile:
    """Stands in for ``reactor.callFromThread``: a thread's calls wait here until the test's own thread lets them in."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def __call__(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """As `IReactorFromThreads.callFromThread`."""
        self._calls.put(lambda: function(*args, **kwargs))

    def admit(self, seconds: float = 10.0) -> None:
        """Wait for one call, and make it.

        :raises queue.Empty: if none came in ``seconds``.
        """
        self._calls.get(timeout=seconds)()

    def result(self, deferred: Deferred[T], seconds: float = 10.0) -> T:
        """Make the calls that come, until ``deferred`` has fired; what it fired with.

        :raises queue.Empty: if that takes more than ``seconds``.
        :raises Exception: the one that it failed with.
        """
        fired: list[T | Failure] = []
        deferred.addBoth(fired.append)
        until = time.monotonic() + seconds
        while not fired:
            self.admit(max(0.0, until - time.monotonic()))
        if isinstance(fired[0], Failure):
            fired[0].raiseException()
        return fired[0]
