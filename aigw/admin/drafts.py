"""What an administrator sent, made ready to be examined: whose id it has, and when it was written. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aigw.admin.answers import Refusal
from aigw.model.kinds import Kind
from aigw.model.snapshot import Resource

TIMES = ("create_time", "update_time")


@attrs.frozen(kw_only=True)
class Draft:
    """A document not examined yet. ``stored``: what it would replace. ``expires_at``: epoch seconds, or None."""

    kind: Kind
    id: Any
    document: Mapping[str, Any]
    stored: Resource | None
    expires_at: float | None

    def dated(self, now: int) -> dict[str, Any]:
        """The document with its id first and the server's times last (epoch seconds); a client's own don't count."""
        created = now if self.stored is None else self.stored.document.get("create_time", now)
        rest = {name: value for name, value in self.document.items() if name not in ("id", *TIMES)}
        return {"id": self.id, **rest, "create_time": created, "update_time": now}


def with_text_ids(kind: Kind, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with ids as strings: APISIX takes ``"id": 1``, too."""
    result = dict(document)
    for field in ("id", *kind.references):
        value = result.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            result[field] = str(value)
    return result


def id_of(document: Mapping[str, Any], id: str | None) -> Any:
    """The id of a document that was sent to the URL of ``id`` (None: of a collection).

    :raises Refusal: 400, if there is none, or two.
    """
    own = document.get("id")
    if own is None and id is None:
        raise Refusal(400, "id: required, in the URL or in the body")
    if own is not None and id is not None and own != id:
        raise Refusal(400, "id: is not the one of the URL")
    return own if id is None else id


def without_id(document: Mapping[str, Any]) -> None:
    """:raises Refusal: 400, if a document that is to get its id from us brings one."""
    if document.get("id") is not None:
        raise Refusal(400, "id: not with POST, which generates it; PUT creates an object with an id of yours")
