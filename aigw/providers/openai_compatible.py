"""Whatever answers OpenAI's paths: vLLM, Ollama, LM Studio, Together AI, Groq, Fireworks, an internal service."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import attrs

from aigw.providers.provider import OPENAI_PATHS, Provider

Spoken = Literal["openai-chat", "openai-responses", "openai-embeddings", "anthropic-messages", "anthropic-count-tokens"]
_USUAL: tuple[Spoken, ...] = ("openai-chat", "openai-responses", "openai-embeddings")


@attrs.frozen(kw_only=True)
class CompatibleConf:
    """``dialects``: those that the server answers itself; what it does not is converted to one of them.

    vLLM, Ollama and others have Anthropic's API, too; many older ones have no Responses API.
    """

    dialects: list[Spoken] = attrs.field(factory=lambda: [*_USUAL])

    @property
    def not_spoken(self) -> Collection[str]:
        """The others."""
        return set(get_args(Spoken)) - set(self.dialects)


PROVIDER = Provider(
    name="openai-compatible",
    base=None,
    paths={
        **OPENAI_PATHS,
        "anthropic-messages": "/v1/messages",
        "anthropic-count-tokens": "/v1/messages/count_tokens",
    },
    max_tokens={"openai-responses": "max_output_tokens"},
    conf=CompatibleConf,
    conf_always=True,
)
