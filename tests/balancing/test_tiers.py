from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.balancing.tiers import PriorityOrder, contenders, effective_order, inverted, tiers


class Instance(NamedTuple):
    name: str
    weight: int = 1
    priority: int = 0


SEED = [Instance("self-hosted", 1, 1), Instance("cloud-fallback", 1, 2)]


def test_the_seed_tries_the_lowest_number_first() -> None:
    assert effective_order(SEED, "lowest_first") == ["self-hosted", "cloud-fallback"]
    assert effective_order(SEED, "highest_first") == ["cloud-fallback", "self-hosted"]


def test_a_tier_holds_equal_priorities_as_written() -> None:
    instances = [Instance("a", priority=5), Instance("b", priority=-1), Instance("c", priority=5)]
    assert [[i.name for i in tier] for tier in tiers(instances, "lowest_first")] == [["b"], ["a", "c"]]
    assert [[i.name for i in tier] for tier in tiers(instances, "highest_first")] == [["a", "c"], ["b"]]
    assert tiers([], "lowest_first") == ()


def test_the_heavier_is_named_first_and_a_spare_last_in_its_own_tier() -> None:
    instances = [Instance("spare", 0), Instance("light", 1), Instance("heavy", 9), Instance("next", 9, 1)]
    assert effective_order(instances, "lowest_first") == ["heavy", "light", "spare", "next"]


def test_equal_weights_are_named_as_written() -> None:
    assert effective_order([Instance("b"), Instance("a"), Instance("c")], "highest_first") == ["b", "a", "c"]


def test_weight_0_contends_only_when_nothing_else_is_left() -> None:
    spare, other, main = Instance("spare", 0), Instance("other", 0), Instance("main", 3)
    assert list(contenders([spare, main])) == [main]
    assert list(contenders([spare, other])) == [spare, other]


@pytest.mark.parametrize(
    "name",
    ["fallback", "cloud-fallback", "cloudFallback", "BACKUP", "backup2", "back-up", "a_secondary", "spare", "standBy"],
)
def test_an_understudy_in_front_is_pointed_out(name: str) -> None:
    warning = inverted([Instance("main", priority=1), Instance(name, priority=2)], "highest_first")
    assert warning is not None
    assert f'"{name}" (priority 2)' in warning
    assert '"main" (priority 1)' in warning
    assert '"priority_order": "lowest_first"' in warning


@pytest.mark.parametrize("name", ["main", "transparent", "sparenode", "primary", "", "fallbacks"])
def test_other_names_are_not(name: str) -> None:
    assert inverted([Instance("main", priority=1), Instance(name, priority=2)], "highest_first") is None


@pytest.mark.parametrize(
    ("instances", "order", "warns"),
    [
        (SEED, "lowest_first", False),
        (SEED, "highest_first", True),
        ([Instance("backup")], "lowest_first", False),
        ([Instance("backup"), Instance("main")], "lowest_first", False),
        ([Instance("backup-1"), Instance("backup-2", priority=1)], "lowest_first", False),
        ([Instance("main"), Instance("backup", 1, 1), Instance("other", 1, 2)], "lowest_first", True),
        ([Instance("main"), Instance("backup", 0), Instance("other", 1, 2)], "lowest_first", False),
        ([Instance("backup", 0), Instance("other", 1, 2)], "lowest_first", True),
        ([], "lowest_first", False),
    ],
)
def test_when_it_warns(instances: list[Instance], order: PriorityOrder, warns: bool) -> None:
    assert (inverted(instances, order) is not None) is warns


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), max_size=12))
def test_the_effective_order_names_everybody_once(shapes: list[tuple[int, int]]) -> None:
    instances = [Instance(str(n), *shape) for n, shape in enumerate(shapes)]
    order = effective_order(instances, "lowest_first")
    assert sorted(order) == sorted(i.name for i in instances)
    priorities = [instances[int(name)].priority for name in order]
    assert priorities == sorted(priorities)
