"""The current Snapshot of each group."""

from __future__ import annotations

from aigw.model.snapshot import Key, Snapshot
from aigw.registry import Registry

KEYS: frozenset[Key] = frozenset({("routes", "a")})


def test_a_group_that_nobody_wrote_to_is_empty() -> None:
    registry = Registry()
    assert registry.snapshot("default").revision == 0
    assert registry.groups() == {}


def test_a_replacement_is_active_before_anybody_is_told() -> None:
    registry = Registry()
    seen: list[tuple[str, Snapshot, frozenset[Key], Snapshot]] = []
    registry.subscribe(lambda g, s, keys: seen.append((g, s, keys, registry.snapshot(g))))
    snapshot = Snapshot(revision=5)
    registry.replace("default", snapshot, KEYS)
    assert seen == [("default", snapshot, KEYS, snapshot)]
    assert registry.snapshot("default") is snapshot
    assert registry.groups() == {"default": snapshot}
    assert registry.snapshot("other").revision == 0


def test_subscribers_are_told_in_order_and_only_of_what_comes() -> None:
    registry = Registry()
    order: list[str] = []
    registry.replace("default", Snapshot(revision=1), KEYS)
    registry.subscribe(lambda *_: order.append("first"))
    registry.subscribe(lambda *_: order.append("second"))
    registry.replace("default", Snapshot(revision=2), KEYS)
    assert order == ["first", "second"]


def test_what_a_request_started_with_stays() -> None:
    registry = Registry()
    registry.replace("default", first := Snapshot(revision=1), KEYS)
    groups = registry.groups()
    registry.replace("default", Snapshot(revision=2), KEYS)
    assert groups == {"default": first}
