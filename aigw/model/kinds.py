"""The kinds of resource that the admin API manages. A new kind is its class in a file of its own and a line here."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from aigw.model.route import Route
from aigw.model.service import Service


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of resource.

    ``name``: as in URLs and keys (``routes``). ``references``: field -> kind whose ids it holds.
    ``uri_fields``: the fields that the list filter ``?uri=`` searches.
    """

    name: str
    type: type
    references: Mapping[str, str] = attrs.field(factory=dict)
    uri_fields: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(name="routes", type=Route, references={"service_id": "services"}, uri_fields=("uri", "uris", "paths")),
        Kind(name="services", type=Service),
    )
}
