"""A store for tests and for ``--demo``: it lasts as long as its object, and every commit is done when it returns."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed

from aigw.ports import Batch, Contents, Record, StoreError

_Key = tuple[str, str, str]


class MemoryStore:
    """A `Store` that keeps its contents over `close` and another `open`, and loses them with the process."""

    def __init__(self) -> None:
        self._revision = 0
        self._records: dict[_Key, Record] = {}
        self._opened = False

    def open(self) -> Contents:
        """See `Store.open`."""
        if self._opened:
            raise StoreError("the memory store is open already")
        self._opened = True
        return Contents(revision=self._revision, records=[self._records[key] for key in sorted(self._records)])

    def commit(self, batch: Batch) -> Deferred[None]:
        """See `Store.commit`."""
        if not self._opened:
            return fail(StoreError("the memory store is not open"))
        for record in batch.put:
            self._records[record.group, record.kind, record.id] = record
        for key in batch.delete:
            self._records.pop(key, None)
        self._revision = batch.revision
        return succeed(None)

    def close(self) -> Deferred[None]:
        """See `Store.close`."""
        self._opened = False
        return succeed(None)
