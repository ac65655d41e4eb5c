"""The whole configuration of one gateway group at one revision: immutable, replaced whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

Key = tuple[str, str]
"""(kind, id), as in ("routes", "vllm-route")."""


@attrs.frozen(kw_only=True)
class Resource:
    """One object of the admin API.

    ``document``: what the operator wrote, secrets included, with ``id``, ``create_time`` and ``update_time``; never
    mutated. ``value``: the same, typed (`aigw.model.route.Route` ...). ``plugins``: plugin name -> typed
    configuration. ``expires_at``: epoch seconds, or None.
    """

    kind: str
    id: str
    document: Mapping[str, Any] = attrs.field(repr=False)
    value: Any
    plugins: Mapping[str, Any]
    created_index: int
    modified_index: int
    expires_at: float | None = None

    @property
    def key(self) -> Key:
        """(kind, id)."""
        return (self.kind, self.id)


@attrs.frozen(kw_only=True)
class Snapshot:
    """``resources``: kind -> id -> Resource. ``revision``: of the last change that is in it (0 = empty)."""

    revision: int = 0
    resources: Mapping[str, Mapping[str, Resource]] = attrs.field(factory=dict)

    def get(self, kind: str, id: str) -> Resource | None:
        """The resource, or None."""
        return self.resources.get(kind, {}).get(id)

    def of(self, kind: str) -> Mapping[str, Resource]:
        """All resources of a kind, by id."""
        return self.resources.get(kind, {})

    def changed(self, revision: int, put: Iterable[Resource] = (), delete: Iterable[Key] = ()) -> Snapshot:
        """A new Snapshot with these resources put and these keys gone; costs one dict copy per kind touched."""
        resources = dict(self.resources)
        copies: dict[str, dict[str, Resource]] = {}

        def copy(kind: str) -> dict[str, Resource]:
            if kind not in copies:
                resources[kind] = copies[kind] = dict(resources.get(kind, {}))
            return copies[kind]

        for resource in put:
            copy(resource.kind)[resource.id] = resource
        for kind, id in delete:
            copy(kind).pop(id, None)
        return Snapshot(revision=revision, resources=resources)
