from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.balancing.candidates import Candidates, Turn
from aigw.balancing.fallback import FallbackPolicy, fallback_policy
from aigw.balancing.health import Condition
from aigw.balancing.pool import ALGORITHMS, Algorithm, Memory, Pool, RetryLimits
from aigw.errors import BadRequest, RateLimited, UpstreamReplyTooLarge, UpstreamReset, UpstreamTimeout


class Instance(NamedTuple):
    name: str
    weight: int = 1
    priority: int = 0


SELF_HOSTED, CLOUD = Instance("self-hosted", 1, 1), Instance("cloud-fallback", 1, 2)
SEED = [SELF_HOSTED, CLOUD]
BOTH = fallback_policy(["http_429", "http_5xx"])


def _pool(
    instances: Sequence[Instance] = SEED,
    policy: FallbackPolicy = BOTH,
    max_retries: int | None = None,
    within: float | None = None,
    algorithm: Algorithm = "roundrobin",
) -> Pool[Instance]:
    limits = RetryLimits(max_retries=max_retries, within=within)
    return Memory(lambda: 1.0).pool(instances, place="route", policy=policy, limits=limits, algorithm=algorithm)


def _next(candidates: Candidates[Instance], now: float = 0.0) -> Turn[Instance]:
    turn = candidates.next_candidate(now)
    assert turn is not None
    return turn


def _order(pool: Pool[Instance], now: float = 0.0) -> list[str]:
    """Whom a request tries that nobody answers (and that teaches nothing: every attempt is given up)."""
    candidates, names = Candidates(pool), []
    while (turn := candidates.next_candidate(now)) is not None:
        names.append(turn.instance.name)
        turn.ended(now)
    return names


def _break(pool: Pool[Instance], name: str, now: float = 0.0) -> None:
    """Open the circuit of one instance."""
    health = pool.healths[name]
    health.open_until, health.openings = now + 1.0, 1


# Order.


def test_tier_after_tier() -> None:
    assert _order(_pool()) == ["self-hosted", "cloud-fallback"]


def test_turns_within_a_tier_and_a_spare_at_its_end() -> None:
    pool = _pool([Instance("spare", 0), Instance("a", 2), Instance("b", 1), Instance("next", 5, 1)])
    assert [_order(pool) for _ in range(3)] == [
        ["a", "b", "spare", "next"],
        ["b", "a", "spare", "next"],
        ["a", "b", "spare", "next"],
    ]


def test_first_attempts_follow_the_weights() -> None:
    pool = _pool([Instance("a", 3), Instance("b", 1)])
    firsts = [_next(Candidates(pool)).instance.name for _ in range(40)]
    assert (firsts.count("a"), firsts.count("b")) == (30, 10)


def test_a_key_stays_with_its_instance() -> None:
    pool = _pool([Instance("a"), Instance("b"), Instance("c")], algorithm="chash")
    names = {_next(Candidates(pool, key=b"user-7")).instance.name for _ in range(10)}
    assert len(names) == 1


def test_attempts_are_numbered() -> None:
    candidates = Candidates(_pool())
    assert [_next(candidates).number for _ in range(2)] == [1, 2]


def test_no_instance_at_all() -> None:
    candidates = Candidates(_pool([]))
    assert candidates.next_candidate(0.0) is None
    assert not candidates.has_more(0.0)


# When it stops.


def test_without_a_strategy_there_is_one_attempt() -> None:
    pool = _pool(policy=fallback_policy(None))
    assert _order(pool) == ["self-hosted"]


@pytest.mark.parametrize(("max_retries", "attempts"), [(None, 4), (0, 1), (1, 2), (3, 4), (100, 4)])
def test_max_retries(max_retries: int | None, attempts: int) -> None:
    assert len(_order(_pool([Instance(n) for n in "abcd"], max_retries=max_retries))) == attempts


