"""Vendors that are not there: they speak as the real ones do, and refuse what those refuse, each in its own words.

For tests of a configuration before money is spent on it::

    with ReactorThread() as thread:
        vendor = Anthropic()
        upstream = ServedUpstream(thread, vendor)
        plugins = {"ai-proxy": vendor.as_model(upstream.url)}
        vendor.will(RATE_LIMITED, TOOL_CALL)        # the next two requests; afterwards it repeats what it hears

``vendor.complaints`` tells what was wrong with requests. A `Scenario` says what a model does, in no vendor's words.
"""

from __future__ import annotations

from collections.abc import Mapping

from aigw.testing.vendors.anthropic import Anthropic
from aigw.testing.vendors.azure import AzureOpenAI
from aigw.testing.vendors.bedrock import Bedrock
from aigw.testing.vendors.deepseek import DeepSeek
from aigw.testing.vendors.google import Gemini, VertexAI
from aigw.testing.vendors.openai import OpenAI
from aigw.testing.vendors.openrouter import OpenRouter
from aigw.testing.vendors.scenario import SCENARIOS, Call, Scenario, Stop, Tokens
from aigw.testing.vendors.service_account import ServiceAccount
from aigw.testing.vendors.sigv4 import Account
from aigw.testing.vendors.vendor import KEY, Answer, Refused, Vendor, attend

VENDORS: Mapping[str, type[Vendor]] = {
    kind.provider: kind for kind in (OpenAI, Anthropic, AzureOpenAI, Bedrock, DeepSeek, Gemini, OpenRouter, VertexAI)
}
"""By the name of the provider."""

__all__ = [
    "KEY",
    "SCENARIOS",
    "VENDORS",
    "Account",
    "Answer",
    "Anthropic",
    "AzureOpenAI",
    "Bedrock",
    "Call",
    "DeepSeek",
    "Gemini",
    "OpenAI",
    "OpenRouter",
    "Refused",
    "Scenario",
    "ServiceAccount",
    "Stop",
    "Tokens",
    "Vendor",
    "VertexAI",
    "attend",
]
