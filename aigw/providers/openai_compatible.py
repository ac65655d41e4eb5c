"""Whatever answers OpenAI's paths: vLLM, Ollama, LM Studio, Together AI, Groq, Fireworks, an internal service."""

from __future__ import annotations

from aigw.providers.provider import OPENAI_PATHS, Provider

PROVIDER = Provider(
    name="openai-compatible", base=None, paths=OPENAI_PATHS, max_tokens={"openai-responses": "max_output_tokens"}
)
