"""The one way configuration changes: decide on the current Snapshot, commit to the store, swap, then answer.

Writes go one after another; a change is acknowledged (its awaitable returns) only when it is durable and active.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import attrs
import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from aigw.model.kinds import KINDS
from aigw.model.resource import PluginConfigs, decode_resource
from aigw.model.schema import Invalid
from aigw.model.snapshot import Key, Resource, Snapshot
from aigw.ports import Batch, Clock, Record, Store, StoreError
from aigw.registry import Registry
from aigw.stores.sealing import Sealer, WrongKey

LONGEST_TIMER = 86400.0
RETRY_EXPIRY = 5.0


@attrs.frozen(kw_only=True)
class Change:
    """What a decision wants: resources to put, keys to delete."""

    put: Sequence[Resource] = ()
    delete: Sequence[Key] = ()


Decision = Callable[[Snapshot, int], Change]
"""(the current Snapshot, the revision this change will have) -> the change; whatever it raises, nothing was changed."""


class Configuration:
    """Store and registry, kept in step. ``now``: epoch seconds (expiry is wall-clock time).

    ``settled``: what it returns is there when what the registry holds is active in other processes too; None: there are
    none.
    """

    log = Logger()

    def __init__(
        self,
        *,
        store: Store,
        sealer: Sealer,
        registry: Registry,
        plugins: PluginConfigs,
        clock: Clock,
        now: Callable[[], float] = time.time,
        settled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._registry = registry
        self._plugins = plugins
        self._clock = clock
        self._now = now
        self._settled = settled
        self._revision = 0
        self._lock = DeferredLock()
        self._expiry: IDelayedCall | None = None
        self._mortal: dict[tuple[str, Key], float] = {}
        self._closed = False

    @property
    def revision(self) -> int:
        """Of the last change of any group."""
        return self._revision

    def load(self) -> None:
        """Read the store into the registry; blocking, once, before the faces listen.

        :raises StoreError: if it can't be read, or holds what this version can't understand; it is closed again then.
        """
        contents = self._store.open()
        try:
            groups = self._understood(contents.records)
        except StoreError:
            self._store.close()
            raise
        self._revision = contents.revision
        for group, resources in groups.items():
            snapshot = Snapshot().changed(contents.revision, put=resources)
            self._registry.replace(group, snapshot, frozenset(r.key for r in resources))
            self._remember(group, Change(put=resources))
        self._schedule_expiry()

    async def change(self, group: str, decide: Decision) -> Change:
        """Decide, commit, swap. Returns the change made. Cancelling stops the waiting, never the write.

        :raises StoreError: if it could not be made durable; then nothing changed.
        """
        done: Deferred[Change] = Deferred()
        Deferred.fromCoroutine(self._change(group, decide)).chainDeferred(done)
        return await done

    def close(self) -> Deferred[None]:
        """Write what is under way, close the store."""
        self._closed = True
        self._schedule_expiry()
        return self._store.close()

    async def _change(self, group: str, decide: Decision) -> Change:
        await self._lock.acquire()
        try:
            change = decide(self._registry.snapshot(group), self._revision + 1)
            await self._commit(group, change)
        finally:
            self._lock.release()
        self._schedule_expiry()
        if self._settled is not None:
            await self._settled()
        return change

    async def _commit(self, group: str, change: Change) -> None:
        if not change.put and not change.delete:
            return
        revision = self._revision + 1
        batch = Batch(
            revision=revision,
            put=[self._sealed(group, resource) for resource in change.put],
            delete=[(group, kind, id) for kind, id in change.delete],
        )
        await self._store.commit(batch)
        self._revision = revision
        snapshot = self._registry.snapshot(group).changed(revision, change.put, change.delete)
        self._registry.replace(group, snapshot, frozenset([*(r.key for r in change.put), *change.delete]))
        self._remember(group, change)

    def _sealed(self, group: str, resource: Resource) -> Record:
        plain = msgspec.json.encode(resource.document)
        return Record(
            group=group,
            kind=resource.kind,
            id=resource.id,
            value=self._sealer.seal(plain, f"{group}/{resource.kind}/{resource.id}"),
            created_index=resource.created_index,
            modified_index=resource.modified_index,
            expires_at=resource.expires_at,
        )

    def _understood(self, records: Sequence[Record]) -> dict[str, list[Resource]]:
        groups: dict[str, list[Resource]] = {}
        for record in records:
            groups.setdefault(record.group, []).append(self._unsealed(record))
        return groups

    def _unsealed(self, record: Record) -> Resource:
        where = f"{record.group}/{record.kind}/{record.id}"
        if record.kind not in KINDS:
            raise StoreError(f"{where}: can't be understood: this version knows no {record.kind}")
        try:
            document = msgspec.json.decode(self._sealer.unseal(record.value, where))
            return decode_resource(
                record.kind,
                record.id,
                document,
                self._plugins,
                created_index=record.created_index,
                modified_index=record.modified_index,
                expires_at=record.expires_at,
            )
        except WrongKey as e:
            raise StoreError(f"{where}: {e}") from e
        except (Invalid, msgspec.DecodeError) as e:
            raise StoreError(f"{where}: can't be understood: {e}") from e

    def _remember(self, group: str, change: Change) -> None:
        for key in (*change.delete, *(r.key for r in change.put)):
            self._mortal.pop((group, key), None)
        for resource in change.put:
            if resource.expires_at is not None:
                self._mortal[(group, resource.key)] = resource.expires_at

    def _schedule_expiry(self, earliest: float = 0.0) -> None:
        """Have one timer, at the moment when the next resource expires, or in ``earliest`` seconds if that is later."""
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        self._expiry = None
        if self._mortal and not self._closed:
            wait = min(self._mortal.values()) - self._now()
            self._expiry = self._clock.callLater(min(max(wait, earliest), LONGEST_TIMER), self._start_expiring)

    def _start_expiring(self) -> None:
        expiring = Deferred.fromCoroutine(self._expire())
        expiring.addErrback(lambda f: self.log.failure("expired resources could not be deleted", failure=f))

    async def _expire(self) -> None:
        due: dict[str, list[Key]] = {}
        for (group, key), moment in self._mortal.items():
            if moment <= self._now():
                due.setdefault(group, []).append(key)
        try:
            for group, keys in due.items():
                await self.change(group, self._deletion_of(keys))
        except StoreError as e:
            self.log.error("expired resources stay until the store answers: {error}", error=str(e))
            self._schedule_expiry(RETRY_EXPIRY)
        else:
            self._schedule_expiry()

    def _deletion_of(self, keys: Sequence[Key]) -> Decision:
        def decide(snapshot: Snapshot, revision: int) -> Change:
            """Those of the keys that are still due, now that it is our turn to write."""
            resources = [resource for key in keys if (resource := snapshot.get(*key)) is not None]
            return Change(delete=[r.key for r in resources if r.expires_at is not None and r.expires_at <= self._now()])

        return decide