def test_a_slow_failure_is_the_last_attempt() -> None:
    candidates = Candidates(_pool([Instance(n) for n in "abc"], within=5.0))
    _next(candidates, 100.0)
    assert candidates.takeover_ends == 105.0
    _next(candidates, 105.0)
    assert candidates.takeover_ends == 110.0
    assert candidates.has_more(110.0)
    assert not candidates.has_more(110.1)
    assert candidates.next_candidate(110.1) is None


def test_has_more_changes_nothing() -> None:
    pool = _pool([Instance(n) for n in "abc"])
    candidates = Candidates(pool)
    names = []
    while (turn := candidates.next_candidate(0.0)) is not None:
        names.append(turn.instance.name)
        assert [candidates.has_more(0.0) for _ in range(3)] == [len(names) < 3] * 3
    assert names == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("policy", "more"),
    [
        (BOTH, True),
        (fallback_policy("http_5xx"), True),
        (fallback_policy(None, [502]), True),
        (fallback_policy("http_429"), False),
        (fallback_policy(None), False),
    ],
)
def test_a_stream_is_worth_holding_only_if_its_failure_falls_back(policy: FallbackPolicy, more: bool) -> None:
    candidates = Candidates(_pool(policy=policy))
    _next(candidates)
    assert candidates.has_more(0.0) is more


@pytest.mark.parametrize(("status", "goes_on"), [(429, True), (503, True), (200, False), (401, False)])
def test_a_status_that_falls_back_is_not_the_clients_while_someone_is_left(status: int, goes_on: bool) -> None:
    candidates = Candidates(_pool())
    _next(candidates)
    assert candidates.goes_on_after(status, 0.0) is goes_on
    _next(candidates)
    assert not candidates.goes_on_after(status, 0.0)


def test_an_unwell_one_can_not_take_over() -> None:
    pool = _pool()
    candidates = Candidates(pool)
    _next(candidates)
    _break(pool, "cloud-fallback")
    assert not candidates.has_more(0.0)
    assert candidates.has_more(1.0)


# Health.


def test_the_unwell_are_passed_over() -> None:
    pool = _pool()
    _break(pool, "self-hosted")
    assert _order(pool) == ["cloud-fallback"]
    pool.healths["cloud-fallback"].rest(20.0)
    assert _order(pool, 1.0) == ["self-hosted"]


def test_a_spare_stands_in_for_an_unwell_weighted_one() -> None:
    pool = _pool([Instance("main", 5), Instance("spare", 0), Instance("next", 1, 1)])
    _break(pool, "main")
    assert _order(pool) == ["spare", "next"]


def test_health_is_ignored_when_all_are_unwell() -> None:
    pool = _pool()
    _break(pool, "self-hosted")
    pool.healths["cloud-fallback"].rest(20.0)
    candidates = Candidates(pool)
    assert _next(candidates).instance == SELF_HOSTED
    assert candidates.has_more(0.0)
    assert _next(candidates).instance == CLOUD


def test_but_not_in_the_middle_of_a_request() -> None:
    pool = _pool()
    candidates = Candidates(pool)
    assert _next(candidates).instance == SELF_HOSTED
    pool.healths["cloud-fallback"].rest(20.0)
    assert candidates.next_candidate(0.0) is None


def test_a_single_instance_is_never_given_up() -> None:
    pool = _pool([Instance("only")])
    for second in range(30):
        turn = _next(Candidates(pool), float(second))
        assert turn.failed(second, UpstreamReset("reset")) == "transport"
    assert _order(pool, 30.0) == ["only"]


def test_a_probe_goes_to_one_request_only() -> None:
    pool = _pool()
    _break(pool, "self-hosted")
    probe = _next(Candidates(pool), 1.0)
    assert probe.instance == SELF_HOSTED
    assert _next(Candidates(pool), 1.0).instance == CLOUD
    probe.ended(2.0)
    assert _next(Candidates(pool), 2.0).instance == SELF_HOSTED


# What the results teach.


