"""Changes are durable, then active, then acknowledged; or nothing has happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from aigw.configuration import LONGEST_TIMER, RETRY_EXPIRY, Change, Configuration, Decision
from aigw.model.resource import decode_resource
from aigw.model.snapshot import Key, Resource, Snapshot
from aigw.plugins import CONFIGS
from aigw.ports import Batch, Contents, Record, StoreError
from aigw.registry import Registry
from aigw.stores.memory import MemoryStore
from aigw.stores.sealing import Sealer

EPOCH = 1_700_000_000.0


class SlowStore(MemoryStore):
    """Commits when it is told to; refuses while ``trouble`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Batch, Deferred[None]]] = []
        self.batches: list[Batch] = []
        self.slow = False
        self.trouble = ""

    def commit(self, batch: Batch) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self.waiting.append((batch, done))
        if not self.slow:
            self.settle()
        return done

    def settle(self) -> None:
        """Make the oldest batch durable, or refuse it."""
        batch, done = self.waiting.pop(0)
        if self.trouble:
            done.errback(StoreError(self.trouble))
        else:
            self.batches.append(batch)
            super().commit(batch).chainDeferred(done)


class Bench:
    """A configuration over a store, with everything that can be seen of it."""

    def __init__(
        self,
        store: SlowStore | None = None,
        clock: Clock | None = None,
        key: bytes = b"k" * 32,
        settled: Callable[[], Deferred[None]] | None = None,
    ) -> None:
        self.store = store or SlowStore()
        self.clock = clock or Clock()
        self.registry = Registry()
        self.told: list[tuple[str, int, frozenset[Key]]] = []
        self.registry.subscribe(lambda group, snapshot, keys: self.told.append((group, snapshot.revision, keys)))
        self.configuration = Configuration(
            store=self.store,
            sealer=Sealer(key),
            registry=self.registry,
            plugins=CONFIGS,
            clock=self.clock,
            now=lambda: EPOCH + self.clock.seconds(),
            settled=settled,
        )

    def change(self, decide: Decision, group: str = "default") -> list[Change | Failure]:
        """Begin a change; its result is in the list once it is there."""
        results: list[Change | Failure] = []
        Deferred.fromCoroutine(self.configuration.change(group, decide)).addBoth(results.append)
        return results

    def put(self, *ids: str, group: str = "default", ttl: float | None = None) -> list[Change | Failure]:
        return self.change(lambda s, revision: Change(put=[self.route(id, revision, ttl) for id in ids]), group)

    def delete(self, *ids: str) -> list[Change | Failure]:
        return self.change(lambda s, revision: Change(delete=[("routes", id) for id in ids]))

    def route(self, id: str, index: int = 1, ttl: float | None = None) -> Resource:
        expires = None if ttl is None else EPOCH + self.clock.seconds() + ttl
        document = {"id": id, "uri": f"/{id}"}
        return decode_resource(
            "routes", id, document, CONFIGS, created_index=index, modified_index=index, expires_at=expires
        )

    def ids(self, group: str = "default") -> set[str]:
        return set(self.registry.snapshot(group).of("routes"))


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.configuration.load()
    return bench


def failure_of(results: list[Change | Failure]) -> BaseException:
    assert len(results) == 1
    assert isinstance(results[0], Failure)
    assert results[0].value is not None
    return results[0].value


# Durable, then active, then acknowledged.


def test_with_other_processes_a_change_is_acknowledged_when_it_is_active_there_too() -> None:
    waiting: list[Deferred[None]] = []

    def settled() -> Deferred[None]:
        waiting.append(Deferred())
        return waiting[-1]

    bench = Bench(settled=settled)
    bench.configuration.load()
    first = bench.put("a")
    assert (first, bench.ids()) == ([], {"a"})
    second = bench.put("b")
    assert (second, bench.ids()) == ([], {"a", "b"}), "the next change waits for the store only"
    waiting[1].callback(None)
    assert (len(first), len(second)) == (0, 1)
    waiting[0].callback(None)
    assert len(first) == 1


def test_a_change_that_the_store_refuses_is_waited_for_by_nobody() -> None:
    bench = Bench(settled=lambda: Deferred())
    bench.configuration.load()
    bench.store.trouble = "the disk is full"
    assert str(failure_of(bench.put("a"))) == "the disk is full"


def test_a_change_is_durable_before_it_is_active_and_acknowledged_after_both(bench: Bench) -> None:
    bench.store.slow = True
    result = bench.put("a")
    assert (bench.ids(), bench.told, result, bench.configuration.revision) == (set(), [], [], 0)
    bench.store.settle()
    assert isinstance(result[0], Change)
    assert bench.ids() == {"a"}
    assert bench.told == [("default", 1, frozenset({("routes", "a")}))]
    assert bench.configuration.revision == 1


def test_what_is_stored_is_sealed_and_bound_to_its_place(bench: Bench) -> None:
    bench.put("a")
    (record,) = bench.store.batches[0].put
    assert b"uri" not in record.value
    plain = Sealer(b"k" * 32).unseal(record.value, "default/routes/a")
    assert msgspec.json.decode(plain) == {"id": "a", "uri": "/a"}
    assert (record.group, record.kind, record.id, record.created_index) == ("default", "routes", "a", 1)


def test_deletions_and_several_at_once(bench: Bench) -> None:
    bench.put("a", "b")
    bench.change(lambda s, r: Change(put=[bench.route("c", r)], delete=[("routes", "a")]))
    assert bench.ids() == {"b", "c"}
    assert bench.store.batches[1].delete == [("default", "routes", "a")]
    assert bench.told[1] == ("default", 2, frozenset({("routes", "a"), ("routes", "c")}))


def test_a_change_of_nothing_is_no_change(bench: Bench) -> None:
    result = bench.change(lambda s, r: Change())
    assert isinstance(result[0], Change)
    assert (bench.store.batches, bench.told, bench.configuration.revision) == ([], [], 0)


def test_groups_share_revisions_and_nothing_else(bench: Bench) -> None:
    bench.put("a", group="one")
    bench.put("b", group="two")
    assert (bench.ids("one"), bench.ids("two"), bench.ids()) == ({"a"}, {"b"}, set())
    assert bench.registry.snapshot("two").revision == 2


def test_a_refusal_of_the_store_leaves_everything_as_it_was(bench: Bench) -> None:
    bench.put("a", ttl=50)
    bench.store.trouble = "the disk is full"
    before = bench.registry.snapshot("default")
    assert isinstance(failure_of(bench.delete("a")), StoreError)
    assert isinstance(failure_of(bench.put("b")), StoreError)
    assert bench.registry.snapshot("default") is before
    assert bench.configuration.revision == 1
    assert len(bench.told) == 1
    bench.store.trouble = ""
    bench.put("b")
    assert bench.ids() == {"a", "b"}
    assert bench.configuration.revision == 2


def test_a_decision_that_raises_changes_nothing_and_blocks_nobody(bench: Bench) -> None:
    def refuse(snapshot: Snapshot, revision: int) -> Change:
        raise LookupError("no such route")

    assert isinstance(failure_of(bench.change(refuse)), LookupError)
    bench.put("a")
    assert bench.ids() == {"a"}


def test_what_can_not_be_written_as_json_changes_nothing(bench: Bench) -> None:
    def decide(snapshot: Snapshot, revision: int) -> Change:
        document = {"id": "a", "uri": "/a", "desc": "\ud83d"}
        return Change(put=[decode_resource("routes", "a", document, CONFIGS)])

    assert isinstance(failure_of(bench.change(decide)), UnicodeEncodeError)
    assert bench.ids() == set()
    bench.put("b")
    assert bench.ids() == {"b"}


def test_writes_go_one_after_another_each_on_what_the_one_before_made(bench: Bench) -> None:
    bench.store.slow = True
    seen: list[tuple[set[str], int]] = []

    def add(id: str) -> Decision:
        def decide(snapshot: Snapshot, revision: int) -> Change:
            seen.append((set(snapshot.of("routes")), revision))
            return Change(put=[bench.route(id, revision)])

        return decide

    results = [bench.change(add(id)) for id in "abc"]
    assert seen == [(set(), 1)]
    for _ in results:
        bench.store.settle()
    assert seen == [(set(), 1), ({"a"}, 2), ({"a", "b"}, 3)]
    assert [len(result) for result in results] == [1, 1, 1]
    assert [batch.revision for batch in bench.store.batches] == [1, 2, 3]


def test_who_waits_behind_a_refused_write_decides_on_what_is_there(bench: Bench) -> None:
    bench.store.slow = True
    bench.store.trouble = "the disk is full"
    first, second = bench.put("a"), bench.put("b")
    bench.store.settle()
    bench.store.trouble = ""
    bench.store.settle()
    assert isinstance(failure_of(first), StoreError)
    assert isinstance(second[0], Change)
    assert bench.ids() == {"b"}
    assert bench.store.batches[0].revision == 1


# Starting again.


def test_what_was_stored_is_there_after_a_start(bench: Bench) -> None:
    bench.put("a", "b")
    bench.put("c", group="other")
    bench.delete("b")
    bench.configuration.close()
    again = Bench(bench.store)
    again.configuration.load()
    assert (again.ids(), again.ids("other")) == ({"a"}, {"c"})
    assert again.configuration.revision == 3
    resource = again.registry.snapshot("default").get("routes", "a")
    assert resource == bench.registry.snapshot("default").get("routes", "a")
    again.put("d")
    assert bench.store.batches[-1].revision == 4


def record(value: bytes, kind: str = "routes", id: str = "a", seal_as: str | None = None) -> Record:
    sealed = Sealer(b"k" * 32).seal(value, seal_as or f"default/{kind}/{id}")
    return Record(group="default", kind=kind, id=id, value=sealed, created_index=1, modified_index=1)


NOT_UNDERSTOOD: list[tuple[Record, str]] = [
    (record(b"{"), "default/routes/a: can't be understood: "),
    (record(b"\xff"), "default/routes/a: can't be understood: "),
    (record(b"[]"), "default/routes/a: can't be understood: expected an object"),
    (record(b"{}"), "default/routes/a: can't be understood: uri: required"),
    (record(b'{"uri":"/a","plugins":{"x":{}}}'), "default/routes/a: can't be understood: plugins.x: unknown plugin"),
    (record(b"{}", kind="spells"), "default/spells/a: can't be understood: this version knows no spells"),
    (record(b'{"uri":"/a"}', seal_as="default/routes/b"), "default/routes/a: sealed with another data key"),
]


@pytest.mark.parametrize(("stored", "message"), NOT_UNDERSTOOD, ids=[str(i) for i in range(len(NOT_UNDERSTOOD))])
def test_a_store_that_is_not_understood_is_refused_by_name(stored: Record, message: str) -> None:
    store = ClosableStore(stored)
    bench = Bench(store)
    with pytest.raises(StoreError) as caught:
        bench.configuration.load()
    assert str(caught.value).startswith(message)
    assert bench.registry.groups() == {}
    assert store.closed


class ClosableStore(SlowStore):
    """Holds one record."""

    def __init__(self, stored: Record) -> None:
        super().__init__()
        self._stored = stored
        self.closed = False

    def open(self) -> Contents:
        return Contents(revision=7, records=[self._stored])

    def close(self) -> Deferred[None]:
        self.closed = True
        return succeed(None)


def test_another_data_key_is_told() -> None:
    first = Bench()
    first.configuration.load()
    first.put("a")
    first.configuration.close()
    with pytest.raises(StoreError, match=r"^default/routes/a: sealed with another data key"):
        Bench(first.store, key=b"x" * 32).configuration.load()


# Expiry.


def test_what_expires_goes_at_its_moment_durably(bench: Bench) -> None:
    bench.put("a", ttl=10)
    bench.put("b")
    bench.put("c", ttl=20, group="other")
    bench.clock.advance(9.9)
    assert bench.ids() == {"a", "b"}
    bench.clock.advance(0.1)
    assert bench.ids() == {"b"}
    assert bench.store.batches[-1].delete == [("default", "routes", "a")]
    assert bench.ids("other") == {"c"}
    bench.clock.advance(10)
    assert bench.ids("other") == set()
    assert bench.clock.getDelayedCalls() == []


def test_a_replacement_without_end_lives_on(bench: Bench) -> None:
    bench.put("a", ttl=10)
    bench.put("a")
    assert bench.clock.getDelayedCalls() == []
    bench.clock.advance(100)
    assert bench.ids() == {"a"}


def test_a_later_end_counts(bench: Bench) -> None:
    bench.put("a", ttl=10)
    bench.put("a", ttl=30)
    bench.clock.advance(29)
    assert bench.ids() == {"a"}
    bench.clock.advance(1)
    assert bench.ids() == set()


def test_what_is_deleted_needs_no_timer(bench: Bench) -> None:
    bench.put("a", ttl=10)
    bench.delete("a")
    assert bench.clock.getDelayedCalls() == []


def test_a_far_end_is_waited_for_in_steps(bench: Bench) -> None:
    bench.put("a", ttl=LONGEST_TIMER * 2.5)
    for _ in range(2):
        assert [call.getTime() - bench.clock.seconds() for call in bench.clock.getDelayedCalls()] == [LONGEST_TIMER]
        bench.clock.advance(LONGEST_TIMER)
        assert bench.ids() == {"a"}
    bench.clock.advance(LONGEST_TIMER / 2)
    assert bench.ids() == set()


def test_what_expired_while_nobody_ran_goes_at_the_start(bench: Bench) -> None:
    bench.put("a", ttl=10)
    bench.configuration.close()
    bench.clock.advance(60)
    again = Bench(bench.store, bench.clock)
    again.configuration.load()
    bench.clock.advance(0)
    assert again.ids() == set()
    assert bench.clock.getDelayedCalls() == []


def test_an_object_that_was_renewed_while_its_deletion_waited_stays(bench: Bench) -> None:
    bench.put("a", ttl=10)
    bench.store.slow = True
    renewed = bench.put("a", ttl=100)
    bench.clock.advance(10)  # the deletion waits its turn
    bench.store.settle()
    assert isinstance(renewed[0], Change)
    assert bench.ids() == {"a"}
    assert bench.store.waiting == []
    assert [call.getTime() for call in bench.clock.getDelayedCalls()] == [100]


@pytest.fixture
def errors() -> Iterator[list[LogEvent]]:
    seen: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.error:
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def test_a_store_that_refuses_is_tried_again(bench: Bench, errors: list[LogEvent]) -> None:
    bench.put("a", ttl=10)
    bench.store.trouble = "the disk is full"
    bench.clock.advance(10)
    assert bench.ids() == {"a"}
    assert [event["error"] for event in errors] == ["the disk is full"]
    bench.store.trouble = ""
    bench.clock.advance(RETRY_EXPIRY)
    assert bench.ids() == set()
    assert bench.clock.getDelayedCalls() == []


def test_there_is_one_timer_whatever_happens_while_an_expiry_waits(bench: Bench, errors: list[LogEvent]) -> None:
    bench.put("a", ttl=10)
    bench.store.slow = True
    bench.put("b", ttl=1000)
    bench.clock.advance(10)  # the deletion of a waits behind b
    bench.store.settle()
    bench.store.trouble = "the disk is full"
    while bench.store.waiting:
        bench.store.settle()
    assert len(bench.clock.getDelayedCalls()) == 1
    bench.configuration.close()
    assert bench.clock.getDelayedCalls() == []


def test_nothing_is_tried_again_once_it_is_closed(bench: Bench, errors: list[LogEvent]) -> None:
    bench.put("a", ttl=10)
    bench.store.slow = True
    bench.clock.advance(10)
    bench.configuration.close()
    bench.store.trouble = "is not open"
    bench.store.settle()
    assert bench.clock.getDelayedCalls() == []


def test_close_stops_the_timer_and_closes_the_store(bench: Bench) -> None:
    bench.put("a", ttl=10)
    closed: list[None] = []
    bench.configuration.close().addCallback(closed.append)
    assert closed == [None]
    assert bench.clock.getDelayedCalls() == []
    assert isinstance(failure_of(bench.put("b")), StoreError)


# Cancelling.


def test_who_stops_waiting_does_not_stop_the_write(bench: Bench) -> None:
    """A client may leave at any moment; store and registry stay in step."""
    bench.store.slow = True

    def decide(snapshot: Snapshot, revision: int) -> Change:
        return Change(put=[bench.route("a", revision)])

    writing = Deferred.fromCoroutine(bench.configuration.change("default", decide))
    results: list[Change | Failure] = []
    writing.addBoth(results.append)
    writing.cancel()
    assert isinstance(failure_of(results), CancelledError)
    bench.store.settle()
    assert bench.ids() == {"a"}
    assert bench.configuration.revision == 1
    bench.put("b")
    bench.store.settle()
    assert [batch.revision for batch in bench.store.batches] == [1, 2]
