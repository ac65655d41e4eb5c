"""Tokens of Google Cloud accounts: one exchange for all who wait, over a network in memory."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from aigw import errors
from aigw.providers.auth.gcp import ServiceAccount, parse_service_account
from aigw.upstream import gcp_tokens
from aigw.upstream.clients import Clients
from aigw.upstream.gcp_tokens import GcpTokens, Lease
from aigw.upstream.profile import Profile
from aigw.upstream.testing import Fired, Line, Network

EPOCH = 1_700_000_000.5
LEASE = Lease()


@pytest.fixture(scope="module")
def account() -> ServiceAccount:
    key = generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return parse_service_account(
        json.dumps({"client_email": "a@b", "private_key": pem, "token_uri": "http://127.0.0.1:99/token?x=1"})
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def network(clock: Clock) -> Network:
    return Network(clock)


@pytest.fixture
def tokens(clock: Clock, network: Network) -> GcpTokens:
    client = Clients(clock, network).client(Profile(connect_timeout=30.0))
    return GcpTokens(client, clock, lambda: EPOCH + clock.seconds())


def reply(status: int = 200, body: Any = None, **more: Any) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body or {"access_token": "t1", "expires_in": 3600, **more})
    raw = raw if isinstance(raw, bytes) else raw.encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(raw), raw)


def exchanged(network: Network, token: str = "t1", lifetime: int = 3600) -> None:
    """The token endpoint takes the exchange that waits."""
    answer(network, reply(body={"access_token": token, "expires_in": lifetime, "token_type": "Bearer"}))


def answer(network: Network, data: bytes) -> Line:
    line = network.accept()
    assert line.take()
    line.say(data)
    line.close()
    return line


def test_one_exchange_and_then_none(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    assert tokens.cached(account, LEASE) is None
    waiting = [Fired(tokens.token(account, LEASE)) for _ in range(50)]
    assert len(network.knocks) == 1
    exchanged(network)
    assert {fired.value for fired in waiting} == {"t1"}
    assert Fired(tokens.token(account, LEASE)).value == "t1"
    assert tokens.cached(account, LEASE) == "t1"
    assert not network.knocks


def test_what_is_sent(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    fired = Fired(tokens.token(account, LEASE))
    line = network.accept()
    head, _, body = line.take().partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token?x=1 HTTP/1.1\r\nHost: 127.0.0.1:99\r\n")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert parse_qs(body.decode())["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    line.say(reply())
    assert fired.value == "t1"


LEASES: list[tuple[Lease, int, float]] = [
    # lease, lifetime that the endpoint tells, seconds that the token is used
    (Lease(), 3600, 3540),
    (Lease(expire_early=0), 3600, 3600),
    (Lease(expire_early=600), 3600, 3000),
    (Lease(max_ttl=300), 3600, 300),
    (Lease(max_ttl=9999), 3600, 3540),
    (Lease(), 60, 60),
    (Lease(), 61, 1),
    (Lease(max_ttl=5), 60, 5),
]


@pytest.mark.parametrize(("lease", "lifetime", "used"), LEASES)
def test_until_shortly_before_its_end(
    tokens: GcpTokens, account: ServiceAccount, network: Network, clock: Clock, lease: Lease, lifetime: int, used: float
) -> None:
    Fired(tokens.token(account, lease))
    exchanged(network, lifetime=lifetime)
    clock.advance(used - 0.001)
    assert tokens.cached(account, lease) == "t1"
    clock.advance(0.001)
    assert tokens.cached(account, lease) is None
    fired = Fired(tokens.token(account, lease))
    exchanged(network, "t2")
    assert fired.value == "t2"


def test_each_account_has_its_own(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    one = Fired(tokens.token(account, LEASE))
    two = Fired(tokens.token(attrs.evolve(account, client_email="c@d"), LEASE))
    exchanged(network, "one")
    exchanged(network, "two")
    assert (one.value, two.value) == ("one", "two")


def test_who_leaves_leaves_alone(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    leaving, staying = tokens.token(account, LEASE), Fired(tokens.token(account, LEASE))
    left = Fired(leaving)
    leaving.cancel()
    assert isinstance(left.error, CancelledError)
    exchanged(network)
    assert staying.value == "t1"


def test_when_all_leave_it_goes_on_for_the_next(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    leaving = tokens.token(account, LEASE)
    Fired(leaving)
    leaving.cancel()
    late = Fired(tokens.token(account, LEASE))
    exchanged(network)
    assert late.value == "t1"
    assert not network.knocks


@pytest.mark.parametrize("status", [200, 400])
def test_who_is_told_may_send_the_others_away(
    tokens: GcpTokens, account: ServiceAccount, network: Network, status: int
) -> None:
    first, second = tokens.token(account, LEASE), tokens.token(account, LEASE)
    told = Fired(second)
    first.addBoth(lambda _: second.cancel())
    answer(network, reply(status))
    assert isinstance(told.error, CancelledError)


def test_who_is_told_of_a_failure_may_try_again(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    again: list[Fired] = []
    first, second = tokens.token(account, LEASE), Fired(tokens.token(account, LEASE))
    first.addErrback(lambda _: again.append(Fired(tokens.token(account, LEASE))))
    answer(network, reply(500))
    assert isinstance(second.error, errors.UpstreamError)
    exchanged(network, "t2")
    assert again[0].value == "t2"


FAILURES: list[tuple[bytes, type[errors.GatewayError], str]] = [
    (
        reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}),
        errors.UpstreamError,
        "the token endpoint refused the service account (400 invalid_grant)",
    ),
    (reply(503, b"<html>"), errors.UpstreamError, "the token endpoint refused the service account (503)"),
    (reply(302, b"{}"), errors.UpstreamError, "the token endpoint refused the service account (302)"),
    (reply(200, b"<html>"), errors.UpstreamBadReply, "the token endpoint's reply can't be used: it is no JSON object"),
    (reply(200, b"x" * 70_000), errors.UpstreamReplyTooLarge, "the upstream's reply is over"),
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
        errors.UpstreamCutShort,
        "127.0.0.1:99 closed the connection before",
    ),
    (b"SSH-2.0-x\r\n", errors.UpstreamBadReply, ""),
]


@pytest.mark.parametrize(("data", "kind", "message"), FAILURES)
def test_failures_reach_all_who_wait_and_another_instance_may_help(
    tokens: GcpTokens,
    account: ServiceAccount,
    network: Network,
    data: bytes,
    kind: type[errors.GatewayError],
    message: str,
) -> None:
    waiting = [Fired(tokens.token(account, LEASE)) for _ in range(2)]
    answer(network, data)
    told = [fired.error for fired in waiting]
    assert all(type(error) is kind for error in told)
    assert told[0] is not told[1]
    assert isinstance(told[0], errors.UpstreamError)
    assert told[0].status == 502
    assert str(told[0]).startswith(message)
    fired = Fired(tokens.token(account, LEASE))
    exchanged(network)
    assert fired.value == "t1"


def test_refused_connections(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    fired = Fired(tokens.token(account, LEASE))
    network.knock().refuse()
    assert isinstance(fired.error, errors.UpstreamUnreachable)


@pytest.mark.parametrize("said", [None, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_the_deadline(
    tokens: GcpTokens, account: ServiceAccount, network: Network, clock: Clock, said: bytes | None
) -> None:
    fired = Fired(tokens.token(account, LEASE))
    if said is not None:
        clock.advance(4)
        network.accept().say(said)
    clock.advance(gcp_tokens.DEADLINE - clock.seconds() - 0.01)
    assert not fired.fired
    clock.advance(0.01)
    assert isinstance(fired.error, errors.UpstreamTimeout)


def test_a_token_that_was_refused_is_forgotten(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    Fired(tokens.token(account, LEASE))
    exchanged(network)
    tokens.forget(account, "another")
    assert tokens.cached(account, LEASE) == "t1"
    tokens.forget(account, "t1")
    tokens.forget(account, "t1")
    assert tokens.cached(account, LEASE) is None


def test_the_cache_is_bounded(
    tokens: GcpTokens, account: ServiceAccount, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcp_tokens, "MOST_ACCOUNTS", 2)
    accounts = [attrs.evolve(account, client_email=str(i)) for i in range(3)]
    for one in accounts:
        Fired(tokens.token(one, LEASE))
        exchanged(network)
    assert [tokens.cached(one, LEASE) for one in accounts] == [None, "t1", "t1"]


def test_no_log_tells_a_secret(tokens: GcpTokens, account: ServiceAccount, network: Network) -> None:
    with capturedLogs() as events:
        fired = Fired(tokens.token(account, LEASE))
        answer(network, reply(400, {"error": "invalid_grant"}))
    logged = [formatEvent(event) for event in events if "token exchange" in event.get("log_format", "")]
    assert logged == [
        "token exchange of a@b failed: the token endpoint refused the service account (400 invalid_grant)"
    ]
    assert isinstance(fired.error, errors.UpstreamError)
