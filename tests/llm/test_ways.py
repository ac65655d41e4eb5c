"""In which dialect an instance is asked, for each dialect of a client."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.dialects import DIALECTS
from aigw.llm.config import Model
from aigw.llm.target import target_of
from aigw.llm.ways import way_to
from aigw.model.schema import decode
from aigw.providers import PROVIDERS
from aigw.testing.gateway import MemoryGateway

CHAT, RESPONSES, EMBEDDINGS = "openai-chat", "openai-responses", "openai-embeddings"
MESSAGES, COUNT, CONVERSE = "anthropic-messages", "anthropic-count-tokens", "bedrock-converse"
PREDICT, ANYTHING = "vertex-predict", "passthrough"

REQUIRED: dict[str, dict[str, Any]] = {
    "openai-compatible": {"override": {"endpoint": "http://h"}},
    "azure-openai": {"provider_conf": {"resource": "r", "deployment": "d"}},
    "vertex-ai": {"provider_conf": {"project_id": "p"}},
    "bedrock": {"provider_conf": {"region": "us-east-1"}},
}

CHATS = {CHAT: CHAT, RESPONSES: CHAT, MESSAGES: CHAT}
MESSAGED = {CHAT: MESSAGES, RESPONSES: MESSAGES, MESSAGES: MESSAGES}
CONVERSED = {CHAT: CONVERSE, RESPONSES: CONVERSE, MESSAGES: CONVERSE, CONVERSE: CONVERSE}
OF_OPENAI = {CHAT: CHAT, RESPONSES: RESPONSES, EMBEDDINGS: EMBEDDINGS, MESSAGES: CHAT}

WAYS: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    # provider, what is special about the instance, dialect of the client -> in which it is asked; others are refused
    ("openai", {}, OF_OPENAI),
    ("openai-compatible", {}, OF_OPENAI),
    ("deepseek", {}, CHATS),
    ("openrouter", {}, CHATS),
    ("aimlapi", {}, CHATS),
    ("gemini", {}, {**CHATS, EMBEDDINGS: EMBEDDINGS}),
    ("azure-openai", {}, {**CHATS, EMBEDDINGS: EMBEDDINGS}),
    ("vertex-ai", {}, {**CHATS, EMBEDDINGS: PREDICT, PREDICT: PREDICT}),
    ("anthropic", {}, {CHAT: CHAT, RESPONSES: CHAT, MESSAGES: MESSAGES, COUNT: COUNT}),
    (
        "anthropic",
        {"provider_conf": {"native": True}},
        {CHAT: MESSAGES, RESPONSES: CHAT, MESSAGES: MESSAGES, COUNT: COUNT},
    ),
    (
        "anthropic",
        {"provider_conf": {"native": False}},
        {CHAT: CHAT, RESPONSES: CHAT, MESSAGES: MESSAGES, COUNT: COUNT},
    ),
    ("bedrock", {}, CONVERSED),
    # Servers that speak more, or less, than usual.
    ("openai-compatible", {"provider_conf": {"dialects": [CHAT]}}, CHATS),
    ("openai-compatible", {"provider_conf": {"dialects": [CHAT, MESSAGES]}}, {**CHATS, MESSAGES: MESSAGES}),
    (
        "openai-compatible",
        {"provider_conf": {"dialects": [MESSAGES, COUNT]}},
        {**MESSAGED, COUNT: COUNT},
    ),
    ("openai-compatible", {"provider_conf": {"dialects": [EMBEDDINGS]}}, {EMBEDDINGS: EMBEDDINGS}),
    ("openai-compatible", {"provider_conf": {"dialects": []}}, {}),
    # An endpoint whose path is one dialect's takes that one, whatever else the vendor has.
    ("openai", {"override": {"endpoint": "http://h/v1/chat/completions"}}, CHATS),
    ("openai-compatible", {"override": {"endpoint": "http://h/openai/v1/chat/completions/?a=b"}}, CHATS),
    ("openai-compatible", {"override": {"endpoint": "http://h/v1/responses"}}, {RESPONSES: RESPONSES}),
    ("openai-compatible", {"override": {"endpoint": "http://h/v1/embeddings"}}, {EMBEDDINGS: EMBEDDINGS}),
    ("openai-compatible", {"override": {"endpoint": "http://h/v1/messages"}}, MESSAGED),
    ("anthropic", {"override": {"endpoint": "http://h/v1/messages"}}, MESSAGED),
    ("anthropic", {"override": {"endpoint": "http://h/v1/chat/completions"}}, CHATS),
    ("azure-openai", {"override": {"endpoint": "http://h/x/embeddings?api-version=1"}}, {EMBEDDINGS: EMBEDDINGS}),
    ("vertex-ai", {"override": {"endpoint": "http://h/v1/models/m:predict"}}, {EMBEDDINGS: PREDICT, PREDICT: PREDICT}),
    ("bedrock", {"override": {"endpoint": "http://h/model/m/converse-stream"}}, CONVERSED),
    # A path that tells nothing takes what the vendor speaks.
    ("openai", {"override": {"endpoint": "http://h/my/llm"}}, OF_OPENAI),
    ("deepseek", {"override": {"endpoint": "http://h/my/llm"}}, CHATS),
]


@pytest.mark.parametrize(("provider", "special", "spoken"), WAYS)
def test_ways(provider: str, special: dict[str, Any], spoken: dict[str, str]) -> None:
    document = {"provider": provider, "auth": {}, **REQUIRED.get(provider, {}), **special}
    target = target_of("a", 1, 0, model := decode(document, Model), model, MemoryGateway().parts)
    found = {}
    for dialect in (dialect.name for dialect in DIALECTS if dialect.name != ANYTHING):
        way = way_to(model, PROVIDERS[provider], target.conf, dialect)
        assert target.speaks(dialect) is (way is not None)
        if way is not None:
            found[dialect] = way.dialect.name
            assert (way.converter is None) is (dialect == way.dialect.name)
    assert found == spoken
    assert target.way(ANYTHING).converter is None


def test_every_vendor_is_in_the_table() -> None:
    assert {row[0] for row in WAYS} == set(PROVIDERS)
