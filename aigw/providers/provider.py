"""What there is to know of a vendor, as data: where its API lives and how it names a few fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import attrs

from aigw.dialects.reasoning import NONE, Reasoning

OPENAI_PATHS: Mapping[str, str] = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "openai-embeddings": "/v1/embeddings",
}

Signing = Literal["aws", "gcp"]
"""Whose way of authenticating each request (see `aigw.providers.auth`), and the member of ``auth`` with the keys."""


@attrs.frozen(kw_only=True)
class Provider:
    """One vendor.

    ``base``: scheme and host; None = ``override.endpoint`` is required. ``paths``: dialect -> path, for the
    dialects that it speaks natively; ``stream_paths``: the same where a stream has a path of its own. Both kinds
    are templates: ``{conf.NAME}`` is an attribute of the instance's ``provider_conf``, ``{model}`` in a path the
    model's name, in one segment, percent-encoded once. ``max_tokens``: dialect -> the field that limits the
    completion's length, where the vendor does not call it ``max_tokens``; a dot leads into an object. ``drops``:
    top-level body fields that its API refuses. ``options``: where members of an instance's ``options`` go that the
    vendor has inside an object. ``headers``: sent where neither the instance nor the client has them. ``conf``: the
    class that reads ``provider_conf`` (further members are allowed there); None = it has none. ``conf_always``: it
    is needed even if ``override.endpoint`` says where to go. ``signs``: how requests are authenticated, if
    ``auth.header`` and ``auth.query`` do not do it. ``reasoning``: what its chat completions do with that; ``conf`` may
    have a ``reasoning`` that says otherwise.
    """

    name: str
    base: str | None
    paths: Mapping[str, str]
    stream_paths: Mapping[str, str] = attrs.field(factory=dict)
    max_tokens: Mapping[str, str] = attrs.field(factory=dict)
    drops: frozenset[str] = frozenset()
    options: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    conf: type[Any] | None = None
    conf_always: bool = False
    signs: Signing | None = None
    reasoning: Reasoning = NONE

    def max_tokens_field(self, dialect: str) -> str:
        """What this vendor calls the completion's maximum length in a dialect."""
        return self.max_tokens.get(dialect, "max_tokens")

    def base_of(self, conf: Any = None) -> str | None:
        """Scheme and host for an instance with this ``provider_conf``; None if it takes an endpoint to tell."""
        return None if self.base is None else _filled(self.base, conf, "")

    def path_of(self, dialect: str, *, streams: bool = False, model: str = "", conf: Any = None) -> str | None:
        """The path for a dialect, percent-encoded; None if the vendor does not speak it, or ``conf`` lacks for it."""
        template = self.paths.get(dialect)
        if streams:
            template = self.stream_paths.get(dialect, template)
        return None if template is None else _filled(template, conf, model)

    def speaks(self, dialect: str, conf: Any = None) -> bool:
        """Does an instance take this dialect, be it at an endpoint of its own? ``conf`` may have ``not_spoken``."""
        return dialect in self.paths and dialect not in getattr(conf, "not_spoken", ())

    def rather_converts(self, dialect: str, conf: Any = None) -> bool:
        """Is a client of this dialect to be converted although the vendor speaks it? ``conf``: ``rather_converted``."""
        return dialect in getattr(conf, "rather_converted", ())

    def reasoning_of(self, conf: Any = None) -> Reasoning:
        """What the chat completions of an instance do with reasoning."""
        reasoning: Reasoning = getattr(conf, "reasoning", self.reasoning)
        return reasoning

    def names_model(self, dialect: str) -> bool:
        """Is the model a part of the path in a dialect (so that there has to be one)?"""
        return "{model}" in self.paths.get(dialect, "")


def _filled(template: str, conf: Any, model: str) -> str | None:
    if any(getattr(conf, name, None) is None for name in _OF_CONF.findall(template)):
        return None
    return template.format(conf=conf, model=quote(model, safe=""))


_OF_CONF = re.compile(r"\{conf\.(\w+)\}")
