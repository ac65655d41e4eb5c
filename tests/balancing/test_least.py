from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.balancing.balancer import Balancer
from aigw.balancing.least import FORGOTTEN, LeastConnections, LeastLatency
from aigw.balancing.roundrobin import RoundRobin


class Instance(NamedTuple):
    name: str
    weight: int = 1
    priority: int = 0


A, B, C = Instance("a"), Instance("b"), Instance("c")


def _begin(balancer: Balancer, candidates: list[Instance], now: float = 0.0) -> str:
    name = balancer.pick(candidates, now, b"").name
    balancer.started(name, now)
    return name


def _answer(balancer: Balancer, name: str, now: float, latency: float) -> None:
    balancer.answered(name, now, latency)
    balancer.ended(name, now)


def test_the_least_busy_is_picked() -> None:
    balancer = LeastConnections()
    balancer.started("a", 0.0)
    balancer.started("a", 0.0)
    balancer.started("b", 0.0)
    assert balancer.pick([A, B, C], 0.0, b"") == C
    assert balancer.pick([A, B], 0.0, b"") == B
    balancer.ended("a", 1.0)
    balancer.ended("a", 1.0)
    assert balancer.pick([A, B], 1.0, b"") == A


def test_attempts_under_way_follow_the_weights() -> None:
    balancer = LeastConnections()
    instances = [Instance("a", 3), Instance("b", 1)]
    assert Counter(_begin(balancer, instances) for _ in range(40)) == {"a": 30, "b": 10}


def test_one_after_another_takes_turns_by_weight() -> None:
    balancer = LeastConnections()
    instances = [Instance("a", 3), Instance("b", 1)]
    picked = Counter[str]()
    for _ in range(40):
        name = _begin(balancer, instances)
        balancer.ended(name, 0.0)
        picked[name] += 1
    assert picked == {"a": 30, "b": 10}


def test_attempts_are_counted_over_a_change_of_configuration() -> None:
    balancer = LeastConnections()
    balancer.reconfigure([A, B])
    balancer.started("a", 0.0)
    balancer.reconfigure([B])
    balancer.reconfigure([A, B])
    assert balancer.pick([A, B], 0.0, b"") == B
    balancer.ended("a", 1.0)
    assert balancer.pick([A], 1.0, b"") == A
    assert not balancer._under_way


def test_an_end_without_a_start_is_harmless() -> None:
    balancer = LeastConnections()
    balancer.ended("a", 0.0)
    assert [balancer.pick([A, B], 0.0, b"").name for _ in range(2)] == ["a", "b"]


def test_the_quicker_is_preferred() -> None:
    balancer = LeastLatency()
    _answer(balancer, "a", 0.0, 2.0)
    _answer(balancer, "b", 0.0, 0.5)
    assert [balancer.pick([A, B], 0.1, b"") for _ in range(3)] == [B, B, B]


def test_until_it_is_busy_enough() -> None:
    balancer = LeastLatency()
    _answer(balancer, "a", 0.0, 2.0)
    _answer(balancer, "b", 0.0, 0.5)
    assert Counter(_begin(balancer, [A, B], 0.0) for _ in range(10)) == {"a": 2, "b": 8}


def test_the_unknown_is_tried_by_one_request_at_a_time() -> None:
    balancer = LeastLatency()
    _answer(balancer, "a", 0.0, 2.0)
    assert [_begin(balancer, [A, B], 0.0) for _ in range(3)] == ["b", "a", "a"]
    _answer(balancer, "b", 0.1, 0.1)
    assert _begin(balancer, [A, B], 0.1) == "b"


def test_all_unknown_are_spread() -> None:
    balancer = LeastLatency()
    assert Counter(_begin(balancer, [A, B, C], 0.0) for _ in range(9)) == {"a": 3, "b": 3, "c": 3}


def test_a_peak_counts_at_once_and_fades() -> None:
    balancer = LeastLatency()
    for _ in range(20):
        _answer(balancer, "a", 0.0, 0.1)
        _answer(balancer, "b", 0.0, 0.2)
    _answer(balancer, "a", 0.1, 5.0)
    assert balancer.pick([A, B], 0.1, b"") == B
    for second in range(1, 61):
        _answer(balancer, "a", float(second), 0.1)
        _answer(balancer, "b", float(second), 0.2)
    assert balancer.pick([A, B], 60.0, b"") == A


def test_the_slow_one_is_asked_again_after_a_while() -> None:
    balancer = LeastLatency()
    _answer(balancer, "a", 0.0, 60.0)
    for second in range(int(FORGOTTEN) + 1):
        _answer(balancer, "b", float(second), 0.2)
    assert balancer.pick([A, B], FORGOTTEN - 1, b"") == B
    assert balancer.pick([A, B], FORGOTTEN, b"") == A


def test_a_removed_one_is_forgotten() -> None:
    balancer = LeastLatency()
    balancer.reconfigure([A, B])
    _answer(balancer, "a", 0.0, 1.0)
    balancer.reconfigure([B])
    assert not balancer._latencies


def test_a_clock_that_steps_back_is_harmless() -> None:
    balancer = LeastLatency()
    _answer(balancer, "a", 100.0, 1.0)
    _answer(balancer, "a", 50.0, 2.0)
    assert balancer.pick([A], 40.0, b"") == A


@settings(deadline=None)
@given(
    st.sampled_from([RoundRobin, LeastConnections, LeastLatency]),
    st.lists(st.tuples(st.sets(st.sampled_from("abcd"), min_size=1), st.floats(0, 50), st.booleans()), max_size=40),
)
def test_only_candidates_are_picked(make: type[Balancer], requests: list[tuple[set[str], float, bool]]) -> None:
    balancer, now, under_way = make(), 0.0, list[str]()
    for names, pause, ends in requests:
        now += pause
        candidates = [Instance(name, weight) for weight, name in enumerate("abcd", 1) if name in names]
        name = _begin(balancer, candidates, now)
        assert name in names
        under_way.append(name)
        if ends:
            _answer(balancer, under_way.pop(0), now, pause)
