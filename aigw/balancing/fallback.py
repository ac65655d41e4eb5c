"""Which results of an attempt send the request on to another instance, and which ones speak against the instance."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import attrs

from aigw.errors import GatewayError, RateLimited, UpstreamError, UpstreamReplyTooLarge, UpstreamTimeout

Strategy = Literal["rate_limiting", "http_429", "http_5xx"]
LegacyStrategy = Literal["instance_health_and_rate_limiting"]
"""APISIX's older name of ``rate_limiting``."""
Reason = Literal["rate_limiting", "http_429", "http_5xx", "status", "timeout", "transport"]
"""Why a request went on to another instance; a label of the fallback metric."""


@attrs.frozen(kw_only=True)
class FallbackPolicy:
    """What falls back. Empty (false): nothing does, and a request has one attempt.

    ``rate_limiting``: the gateway's own limiter says that the instance's quota is used up (`RateLimited`, raised before
    anything was sent). ``http_429``: the upstream says so. ``http_5xx``: it says 5xx, breaks, is too late or not there.
    ``statuses``: further ones of the upstream's. A broken connection counts as 502 and a missed deadline as 504 there.
    """

    rate_limiting: bool = False
    http_429: bool = False
    http_5xx: bool = False
    statuses: Collection[int] = frozenset()
    _reasons: Mapping[int | None, Reason] = attrs.field(init=False, repr=False, eq=False)
    """By status, what falls back."""

    @_reasons.default
    def _by_status(self) -> Mapping[int | None, Reason]:
        reasons: dict[int | None, Reason] = dict.fromkeys(self.statuses, "status")
        if self.http_5xx:
            reasons.update(dict.fromkeys(range(500, 600), "http_5xx"))
        if self.http_429:
            reasons[429] = "http_429"
        return reasons

    def __bool__(self) -> bool:
        return self.rate_limiting or self.http_429 or self.http_5xx or bool(self.statuses)

    @property
    def replaces_streams(self) -> bool:
        """A stream that breaks or stalls before its first event may be taken over by another instance."""
        return self.http_5xx or 502 in self.statuses or 504 in self.statuses

    def falls_back(self, status: int | None = None, error: GatewayError | None = None) -> Reason | None:
        """Why the request goes on to another instance, or None: this result is the client's.

        ``status``: the upstream's. ``error``: what happened instead of one; it decides if both are given.
        """
        return self._reasons.get(status) if error is None else self._of_error(error)

    def _of_error(self, error: GatewayError) -> Reason | None:
        if isinstance(error, UpstreamError):
            covered = self.http_5xx or error.status in self.statuses
            return ("timeout" if isinstance(error, UpstreamTimeout) else "transport") if covered else None
        return "rate_limiting" if self.rate_limiting and isinstance(error, RateLimited) else None


def fallback_policy(
    strategy: Strategy | LegacyStrategy | Sequence[Strategy | LegacyStrategy] | None, statuses: Iterable[int] = ()
) -> FallbackPolicy:
    """Compile the plugin's ``fallback_strategy`` and ``fallback_http_statuses``."""
    names = {strategy} if isinstance(strategy, str) else set(strategy or ())
    return FallbackPolicy(
        rate_limiting=not names.isdisjoint({"rate_limiting", "instance_health_and_rate_limiting"}),
        http_429="http_429" in names,
        http_5xx="http_5xx" in names,
        statuses=frozenset(statuses),
    )


def speaks_against(status: int | None = None, error: GatewayError | None = None) -> bool:
    """Is this result a failure of the instance (whether or not the request falls back)?

    A status below 500 is not: it answered, and the request or its key may be to blame. Nor is a reply that is larger
    than the gateway relays: a client could have asked for it.
    """
    if error is not None:
        return isinstance(error, UpstreamError) and not isinstance(error, UpstreamReplyTooLarge)
    return status is not None and 500 <= status <= 599
