"""The persistent map: a dict that nobody can change under a reader."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.routing.persistent import PersistentMap


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([f"k{i}" for i in range(300)]), st.integers()), max_size=400))
def test_is_a_dict_whose_versions_stay(changes: list[tuple[bool, str, int]]) -> None:
    current: PersistentMap[int] = PersistentMap()
    model: dict[str, int] = {}
    kept = [(current, model.copy())]
    for put, key, value in changes:
        current = current.set(key, value) if put else current.remove(key)
        if put:
            model[key] = value
        else:
            model.pop(key, None)
        kept.append((current, model.copy()))
    for version, expected in kept[:: max(1, len(kept) // 10)]:
        assert len(version) == len(expected)
        assert sorted(version.values()) == sorted(expected.values())
        assert all(version.get(key) == expected.get(key) for _, key, _ in changes)


def test_many_items() -> None:
    items = {f"key-{i}": i for i in range(20_000)}
    built = PersistentMap(items)
    assert len(built) == 20_000
    assert all(built.get(key) == value for key, value in items.items())
    assert built.get("key-20000") is None
    assert set(built.values()) == set(items.values())


def test_building_copies_the_items() -> None:
    items = {"a": 1}
    built = PersistentMap(items)
    items["a"] = 2
    assert built.get("a") == 1


def test_removing_what_is_not_there_changes_nothing() -> None:
    built = PersistentMap({"a": 1})
    assert built.remove("b") is built


class _Colliding(str):
    """Keys with one hash."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)


def test_equal_hashes_share_a_leaf() -> None:
    keys = [_Colliding(i) for i in range(100)]
    built: PersistentMap[int] = PersistentMap({key: i for i, key in enumerate(keys)})
    assert [built.get(key) for key in keys] == list(range(100))
    assert len(built.set(_Colliding(100), 100).remove(keys[3])) == 100
