"""Connections, kept and used again: which, how long, and what happens to a request that meets a closed one."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from aigw import errors
from aigw.upstream.agent import Agent
from aigw.upstream.pool import FAREWELL, JUST_REUSED, SURPLUS, SWEEP, Pool
from aigw.upstream.profile import Profile
from aigw.upstream.sending import BytesBody
from aigw.upstream.testing import Fired, Line, Network

URL = b"http://up.example/"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def get(agent: Agent, url: bytes = URL) -> Fired:
    return Fired(agent.request(b"GET", url))


def rested(agent: Agent, network: Network, url: bytes = URL, reply: bytes = OK) -> Line:
    """A connection that has had its first request."""
    head = get(agent, url)
    line = network.accept()
    line.take()
    line.say(reply)
    assert head.value.whole() is not None
    return line


def rest_together(agent: Agent, network: Network, number: int, url: bytes = URL) -> list[Line]:
    """Connections that were in use at the same time; they rest in this order."""
    lines = []
    for _ in range(number):
        get(agent, url)
        lines.append(network.accept())
    for line in lines:
        line.say(OK)
    return lines


# Using them again.


def test_a_connection_is_used_again(agent: Agent, network: Network) -> None:
    line = rested(agent, network)
    for _ in range(3):
        head = get(agent)
        assert line.take() == b"GET / HTTP/1.1\r\nHost: up.example\r\n\r\n"
        line.say(OK)
        assert head.value.whole() == b"hi"
    assert network.knocks == []


def test_it_can_be_used_again_by_whoever_gets_the_reply(agent: Agent, network: Network) -> None:
    agent.request(b"GET", URL).addCallback(lambda _: get(agent))
    line = network.accept()
    line.say(OK)
    assert network.knocks == []
    assert line.take().count(b"GET") == 2


def test_the_last_one_used_is_the_first_one_used_again(agent: Agent, network: Network) -> None:
    lines = rest_together(agent, network, 3)
    for line in lines:
        line.take()
    get(agent)
    assert [bool(line.take()) for line in lines] == [False, False, True]
    get(agent)
    assert [bool(line.take()) for line in lines] == [False, True, False]


@pytest.mark.parametrize(
    "other",
    [b"http://up.example:81/", b"https://up.example/", b"http://other.example/", b"http://UP.example./"],
)
def test_other_origins_have_their_own(agent: Agent, network: Network, other: bytes) -> None:
    rested(agent, network)
    get(agent, other)
    assert len(network.knocks) == 1


def test_the_same_origin_spelled_differently(agent: Agent, network: Network) -> None:
    rested(agent, network)
    get(agent, b"HTTP://UP.EXAMPLE:80/else?where")
    assert network.knocks == []


def test_what_was_not_verified_is_not_shared(pool: Pool, agent: Agent, network: Network) -> None:
    careless = Agent(pool, Profile(ssl_verify=False))
    rested(careless, network, b"https://up.example/")
    get(agent, b"https://up.example/")
    assert len(network.knocks) == 1


def test_profiles_with_other_options_share(pool: Pool, agent: Agent, network: Network) -> None:
    rested(Agent(pool, Profile(keepalive_pool=3)), network)
    get(agent)
    assert network.knocks == []


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        OK + b"excess",
        OK + OK,
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nhi",
    ],
)
def test_replies_after_which_a_connection_goes(agent: Agent, network: Network, reply: bytes, clock: Clock) -> None:
    line = rested(agent, network, reply=reply)
    assert line.closing
    clock.advance(0)
    get(agent)
    assert len(network.knocks) == 1


@pytest.mark.parametrize("profile", [Profile(keepalive=False), Profile(keepalive_pool=0), Profile(keepalive_timeout=0)])
def test_profiles_after_which_a_connection_goes(pool: Pool, network: Network, profile: Profile) -> None:
    assert rested(Agent(pool, profile), network).closing


def test_a_connection_of_http_1_0_that_is_kept(agent: Agent, network: Network) -> None:
    rested(agent, network, reply=b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
    get(agent)
    assert network.knocks == []


# How many, and how long.


def test_only_so_many_rest_for_long_per_origin(pool: Pool, network: Network, clock: Clock) -> None:
    """Others wait a moment: where so many were in use together, they will be again."""
    agent = Agent(pool, Profile(keepalive_pool=2))
    lines = rest_together(agent, network, 4)
    get(agent)
    lines[3].say(OK)
    assert not any(line.closing for line in lines)
    clock.pump([SURPLUS, SWEEP])
    assert [line.closing for line in lines] == [False, False, True, True]
    lines = rest_together(agent, network, 1, b"http://other.example/")
    assert not lines[0].closing


def test_only_so_many_rest_at_all(clock: Clock, network: Network) -> None:
    agent = Agent(Pool(clock, network, max_idle=2), Profile())
    lines = [rested(agent, network, b"http://h%d/" % number) for number in range(4)]
    assert [line.closing for line in lines] == [True, True, False, False]


def test_they_go_when_their_time_is_over(pool: Pool, network: Network, clock: Clock) -> None:
    line = rested(Agent(pool, Profile(keepalive_timeout=5)), network)
    longer = rested(Agent(pool, Profile(keepalive_timeout=8)), network, b"http://other.example/")
    clock.pump([SWEEP] * 4)
    assert not line.closing
    clock.pump([SWEEP] * 2)
    assert line.lost
    assert not longer.closing
    clock.pump([SWEEP] * 4)
    assert longer.lost
    assert not clock.getDelayedCalls()


def test_the_time_counts_from_the_last_use(pool: Pool, network: Network, clock: Clock) -> None:
    agent = Agent(pool, Profile(keepalive_timeout=5))
    line = rested(agent, network)
    for _ in range(3):
        clock.pump([SWEEP] * 4)
        get(agent)
        line.say(OK)
    assert not line.closing


def test_one_is_not_used_past_its_time_even_if_nobody_swept(pool: Pool, network: Network, clock: Clock) -> None:
    agent = Agent(pool, Profile(keepalive_timeout=0.5))
    line = rested(agent, network)
    clock.advance(0.6)
    get(agent)
    assert line.closing
    assert len(network.knocks) == 1


def test_an_upstream_that_keeps_them_for_less_is_heeded(pool: Pool, network: Network, clock: Clock) -> None:
    agent = Agent(pool, Profile(keepalive_timeout=60))
    reply = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nhi"
    line = rested(agent, network, reply=reply)
    clock.pump([SWEEP] * 3)
    assert not line.closing
    clock.pump([SWEEP] * 2)
    assert line.closing


def test_one_sweeper_for_all_of_them(agent: Agent, network: Network, clock: Clock) -> None:
    rest_together(agent, network, 5)
    assert len(clock.getDelayedCalls()) == 1


def test_an_upstream_that_does_not_let_go_is_cut(pool: Pool, network: Network, clock: Clock) -> None:
    agent = Agent(pool, Profile(keepalive_timeout=1))
    line = rested(agent, network)
    line.stubborn = True
    clock.advance(SWEEP)
    assert (line.closing, line.aborted) == (True, False)
    clock.pump([SWEEP] * (int(FAREWELL / SWEEP) + 1))
    assert line.aborted
    clock.advance(0)
    assert line.lost
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("end", [Line.close, Line.reset])
def test_one_that_the_upstream_closes_while_it_rests_is_forgotten(
    agent: Agent, pool: Pool, network: Network, end: object
) -> None:
    line = rested(agent, network)
    end(line)  # type: ignore[operator]
    assert line.lost
    assert not pool._open
    assert not pool._lanes
    get(agent)
    assert len(network.knocks) == 1


@pytest.mark.parametrize("said", [b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"x", OK])
def test_one_on_which_something_is_said_while_it_rests_is_not_used_again(
    agent: Agent, network: Network, clock: Clock, said: bytes
) -> None:
    line = rested(agent, network)
    line.say(said)
    assert line.closing
    head = get(agent)
    assert len(network.knocks) == 1
    network.accept().say(OK)
    assert head.value.code == 200
    clock.advance(0)
    assert line.lost


# A connection that was closed just as it was used again.


@pytest.mark.parametrize("end", [Line.close, Line.reset])
@pytest.mark.parametrize("body", [None, BytesBody(b"{}"), BytesBody(b"x" * 200_000)])
def test_a_request_on_a_connection_that_was_closed_is_sent_again(
    agent: Agent, network: Network, end: object, body: BytesBody | None
) -> None:
    line = rested(agent, network)
    head = Fired(agent.request(b"POST", URL, None, body))
    sent = line.take()
    end(line)  # type: ignore[operator]
    assert not head.fired
    fresh = network.accept()
    assert fresh.take() == sent
    fresh.say(OK)
    assert head.value.whole() == b"hi"


def test_only_once(agent: Agent, network: Network) -> None:
    lines = rest_together(agent, network, 2)
    head = get(agent)
    lines[1].close()
    network.accept().close()
    assert isinstance(head.error, errors.UpstreamReset)
    assert network.knocks == []


def test_on_a_fresh_connection_and_not_on_another_old_one(agent: Agent, network: Network) -> None:
    lines = rest_together(agent, network, 2)
    lines[0].take()
    get(agent)
    lines[1].close()
    assert lines[0].take() == b""
    assert len(network.knocks) == 1


def test_not_if_it_was_fresh(agent: Agent, network: Network) -> None:
    head = get(agent)
    network.accept().close()
    assert isinstance(head.error, errors.UpstreamReset)
    assert network.knocks == []


@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_not_if_an_answer_had_begun(agent: Agent, network: Network, said: bytes) -> None:
    line = rested(agent, network)
    head = get(agent)
    line.say(said)
    line.close()
    assert isinstance(head.error, errors.UpstreamCutShort)
    assert network.knocks == []


def test_not_if_it_was_cancelled(agent: Agent, network: Network, clock: Clock) -> None:
    line = rested(agent, network)
    head = get(agent)
    head.deferred.cancel()
    clock.advance(0)
    assert line.lost
    assert network.knocks == []


def test_not_if_the_upstream_was_at_work_on_it(agent: Agent, network: Network, clock: Clock) -> None:
    line = rested(agent, network)
    head = get(agent)
    clock.advance(JUST_REUSED + 0.1)
    line.close()
    assert isinstance(head.error, errors.UpstreamReset)
    assert network.knocks == []


def test_not_if_its_body_can_not_be_had_again(agent: Agent, network: Network) -> None:
    line = rested(agent, network)

    class Once:
        length = 3

        def startProducing(self, consumer: object) -> object:
            from twisted.internet.defer import Deferred

            return Deferred()

        def stopProducing(self) -> None: ...

    head = Fired(agent.request(b"POST", URL, None, Once()))  # type: ignore[arg-type]
    line.close()
    assert isinstance(head.error, errors.UpstreamReset)
    assert network.knocks == []


def test_the_second_try_can_fail_like_any_other(agent: Agent, network: Network, clock: Clock) -> None:
    line = rested(agent, network)
    head = get(agent)
    line.close()
    network.knock().refuse()
    assert isinstance(head.error, errors.UpstreamUnreachable)


def test_the_second_try_can_be_cancelled(agent: Agent, network: Network) -> None:
    line = rested(agent, network)
    head = get(agent)
    line.close()
    head.deferred.cancel()
    assert network.knock().given_up


# Closing all of them.


def test_close_of_nothing(pool: Pool) -> None:
    assert Fired(pool.close()).fired
    assert Fired(pool.close()).fired


def test_close_ends_everything(agent: Agent, pool: Pool, network: Network, clock: Clock) -> None:
    idle = rested(agent, network)
    waiting = get(agent, b"http://other.example/")
    busy = network.accept()
    connecting = get(agent, b"http://third.example/")
    streaming = get(agent, b"http://fourth.example/")
    network.knocks.reverse()
    stream = network.accept()
    stream.say(b"HTTP/1.1 200 OK\r\n\r\nhello")
    body = Fired(streaming.value.content())
    closed = Fired(pool.close())
    assert idle.closing
    assert not idle.aborted
    assert busy.aborted
    assert stream.aborted
    assert network.knock().given_up
    for head in (waiting, connecting, body):
        assert isinstance(head.error, errors.NotServing)
    assert [closed.fired] == [False]
    clock.advance(0)
    assert closed.fired
    assert not clock.getDelayedCalls()


def test_close_waits_no_longer_than_it_takes(agent: Agent, pool: Pool, network: Network, clock: Clock) -> None:
    line = rested(agent, network)
    line.stubborn = True
    closed, again = Fired(pool.close()), Fired(pool.close())
    clock.advance(FAREWELL)
    clock.pump([SWEEP] * 2)
    assert line.lost
    assert closed.fired
    assert again.fired
    assert not clock.getDelayedCalls()


def test_nothing_is_sent_after_close(agent: Agent, pool: Pool, network: Network) -> None:
    pool.close()
    assert isinstance(get(agent).error, errors.NotServing)
    assert network.knocks == []


def test_a_connection_that_is_made_too_late_is_closed(agent: Agent, pool: Pool, network: Network, clock: Clock) -> None:
    head = get(agent, b"https://up.example/")
    line = network.knock().accept()
    closed = Fired(pool.close())
    assert head.fired
    assert line.aborted
    clock.advance(0)
    assert closed.fired
