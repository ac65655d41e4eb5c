"""DeepSeek (https://api-docs.deepseek.com): OpenAI's chat format without the version prefix."""

from __future__ import annotations

from aigw.providers.provider import Provider

PROVIDER = Provider(name="deepseek", base="https://api.deepseek.com", paths={"openai-chat": "/chat/completions"})
