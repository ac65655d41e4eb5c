"""Work that its client can't stop. A write that was begun is finished, whether or not anybody waits for the answer."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

log = Logger()


def outliving(work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """What ``work`` comes to. Cancelling it stops the waiting only; a failure that nobody awaits is logged."""
    waiting: Deferred[T] = Deferred()

    def pass_on(result: T | Failure) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure):
            log.error("admin: a write failed after its client had left: {kind}", kind=type(result.value).__name__)

    Deferred.fromCoroutine(work).addBoth(pass_on)
    return waiting