@pytest.mark.parametrize("down", [None, 503])
def test_the_hybrid_route_of_the_seed(down: int | None) -> None:
    """Self-hosted down: the cloud answers every request. Back again: within seconds it has its traffic again."""
    pool, now, answered_by, detours = _pool(), 0.0, [], 0
    for second in range(300):
        now, candidates = float(second), Candidates(pool)
        turn = _next(candidates, now)
        while turn.instance == SELF_HOSTED and 100 <= second < 200:
            detours += 1
            reason = turn.failed(now, UpstreamReset("reset")) if down is None else turn.answered(now, down)
            assert reason is not None
            turn.ended(now)
            turn = _next(candidates, now)
        assert turn.answered(now, 200) is None
        turn.ended(now + 0.5)
        answered_by.append(turn.instance)
    assert set(answered_by[:100]) == {SELF_HOSTED}
    assert set(answered_by[100:200]) == {CLOUD}
    assert set(answered_by[210:]) == {SELF_HOSTED}
    assert detours < 20


def test_a_429_that_says_how_long_rests_the_instance() -> None:
    pool = _pool()
    turn = _next(Candidates(pool))
    assert turn.answered(0.0, 429, rest=20.0) == "http_429"
    assert pool.verdicts(0.0)["self-hosted"].until == 20.0
    assert _order(pool, 19.9) == ["cloud-fallback"]
    assert _order(pool, 20.0) == ["self-hosted", "cloud-fallback"]


def test_429s_that_do_not_say_how_long_open_the_circuit() -> None:
    pool = _pool()
    for _ in range(5):
        assert pool.verdicts(0.0)["self-hosted"].condition is Condition.WELL
        _next(Candidates(pool)).answered(0.0, 429)
    assert pool.verdicts(0.0)["self-hosted"].condition is Condition.OPEN


@pytest.mark.parametrize("rest", [None, 20.0])
def test_where_a_429_does_not_fall_back_it_does_not_steer_either(rest: float | None) -> None:
    pool = _pool(policy=fallback_policy("http_5xx"))
    for _ in range(9):
        turn = _next(Candidates(pool))
        assert turn.instance == SELF_HOSTED
        assert turn.answered(0.0, 429, rest=rest) is None
        turn.ended(0.0)


@pytest.mark.parametrize("status", [400, 401, 404])
def test_statuses_that_a_client_can_cause_do_not_open_the_circuit(status: int) -> None:
    pool = _pool(policy=fallback_policy("http_5xx", [400, 401]))
    for _ in range(9):
        turn = _next(Candidates(pool))
        turn.answered(0.0, status)
        turn.ended(0.0)
    assert pool.verdicts(0.0)["self-hosted"].condition is Condition.WELL


@pytest.mark.parametrize("error", [BadRequest("bad"), RateLimited("quota"), UpstreamReplyTooLarge("large")])
def test_errors_that_are_not_the_instances_fault_do_not_either(
    error: BadRequest | RateLimited | UpstreamReplyTooLarge,
) -> None:
    pool = _pool()
    for _ in range(9):
        _next(Candidates(pool)).failed(0.0, error)
    assert pool.verdicts(0.0)["self-hosted"].condition is Condition.WELL


def test_streams_that_always_break_open_the_circuit() -> None:
    pool = _pool()
    for _ in range(5):
        turn = _next(Candidates(pool))
        turn.answered(0.0, 200)
        turn.failed(1.0, UpstreamTimeout("stalled"))
    assert pool.verdicts(1.0)["self-hosted"].condition is Condition.OPEN


def test_a_long_stream_closes_the_circuit_with_its_first_event() -> None:
    pool = _pool()
    _break(pool, "self-hosted")
    turn = _next(Candidates(pool), 1.0)
    turn.answered(2.0, 200)
    assert pool.verdicts(2.0)["self-hosted"].condition is Condition.WELL


