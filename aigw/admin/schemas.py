"""``/schema`` and ``/plugins``: what may be configured, and whether a document would be accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aigw.admin.answers import Answer, Refusal
from aigw.admin.call import Call
from aigw.admin.edge import Edge
from aigw.admin.writing import Writer
from aigw.model.kinds import KINDS
from aigw.model.schema import did_you_mean, json_schema


@attrs.frozen(kw_only=True)
class Schemas:
    """Handlers. ``catalogue``: plugin name -> plugin class."""

    catalogue: Mapping[str, Any]
    writer: Writer

    def mount(self, edge: Edge) -> None:
        """Answer under ``/apisix/admin/plugins`` and ``/apisix/admin/schema``."""
        edge.route("GET", "/apisix/admin/plugins/list", self.plugins)
        edge.route("GET", "/apisix/admin/plugins/<name>", self.plugin)
        edge.route("GET", "/apisix/admin/schema/plugins/<name>", self.plugin)
        edge.route("GET", "/apisix/admin/schema/<kind>", self.kind)
        edge.route("POST", "/apisix/admin/schema/validate/<kind>", self.validate)

    async def plugins(self, call: Call) -> Answer:
        """The names of all plugins, the one that acts first first."""
        plugins = sorted(self.catalogue.values(), key=lambda plugin: (-plugin.priority, plugin.name))
        return Answer(body=[plugin.name for plugin in plugins])

    async def plugin(self, call: Call, name: str) -> Answer:
        """The JSON schema of a plugin's configuration."""
        if name not in self.catalogue:
            raise Refusal(404, "unknown plugin" + did_you_mean(name, self.catalogue))
        return Answer(body=json_schema(self.catalogue[name].Config))

    async def kind(self, call: Call, kind: str) -> Answer:
        """The JSON schema of a kind of resource."""
        return Answer(body=json_schema(KINDS[_known(kind)].type))

    async def validate(self, call: Call, kind: str) -> Answer:
        """Would a document be accepted, as far as it alone can tell (references and tokens are not looked up)?"""
        warnings = self.writer.validate(_known(kind), call.document())
        return Answer(body={"warnings": warnings} if warnings else {})


def _known(kind: str) -> str:
    """APISIX says ``route`` here, and ``routes`` there."""
    for name in (kind, kind + "s"):
        if name in KINDS:
            return name
    raise Refusal(404, "unknown kind of resource" + did_you_mean(kind, KINDS))
