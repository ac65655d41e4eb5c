"""The vendors, as data."""

from __future__ import annotations

import pkgutil
from urllib.parse import urlsplit

import attrs
import pytest

import aigw.providers
from aigw.dialects import DIALECTS
from aigw.providers import PROVIDERS
from aigw.providers.provider import Provider

CHAT, RESPONSES, EMBEDDINGS, MESSAGES = "openai-chat", "openai-responses", "openai-embeddings", "anthropic-messages"
COUNT = "anthropic-count-tokens"

TABLE: list[tuple[str, str | None, dict[str, str], dict[str, str], set[str]]] = [
    # name, base, paths, what limits an answer (where it is not max_tokens), fields that are refused
    (
        "openai",
        "https://api.openai.com",
        {CHAT: "/v1/chat/completions", RESPONSES: "/v1/responses", EMBEDDINGS: "/v1/embeddings"},
        {CHAT: "max_completion_tokens", RESPONSES: "max_output_tokens"},
        set(),
    ),
    (
        "openai-compatible",
        None,
        {
            CHAT: "/v1/chat/completions",
            RESPONSES: "/v1/responses",
            EMBEDDINGS: "/v1/embeddings",
            MESSAGES: "/v1/messages",
            COUNT: "/v1/messages/count_tokens",
        },
        {RESPONSES: "max_output_tokens"},
        set(),
    ),
    (
        "azure-openai",
        "https://{conf.resource}.openai.azure.com",
        {
            CHAT: "/openai/deployments/{conf.deployment}/chat/completions?api-version={conf.api_version}",
            EMBEDDINGS: "/openai/deployments/{conf.deployment}/embeddings?api-version={conf.api_version}",
        },
        {},
        {"model"},
    ),
    ("deepseek", "https://api.deepseek.com", {CHAT: "/chat/completions"}, {}, set()),
    (
        "gemini",
        "https://generativelanguage.googleapis.com",
        {CHAT: "/v1beta/openai/chat/completions", EMBEDDINGS: "/v1beta/openai/embeddings"},
        {CHAT: "max_completion_tokens"},
        set(),
    ),
    (
        "anthropic",
        "https://api.anthropic.com",
        {CHAT: "/v1/chat/completions", MESSAGES: "/v1/messages", COUNT: "/v1/messages/count_tokens"},
        {},
        set(),
    ),
    (
        "vertex-ai",
        "https://{conf.host}",
        {
            CHAT: "/v1/projects/{conf.project_id}/locations/{conf.region}/endpoints/openapi/chat/completions",
            "vertex-predict": (
                "/v1/projects/{conf.project_id}/locations/{conf.region}/publishers/google/models/{model}:predict"
            ),
        },
        {CHAT: "max_completion_tokens"},
        set(),
    ),
    (
        "bedrock",
        "https://bedrock-runtime.{conf.region}.amazonaws.com",
        {"bedrock-converse": "/model/{model}/converse"},
        {"bedrock-converse": "inferenceConfig.maxTokens"},
        {"model", "stream"},
    ),
    ("openrouter", "https://openrouter.ai", {CHAT: "/api/v1/chat/completions"}, {}, set()),
    ("aimlapi", "https://api.aimlapi.com", {CHAT: "/chat/completions"}, {}, set()),
]


@pytest.mark.parametrize(("name", "base", "paths", "limits", "drops"), TABLE)
def test_where_a_vendor_lives_and_how_it_names_things(
    name: str, base: str | None, paths: dict[str, str], limits: dict[str, str], drops: set[str]
) -> None:
    provider = PROVIDERS[name]
    assert (provider.base, dict(provider.paths), set(provider.drops)) == (base, paths, drops)
    for dialect in (CHAT, RESPONSES, EMBEDDINGS, "bedrock-converse", "passthrough"):
        assert provider.max_tokens_field(dialect) == limits.get(dialect, "max_tokens")


def test_all_of_them() -> None:
    assert set(PROVIDERS) == {row[0] for row in TABLE}
    assert all(PROVIDERS[name].name == name for name in PROVIDERS)


def test_every_file_is_in_the_catalogue() -> None:
    modules = pkgutil.iter_modules(aigw.providers.__path__)
    files = {module.name for module in modules if not module.ispkg} - {"provider"}
    assert {name.replace("-", "_") for name in PROVIDERS} == files


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
def test_what_holds_for_every_vendor(provider: Provider) -> None:
    dialects = {dialect.name for dialect in DIALECTS}
    assert set(provider.paths) <= dialects
    assert set(provider.max_tokens) <= set(provider.paths)
    assert all(path.startswith("/") for path in provider.paths.values())
    if provider.base is not None:
        parts = urlsplit(provider.base)
        assert (parts.scheme, parts.path, parts.query) == ("https", "", "")


def test_a_vendor_is_a_value() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        PROVIDERS["openai"].base = "https://elsewhere"  # type: ignore[misc]