def test_a_client_that_leaves_says_nothing() -> None:
    pool = _pool()
    for _ in range(9):
        _next(Candidates(pool)).ended(0.0)
    assert pool.healths["self-hosted"].failures == 0


def test_one_attempt_is_one_failure_however_often_it_is_told() -> None:
    pool = _pool()
    turn = _next(Candidates(pool))
    for _ in range(3):
        assert turn.answered(0.0, 503) == "http_5xx"
        assert turn.failed(0.0, UpstreamReset("reset")) == "transport"
        turn.ended(0.0)
    assert pool.healths["self-hosted"].failures == 1
    assert turn.answered(0.0, 200) is None
    assert pool.healths["self-hosted"].failures == 1


def test_the_balancer_is_told_of_each_attempt_once() -> None:
    pool = _pool([Instance("a"), Instance("b")], algorithm="least_conn")
    first, second = _next(Candidates(pool)), _next(Candidates(pool))
    assert {first.instance.name, second.instance.name} == {"a", "b"}
    second.answered(1.0, 200)
    second.ended(1.0)
    second.ended(1.0)
    assert _next(Candidates(pool)).instance == second.instance


def test_a_quick_refusal_is_no_low_latency() -> None:
    pool = _pool([Instance("a"), Instance("b")], algorithm="least_latency")
    for status, took in ((200, 1.0), (400, 0.001)):
        turn = _next(Candidates(pool))
        turn.answered(took, status)
        turn.ended(took)
    assert _next(Candidates(pool), 1.0).instance.name == "b"  # still unknown, so it is asked first


# Whatever happens.

RESULTS = st.sampled_from(["reset", "timeout", "429", "429-rest", "500", "400", "left"])
shapes = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=6)


def _tell(turn: Turn[Instance], result: str, now: float) -> None:
    match result:
        case "reset":
            turn.failed(now, UpstreamReset("reset"))
        case "timeout":
            turn.failed(now, UpstreamTimeout("late"))
        case "429-rest":
            turn.answered(now, 429, rest=3.0)
        case "429" | "500" | "400":
            turn.answered(now, int(result))
    turn.ended(now)


@settings(deadline=None)
@given(shapes, st.lists(st.sampled_from(["well", "resting", "rested", "open", "half open"]), min_size=6, max_size=6))
def test_who_comes_first_is_the_same_with_and_without_a_look_at_each(
    shapes: list[tuple[int, int]], conditions: list[str]
) -> None:
    instances = [Instance(str(n), *shape) for n, shape in enumerate(shapes)]
    pools = [_pool(instances, algorithm="chash") for _ in range(2)]
    for pool in pools:
        for instance, condition in zip(instances, conditions, strict=False):
            if condition in ("open", "half open"):
                _break(pool, instance.name, 5.0 if condition == "open" else 0.0)
            elif condition != "well":
                pool.healths[instance.name].rest(6.0 if condition == "resting" else 5.0)
    first, looking = (
        Candidates(pool, key=b"k", without=without).next_candidate(5.0)
        for pool, without in zip(pools, (frozenset(), frozenset({"nobody"})), strict=True)
    )
    assert (first and first.instance) == (looking and looking.instance)


@settings(deadline=None)
@given(
    shapes,
    st.sampled_from(sorted(ALGORITHMS)),
    st.none() | st.integers(0, 4),
    st.none() | st.floats(0.1, 5.0),
    st.lists(st.lists(st.tuples(RESULTS, st.floats(0, 4)), min_size=6, max_size=6), max_size=12),
)
def test_every_request_ends_and_tries_nobody_twice(
    shapes: list[tuple[int, int]],
    algorithm: Algorithm,
    max_retries: int | None,
    within: float | None,
    requests: list[list[tuple[str, float]]],
) -> None:
    instances = [Instance(str(n), *shape) for n, shape in enumerate(shapes)]
    pool, now = _pool(instances, BOTH, max_retries, within, algorithm), 0.0
    for results in requests:
        candidates, tried, more = Candidates(pool, key=b"%f" % now), list[Instance](), bool(instances)
        for result, took in [*results, ("left", 0.0)]:
            turn = candidates.next_candidate(now)
            assert (turn is not None) is more
            if turn is None:
                break
            tried.append(turn.instance)
            now += took
            _tell(turn, result, now)
            more = candidates.has_more(now)
        assert not more
        assert len(set(tried)) == len(tried) <= pool.most_attempts
        assert set(tried) <= set(instances)
        assert bool(tried) is bool(instances)


