"""The vendors. A new one is a data file beside these and its name in the list below."""

from __future__ import annotations

from collections.abc import Mapping

from aigw.providers import (
    aimlapi,
    anthropic,
    azure_openai,
    bedrock,
    deepseek,
    gemini,
    openai,
    openai_compatible,
    openrouter,
    vertex_ai,
)
from aigw.providers.provider import Provider

PROVIDERS: Mapping[str, Provider] = {
    module.PROVIDER.name: module.PROVIDER
    for module in (
        openai_compatible,
        openai,
        deepseek,
        anthropic,
        gemini,
        vertex_ai,
        openrouter,
        aimlapi,
        azure_openai,
        bedrock,
    )
}
