"""Which files the SQLite store takes, which it refuses (and then leaves to the byte), and how it upgrades."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aigw.ports import Batch, Contents, Record, StoreError
from aigw.stores import sqlite_file
from aigw.stores.sqlite import SqliteStore
from aigw.stores.sqlite_layout import APPLICATION_ID, UPGRADES, VERSION
from aigw.stores.testing import Turnstile

LAYOUT_1 = f"""
PRAGMA journal_mode = WAL;
PRAGMA application_id = {APPLICATION_ID};
CREATE TABLE resources (
    key TEXT PRIMARY KEY, -- group/kind/id
    value BLOB NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL
);
PRAGMA user_version = 1;
"""
"""As version 1 made its files."""

ROWS_1 = """
INSERT INTO resources VALUES ('default/routes/a', x'01', 3, 5);
INSERT INTO resources VALUES ('blue/routes/b.c', x'', 4, 4);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a store that is not there yet."""
    return tmp_path / "aigw.sqlite"


@pytest.fixture
def turnstile() -> Turnstile:
    """What `store` has instead of the reactor."""
    return Turnstile()


@pytest.fixture
def store(path: Path, turnstile: Turnstile) -> Iterator[SqliteStore]:
    """Over ``path``, not open."""
    store = SqliteStore(path, turnstile, patience=0.01)
    yield store
    turnstile.result(store.close())


def record(id: str, value: bytes = b"value", created: int = 1, modified: int = 1, group: str = "default") -> Record:
    """A route."""
    return Record(group=group, kind="routes", id=id, value=value, created_index=created, modified_index=modified)


def fill(path: Path, records: int = 200) -> None:
    """Make a store that holds something, closed."""
    turnstile = Turnstile()
    store = SqliteStore(path, turnstile)
    store.open()
    put = [record(f"r{n}", bytes(500)) for n in range(records)]
    turnstile.result(store.commit(Batch(revision=1, put=put)))
    turnstile.result(store.close())


def run(path: Path, script: str) -> None:
    """What some other program does to the file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def crash(path: Path, script: str) -> None:
    """What a program does to the file that then ends without closing it: the changes are in the log only."""
    aside = path.with_name("aside.sqlite")
    shutil.copy(path, aside)
    with closing(sqlite3.connect(aside)) as connection:
        connection.executescript(script)
        shutil.copy(aside, path)
        shutil.copy(f"{aside}-wal", f"{path}-wal")
    aside.unlink()


def files(path: Path) -> dict[str, bytes]:
    """All that lies in the directory, but for the lock and the shared memory of readers."""
    return {
        file.name: file.read_bytes() if file.is_file() else b""
        for file in path.parent.iterdir()
        if not file.name.endswith((".lock", "-shm"))
    }


def refusal(store: SqliteStore) -> str:
    """What the operator reads."""
    with pytest.raises(StoreError) as caught:
        store.open()
    return str(caught.value)


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("routes:\n" * 1000)


