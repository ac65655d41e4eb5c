"""What there is to know of a vendor, as data: where its API lives and how it names a few fields."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

OPENAI_PATHS: Mapping[str, str] = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "openai-embeddings": "/v1/embeddings",
}


@attrs.frozen(kw_only=True)
class Provider:
    """One vendor.

    ``base``: scheme and host; None = ``override.endpoint`` is required. ``paths``: dialect -> path, for the dialects
    that it speaks natively. ``max_tokens``: dialect -> the field that limits the completion's length, where the vendor
    does not call it ``max_tokens``. ``drops``: top-level body fields that its API refuses.
    """

    name: str
    base: str | None
    paths: Mapping[str, str]
    max_tokens: Mapping[str, str] = attrs.field(factory=dict)
    drops: frozenset[str] = frozenset()

    def max_tokens_field(self, dialect: str) -> str:
        """What this vendor calls the completion's maximum length in a dialect."""
        return self.max_tokens.get(dialect, "max_tokens")
