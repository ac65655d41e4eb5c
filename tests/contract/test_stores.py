"""What every store promises. A new store is a line in ``STORES``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from aigw.ports import Batch, Contents, Record, Store, StoreError
from aigw.stores.memory import MemoryStore
from aigw.stores.sqlite import SqliteStore
from aigw.stores.testing import Turnstile

Opener = Callable[[], Store]
"""Each call gives a store, not yet open, over the same contents."""


def memory(tmp_path: Path, turnstile: Turnstile) -> Opener:
    """Its contents are the object's."""
    store = MemoryStore()
    return lambda: store


def sqlite(tmp_path: Path, turnstile: Turnstile) -> Opener:
    """Its contents are the file's."""
    return lambda: SqliteStore(tmp_path / "data" / "aigw.sqlite", turnstile)


STORES: dict[str, Callable[[Path, Turnstile], Opener]] = {"memory": memory, "sqlite": sqlite}


@attrs.define
class Place:
    """Where the store under test keeps its contents; every store made here is closed at the end."""

    turnstile: Turnstile
    opener: Opener
    stores: list[Store] = attrs.field(factory=list)

    def store(self) -> Store:
        """A store, not yet open."""
        self.stores.append(self.opener())
        return self.stores[-1]

    def result(self, deferred: Deferred[None]) -> None:
        """Wait for it; raises what it failed with."""
        self.turnstile.result(deferred)

    def reopened(self) -> Contents:
        """What a gateway finds that starts after the present one has left."""
        for store in self.stores:
            self.result(store.close())
        return self.store().open()


