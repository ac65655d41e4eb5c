"""Access tokens of Google Cloud accounts: exchanged once, then shared by all requests until shortly before their end.

However many requests wait for an account's token, one exchange is in flight; a request that leaves leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from aigw.errors import GatewayError, UpstreamBadReply, UpstreamError
from aigw.ports import Clock
from aigw.providers.auth.gcp import BadTokenReply, ServiceAccount, Token, parse_token, refusal_of, token_request
from aigw.upstream.body import UpstreamBody
from aigw.upstream.client import Client

DEADLINE = 10.0
"""Seconds that an exchange may take, connecting included."""
MOST_ACCOUNTS = 1024
MOST_BYTES = 64 * 1024
"""Of a token endpoint's reply; real ones have about 1 KB."""
EXPIRE_EARLY = 60
"""APISIX's default of ``expire_early_secs``."""

_FORM = Headers({b"Content-Type": [b"application/x-www-form-urlencoded"], b"Accept": [b"application/json"]})

_log = Logger()


@attrs.frozen(kw_only=True)
class Lease:
    """How long one instance uses a token (``auth.gcp``), in seconds.

    ``expire_early``: this much before its end it is not used any more. ``max_ttl``: from its exchange on; None = as
    long as it lives.
    """

    expire_early: int = EXPIRE_EARLY
    max_ttl: int | None = None

    def ends(self, exchanged: float, lifetime: int) -> float:
        """When a token is not used any more; one that does not live longer than ``expire_early`` is used to its end
        (as APISIX does), or it would never be.
        """
        used = lifetime - self.expire_early if lifetime > self.expire_early else lifetime
        return exchanged + (used if self.max_ttl is None else min(used, self.max_ttl))


@attrs.frozen(kw_only=True)
class _Cached:
    token: Token
    exchanged: float


class GcpTokens:
    """The tokens of all accounts of a gateway process."""

    def __init__(self, client: Client, clock: Clock, now: Callable[[], float]) -> None:
        """``client``: through which token endpoints are called. ``now``: epoch seconds, signed into the assertions."""
        self._client = client
        self._clock = clock
        self._now = now
        self._cache: dict[ServiceAccount, _Cached] = {}
        self._waiting: dict[ServiceAccount, dict[Deferred[str], None]] = {}

    def cached(self, account: ServiceAccount, lease: Lease) -> str | None:
        """The token that is here, if it may still be used."""
        cached = self._cache.get(account)
        if cached is None or self._clock.seconds() >= lease.ends(cached.exchanged, cached.token.lifetime):
            return None
        return cached.token.value

    def token(self, account: ServiceAccount, lease: Lease) -> Deferred[str]:
        """Fires with a token, at once if one is here. Cancelling it leaves the exchange to those who still wait.

        Fails with an `UpstreamError` if the exchange does: 502, or 504 at its deadline; the next one begins anew.
        """
        here = self.cached(account, lease)
        if here is not None:
            return succeed(here)
        waiter: Deferred[str] = Deferred(lambda _: self._leave(account, waiter))
        waiters = self._waiting.get(account)
        if waiters is not None:
            waiters[waiter] = None
        else:
            self._waiting[account] = {waiter: None}
            Deferred.fromCoroutine(self._exchange(account)).addCallbacks(
                self._exchanged, self._failed, callbackArgs=(account,), errbackArgs=(account,)
            )
        return waiter

    def forget(self, account: ServiceAccount, token: str) -> None:
        """``token`` was refused before its end (the key was revoked): the next request gets another one."""
        cached = self._cache.get(account)
        if cached is not None and cached.token.value == token:
            del self._cache[account]

    def _exchanged(self, token: Token, account: ServiceAccount) -> None:
        self._cache.pop(account, None)
        if len(self._cache) >= MOST_ACCOUNTS:
            del self._cache[next(iter(self._cache))]
        self._cache[account] = _Cached(token=token, exchanged=self._clock.seconds())
        for waiter in self._waiting.pop(account):
            if not waiter.called:  # one of them may have cancelled others
                waiter.callback(token.value)

    def _failed(self, failure: Failure, account: ServiceAccount) -> None:
        error = failure.value
        if not isinstance(error, GatewayError):
            _log.failure("unforeseen failure of the token exchange of {account}", failure, account=account.client_email)
            error = UpstreamError("the instance's credentials could not be exchanged for a token")
        _log.warn("token exchange of {account} failed: {why}", account=account.client_email, why=error.message)
        for waiter in self._waiting.pop(account):
            if not waiter.called:
                waiter.errback(Failure(type(error)(error.message)))

    def _leave(self, account: ServiceAccount, waiter: Deferred[str]) -> None:
        self._waiting.get(account, {}).pop(waiter, None)

    async def _exchange(self, account: ServiceAccount) -> Token:
        ends = self._clock.seconds() + DEADLINE
        data = token_request(account, int(self._now()))
        url = account.token_uri.encode("ascii")
        response = await self._client.request("POST", url, headers=_FORM, data=data, timeout=DEADLINE)
        body = UpstreamBody(self._clock, idle=None, deadline=ends, max_bytes=MOST_BYTES)
        response.deliverBody(body)
        await body.watch(lambda _: False, MOST_BYTES)
        return _token_of(response.code, body.held())


def _token_of(status: int, raw: bytes) -> Token:
    if status != 200:
        code = refusal_of(raw)
        raise UpstreamError(f"the token endpoint refused the service account ({status}{code and ' '}{code})")
    try:
        return parse_token(raw)
    except BadTokenReply as e:
        raise UpstreamBadReply(f"the token endpoint's reply can't be used: {e}") from None
