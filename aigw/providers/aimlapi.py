"""AI/ML API (https://docs.aimlapi.com)."""

from __future__ import annotations

from aigw.providers.provider import Provider

PROVIDER = Provider(name="aimlapi", base="https://api.aimlapi.com", paths={"openai-chat": "/chat/completions"})
