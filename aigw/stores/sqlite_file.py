"""The SQLite file: made whole, checked before anything may change it, upgraded after a copy was put aside.

Functions of a path or a connection; which thread they run in is `aigw.stores.sqlite`'s affair. Whatever goes wrong is a
`StoreError` of one line that begins with the file's name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from operator import attrgetter
from pathlib import Path

import attrs

from aigw.ports import Batch, Contents, Record, StoreError
from aigw.stores.private import whole_file
from aigw.stores.sqlite_layout import APPLICATION_ID, LAYOUT, UPGRADES, VERSION

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_FIELDS = tuple(field.name for field in attrs.fields(Record))
_PUT = "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)"
_DELETE = 'DELETE FROM records WHERE "group" = ? AND kind = ? AND id = ?'
_values = attrgetter(*_FIELDS)


def open_file(path: Path, patience: float) -> sqlite3.Connection:
    """A connection to the store at ``path``, which is made if nothing is there.

    :param patience: seconds to wait for a lock that somebody else (a ``sqlite3`` shell) holds.
    :raises StoreError: and leaves the file as it was, to the byte.
    """
    with explained(path, "can't be opened"):
        if not path.exists():
            _make(path)
        version = _examine(path)
        with ExitStack() as undo:
            connection = undo.enter_context(closing(connect(path, patience)))
            if version < VERSION:
                _upgrade(path, connection, version)
            # Whether the file can be written shows now, not at the first change.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE gateway SET revision = revision")
            connection.execute("ROLLBACK")
            undo.pop_all()
        return connection


def connect(path: Path, patience: float) -> sqlite3.Connection:
    """A connection whose commits are on the disk when they return; to be used by one thread at a time."""
    connection = sqlite3.connect(
        _uri(path, "mode=rw"), uri=True, timeout=patience, isolation_level=None, check_same_thread=False
    )
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        connection.close()
        raise StoreError(f"{path}: can't be opened: this file system can't share memory between processes")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: its fsync alone does not reach the disk
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA journal_size_limit = 4194304")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything in the block becomes durable at its end, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def read(path: Path, connection: sqlite3.Connection) -> Contents:
    """All that the file holds."""
    with explained(path, "can't be read"):
        row = connection.execute("SELECT revision FROM gateway").fetchone()
        if row is None:
            raise StoreError(f"{path}: damaged: its revision is gone")
        rows = connection.execute('SELECT * FROM records ORDER BY "group", kind, id')
        return Contents(revision=row[0], records=[Record(**dict(zip(_FIELDS, row, strict=True))) for row in rows])


def write(connection: sqlite3.Connection, batch: Batch) -> None:
    """Carry out a batch inside a transaction: what it puts, then what it deletes."""
    connection.executemany(_PUT, map(_values, batch.put))
    connection.executemany(_DELETE, batch.delete)
    connection.execute("UPDATE gateway SET revision = ?", (batch.revision,))


def _make(path: Path) -> None:
    if _has_log(path):  # which SQLite would play back into the new file
        raise StoreError(f"{path}: missing, but its log {path.name}-wal is there: restore the one or remove the other")
    with whole_file(path) as aside, closing(sqlite3.connect(aside, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY")  # no journal on the disk for a file that has no name yet
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        with transaction(connection):
            _run(connection, LAYOUT, VERSION)


def _examine(path: Path) -> int:
    """The version of a store that is sound and that this code can read; changes nothing."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):  # SQLite takes the shortest files for new ones
            raise StoreError(f"{path}: not a store: no SQLite database")
    # Without a log, the file can be read without leaving a reader's marks (-wal, -shm) beside it.
    mode = "mode=ro" if _has_log(path) else "mode=ro&immutable=1"
    with closing(sqlite3.connect(_uri(path, mode), uri=True)) as connection:
        return _judge(path, connection)


def _judge(path: Path, connection: sqlite3.Connection) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{path}: not a store: a SQLite database of another application")
    if version > VERSION:
        raise StoreError(f"{path}: written by a newer aigw (layout {version}; this one knows up to {VERSION})")
    if version != VERSION and version not in UPGRADES:
        raise StoreError(f"{path}: damaged: there is no layout {version}")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreError(f"{path}: damaged, restore a backup: {' '.join(verdict.split())}")
    return int(version)


def _upgrade(path: Path, connection: sqlite3.Connection, version: int) -> None:
    """From ``version`` to the current layout, at once, with the file as it was put aside as ``NAME.vVERSION``."""
    copy = path.with_name(f"{path.name}.v{version}")
    copy.unlink(missing_ok=True)  # of an upgrade that did not come to its end
    with explained(path, f"can't be upgraded from layout {version} (and is as it was)"):
        with whole_file(copy) as aside:
            connection.execute("VACUUM INTO ?", (str(aside),))
        with transaction(connection):
            for step in range(version, VERSION):
                _run(connection, UPGRADES[step], step + 1)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _run(connection: sqlite3.Connection, statements: Sequence[str], version: int) -> None:
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")


def _has_log(path: Path) -> bool:
    """Did the last gateway end without closing the store (or does a ``sqlite3`` shell write to it)?"""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _uri(path: Path, query: str) -> str:
    return f"{path.absolute().as_uri()}?{query}"


@contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise StoreError(f"{path}: {what}: {e.strerror or e}") from e
    except sqlite3.Error as e:
        raise StoreError(f"{path}: {what}: {e}") from e
