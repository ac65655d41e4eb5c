"""What is wrong with a document, and what may not be meant: all complaints at once, then warnings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from aigw.model.advice import Advice
from aigw.model.fields import shell_variable_hint
from aigw.model.kinds import KINDS, Kind
from aigw.model.resource import at
from aigw.model.schema import Complaint, Findings, Path, render_path
from aigw.model.snapshot import Resource, Snapshot

MAX_SHOWN = 50
"""Complaints and warnings in one reply, at most."""

_FIELD = re.compile(r"[\w.\-]+(\[\d+\][\w.\-]*)*: ")
_UNEXPANDED = re.compile(r"(^|\s)\$(\{[A-Z_][A-Z0-9_]*\}|[A-Z_][A-Z0-9_]*)$")


def joined(complaints: Iterable[Complaint]) -> str:
    """All complaints as one line."""
    return "; ".join(limited([str(c) for c in complaints]))


def limited(lines: list[str]) -> list[str]:
    """Not more lines than anybody reads."""
    rest = len(lines) - MAX_SHOWN
    return [*lines[:MAX_SHOWN], f"and {rest} more"] if rest > 0 else lines


def complaints_about(
    kind: Kind, document: Mapping[str, Any], findings: Findings, snapshot: Snapshot | None
) -> list[Complaint]:
    """All that is wrong with a document, its references included (None: they are not looked up)."""
    complaints = [hinted(complaint, document) for complaint in findings.complaints]
    if snapshot is None:
        return complaints
    wrong = {complaint.path for complaint in complaints}
    return complaints + [c for c in _dangling(kind, document, snapshot) if c.path not in wrong]


def hinted(complaint: Complaint, document: Any) -> Complaint:
    """The complaint, unless what it is about is a shell variable that was not expanded: then how to quote it."""
    try:
        value = at(document, complaint.path)
    except LookupError:
        return complaint
    # A complaint that does not show its value is about a secret; the hint would show it.
    if not isinstance(value, str) or ", got " not in complaint.message:
        return complaint
    field = next((step for step in reversed(complaint.path) if isinstance(step, str)), "")
    hint = shell_variable_hint(field, value)
    return attrs.evolve(complaint, message=hint) if hint else complaint


def _dangling(kind: Kind, document: Mapping[str, Any], snapshot: Snapshot) -> Iterator[Complaint]:
    """References of a document to what does not exist."""
    for field, target in kind.references.items():
        id = document.get(field)
        if isinstance(id, str) and snapshot.get(target, id) is None:
            yield Complaint((field,), f"refers to /apisix/{target}/{id}, which does not exist")


def referrers(kind: str, id: str, snapshot: Snapshot) -> list[str]:
    """The keys of everything that refers to an object, sorted."""
    return sorted(
        f"/apisix/{other.name}/{resource.id}"
        for other in KINDS.values()
        for field, target in other.references.items()
        if target == kind
        for resource in snapshot.of(other.name).values()
        if resource.document.get(field) == id
    )


def unexpanded(secrets: Mapping[Path, str]) -> Iterator[str]:
    """Warnings about secrets that end in what a shell should have expanded; they quote nothing of the secret."""
    for path, secret in secrets.items():
        if _UNEXPANDED.search(secret):
            yield (
                f"{render_path(path)}: seems to hold a shell variable that was not expanded (single quotes keep a"
                """ shell from it); close the quotes around it: '"$VARIABLE"'"""
            )


def advice(resource: Resource, defaults: Any) -> Advice:
    """What the plugins of a resource say about their configurations, as one; ``defaults``: the gateway's."""
    warnings: list[str] = []
    order = None
    for name, config in sorted(resource.plugins.items()):
        advise = getattr(config, "advise", None)
        if advise is None:
            continue
        said = advise(defaults)
        warnings.extend(_of_plugin(name, warning) for warning in said.warnings)
        order = order if said.effective_order is None else said.effective_order
    return Advice(warnings=warnings, effective_order=order)


def _of_plugin(name: str, warning: str) -> str:
    """A plugin names fields as it sees them."""
    return f"plugins.{name}.{warning}" if _FIELD.match(warning) else f"plugins.{name}: {warning}"
