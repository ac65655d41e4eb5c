"""OpenRouter (https://openrouter.ai/docs/api-reference)."""

from __future__ import annotations

from aigw.providers.provider import Provider

PROVIDER = Provider(name="openrouter", base="https://openrouter.ai", paths={"openai-chat": "/api/v1/chat/completions"})
