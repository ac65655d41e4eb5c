"""OpenRouter (https://openrouter.ai/docs/api-reference); reasoning may come back as it was told
(https://openrouter.ai/docs/use-cases/reasoning-tokens).
"""

from __future__ import annotations

from aigw.dialects.reasoning import Reasoning
from aigw.providers.provider import Provider

PROVIDER = Provider(
    name="openrouter",
    base="https://openrouter.ai",
    paths={"openai-chat": "/api/v1/chat/completions"},
    reasoning=Reasoning(fields=("reasoning",)),
)
