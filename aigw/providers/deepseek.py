"""DeepSeek (https://api-docs.deepseek.com): OpenAI's chat format without the version prefix, and thinking that
is sent back (https://api-docs.deepseek.com/guides/thinking_mode).
"""

from __future__ import annotations

from aigw.dialects.reasoning import Reasoning
from aigw.providers.provider import Provider

PROVIDER = Provider(
    name="deepseek",
    base="https://api.deepseek.com",
    paths={"openai-chat": "/chat/completions"},
    reasoning=Reasoning(fields=("reasoning_content",), switch=True),
)
