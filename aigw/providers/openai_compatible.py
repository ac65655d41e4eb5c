"""Whatever answers OpenAI's paths: vLLM, Ollama, LM Studio, Together AI, Groq, Fireworks, an internal service."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import attrs

from aigw.dialects.reasoning import Reasoning
from aigw.providers.provider import OPENAI_PATHS, Provider

Spoken = Literal["openai-chat", "openai-responses", "openai-embeddings", "anthropic-messages", "anthropic-count-tokens"]
_USUAL: tuple[Spoken, ...] = ("openai-chat", "openai-responses", "openai-embeddings")


@attrs.frozen(kw_only=True)
class CompatibleConf:
    """``dialects``: those that the server answers itself; what it does not is converted to one of them.

    vLLM, Ollama and others have Anthropic's API, too; many older ones have no Responses API. ``reasoning_fields``: in
    which of the assistant's messages the server takes back what its model thought; a strict one (Mistral, Cerebras)
    may want ``[]``, or just one of them.
    """

    dialects: list[Spoken] = attrs.field(factory=lambda: [*_USUAL])
    reasoning_fields: list[Literal["reasoning_content", "reasoning"]] = attrs.field(
        factory=lambda: ["reasoning_content", "reasoning"]
    )

    @property
    def reasoning(self) -> Reasoning:
        """What the server does with it."""
        return Reasoning(fields=tuple(self.reasoning_fields))

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