@settings(deadline=None)
@given(shapes, st.sets(st.integers(0, 5)), st.sampled_from(sorted(ALGORITHMS)))
def test_the_well_come_in_the_order_of_their_tiers(
    shapes: list[tuple[int, int]], unwell: set[int], algorithm: Algorithm
) -> None:
    instances = [Instance(str(n), *shape) for n, shape in enumerate(shapes)]
    pool = _pool(instances, algorithm=algorithm)
    for instance in instances:
        if int(instance.name) in unwell:
            _break(pool, instance.name)
    tried = [instances[int(name)] for name in _order(pool)]
    well = [i for i in instances if int(i.name) not in unwell]
    assert sorted(tried) == sorted(well or instances)
    ranks = [(i.priority, i.weight == 0) for i in tried]
    assert ranks == sorted(ranks)


# Requests that do not suit everybody.


def _suiting(*names: str, asked: list[str] | None = None) -> Callable[[Instance], bool]:
    """Suits these; tells who was asked about."""

    def suits(instance: Instance) -> bool:
        if asked is not None:
            asked.append(instance.name)
        return instance.name in names

    return suits


def test_who_does_not_suit_is_passed_over_and_no_attempt() -> None:
    instances = [Instance(name, 1, priority) for priority, name in enumerate("abcd")]
    candidates = Candidates(_pool(instances, max_retries=1), suits=_suiting("b", "d"))
    turns = [_next(candidates), _next(candidates)]
    assert [(turn.instance.name, turn.number) for turn in turns] == [("b", 1), ("d", 2)]
    assert candidates.next_candidate(0.0) is None


def test_nobody_is_asked_about_before_its_turn() -> None:
    asked: list[str] = []
    candidates = Candidates(_pool(), suits=_suiting("self-hosted", "cloud-fallback", asked=asked))
    _next(candidates)
    assert candidates.has_more(0.0)
    assert not candidates.goes_on_after(200, 0.0)
    assert asked == ["self-hosted"]
    assert candidates.goes_on_after(500, 0.0)
    assert asked == ["self-hosted", "cloud-fallback"]


def test_a_reply_goes_on_only_to_who_suits() -> None:
    instances = [Instance(name, 1, priority) for priority, name in enumerate("abc")]
    for suiting, goes_on in (("a", False), ("ab", True), ("ac", True)):
        candidates = Candidates(_pool(instances), suits=_suiting(*suiting))
        _next(candidates)
        assert candidates.goes_on_after(500, 0.0) is goes_on
        assert (candidates.next_candidate(0.0) is not None) is goes_on


def test_a_reply_does_not_go_on_to_one_that_suits_and_is_unwell() -> None:
    pool = _pool()
    _break(pool, "cloud-fallback")
    candidates = Candidates(pool, suits=_suiting("self-hosted", "cloud-fallback"))
    _next(candidates)
    assert not candidates.goes_on_after(500, 0.5)
    assert candidates.next_candidate(0.5) is None


def test_health_is_ignored_if_all_that_suit_are_unwell() -> None:
    pool = _pool()
    _break(pool, "cloud-fallback")
    candidates = Candidates(pool, suits=_suiting("cloud-fallback"))
    assert _next(candidates, 0.5).instance is CLOUD


def test_nobody_suits() -> None:
    candidates = Candidates(_pool(), suits=_suiting())
    assert candidates.next_candidate(0.0) is None
    assert candidates.next_candidate(0.0) is None
