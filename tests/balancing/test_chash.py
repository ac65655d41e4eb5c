from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.balancing.chash import MOST_POINTS, ConsistentHash

KEYS = [b"user-%d" % n for n in range(4000)]


class Instance(NamedTuple):
    name: str
    weight: int = 1
    priority: int = 0


def _ring(instances: list[Instance]) -> ConsistentHash:
    balancer = ConsistentHash()
    balancer.reconfigure(instances)
    return balancer


def _owners(balancer: ConsistentHash, candidates: list[Instance]) -> dict[bytes, str]:
    return {key: balancer.pick(candidates, 0.0, key).name for key in KEYS}


FOUR = [Instance(name) for name in ("a", "b", "c", "d")]


def test_a_key_stays_with_its_instance_in_every_process() -> None:
    ring = _ring([Instance("a"), Instance("b")])
    assert _owners(ring, FOUR[:2]) == _owners(_ring([Instance("b"), Instance("a")]), FOUR[:2])
    # Pinned: a change of the hash would move every user's cache to another instance at an upgrade.
    assert [ring.pick(FOUR[:2], 0.0, key).name for key in KEYS[:12]] == list("aababbbabbaa")


@pytest.mark.parametrize(
    "weights", [(1, 1, 1, 1), (8, 2), (100, 0, 100), (1, 3, 5), (100, 1), (5000, 5000), (10**30, 10**30)]
)
def test_keys_follow_the_weights(weights: tuple[int, ...]) -> None:
    instances = [Instance(str(n), weight) for n, weight in enumerate(weights)]
    weighted = [i for i in instances if i.weight]
    owned = Counter(_owners(_ring(instances), weighted).values())
    for instance in weighted:
        expected = instance.weight / sum(weights)
        assert owned[instance.name] / len(KEYS) == pytest.approx(expected, rel=0.2, abs=0.02)


def test_one_more_takes_its_share_and_moves_nothing_else() -> None:
    before = _owners(_ring(FOUR[:3]), FOUR[:3])
    after = _owners(_ring(FOUR), FOUR)
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {"d"}
    assert len(moved) / len(KEYS) == pytest.approx(1 / 4, abs=0.05)


def test_more_weight_attracts_keys_and_moves_nothing_else() -> None:
    heavier = [Instance("a", 3), *FOUR[1:]]
    before, after = _owners(_ring(FOUR), FOUR), _owners(_ring(heavier), heavier)
    assert {after[key] for key in KEYS if before[key] != after[key]} == {"a"}


def test_an_absent_one_loses_its_keys_to_all_others_and_gets_them_back() -> None:
    ring = _ring(FOUR)
    before, meanwhile = _owners(ring, FOUR), _owners(ring, FOUR[1:])
    assert all(meanwhile[key] == before[key] for key in KEYS if before[key] != "a")
    heirs = Counter(meanwhile[key] for key in KEYS if before[key] == "a")
    assert set(heirs) == {"b", "c", "d"}
    assert min(heirs.values()) > 0.15 * heirs.total()
    assert _owners(ring, FOUR) == before


def test_each_tier_has_a_ring_of_its_own() -> None:
    second = [Instance("x", 1, 2), Instance("y", 1, 2)]
    ring = _ring([Instance("a", 10**9, 1), Instance("b", 10**9, 1), *second])
    assert Counter(_owners(ring, second).values())["x"] == pytest.approx(len(KEYS) / 2, rel=0.2)


def test_points_are_bounded() -> None:
    ring = _ring([Instance(str(n), 10**6) for n in range(3)])._rings[0]
    assert len(ring.points) == 3 * MOST_POINTS


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(max_size=8), st.integers(0, 50), min_size=1, max_size=5), st.binary(max_size=40), st.data()
)
def test_it_picks_a_candidate_and_the_same_one_again(weights: dict[str, int], key: bytes, data: st.DataObject) -> None:
    instances = [Instance(name, weight) for name, weight in weights.items()]
    candidates = data.draw(st.lists(st.sampled_from(instances), min_size=1, unique=True))
    picked = _ring(instances).pick(candidates, 0.0, key)
    assert picked in candidates
    assert _ring(instances).pick(candidates[::-1], 5.0, key) == picked


def test_candidates_it_has_never_heard_of_are_still_answered() -> None:
    assert ConsistentHash().pick(FOUR, 0.0, b"k") == FOUR[0]
    assert _ring([Instance("z")]).pick(FOUR, 0.0, b"k") == FOUR[0]
