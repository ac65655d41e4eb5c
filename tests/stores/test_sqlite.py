"""What the SQLite store promises beyond the contract of all stores: its file, its thread, its refusals."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from aigw.ports import Batch, Contents, Record, StoreError
from aigw.stores import sqlite as module
from aigw.stores.sqlite import GROUP, SqliteStore
from aigw.stores.sqlite_file import connect
from aigw.stores.testing import Turnstile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a store that is not there yet; nor is its directory."""
    return tmp_path / "data" / "aigw.sqlite"


@contextmanager
def opened(path: Path, turnstile: Turnstile | None = None, patience: float = 5.0) -> Iterator[SqliteStore]:
    """A store, open, and closed again."""
    turnstile = turnstile or Turnstile()
    store = SqliteStore(path, turnstile, patience=patience)
    store.open()
    try:
        yield store
    finally:
        turnstile.result(store.close())


@contextmanager
def held(path: Path) -> Iterator[None]:
    """The write lock of the file, held by a connection of somebody else."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def contents(path: Path) -> Contents:
    """What a gateway finds at its start."""
    turnstile = Turnstile()
    store = SqliteStore(path, turnstile)
    found = store.open()
    turnstile.result(store.close())
    return found


def record(id: Any = "a", value: Any = b"value", index: int = 1) -> Record:
    """A route."""
    return Record(group="default", kind="routes", id=id, value=value, created_index=index, modified_index=index)


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def store_threads() -> list[threading.Thread]:
    """Of all stores of this process."""
    return [thread for thread in threading.enumerate() if thread.name == "aigw-store"]


def test_only_the_owner_can_read_what_is_made(path: Path) -> None:
    before = os.umask(0)
    try:
        turnstile = Turnstile()
        with opened(path, turnstile) as store:
            turnstile.result(store.commit(Batch(revision=1, put=[record()])))
            modes = {file.name: mode(file) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    names = ("aigw.sqlite", "aigw.sqlite.lock", "aigw.sqlite-shm", "aigw.sqlite-wal")
    assert modes == dict.fromkeys(names, 0o600)
    assert mode(path.parent) == 0o700


def test_a_directory_that_was_there_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o750)
    contents(path)
    assert mode(path.parent) == 0o750


def test_closing_writes_the_log_back(path: Path) -> None:
    turnstile = Turnstile()
    with opened(path, turnstile) as store:
        turnstile.result(store.commit(Batch(revision=1, put=[record()])))
    assert sorted(file.name for file in path.parent.iterdir()) == ["aigw.sqlite", "aigw.sqlite.lock"]


def test_a_relative_path_is_that_of_the_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon changes its directory between making its parts and starting them."""
    monkeypatch.chdir(path.parents[1])
    turnstile = Turnstile()
    store = SqliteStore(Path("data/aigw.sqlite"), turnstile)
    monkeypatch.chdir("/")
    store.open()
    turnstile.result(store.close())
    assert path.exists()


