"""What an instance changes in a request body: decided when the route is compiled, applied per attempt.

Order, as in APISIX: ``options`` overwrite, then ``override.llm_options``, then ``override.request_body``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from msgspec import Raw

from aigw.dialects.body import Body, deep_merge
from aigw.dialects.rawjson import encode
from aigw.llm.config import Model
from aigw.providers.provider import Provider

LIMIT_NAMES: Mapping[str, frozenset[str]] = {
    "openai-chat": frozenset({"max_tokens", "max_completion_tokens"}),
    "openai-responses": frozenset({"max_tokens", "max_output_tokens"}),
    "openai-embeddings": frozenset(),
    "anthropic-count-tokens": frozenset(),
    "vertex-predict": frozenset(),
}
"""What the completion's maximum length is called, by dialect; in others ``max_tokens``. What generates nothing has
none."""

ONLY_OPTIONS: Mapping[str, frozenset[str]] = {
    "anthropic-count-tokens": frozenset({"model", "system", "thinking", "tool_choice", "tools", "output_config"}),
}
"""What of an instance's ``options`` a dialect has, where that is known and less than what generates answers
(https://docs.anthropic.com/en/api/messages-count-tokens, which refuses other fields).
"""


@attrs.frozen(kw_only=True)
class Shape:
    """The changes to a body of one dialect.

    ``sets``: overwrites the client's fields; ``nested``: members of them. ``limit_field``: what the vendor calls
    the completion's maximum length; ``limit_names``: all its names in this dialect. ``limit``: from
    ``llm_options``, or None. ``patch``: merged in. ``force``: does the patch overwrite what the client said?
    ``force_limit``: does the limit? ``drops``: fields the vendor refuses.
    """

    sets: Mapping[str, Any]
    nested: Mapping[str, Mapping[str, Any]]
    limit_field: str
    limit_names: frozenset[str]
    limit: int | None
    patch: Mapping[str, Any]
    force: bool
    force_limit: bool
    drops: frozenset[str]
    _renamed: frozenset[str] = attrs.field(init=False)
    _is_plain: bool = attrs.field(init=False)
    """Members are set, and that is all (of a body that has no limit by another name)."""

    @_renamed.default
    def _other_names(self) -> frozenset[str]:
        return self.limit_names - {self.limit_field}

    @_is_plain.default
    def _only_sets(self) -> bool:
        more = self.limit is not None or self.patch or self.nested or self.drops
        return not more and self._renamed.isdisjoint(self.sets)

    def outgoing(self, body: Body, extra: Mapping[str, Any]) -> bytes:
        """The body as it leaves, with ``extra`` fields set too; the client's own bytes if nothing has to change."""
        if self._is_plain and self._renamed.isdisjoint(body.members):
            return body.edited({**extra, **self.sets} if extra else self.sets)
        sets = {**extra, **self.sets}
        drops = set(self.drops)
        self._rename_limit(body, sets, drops)
        self._set_limit(body, sets, drops)
        for field, members in self.nested.items():
            self._merge(body, sets, field, members, force=True)
        for field, value in self.patch.items():
            self._merge(body, sets, field, value, self.force)
        for field in drops:
            sets.pop(field, None)
        return body.edited(sets, drops)

    def _rename_limit(self, body: Body, sets: dict[str, Any], drops: set[str]) -> None:
        """``max_tokens`` becomes what the vendor calls it; a field of that name wins."""
        for field in self._renamed:
            if field == "max_tokens" and self.limit_field not in sets:
                if field in sets:
                    sets[self.limit_field] = sets.pop(field)
                elif field in body and self.limit_field not in body:
                    sets[self.limit_field] = body.raw(field)
            if field == "max_tokens" or self.limit_field in sets:
                sets.pop(field, None)
                if field in body:
                    drops.add(field)

    def _set_limit(self, body: Body, sets: dict[str, Any], drops: set[str]) -> None:
        if self.limit is None:
            return
        said = any(name in body or name in sets for name in (self.limit_field, *self.limit_names))
        if self.force_limit or not said:
            sets[self.limit_field] = self.limit
            drops.update(name for name in self._renamed if name in body)

    def _merge(self, body: Body, sets: dict[str, Any], field: str, value: Any, force: bool) -> None:
        if field in sets or field in body:
            current = sets[field] if field in sets else body.raw(field)
            sets[field] = deep_merge({field: current}, {field: value}, force)[field]
        else:
            sets[field] = value


def shape_of(model: Model, provider: Provider, dialect: str) -> Shape:
    """Compile what an instance changes in bodies of a dialect."""
    field = provider.max_tokens_field(dialect)
    limit = model.override.llm_options.max_tokens
    patch: Mapping[str, Any] = model.override.request_body.get(dialect, {})
    if "." in field:
        limit, patch, names = None, _with_nested(patch, field, limit), frozenset[str]()
    else:
        names = LIMIT_NAMES.get(dialect, frozenset({field}))
    only = ONLY_OPTIONS.get(dialect)
    options = {name: value for name, value in model.options.items() if only is None or name in only}
    in_url = {"model"} if provider.names_model(dialect) else set()
    return Shape(
        sets={name: Raw(encode(value)) for name, value in options.items() if name not in provider.options},
        nested=_nested(options, provider.options),
        limit_field=field,
        limit_names=names,
        limit=limit if names else None,
        patch=patch,
        force=model.override.request_body_force_override,
        force_limit=model.override.request_body_force_override,
        drops=provider.drops | in_url,
    )


def _with_nested(patch: Mapping[str, Any], field: str, limit: int | None) -> Mapping[str, Any]:
    """``patch``, which wins, with a limit whose field is in an object (``inferenceConfig.maxTokens``)."""
    if limit is None:
        return patch
    outer, _, inner = field.partition(".")
    return deep_merge({outer: {inner: limit}}, patch, force=True)


def _nested(options: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The options that the vendor has inside an object, by that."""
    found: dict[str, dict[str, Any]] = {}
    for name, place in places.items():
        if name in options:
            outer, _, inner = place.partition(".")
            found.setdefault(outer, {})[inner] = options[name]
    return found