def random_bytes(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def directory(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.with_name("aigw.sqlite-wal").write_bytes(b"log")


def cut(path: Path) -> None:
    fill(path)
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    fill(path)
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 8192)


def of_another_application(path: Path) -> None:
    run(path, "CREATE TABLE t (a); PRAGMA application_id = 7; PRAGMA user_version = 2;")


def of_no_application(path: Path) -> None:
    run(path, "CREATE TABLE records (a);")


def newer(path: Path) -> None:
    fill(path)
    run(path, f"PRAGMA user_version = {VERSION + 1};")


def newer_in_its_log(path: Path) -> None:
    fill(path)
    crash(path, f"PRAGMA user_version = {VERSION + 1};")


def of_no_layout(path: Path) -> None:
    fill(path)
    run(path, "PRAGMA user_version = 0;")


def without_a_revision(path: Path) -> None:
    fill(path)
    run(path, "DELETE FROM gateway;")


def without_a_table(path: Path) -> None:
    fill(path)
    run(path, "DROP TABLE records;")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (empty, "not a store: no SQLite database"),
        (text, "not a store: no SQLite database"),
        (random_bytes, "not a store: no SQLite database"),
        (directory, "can't be opened: Is a directory"),
        (dangling, "missing, but its log aigw.sqlite-wal is there: restore the one or remove the other"),
        (cut, "can't be opened: database disk image is malformed"),
        (overwritten, "damaged, restore a backup: "),
        (of_another_application, "not a store: a SQLite database of another application"),
        (of_no_application, "not a store: a SQLite database of another application"),
        (newer, "written by a newer aigw (layout 3; this one knows up to 2)"),
        (newer_in_its_log, "written by a newer aigw (layout 3; this one knows up to 2)"),
        (of_no_layout, "damaged: there is no layout 0"),
        (without_a_revision, "damaged: its revision is gone"),
        (without_a_table, "can't be read: no such table: records"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_is_no_sound_store_is_refused_and_left_alone(
    path: Path, store: SqliteStore, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(path)
    before = files(path)
    for _ in range(2):
        message = refusal(store)
        assert message.startswith(f"{path}: {reason}")
        assert "\n" not in message
    assert files(path) == before


@pytest.mark.parametrize("size", [1, 16, 99, 100, 101, 511, 512, 513, 4095, 4096, 4097, 8192, -4096])
def test_a_file_that_was_cut_is_refused_and_left_alone(path: Path, store: SqliteStore, size: int) -> None:
    fill(path)
    os.truncate(path, size if size > 0 else path.stat().st_size + size)
    before = files(path)
    assert refusal(store).startswith(f"{path}: ")
    assert files(path) == before


def test_what_a_crashed_gateway_left_in_its_log_is_read(path: Path, store: SqliteStore) -> None:
    fill(path, records=1)
    crash(path, "UPDATE gateway SET revision = 9;")
    assert store.open().revision == 9


def test_a_second_gateway_is_refused(path: Path, store: SqliteStore) -> None:
    store.open()
    message = refusal(SqliteStore(path, Turnstile()))
    assert message == f"{path}.lock: another gateway (process {os.getpid()}) uses this store"


def test_the_lock_is_free_after_a_refusal_and_after_a_close(path: Path) -> None:
    path.write_bytes(b"no store")
    turnstile = Turnstile()
    assert "not a store" in refusal(SqliteStore(path, turnstile))
    path.unlink()
    for _ in range(2):
        store = SqliteStore(path, turnstile)
        store.open()
        turnstile.result(store.close())


def test_a_file_that_somebody_else_writes_to_is_refused(path: Path, store: SqliteStore) -> None:
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert refusal(store) == f"{path}: can't be opened: database is locked"
        other.execute("ROLLBACK")


def test_a_file_that_can_not_be_written_is_refused_at_once(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself would open it for reading, and fail at the first change."""
    fill(path)

    def read_only(path: Path, patience: float) -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(sqlite_file, "connect", read_only)
    assert refusal(store) == f"{path}: can't be opened: attempt to write a readonly database"


def test_a_directory_whose_parent_is_missing_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "mistyped" / "data" / "aigw.sqlite"
    message = refusal(SqliteStore(path, Turnstile()))
    assert message == f"{path.parent}: can't be the data directory: No such file or directory"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    message = refusal(SqliteStore(tmp_path / "data" / "aigw.sqlite", Turnstile()))
    assert message == f"{tmp_path / 'data'}: can't be the data directory: File exists"


def test_a_file_is_whole_or_not_there(path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that is cut off while it makes the file leaves nothing that the next start would stumble over."""
    monkeypatch.setattr(sqlite_file, "LAYOUT", ("CREATE TABLE half (a)", "no statement"))
    assert refusal(store).startswith(f"{path}: can't be opened: ")
    assert files(path) == {}
    monkeypatch.undo()
    assert store.open() == Contents(revision=0, records=[])


def shape(path: Path) -> list[object]:
    """Version and tables, read from the file itself: the log was written back."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        statements = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
        return [connection.execute(q).fetchall() for q in ("PRAGMA user_version", "PRAGMA application_id", statements)]


RECORDS_1 = [record("b.c", b"", 4, 4, "blue"), record("a", b"\x01", 3, 5)]
"""The same, as they are now."""


class TestUpgrade:
    """From layout 1 to the present one."""

    def test_every_older_layout_has_a_way_to_the_next(self) -> None:
        assert sorted(UPGRADES) == list(range(1, VERSION))

    def test_everything_is_kept(self, path: Path, store: SqliteStore) -> None:
        run(path, LAYOUT_1 + ROWS_1)
        assert store.open() == Contents(revision=5, records=RECORDS_1)

    def test_what_is_in_the_log_is_kept(self, path: Path, store: SqliteStore) -> None:
        run(path, LAYOUT_1)
        crash(path, ROWS_1)
        assert store.open() == Contents(revision=5, records=RECORDS_1)

    def test_an_empty_store_has_revision_0(self, path: Path, store: SqliteStore) -> None:
        run(path, LAYOUT_1)
        assert store.open() == Contents(revision=0, records=[])

    def test_the_result_is_as_a_new_file(self, path: Path, tmp_path: Path, store: SqliteStore) -> None:
        run(path, LAYOUT_1 + ROWS_1)
        store.open()
        fill(tmp_path / "new.sqlite", records=1)
        assert shape(path) == shape(tmp_path / "new.sqlite")

    def test_a_copy_is_put_aside_that_an_older_aigw_can_use(self, path: Path, store: SqliteStore) -> None:
        run(path, LAYOUT_1 + ROWS_1)
        copy = path.with_name("aigw.sqlite.v1")
        copy.write_text("of an upgrade that was cut off")
        store.open()
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
            assert connection.execute("SELECT key, modified FROM resources ORDER BY key").fetchall() == [
                ("blue/routes/b.c", 4),
                ("default/routes/a", 5),
            ]

    @pytest.mark.parametrize("key", ["", "/", "a//b", "no-slash", "default/one-slash", "default/routes/"])
    def test_one_that_fails_changes_nothing(self, path: Path, store: SqliteStore, key: str) -> None:
        run(path, LAYOUT_1 + ROWS_1 + f"INSERT INTO resources VALUES ('{key}', x'', 1, 1);")
        before = path.read_bytes()
        message = refusal(store)
        assert message.startswith(
            f"{path}: can't be upgraded from layout 1 (and is as it was): CHECK constraint failed"
        )
        assert path.read_bytes() == before

    def test_it_happens_once(self, path: Path, store: SqliteStore, turnstile: Turnstile) -> None:
        run(path, LAYOUT_1 + ROWS_1)
        store.open()
        turnstile.result(store.close())
        copy = path.with_name("aigw.sqlite.v1")
        copy.unlink()
        assert store.open() == Contents(revision=5, records=RECORDS_1)
        assert not copy.exists()
