"""From a JSON document to a Resource: its class, then each plugin's class, all complaints at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aigw.model.kinds import KINDS
from aigw.model.schema import Complaint, Findings, Invalid, Path, check, decode, did_you_mean
from aigw.model.snapshot import Resource

PluginConfigs = Mapping[str, type]
"""Plugin name -> the class of its configuration."""


def examine(kind: str, document: Any, plugins: PluginConfigs) -> Findings:
    """Complaints, unknown fields and secrets of a whole document, its plugins' configurations included."""
    findings = check(document, KINDS[kind].type)
    for name, config in _plugin_documents(document).items():
        if name not in plugins:
            findings.complaints.append(Complaint(("plugins", name), "unknown plugin" + did_you_mean(name, plugins)))
            continue
        inner = check(config, plugins[name])
        for target, source in zip(_lists(findings), _lists(inner), strict=True):
            target.extend(attrs.evolve(c, path=("plugins", name, *c.path)) for c in source)
        findings.secrets.extend(("plugins", name, *path) for path in inner.secrets)
    return findings


def decode_resource(
    kind: str,
    id: str,
    document: dict[str, Any],
    plugins: PluginConfigs,
    *,
    created_index: int = 0,
    modified_index: int = 0,
    expires_at: float | None = None,
) -> Resource:
    """The typed resource of a document (which is kept as it is).

    :raises Invalid: with all complaints.
    """
    findings = examine(kind, document, plugins)
    if findings.complaints:
        raise Invalid(findings.complaints)
    value: Any = decode(document, KINDS[kind].type)
    configs: dict[str, Any] = {}
    for name, config in _plugin_documents(document).items():
        try:
            configs[name] = decode(config, plugins[name])
        except Invalid as e:
            raise e.under("plugins", name) from None
    return Resource(
        kind=kind,
        id=id,
        document=document,
        value=value,
        plugins=configs,
        created_index=created_index,
        modified_index=modified_index,
        expires_at=expires_at,
    )


def at(document: Any, path: Path) -> Any:
    """What stands at a path of a document.

    :raises LookupError: if nothing does.
    """
    for step in path:
        if isinstance(document, dict) or (isinstance(document, list) and isinstance(step, int)):
            document = document[step]  # type: ignore[index]
        else:
            raise LookupError(step)
    return document


def _plugin_documents(document: Any) -> dict[str, dict[str, Any]]:
    plugins = document.get("plugins") if isinstance(document, dict) else None
    if not isinstance(plugins, dict):
        return {}
    return {name: config for name, config in plugins.items() if isinstance(config, dict)}


def _lists(findings: Findings) -> tuple[list[Complaint], list[Complaint]]:
    return findings.complaints, findings.unknown
