from __future__ import annotations

import pytest

from aigw.balancing.fallback import FallbackPolicy, Reason, fallback_policy, speaks_against
from aigw.errors import (
    BadRequest,
    GatewayError,
    InstanceUnusable,
    RateLimited,
    UpstreamBadReply,
    UpstreamCutShort,
    UpstreamReplyTooLarge,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamUnreachable,
)

NOTHING = fallback_policy(None)
LIMITS = fallback_policy("rate_limiting")
BUSY = fallback_policy("http_429")
BROKEN = fallback_policy("http_5xx")
SEED = fallback_policy(["http_429", "http_5xx"])
KEYS = fallback_policy(None, [401, 402])
NGINX = fallback_policy(None, [502, 504, 429])


@pytest.mark.parametrize(
    ("policy", "status", "reason"),
    [
        (SEED, 429, "http_429"),
        (SEED, 500, "http_5xx"),
        (SEED, 529, "http_5xx"),
        (SEED, 599, "http_5xx"),
        (SEED, 600, None),
        (SEED, 499, None),
        (SEED, 200, None),
        (SEED, 404, None),
        (SEED, None, None),
        (BUSY, 429, "http_429"),
        (BUSY, 503, None),
        (BROKEN, 429, None),
        (BROKEN, 503, "http_5xx"),
        (LIMITS, 429, None),
        (LIMITS, 500, None),
        (NOTHING, 429, None),
        (NOTHING, 500, None),
        (KEYS, 401, "status"),
        (KEYS, 403, None),
        (NGINX, 429, "status"),
        (NGINX, 502, "status"),
        (NGINX, 500, None),
    ],
)
def test_statuses(policy: FallbackPolicy, status: int | None, reason: Reason | None) -> None:
    assert policy.falls_back(status) == reason


@pytest.mark.parametrize(
    ("policy", "error", "reason"),
    [
        (SEED, UpstreamTimeout("late"), "timeout"),
        (SEED, UpstreamUnreachable("refused"), "transport"),
        (SEED, UpstreamReset("reset"), "transport"),
        (SEED, UpstreamBadReply("garbage"), "transport"),
        (SEED, UpstreamCutShort("cut"), "transport"),
        (SEED, InstanceUnusable("no key"), "transport"),
        (SEED, UpstreamReplyTooLarge("large"), "transport"),
        (SEED, RateLimited("quota"), None),
        (SEED, BadRequest("bad"), None),
        (BUSY, UpstreamTimeout("late"), None),
        (LIMITS, RateLimited("quota"), "rate_limiting"),
        (LIMITS, UpstreamTimeout("late"), None),
        (NOTHING, UpstreamReset("reset"), None),
        (KEYS, UpstreamReset("reset"), None),
        (NGINX, UpstreamReset("reset"), "transport"),
        (NGINX, UpstreamTimeout("late"), "timeout"),
    ],
)
def test_errors(policy: FallbackPolicy, error: GatewayError, reason: Reason | None) -> None:
    assert policy.falls_back(error=error) == reason
    assert policy.falls_back(200, error) == reason


@pytest.mark.parametrize(
    ("policy", "has_any", "replaces"),
    [
        (NOTHING, False, False),
        (LIMITS, True, False),
        (BUSY, True, False),
        (BROKEN, True, True),
        (SEED, True, True),
        (KEYS, True, False),
        (NGINX, True, True),
        (fallback_policy([]), False, False),
    ],
)
def test_what_a_policy_covers(policy: FallbackPolicy, has_any: bool, replaces: bool) -> None:
    assert bool(policy) is has_any
    assert policy.replaces_streams is replaces


def test_the_older_name_of_rate_limiting() -> None:
    assert fallback_policy("instance_health_and_rate_limiting") == LIMITS == fallback_policy(["rate_limiting"])


@pytest.mark.parametrize(
    ("status", "error", "against"),
    [
        (200, None, False),
        (401, None, False),
        (429, None, False),
        (500, None, True),
        (529, None, True),
        (None, None, False),
        (None, UpstreamTimeout("late"), True),
        (None, UpstreamUnreachable("refused"), True),
        (200, UpstreamReset("reset"), True),
        (None, UpstreamReplyTooLarge("large"), False),
        (None, BadRequest("bad"), False),
        (None, RateLimited("quota"), False),
    ],
)
def test_what_speaks_against_an_instance(status: int | None, error: GatewayError | None, against: bool) -> None:
    assert speaks_against(status, error) is against
