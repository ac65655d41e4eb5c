"""Azure OpenAI (https://learn.microsoft.com/azure/ai-services/openai/reference): the endpoint names the deployment."""

from __future__ import annotations

from aigw.providers.provider import OPENAI_PATHS, Provider

PROVIDER = Provider(
    name="azure-openai",
    base=None,
    paths=OPENAI_PATHS,
    max_tokens={"openai-responses": "max_output_tokens"},
    drops=frozenset({"model"}),
)
