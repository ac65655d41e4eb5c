"""Secrets are write-only: reads show tokens, and a token that comes back means "keep what is stored". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from aigw.admin.documents import replaced
from aigw.model.resource import at
from aigw.model.schema import Complaint, Findings, Invalid, Path
from aigw.stores.sealing import is_mask

_SENSITIVE = re.compile(r"auth|passw|secret|token|credential|key", re.IGNORECASE)


class Masks(Protocol):
    """What makes the tokens (`aigw.stores.sealing.Sealer`)."""

    def mask(self, secret: str) -> str:
        """The token of a secret; always the same for the same one."""


def secrets_of(findings: Findings, document: Any) -> dict[Path, str]:
    """The secrets of a document by their paths.

    An unknown field has no type that could mark it: a string in it counts as a secret if its path sounds like one
    (``auth.headers`` is a typo away from ``auth.header``).
    """
    unknown = (path for c in findings.unknown for path in _strings(at(document, c.path), c.path) if _sensitive(path))
    return {path: at(document, path) for path in (*findings.secrets, *unknown)}


def masked(document: Any, secrets: Mapping[Path, str], masks: Masks) -> Any:
    """The document as it may be shown."""
    return replaced(document, {path: masks.mask(secret) for path, secret in secrets.items()})


def unmasked(document: Any, secrets: Mapping[Path, str], stored: Any, kept: Mapping[Path, str], masks: Masks) -> Any:
    """The document with every token replaced by the secret it stands for.

    ``secrets``: of the document. ``stored``, ``kept``: what it replaces, and the secrets of that. A token stands for
    the secret at the same place, where an item of a list is the same if it has the same ``name``; else for the secret
    at the very same path; else for the only stored secret that has this token.

    :raises Invalid: for tokens that stand for nothing.
    """
    having: dict[str, dict[Path, str]] = {}
    for path, secret in kept.items():
        having.setdefault(masks.mask(secret), {})[path] = secret
    namesakes = _Namesakes(document, stored)
    found: dict[Path, str] = {}
    lost: list[Complaint] = []
    for path, text in secrets.items():
        if not is_mask(text):
            continue
        secret_meant = _meant(having.get(text, {}), namesakes.of(path), path)
        if secret_meant is None:
            lost.append(Complaint(path, "is a masked secret that matches nothing stored; send the secret itself"))
        else:
            found[path] = secret_meant
    if lost:
        raise Invalid(lost)
    return replaced(document, found)


def _meant(candidates: Mapping[Path, str], namesake: Path | None, path: Path) -> str | None:
    """The one of the secrets with some token that the token at a path stands for."""
    for place in (namesake, path):
        if place is not None and place in candidates:
            return candidates[place]
    different = set(candidates.values())
    return different.pop() if len(different) == 1 else None


class _Namesakes:
    """Where the stored document has what stands at some path of the new one, following the names of list items."""

    def __init__(self, document: Any, stored: Any) -> None:
        self._document = document
        self._stored = stored
        self._indices: dict[int, dict[str, int]] = {}

    def of(self, path: Path) -> Path | None:
        """The stored path, or None if there is nothing."""
        document, stored = self._document, self._stored
        place: list[str | int] = []
        for step in path:
            document = document[step]
            if isinstance(stored, list) and isinstance(step, int):
                step = self._index(stored, _name(document), step)
            elif not isinstance(stored, dict):
                return None
            try:
                stored = stored[step]
            except LookupError:
                return None
            place.append(step)
        return tuple(place)

    def _index(self, items: list[Any], name: str | None, default: int) -> int:
        if name is None:
            return default
        if id(items) not in self._indices:
            named = ((_name(item), index) for index, item in enumerate(items))
            self._indices[id(items)] = {name: index for name, index in named if name is not None}
        return self._indices[id(items)].get(name, default)


def _name(item: Any) -> str | None:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else None


def _sensitive(path: Path) -> bool:
    return any(_SENSITIVE.search(step) for step in path if isinstance(step, str))


def _strings(value: Any, path: Path) -> Iterator[Path]:
    """The paths of all strings in a value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _strings(inner, (*path, step))