@pytest.fixture(params=list(STORES.values()), ids=list(STORES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """One for each of the stores."""
    turnstile = Turnstile()
    place = Place(turnstile, request.param(tmp_path, turnstile))
    yield place
    for store in place.stores:
        place.result(store.close())


def record(id: str, value: bytes = b"value", *, group: str = "default", kind: str = "routes", index: int = 1) -> Record:
    """A record that differs in what matters to the test."""
    return Record(group=group, kind=kind, id=id, value=value, created_index=index, modified_index=index)


def test_a_new_store_is_empty(place: Place) -> None:
    contents = place.store().open()
    assert (contents.revision, list(contents.records)) == (0, [])


@pytest.mark.parametrize(
    "kept",
    [
        record("a"),
        record("a", b""),
        record("a", bytes(range(256)) * 8192),
        record("A-Z_a.z" + "9" * 57),
        record("a", group="grüße/ähm", kind="consumers/jack/credentials"),
        record("a", index=2**53 + 1),
        attrs.evolve(record("a"), created_index=3, modified_index=2**63 - 1),
        attrs.evolve(record("a"), expires_at=1_900_000_000.123456),
        attrs.evolve(record("a"), expires_at=0.0),
    ],
    ids=["plain", "empty", "2MiB", "long-id", "unicode", "big-index", "indexes", "expiry", "expired"],
)
def test_a_record_comes_back_as_it_was(place: Place, kept: Record) -> None:
    store = place.store()
    store.open()
    place.result(store.commit(Batch(revision=7, put=[kept])))
    assert place.reopened() == Contents(revision=7, records=[kept])


def test_a_put_replaces_and_a_delete_removes_only_its_own(place: Place) -> None:
    store = place.store()
    store.open()
    place.result(store.commit(Batch(revision=1, put=[record("a"), record("b"), record("c"), record("a", group="g")])))
    place.result(store.commit(Batch(revision=2, put=[record("b", b"new")], delete=[("default", "routes", "a")])))
    contents = place.reopened()
    assert contents.revision == 2
    assert list(contents.records) == [record("b", b"new"), record("c"), record("a", group="g")]


def test_records_come_back_in_the_order_of_their_keys(place: Place) -> None:
    store = place.store()
    store.open()
    keys = [
        ("b", "routes", "1"),
        ("a", "services", "2"),
        ("a", "routes", "B"),
        ("a", "routes", "a"),
        ("ä", "routes", ""),
    ]
    records = [record(id or "z", group=group, kind=kind) for group, kind, id in keys]
    place.result(store.commit(Batch(revision=1, put=records)))
    assert list(place.reopened().records) == sorted(records, key=lambda r: (r.group, r.kind, r.id))


def test_what_a_batch_puts_and_deletes_is_gone(place: Place) -> None:
    """As in `Snapshot.changed`: the two must not differ after a restart."""
    store = place.store()
    store.open()
    place.result(store.commit(Batch(revision=1, put=[record("a")], delete=[("default", "routes", "a")])))
    assert list(place.reopened().records) == []


def test_a_batch_that_changes_nothing_still_moves_the_revision(place: Place) -> None:
    store = place.store()
    store.open()
    place.result(store.commit(Batch(revision=41)))
    place.result(store.commit(Batch(revision=42, delete=[("default", "routes", "unknown")])))
    assert place.reopened() == Contents(revision=42, records=[])


def test_the_revision_outlives_the_newest_record(place: Place) -> None:
    store = place.store()
    store.open()
    place.result(store.commit(Batch(revision=1, put=[record("a")])))
    place.result(store.commit(Batch(revision=2, delete=[("default", "routes", "a")])))
    assert place.reopened().revision == 2


def test_batches_commit_in_the_order_of_the_calls(place: Place) -> None:
    store = place.store()
    store.open()
    fired: list[int] = []
    commits = []
    for revision in range(1, 251):
        commit = store.commit(Batch(revision=revision, put=[record("a", b"%d" % revision, index=revision)]))
        commits.append(commit.addCallback(lambda _, n: fired.append(n), revision))
    place.result(commits[-1])
    assert fired == list(range(1, 251))
    assert place.reopened() == Contents(revision=250, records=[record("a", b"250", index=250)])


def test_close_waits_for_what_was_committed_before(place: Place) -> None:
    store = place.store()
    store.open()
    order: list[str] = []
    store.commit(Batch(revision=1, put=[record("a")])).addCallback(lambda _: order.append("durable"))
    place.result(store.close().addCallback(lambda _: order.append("closed")))
    assert order == ["durable", "closed"]
    assert place.reopened().revision == 1


def test_closing_twice_or_before_opening_is_closing(place: Place) -> None:
    store = place.store()
    place.result(store.close())
    store.open()
    first, second = store.close(), store.close()
    place.result(first)
    place.result(second)
    place.result(store.close())


def test_a_store_that_was_closed_opens_again(place: Place) -> None:
    store = place.store()
    store.open()
    place.result(store.commit(Batch(revision=1, put=[record("a")])))
    place.result(store.close())
    assert store.open() == Contents(revision=1, records=[record("a")])
    place.result(store.commit(Batch(revision=2)))


def test_a_commit_to_a_store_that_is_not_open_fails(place: Place) -> None:
    store = place.store()
    with pytest.raises(StoreError, match="not open"):
        place.result(store.commit(Batch(revision=1)))
    store.open()
    closed = store.close()
    with pytest.raises(StoreError, match="not open"):
        place.result(store.commit(Batch(revision=1, put=[record("a")])))
    place.result(closed)
    assert place.reopened() == Contents(revision=0, records=[])


def test_a_store_opens_once(place: Place) -> None:
    store = place.store()
    store.open()
    with pytest.raises(StoreError, match="open already"):
        store.open()
    place.result(store.commit(Batch(revision=1)))


def test_nobody_need_wait_for_a_commit(place: Place) -> None:
    """A caller that gave up (its client left) disturbs neither the batch nor the next one."""
    store = place.store()
    store.open()
    impatient = store.commit(Batch(revision=1, put=[record("a")]))
    impatient.addErrback(lambda failure: None)
    impatient.cancel()
    place.result(store.commit(Batch(revision=2, put=[record("b")])))
    assert place.reopened() == Contents(revision=2, records=[record("a"), record("b")])
