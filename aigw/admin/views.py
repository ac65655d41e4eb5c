"""What may be seen of stored resources: their documents with every secret masked, encoded once per resource."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import msgspec

from aigw.admin.answers import KeyNotFound
from aigw.admin.documents import NoSuchPath, at_steps
from aigw.admin.masking import Masks, masked, secrets_of
from aigw.model.resource import PluginConfigs, examine
from aigw.model.snapshot import Resource


def key_of(resource: Resource) -> str:
    """As APISIX writes it: ``/apisix/routes/ID``."""
    return f"/apisix/{resource.kind}/{resource.id}"


class Views:
    """Resource -> what a reader gets. The encoded documents live exactly as long as their resources."""

    def __init__(self, configs: PluginConfigs, masks: Masks) -> None:
        self._configs = configs
        self._masks = masks
        self._encoded: dict[int, tuple[weakref.ref[Resource], msgspec.Raw]] = {}

    def written(self, resource: Resource) -> dict[str, Any]:
        """``key`` and ``value``, as the reply to a write has them."""
        return {"key": key_of(resource), "value": self._value(resource)}

    def read(self, resource: Resource, steps: Sequence[str] = ()) -> dict[str, Any]:
        """``written`` and the revisions; with ``steps``, ``value`` is only what stands at that sub path.

        :raises KeyNotFound: if nothing does.
        """
        return {
            "key": key_of(resource),
            "value": self._part(resource, steps) if steps else self._value(resource),
            "createdIndex": resource.created_index,
            "modifiedIndex": resource.modified_index,
        }

    def _part(self, resource: Resource, steps: Sequence[str]) -> Any:
        try:
            return at_steps(self._masked(resource), steps)
        except NoSuchPath:
            raise KeyNotFound from None

    def _value(self, resource: Resource) -> msgspec.Raw:
        """The masked document. Resources compare by value, so they are told apart by identity here."""
        kept = self._encoded.get(id(resource))
        if kept is not None and kept[0]() is resource:
            return kept[1]
        value = msgspec.Raw(msgspec.json.encode(self._masked(resource)))
        place = id(resource)
        self._encoded[place] = (weakref.ref(resource, lambda _: self._encoded.pop(place, None)), value)
        return value

    def _masked(self, resource: Resource) -> Any:
        findings = examine(resource.kind, resource.document, self._configs)
        return masked(resource.document, secrets_of(findings, resource.document), self._masks)
