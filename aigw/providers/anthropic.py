"""Anthropic (https://docs.anthropic.com/en/api): its Messages API, and chat through its OpenAI SDK compatibility layer.

https://docs.anthropic.com/en/api/versioning: every request to the Messages API has to name a version. Clients that
speak another dialect know nothing of it, so one goes along where neither they nor ``auth.header`` say which.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import attrs
from msgspec import Meta

from aigw.providers.provider import Provider

VERSION = "2023-06-01"
"""What converted requests are written for, sampling parameters included, which the next version (2026-10-21) has not
(https://platform.claude.com/docs/en/api/versioning). Clients that speak to Anthropic themselves say their own, and an
operator may in ``auth.header``.
"""


@attrs.frozen(kw_only=True)
class AnthropicConf:
    """``native``: chat clients are converted to the Messages API, which has all of the models' abilities, instead of
    using the compatibility layer (https://docs.anthropic.com/en/api/openai-sdk), which is meant for trying them out.
    """

    native: Annotated[bool, Meta(description="send chat clients through the native Messages API")] = False

    @property
    def rather_converted(self) -> Collection[str]:
        """The dialects that are converted although Anthropic has an endpoint for them."""
        return ("openai-chat",) if self.native else ()


PROVIDER = Provider(
    name="anthropic",
    base="https://api.anthropic.com",
    paths={
        "openai-chat": "/v1/chat/completions",
        "anthropic-messages": "/v1/messages",
        "anthropic-count-tokens": "/v1/messages/count_tokens",
    },
    headers={"anthropic-version": VERSION},
    conf=AnthropicConf,
    conf_always=True,
)