def test_commits_reach_the_disk_before_they_return(path: Path) -> None:
    contents(path)
    with closing(connect(path, 1.0)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"


def test_a_copy_can_be_taken_while_it_is_open(path: Path, tmp_path: Path) -> None:
    """As ``sqlite3 aigw.sqlite 'VACUUM INTO ...'`` does: the copy is a store."""
    copy = tmp_path / "copy.sqlite"
    turnstile = Turnstile()
    with opened(path, turnstile) as store:
        turnstile.result(store.commit(Batch(revision=5, put=[record()])))
        with closing(sqlite3.connect(path)) as shell:
            shell.execute("VACUUM INTO ?", (str(copy),))
    assert contents(copy) == Contents(revision=5, records=[record()])


class TestThread:
    """All work after `open` is the store's own thread's; all Deferreds are the reactor's thread's."""

    def test_it_lives_from_open_to_close(self, path: Path) -> None:
        turnstile = Turnstile()
        store = SqliteStore(path, turnstile)
        assert store_threads() == []
        store.open()
        assert len(store_threads()) == 1
        turnstile.result(store.close())
        assert store_threads() == []

    def test_a_process_that_forgets_to_close_can_end(self, path: Path) -> None:
        turnstile = Turnstile()
        with opened(path, turnstile):
            assert all(thread.daemon for thread in store_threads())

    def test_a_commit_neither_waits_nor_fires_early(self, path: Path) -> None:
        turnstile = Turnstile()
        with opened(path, turnstile) as store:
            with held(path):
                commit = store.commit(Batch(revision=1, put=[record()]))
                assert not commit.called
            turnstile.result(commit)
            with closing(sqlite3.connect(path)) as other:
                assert other.execute("SELECT revision FROM gateway").fetchone() == (1,)

    def test_callbacks_run_where_the_calls_from_the_thread_do(self, path: Path) -> None:
        turnstile = Turnstile()
        seen: list[threading.Thread] = []
        with opened(path, turnstile) as store:
            turnstile.result(
                store.commit(Batch(revision=1)).addCallback(lambda _: seen.append(threading.current_thread()))
            )
        assert seen == [threading.current_thread()]

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_if_it_ends_by_a_mistake_nobody_waits_in_vain(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def mistaken(*args: object) -> None:
            raise LookupError("a mistake")

        monkeypatch.setattr(module, "write", mistaken)
        turnstile = Turnstile()
        store = SqliteStore(path, turnstile)
        store.open()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"aigw\.sqlite: "):
                turnstile.result(store.commit(Batch(revision=1)))
        turnstile.result(store.close())
        monkeypatch.undo()
        assert contents(path) == Contents(revision=0, records=[])


class TestGroups:
    """Batches that wait for the disk share a transaction, and share nothing else."""

    def test_those_that_wait_are_committed_together(self, path: Path) -> None:
        turnstile = Turnstile()
        groups: list[int] = []

        def from_thread(function: Any, *args: Any) -> None:
            groups.extend(len(outcomes) for outcomes in args)
            turnstile(function, *args)

        store = SqliteStore(path, from_thread)
        store.open()
        with held(path):
            commits = [store.commit(Batch(revision=n, put=[record(f"r{n}")])) for n in range(1, 3 * GROUP + 1)]
        turnstile.result(commits[-1])
        turnstile.result(store.close())
        assert all(commit.called for commit in commits)
        assert sum(groups) == 3 * GROUP
        assert max(groups) == GROUP
        assert len(groups) <= 4

    @pytest.mark.parametrize(
        "bad",
        [
            record("\ud83d"),
            record(index=2**63),
            record(index=-(2**63) - 1),
            record(id=["a", "list"]),
            record(id=""),
            record(id=None),
            record(value="text"),
        ],
        ids=["surrogate", "big", "small", "list", "empty-id", "no-id", "text"],
    )
    def test_a_bad_batch_fails_alone_and_whole(self, path: Path, bad: Record) -> None:
        turnstile = Turnstile()
        with opened(path, turnstile) as store:
            with held(path):
                first = store.commit(Batch(revision=1, put=[record("first")]))
                second = store.commit(
                    Batch(revision=2, put=[record("second"), bad], delete=[("default", "routes", "first")])
                )
                third = store.commit(Batch(revision=3, put=[record("third")]))
            turnstile.result(first)
            with pytest.raises(StoreError, match=r"aigw\.sqlite: can't be written: ") as caught:
                turnstile.result(second)
            turnstile.result(third)
        assert "\n" not in str(caught.value)
        assert contents(path) == Contents(revision=3, records=[record("first"), record("third")])

    def test_too_many_are_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "WAITING", 3)
        turnstile = Turnstile()
        with opened(path, turnstile) as store:
            with held(path):
                commits: list[Deferred[None]] = [store.commit(Batch(revision=n)) for n in range(1, 4)]
                with pytest.raises(StoreError, match="can't keep up"):
                    turnstile.result(store.commit(Batch(revision=4)))
            turnstile.result(commits[-1])
            turnstile.result(store.commit(Batch(revision=5)))
        assert contents(path).revision == 5


class TestTrouble:
    """A commit that fails keeps nothing, and the next one finds a store in order."""

    def test_a_full_disk(self, path: Path) -> None:
        turnstile = Turnstile()
        large = [record(f"r{n}", bytes(100_000)) for n in range(20)]
        with opened(path, turnstile) as store:
            turnstile.result(store.commit(Batch(revision=1, put=[record()])))
            with file_size_limit(1_000_000), pytest.raises(StoreError) as caught:
                turnstile.result(store.commit(Batch(revision=2, put=large)))
            assert str(caught.value).startswith(f"{path}: can't be written: ")
            turnstile.result(store.commit(Batch(revision=2, put=[record("b")])))
        assert contents(path) == Contents(revision=2, records=[record("a"), record("b")])

    def test_a_lock_that_somebody_does_not_give_back(self, path: Path) -> None:
        turnstile = Turnstile()
        with opened(path, turnstile, patience=0.01) as store:
            with held(path), pytest.raises(StoreError, match=r"aigw\.sqlite: can't be written: database is locked"):
                turnstile.result(store.commit(Batch(revision=1, put=[record()])))
            turnstile.result(store.commit(Batch(revision=1, put=[record("b")])))
        assert contents(path) == Contents(revision=1, records=[record("b")])


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes: a disk that is full, to SQLite."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
