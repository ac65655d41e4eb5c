"""The resources of all kinds over HTTP: one set of handlers, driven by `aigw.model.kinds.KINDS`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import TimeoutError as Overdue
from twisted.internet.task import deferLater
from twisted.logger import Logger

from aigw.admin.answers import Answer, KeyNotFound, Refusal
from aigw.admin.body import MAX_DEPTH
from aigw.admin.call import Call
from aigw.admin.edge import Edge
from aigw.admin.listing import filters_of, ordered, page_of, passes
from aigw.admin.outliving import outliving
from aigw.admin.views import Views
from aigw.admin.writing import Settled, Situation, Writer
from aigw.configuration import Change, Configuration, Decision
from aigw.model.kinds import KINDS
from aigw.model.snapshot import Resource, Snapshot
from aigw.ports import Clock
from aigw.registry import Registry

ENCODED_AT_ONCE, FILTERED_AT_ONCE = 50, 2000
"""Resources of a list that are worked on before the reactor gets a turn: a few milliseconds."""

WRITE_DEADLINE = 60.0
"""Seconds until a client is told that the store does not answer."""

MOST_TTL = 10 * 366 * 24 * 3600

COLLECTION = "/apisix/admin/<any({kinds}):kind>"
ITEM = COLLECTION + "/<id>"
PART = ITEM + "/<path:sub>"


@attrs.frozen(kw_only=True)
class Resources:
    """Handlers for collections, their items, and parts of items."""

    log = Logger()

    configuration: Configuration
    registry: Registry
    writer: Writer
    views: Views
    clock: Clock

    def mount(self, edge: Edge) -> None:
        """Answer under ``/apisix/admin/{kind}``."""
        for method, url, handler in (
            ("GET", COLLECTION, self.list),
            ("POST", COLLECTION, self.post),
            ("PUT", COLLECTION, self.put),
            ("GET", ITEM, self.read),
            ("PUT", ITEM, self.put),
            ("PATCH", ITEM, self.patch),
            ("DELETE", ITEM, self.delete),
            ("GET", PART, self.read),
            ("PATCH", PART, self.patch),
        ):
            edge.route(method, url.format(kinds=",".join(KINDS)), handler)

    async def list(self, call: Call, kind: str) -> Answer:
        """All of a kind, or a page; ``total`` counts what the filters let through."""
        passed = ordered(self.registry.snapshot(call.group).of(kind).values())
        filters = filters_of(call)
        if filters:
            everything, passed = passed, []
            async for part in self._slices(everything, FILTERED_AT_ONCE):
                passed.extend(resource for resource in part if passes(KINDS[kind], resource, filters))
        shown: list[Any] = []
        async for part in self._slices(page_of(passed, call), ENCODED_AT_ONCE):
            shown.extend(self.views.read(resource) for resource in part)
        return Answer(body={"list": shown, "total": len(passed)})

    async def read(self, call: Call, kind: str, id: str, sub: str = "") -> Answer:
        """One, or the part of it at a sub path."""
        resource = self.registry.snapshot(call.group).get(kind, id)
        if resource is None:
            raise KeyNotFound
        if call.preconditions.known(resource.modified_index):
            return Answer(status=304, revision=resource.modified_index)
        return Answer(body=self.views.read(resource, _steps(sub)), revision=resource.modified_index)

    async def put(self, call: Call, kind: str, id: str | None = None) -> Answer:
        """Create or replace; the id is in the URL, in the body, or the same in both."""
        document = call.document()
        return await self._write(call, lambda situation: self.writer.put(kind, id, document, situation))

    async def post(self, call: Call, kind: str) -> Answer:
        """Create under a generated id."""
        document = call.document()
        return await self._write(call, lambda situation: self.writer.post(kind, document, situation))

    async def patch(self, call: Call, kind: str, id: str, sub: str = "") -> Answer:
        """Change parts of one."""
        steps = _steps(sub)
        value = call.value() if steps else call.document()
        return await self._write(call, lambda situation: self.writer.patch(kind, id, steps, value, situation))

    async def delete(self, call: Call, kind: str, id: str) -> Answer:
        """Remove one."""
        force = call.flag("force")
        await self._change(call, lambda situation: self.writer.delete(kind, id, force, situation))
        return Answer(body={"deleted": "1", "key": f"/apisix/{kind}/{id}"})

    async def _slices(self, resources: Sequence[Resource], size: int) -> AsyncIterator[Sequence[Resource]]:
        """Parts of a long list; before each but the first the reactor gets a turn."""
        for start in range(0, len(resources), size):
            if start:
                await deferLater(self.clock, 0)
            yield resources[start : start + size]

    async def _write(self, call: Call, settle: Callable[[Situation], Settled]) -> Answer:
        made: list[Settled] = []

        def decide(situation: Situation) -> Change:
            made.append(settle(situation))
            return Change(put=[made[-1].resource])

        await self._change(call, decide)
        return self._written(made[-1])

    async def _change(self, call: Call, decide: Callable[[Situation], Change]) -> None:
        ttl = call.integer("ttl", MOST_TTL)

        def decide_on(snapshot: Snapshot, revision: int) -> Change:
            return decide(Situation(snapshot=snapshot, revision=revision, preconditions=call.preconditions, ttl=ttl))

        try:
            await outliving(self._commit(call.group, decide_on)).addTimeout(WRITE_DEADLINE, self.clock)
        except Overdue:
            raise Refusal(503, "the store does not answer; whether the change was made is not known yet") from None

    async def _commit(self, group: str, decide: Decision) -> None:
        change = await self.configuration.change(group, decide)
        for done, keys in (("written", [resource.key for resource in change.put]), ("deleted", change.delete)):
            for kind, id in keys:
                self.log.info("admin: {kind}/{id} of group {group} {done}", kind=kind, id=id, group=group, done=done)

    def _written(self, settled: Settled) -> Answer:
        resource = settled.resource
        body = self.views.written(resource)
        if settled.warnings:
            body["warnings"] = settled.warnings
        if settled.effective_order is not None:
            body["effective_order"] = settled.effective_order
        status = 201 if resource.created_index == resource.modified_index else 200
        return Answer(status=status, body=body, revision=resource.modified_index)


def _steps(sub: str) -> tuple[str, ...]:
    steps = tuple(step for step in sub.split("/") if step)
    if len(steps) > MAX_DEPTH:
        raise Refusal(400, "invalid sub-path: it is too long")
    return steps
