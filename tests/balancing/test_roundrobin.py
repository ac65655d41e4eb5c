from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.balancing.roundrobin import RoundRobin


class Instance(NamedTuple):
    name: str
    weight: int = 1
    priority: int = 0


def _picks(balancer: RoundRobin, candidates: list[Instance], number: int) -> str:
    return "".join(balancer.pick(candidates, 0.0, b"").name for _ in range(number))


def _instances(**weights: int) -> list[Instance]:
    return [Instance(name, weight) for name, weight in weights.items()]


@pytest.mark.parametrize(
    ("weights", "cycle"),
    [
        ({"a": 5, "b": 1, "c": 1}, "aabacaa"),
        ({"a": 1, "b": 1, "c": 1}, "abc"),
        ({"a": 1, "b": 2}, "bab"),
        ({"a": 0, "b": 0}, "ab"),
        ({"a": 7}, "a"),
    ],
)
def test_turns_are_smooth(weights: dict[str, int], cycle: str) -> None:
    assert _picks(RoundRobin(), _instances(**weights), 3 * len(cycle)) == 3 * cycle


weights_lists = st.lists(st.integers(1, 20), min_size=1, max_size=6)


@settings(deadline=None)
@given(weights_lists, st.integers(1, 3))
def test_every_cycle_has_exact_proportions(weights: list[int], cycles: int) -> None:
    instances = [Instance(str(n), weight) for n, weight in enumerate(weights)]
    balancer = RoundRobin()
    for _ in range(cycles):
        picked = Counter(balancer.pick(instances, 0.0, b"").name for _ in range(sum(weights)))
        assert picked == {i.name: i.weight for i in instances}


@settings(deadline=None)
@given(weights_lists, st.data())
def test_subsets_are_fair_and_keep_the_whole_fair(weights: list[int], data: st.DataObject) -> None:
    """Whoever is away for a while comes back to its share, without a burst to catch up, however the subsets went."""
    instances = [Instance(str(n), weight) for n, weight in enumerate(weights)]
    subsets = data.draw(st.lists(st.sets(st.sampled_from(instances), min_size=1), max_size=30))
    balancer = RoundRobin()
    for subset in subsets:
        ordered = [i for i in instances if i in subset]
        assert balancer.pick(ordered, 0.0, b"") in subset
    total = sum(weights)
    picked = Counter(balancer.pick(instances, 0.0, b"").name for _ in range(20 * total))
    for instance in instances:
        assert abs(picked[instance.name] - 20 * instance.weight) <= total * len(instances)


def test_who_was_away_does_not_catch_up() -> None:
    balancer = RoundRobin()
    a, b = _instances(a=1, b=1)
    assert _picks(balancer, [a, b], 2) == "ab"
    assert _picks(balancer, [a], 100) == "a" * 100
    assert _picks(balancer, [a, b], 4) == "abab"


def test_a_change_of_configuration_does_not_begin_the_turns_again() -> None:
    balancer = RoundRobin()
    before = _instances(a=1, b=1, c=1)
    balancer.reconfigure(before)
    assert _picks(balancer, before, 2) == "ab"
    balancer.reconfigure(before)
    assert _picks(balancer, before, 4) == "cabc"


def test_a_removed_instance_is_forgotten() -> None:
    balancer = RoundRobin()
    balancer.reconfigure(_instances(a=1, b=1))
    assert _picks(balancer, _instances(a=1, b=1), 1) == "a"
    balancer.reconfigure(_instances(b=1))
    balancer.reconfigure(_instances(a=1, b=1))
    assert _picks(balancer, _instances(a=1, b=1), 2) == "ab"


@settings(deadline=None)
@given(st.integers(0, 2001))
def test_credits_of_large_weights_do_not_starve_small_ones(picks: int) -> None:
    balancer = RoundRobin()
    large, small = _instances(a=1000, b=1000, c=1), _instances(a=1, b=1, c=1)
    balancer.reconfigure(large)
    _picks(balancer, large, picks)
    balancer.reconfigure(small)
    picked = _picks(balancer, small, 12)
    assert all(2 <= picked.count(name) <= 6 for name in "abc")


def test_huge_weights() -> None:
    balancer = RoundRobin()
    huge = _instances(a=10**400, b=10**400)
    balancer.reconfigure(huge)
    assert _picks(balancer, huge, 2) == "ab"
    balancer.reconfigure(_instances(a=1, b=1))
    assert _picks(balancer, _instances(a=1, b=1), 2) == "ab"
