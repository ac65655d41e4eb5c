"""A worker's copy of the current Snapshot, which follows the parent's."""

from __future__ import annotations

from aigw.model.resource import PluginConfigs
from aigw.model.snapshot import Key, Resource
from aigw.registry import Registry
from aigw.workers.messages import Change


class Follower:
    """Makes in ``registry`` the changes that the parent has made in its own."""

    def __init__(self, group: str, registry: Registry, plugins: PluginConfigs) -> None:
        self._group = group
        self._registry = registry
        self._plugins = plugins
        self._put: list[Resource] = []
        self._delete: list[Key] = []

    def follow(self, change: Change) -> bool:
        """Take a change, or a part of it. Returns whether it is made now.

        :raises Invalid: if this version can't understand it.
        """
        self._put.extend(document.resource(self._plugins) for document in change.put)
        self._delete.extend(change.delete)
        if not change.last:
            return False
        put, self._put = self._put, []
        delete, self._delete = self._delete, []
        snapshot = self._registry.snapshot(self._group).changed(change.revision, put, delete)
        self._registry.replace(self._group, snapshot, frozenset([*(resource.key for resource in put), *delete]))
        return True
