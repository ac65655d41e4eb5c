"""The durable store: one SQLite file, written by one thread of its own, so that a slow disk never stops the reactor.

Batches that queue up while the disk is busy share the next transaction (group commit). The thread sees batches and
outcomes only; the Deferreds stay in the reactor's thread.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed

from aigw.ports import Batch, Contents, StoreError
from aigw.stores.lock import locked
from aigw.stores.private import make_private_directory
from aigw.stores.sqlite_file import explained, open_file, read, transaction, write

FromThread = Callable[..., object]
"""``reactor.callFromThread``: have a function called, with arguments, in the reactor's thread."""

GROUP = 100
"""Batches in one transaction, at most."""

WAITING = 10_000
"""Batches that may wait for the disk; more are refused."""

Outcome = StoreError | None
"""Of one batch: why it was not kept, or None for durable."""

# What SQLite and its binding raise for a batch that they can't write: a full disk, but also an index over 64 bits or a
# string with a lone surrogate.
_REFUSALS = (sqlite3.Error, ValueError, TypeError, OverflowError, MemoryError)


class SqliteStore:
    """A `Store` in the file ``path``; beside it lie its lock and, while it is open, its write-ahead log.

    :param path: made absolute at once: a daemon changes its directory before it opens the store.
    :param from_thread: `reactor.callFromThread`.
    :param patience: seconds that a commit waits for a lock somebody else (a ``sqlite3`` shell) holds.
    """

    def __init__(self, path: Path, from_thread: FromThread, *, patience: float = 5.0) -> None:
        self._path = path.absolute()
        self._from_thread = from_thread
        self._patience = patience
        self._writer: _Writer | None = None
        self._waiting: deque[Deferred[None]] = deque()
        self._closing: list[Deferred[None]] = []

    def open(self) -> Contents:
        """See `Store.open`. Starts the thread, so a daemon calls it after its fork."""
        if self._writer is not None:
            raise StoreError(f"{self._path}: is open already")
        with ExitStack() as files:
            with explained(self._path.parent, "can't be the data directory"):
                make_private_directory(self._path.parent)
                files.enter_context(locked(self._path.with_name(f"{self._path.name}.lock")))
            connection = files.enter_context(closing(open_file(self._path, self._patience)))
            contents = read(self._path, connection)
            self._writer = _Writer(
                path=self._path,
                connection=connection,
                files=files.pop_all(),
                settled=partial(self._from_thread, self._settled),
                ended=partial(self._from_thread, self._ended),
            )
        self._writer.thread.start()
        return contents

    def commit(self, batch: Batch) -> Deferred[None]:
        """See `Store.commit`."""
        if self._writer is None or self._closing:
            return fail(StoreError(f"{self._path}: is not open"))
        if len(self._waiting) >= WAITING:
            return fail(StoreError(f"{self._path}: can't keep up: {WAITING} changes are waiting for the disk"))
        durable: Deferred[None] = Deferred()
        self._waiting.append(durable)
        self._writer.batches.put(batch)
        return durable

    def close(self) -> Deferred[None]:
        """See `Store.close`. The log is written back to the file, and the thread has ended, when it fires."""
        if self._writer is None:
            return succeed(None)
        if not self._closing:
            self._writer.batches.put(None)
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        return closed

    def _settled(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            durable = self._waiting.popleft()
            if outcome is None:
                durable.callback(None)
            else:
                durable.errback(outcome)

    def _ended(self) -> None:
        """The thread has ended; nobody waits in vain, even if it ended by a mistake of its own."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.thread.join()
        self._settled([StoreError(f"{self._path}: was closed by an error of its own") for _ in self._waiting])
        closers, self._closing = self._closing, []
        for closed in closers:
            closed.callback(None)


class _Writer:
    """The thread that alone touches the connection after `SqliteStore.open`.

    :param files: what to close at the end: the connection, then the lock.
    :param settled: told, in order, how the next batches came out.
    :param ended: told when everything is closed.
    """

    def __init__(
        self,
        *,
        path: Path,
        connection: sqlite3.Connection,
        files: ExitStack,
        settled: Callable[[Sequence[Outcome]], object],
        ended: Callable[[], object],
    ) -> None:
        self._path = path
        self._connection = connection
        self._files = files
        self._settled = settled
        self._ended = ended
        self.batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        """None: close after what came before."""
        # A daemon thread: a process that can't start after all (a port is taken) must not wait for a close.
        self.thread = threading.Thread(target=self._run, name="aigw-store", daemon=True)

    def _run(self) -> None:
        with ExitStack() as leaving:
            leaving.callback(self._ended)
            leaving.push(self._files)
            last = False
            while not last:
                group, last = self._next_group()
                if group:
                    self._settled(self._commit(group))

    def _next_group(self) -> tuple[list[Batch], bool]:
        """Wait for a batch; it and those that queue behind it, and whether to close after them."""
        group: list[Batch] = []
        while len(group) < GROUP:
            try:
                batch = self.batches.get(block=not group)
            except queue.Empty:
                break
            if batch is None:
                return group, True
            group.append(batch)
        return group, False

    def _commit(self, group: Sequence[Batch]) -> list[Outcome]:
        """In one transaction; if that fails each on its own, so that a bad batch fails alone."""
        try:
            with transaction(self._connection):
                for batch in group:
                    write(self._connection, batch)
        except _REFUSALS as e:
            if len(group) == 1:
                return [StoreError(f"{self._path}: can't be written: {e}")]
            return [outcome for batch in group for outcome in self._commit([batch])]
        return [None] * len(group)
