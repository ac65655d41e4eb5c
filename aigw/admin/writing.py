"""Decisions: from the current Snapshot and what was asked to the resource that is to be stored. Pure but for ``now``.

Everything in here runs inside `Configuration.change`, on the Snapshot that the change will replace.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from aigw.admin.answers import KeyNotFound, Refusal
from aigw.admin.body import MAX_BODY, check_depth
from aigw.admin.documents import NoSuchPath, merged, planted
from aigw.admin.drafts import Draft, id_of, with_text_ids, without_id
from aigw.admin.examining import advice, complaints_about, hinted, limited, referrers, unexpanded
from aigw.admin.masking import Masks, secrets_of, unmasked
from aigw.admin.preconditions import Preconditions
from aigw.configuration import Change
from aigw.model.advice import Advice
from aigw.model.kinds import KINDS
from aigw.model.resource import PluginConfigs, decode_resource, examine
from aigw.model.schema import Findings, Invalid, Path
from aigw.model.snapshot import Resource, Snapshot

MAX_DOCUMENT = 2 * MAX_BODY
"""Bytes of a stored object."""

MAX_NAMED = 10
"""Referrers that a refused DELETE names, at most."""


@attrs.frozen(kw_only=True)
class Situation:
    """``snapshot``: the current one. ``revision``: of the change. ``ttl``: seconds, 0 = no end, None = unsaid."""

    snapshot: Snapshot
    revision: int
    preconditions: Preconditions
    ttl: int | None = None


@attrs.frozen(kw_only=True)
class Settled:
    """A resource that is good to be stored, and what its author should know."""

    resource: Resource
    warnings: Sequence[str]
    effective_order: Sequence[str] | None


class Writer:
    """Decides what a request to write comes to.

    Everything raises `Refusal` or `aigw.model.schema.Invalid`. ``now``: epoch seconds. ``defaults``: the gateway's,
    for the plugins' advice.
    """

    def __init__(self, *, configs: PluginConfigs, masks: Masks, defaults: Any, now: Callable[[], float]) -> None:
        self._configs = configs
        self._masks = masks
        self._defaults = defaults
        self._now = now

    def put(self, kind: str, id: str | None, document: Mapping[str, Any], situation: Situation) -> Settled:
        """Create or replace; ``id``: of the URL, None = the body has it. Without a ttl it lives forever."""
        document = with_text_ids(KINDS[kind], document)
        own = id_of(document, id)
        stored = situation.snapshot.get(kind, own) if isinstance(own, str) else None
        situation.preconditions.check(stored.modified_index if stored else None)
        draft = Draft(
            kind=KINDS[kind], id=own, document=document, stored=stored, expires_at=self._expiry(situation.ttl)
        )
        return self._settle(draft, situation)

    def post(self, kind: str, document: Mapping[str, Any], situation: Situation) -> Settled:
        """Create, under an id as etcd generates them (20 digits)."""
        document = with_text_ids(KINDS[kind], document)
        without_id(document)
        taken = situation.snapshot.of(kind)
        id = next(id for n in itertools.count(situation.revision) if (id := f"{n:020d}") not in taken)
        draft = Draft(kind=KINDS[kind], id=id, document=document, stored=None, expires_at=self._expiry(situation.ttl))
        return self._settle(draft, situation)

    def patch(self, kind: str, id: str, steps: Sequence[str], value: Any, situation: Situation) -> Settled:
        """Merge a value into an object, or (``steps``) put it in the place of the one at a sub path.

        Without a ttl it expires when it would have.
        """
        stored = self._existing(kind, id, situation)
        try:
            document = planted(stored.document, steps, value) if steps else merged(stored.document, value)
        except NoSuchPath:
            raise Refusal(400, f"invalid sub-path: /{'/'.join(steps)}") from None
        document = with_text_ids(KINDS[kind], document)
        id_of(document, id)
        expires_at = stored.expires_at if situation.ttl is None else self._expiry(situation.ttl)
        draft = Draft(kind=KINDS[kind], id=id, document=document, stored=stored, expires_at=expires_at)
        return self._settle(draft, situation)

    def delete(self, kind: str, id: str, force: bool, situation: Situation) -> Change:
        """Let an object go that nothing refers to."""
        self._existing(kind, id, situation)
        using = [] if force else referrers(kind, id, situation.snapshot)
        if using:
            rest = len(using) - MAX_NAMED
            names = ", ".join(using[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
            raise Refusal(400, f"can not delete /apisix/{kind}/{id}: in use by {names} (?force=true deletes it anyway)")
        return Change(delete=[(kind, id)])

    def validate(self, kind: str, document: Mapping[str, Any]) -> Sequence[str]:
        """Examine a document that is not to be stored; the warnings about it."""
        document = with_text_ids(KINDS[kind], document)
        findings = examine(kind, document, self._configs)
        complaints = complaints_about(KINDS[kind], document, findings, None)
        if complaints:
            raise Invalid(complaints)
        draft = Draft(kind=KINDS[kind], id="", document=document, stored=None, expires_at=None)
        resource = self._resource(draft, document, 0)
        return _warnings(findings, secrets_of(findings, document), advice(resource, self._defaults))

    def _existing(self, kind: str, id: str, situation: Situation) -> Resource:
        stored = situation.snapshot.get(kind, id)
        if stored is None:
            raise KeyNotFound
        situation.preconditions.check(stored.modified_index)
        return stored

    def _expiry(self, ttl: int | None) -> float | None:
        return self._now() + ttl if ttl else None

    def _settle(self, draft: Draft, situation: Situation) -> Settled:
        """Examine a draft; everything that is wrong with it is said at once."""
        document = draft.dated(int(self._now()))
        _check_growth(document)
        findings = examine(draft.kind.name, document, self._configs)
        secrets = secrets_of(findings, document)
        complaints = complaints_about(draft.kind, document, findings, situation.snapshot)
        try:
            document = self._unmasked(document, secrets, draft.stored)
        except Invalid as e:
            complaints += e.complaints
        if complaints:
            raise Invalid(complaints)
        resource = self._resource(draft, document, situation.revision)
        said = advice(resource, self._defaults)
        warnings = _warnings(findings, secrets, said)
        return Settled(resource=resource, warnings=warnings, effective_order=said.effective_order)

    def _unmasked(self, document: Any, secrets: Mapping[Path, str], stored: Resource | None) -> Any:
        if stored is None:
            return unmasked(document, secrets, None, {}, self._masks)
        kept = secrets_of(examine(stored.kind, stored.document, self._configs), stored.document)
        return unmasked(document, secrets, stored.document, kept, self._masks)

    def _resource(self, draft: Draft, document: dict[str, Any], revision: int) -> Resource:
        try:
            return decode_resource(
                draft.kind.name,
                draft.id,
                document,
                self._configs,
                created_index=draft.stored.created_index if draft.stored else revision,
                modified_index=revision,
                expires_at=draft.expires_at,
            )
        except Invalid as e:
            raise Invalid([hinted(complaint, document) for complaint in e.complaints]) from None


def _check_growth(document: Mapping[str, Any]) -> None:
    """:raises Refusal: 400, if patches made a document deeper or longer than the store should hold."""
    check_depth(document)
    if len(msgspec.json.encode(document)) > MAX_DOCUMENT:
        raise Refusal(400, f"the whole object would be over the limit of {MAX_DOCUMENT} bytes")


def _warnings(findings: Findings, secrets: Mapping[Path, str], said: Advice) -> list[str]:
    return limited([*map(str, findings.unknown), *unexpanded(secrets), *said.warnings])
