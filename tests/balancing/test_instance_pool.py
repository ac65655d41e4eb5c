from __future__ import annotations

import gc
from typing import NamedTuple, get_args

from aigw.balancing.candidates import Candidates
from aigw.balancing.fallback import fallback_policy
from aigw.balancing.health import Condition
from aigw.balancing.pool import ALGORITHMS, Algorithm, Memory, Pool, RetryLimits


class Instance(NamedTuple):
    name: str
    weight: int = 1
    priority: int = 0
    endpoint: str = "http://one/"


POLICY = fallback_policy("http_5xx")
A, B = Instance("a"), Instance("b", 1, 1)


def _pool(memory: Memory, *instances: Instance, place: str = "r1", shared: bool = False) -> Pool[Instance]:
    return memory.pool(
        instances, place=place, policy=POLICY, identity=(lambda i, digest: (i.endpoint, i.name)) if shared else None
    )


def _memory() -> Memory:
    return Memory(lambda: 0.5)


def test_every_algorithm_has_its_balancer() -> None:
    assert set(ALGORITHMS) == set(get_args(Algorithm))


def test_tiers_follow_the_order() -> None:
    pool = _memory().pool([A, B], place="r", order="highest_first", policy=POLICY)
    assert pool.tiers == ((B,), (A,))


def test_most_attempts() -> None:
    memory = _memory()
    for policy, limits, most in (
        (POLICY, RetryLimits(), 2),
        (POLICY, RetryLimits(max_retries=0), 1),
        (fallback_policy(None), RetryLimits(max_retries=5), 1),
    ):
        assert memory.pool([A, B], place="r", policy=policy, limits=limits).most_attempts == most


def test_verdicts_by_name() -> None:
    pool = _pool(_memory(), A, B)
    pool.healths["a"].rest(3.0)
    assert {name: v.condition for name, v in pool.verdicts(0.0).items()} == {
        "a": Condition.RESTING,
        "b": Condition.WELL,
    }


def test_health_outlives_a_new_configuration_of_the_route() -> None:
    memory = _memory()
    before = _pool(memory, A, B)
    after = _pool(memory, A._replace(weight=7))
    assert after.healths["a"] is before.healths["a"]


def test_by_default_health_is_one_routes_own() -> None:
    memory = _memory()
    one, other = _pool(memory, A), _pool(memory, A, place="r2")
    assert one.healths["a"] is not other.healths["a"]


def test_routes_share_the_health_of_what_is_the_same_instance() -> None:
    memory = _memory()
    one, other = _pool(memory, A, shared=True), _pool(memory, A, place="r2", shared=True)
    assert one.healths["a"] is other.healths["a"]


def test_another_endpoint_starts_with_a_clean_slate() -> None:
    memory = _memory()
    before = _pool(memory, A, shared=True)
    after = _pool(memory, A._replace(endpoint="http://repaired/"), shared=True)
    assert after.healths["a"] is not before.healths["a"]


def test_turns_go_on_after_a_new_configuration_of_the_route() -> None:
    memory = _memory()
    trio = [Instance(name) for name in "abc"]

    def first(pool: Pool[Instance]) -> str:
        turn = Candidates(pool).next_candidate(0.0)
        assert turn is not None
        return turn.instance.name

    pools = [_pool(memory, *trio) for _ in range(4)]
    assert [first(pool) for pool in pools] == ["a", "b", "c", "a"]
    assert first(_pool(memory, *trio, place="r2")) == "a"


def test_another_algorithm_is_another_balancer() -> None:
    memory = _memory()
    pools = [memory.pool([A], place="r", policy=POLICY, algorithm=name) for name in get_args(Algorithm)]
    assert len({id(pool.balancer) for pool in pools}) == len(pools)


def test_what_nobody_uses_is_forgotten() -> None:
    memory = _memory()
    _pool(memory, A, B)
    gc.collect()
    assert not memory._healths
    assert not memory._balancers


def test_a_request_under_way_ends_well_after_its_instance_is_gone() -> None:
    memory = _memory()
    candidates = Candidates(_pool(memory, A, B))
    turn = candidates.next_candidate(0.0)
    _pool(memory, B)
    assert turn is not None
    assert turn.answered(1.0, 500) == "http_5xx"
    turn.ended(1.0)
    following = candidates.next_candidate(1.0)
    assert following is not None
    assert following.instance == B
