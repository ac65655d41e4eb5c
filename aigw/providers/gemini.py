"""Gemini through its OpenAI compatible endpoint (https://ai.google.dev/gemini-api/docs/openai)."""

from __future__ import annotations

from aigw.providers.provider import Provider

PROVIDER = Provider(
    name="gemini",
    base="https://generativelanguage.googleapis.com",
    paths={
        "openai-chat": "/v1beta/openai/chat/completions",
        "openai-embeddings": "/v1beta/openai/embeddings",
    },
    max_tokens={"openai-chat": "max_completion_tokens"},
)
