"""The vendors. A new one is a data file beside these and its name in the list below."""

from __future__ import annotations

from collections.abc import Mapping

from aigw.providers import aimlapi, azure_openai, deepseek, gemini, openai, openai_compatible, openrouter
from aigw.providers.provider import Provider

PROVIDERS: Mapping[str, Provider] = {
    module.PROVIDER.name: module.PROVIDER
    for module in (openai_compatible, openai, deepseek, gemini, openrouter, aimlapi, azure_openai)
}
