"""OpenAI (https://platform.openai.com/docs/api-reference): ``max_tokens`` is deprecated there."""

from __future__ import annotations

from aigw.providers.provider import OPENAI_PATHS, Provider

PROVIDER = Provider(
    name="openai",
    base="https://api.openai.com",
    paths=OPENAI_PATHS,
    max_tokens={"openai-chat": "max_completion_tokens", "openai-responses": "max_output_tokens"},
)
