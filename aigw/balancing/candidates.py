"""Whom one request tries, in which order, and when it stops: each instance at most once.

The unwell are passed over, unless all of them are when the request arrives: then health is ignored for this request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Generic

from aigw.balancing.balancer import T
from aigw.balancing.fallback import Reason, speaks_against
from aigw.balancing.health import admit, available
from aigw.balancing.pool import Pool
from aigw.balancing.tiers import contenders
from aigw.errors import GatewayError


class Candidates(Generic[T]):
    """The instances that one request may still try.

    ``key``: for a consistent hash, which sends all requests of one key (also the empty one) to one instance.
    ``without``: names of those that this request can't be sent to. ``suits``: tells of the others whether it can,
    where that takes a look at the request; it is asked late, as the answer may be dear.
    """

    __slots__ = ("_ignoring_health", "_key", "_last_started", "_pool", "_suits", "_tried", "_without")

    def __init__(
        self,
        pool: Pool[T],
        *,
        key: bytes = b"",
        without: Collection[str] = frozenset(),
        suits: Callable[[T], bool] | None = None,
    ) -> None:
        self._pool = pool
        self._key = key
        self._without = without
        self._suits = suits
        self._tried: set[str] = set()
        self._ignoring_health = False
        self._last_started = 0.0

    def next_candidate(self, now: float) -> Turn[T] | None:
        """Begin the next attempt, or None: no instance is left, or none may be tried any more."""
        if self._tried and not self._may_go_on(now):
            return None
        while left := self._left(now) or self._left_anyway(now):
            instance = self._pool.balancer.pick(left, now, self._key) if len(left) > 1 else left[0]
            if self._suits is None or self._suits(instance):
                self._tried.add(instance.name)
                self._last_started = now
                return Turn(self._pool, instance, len(self._tried), now)
            self._without = {*self._without, instance.name}
        return None

    def has_more(self, now: float) -> bool:
        """Could another instance take over, if the attempt under way broke or stalled now? Changes nothing.

        It may turn out that the request suits none of the others.
        """
        return self._pool.policy.replaces_streams and self._may_go_on(now) and bool(self._left(now))

    def goes_on_after(self, status: int, now: float) -> bool:
        """Would a reply with this status send the request on to another instance? Changes nothing."""
        return self._pool.policy.falls_back(status) is not None and self._may_go_on(now) and self._another(now)

    @property
    def takeover_ends(self) -> float | None:
        """The moment after which `has_more` is certainly false; None = it depends on others only."""
        within = self._pool.limits.within
        return None if within is None else self._last_started + within

    def _another(self, now: float) -> bool:
        if self._suits is None:
            return bool(self._left(now))
        return any(
            self._suits(instance)
            for tier in self._pool.tiers
            for instance in tier
            if instance.name not in self._tried and self._is_fit(instance, now)
        )

    def _may_go_on(self, now: float) -> bool:
        ends = self.takeover_ends
        return len(self._tried) < self._pool.most_attempts and (ends is None or now <= ends)

    def _left(self, now: float) -> Sequence[T]:
        """Among whom to pick next: the contenders of the first tier that has someone left."""
        if not self._tried and not self._without and (first := self._pool.first()):
            return first
        for tier in self._pool.tiers:
            left = [i for i in tier if i.name not in self._tried and self._is_fit(i, now)]
            if left:
                return contenders(left)
        return ()

    def _left_anyway(self, now: float) -> Sequence[T]:
        """The same when nobody is left: if nobody was tried, it is because all are unwell."""
        if self._tried:
            return ()
        self._ignoring_health = True
        return self._left(now)

    def _is_fit(self, instance: T, now: float) -> bool:
        if instance.name in self._without:
            return False
        health = self._pool.healths[instance.name]
        if health.open_until is None and health.rest_until is None:
            return True
        return self._ignoring_health or available(health, now).available


class Turn(Generic[T]):
    """One attempt at one instance: tell it what happened, and in any case, last, that it `ended`.

    ``number``: 1 = the request's first. `answered` and `failed` return why the request falls back; the caller then asks
    for the next candidate, and if there is none, this result is the client's after all.
    """

    __slots__ = ("_admission", "_answered", "_failed", "_health", "_over", "_pool", "instance", "number", "started")

    def __init__(self, pool: Pool[T], instance: T, number: int, now: float) -> None:
        self.instance = instance
        self.number = number
        self.started = now
        self._answered = self._failed = self._over = False
        self._pool = pool
        self._health = health = pool.healths[instance.name]
        pool.balancer.started(instance.name, now)
        self._admission = admit(health, now)

    def answered(self, now: float, status: int, rest: float | None = None) -> Reason | None:
        """The instance answered with a status (and, if a stream follows that is held, with its first real event).

        ``rest``: how many seconds a 429 asks to wait (`aigw.balancing.retry_after`). Only if the policy falls back on a
        429 it rests the instance, or counts as a failure where it does not say how long.
        """
        reason = self._pool.policy.falls_back(status)
        if self._over or self._answered:
            return reason
        refused = reason is not None and status == 429
        if status >= 400 and (speaks_against(status) or (refused and rest is None)):
            self._fail(now)
            return reason
        self._answered = True
        self._admission = self._health.answered(self._admission)
        if status < 400:
            self._pool.balancer.answered(self.instance.name, now, now - self.started)
        elif refused and rest is not None:
            self._health.rest(now + rest)
        return reason

    def failed(self, now: float, error: GatewayError) -> Reason | None:
        """The attempt broke, before or after it answered; it is over."""
        if speaks_against(error=error) and not self._over:
            self._fail(now)
        self.ended(now)
        return self._pool.policy.falls_back(error=error)

    def ended(self, now: float) -> None:
        """The attempt is over: complete, or given up (the client left). Idempotent."""
        if self._over:
            return
        self._over = True
        self._pool.balancer.ended(self.instance.name, now)
        if self._answered and not self._failed:
            self._health.completed(self._admission)
        else:
            self._health.released(self._admission)

    def _fail(self, now: float) -> None:
        if not self._failed:
            self._failed = True
            self._health.failed(self._admission, now, self._pool.random(), self._pool.rules)
