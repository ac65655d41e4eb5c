"""The configuration of one group at one revision."""

from __future__ import annotations

import pytest

from aigw.model.snapshot import Resource, Snapshot


def resource(id: str, kind: str = "routes", index: int = 1) -> Resource:
    return Resource(
        kind=kind, id=id, document={"id": id}, value=None, plugins={}, created_index=1, modified_index=index
    )


def test_an_empty_one() -> None:
    assert Snapshot().revision == 0
    assert Snapshot().get("routes", "a") is None
    assert Snapshot().of("routes") == {}


def test_a_change_makes_a_new_one_and_leaves_the_old_one_alone() -> None:
    a, b, service = resource("a"), resource("b"), resource("a", "services")
    first = Snapshot().changed(1, put=[a, service])
    second = first.changed(2, put=[b], delete=[("routes", "a")])
    assert (first.revision, first.of("routes"), first.of("services")) == (1, {"a": a}, {"a": service})
    assert (second.revision, second.of("routes"), second.of("services")) == (2, {"b": b}, {"a": service})


def test_kinds_that_are_not_touched_are_shared() -> None:
    first = Snapshot().changed(1, put=[resource("a"), resource("s", "services")])
    second = first.changed(2, put=[resource("b")])
    assert second.of("services") is first.of("services")
    assert second.of("routes") is not first.of("routes")


def test_deleting_what_is_not_there_changes_nothing() -> None:
    snapshot = Snapshot().changed(1, delete=[("routes", "a"), ("nothing", "b")])
    assert snapshot.get("routes", "a") is None


def test_the_last_of_one_key_stays() -> None:
    newer = resource("a", index=2)
    assert Snapshot().changed(1, put=[resource("a"), newer]).get("routes", "a") is newer


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Snapshot().revision = 1  # type: ignore[misc]
