"""What an operator may write, and what is said of it. How it works: tests/llm."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.model.schema import Invalid, check, decode
from aigw.parts import Defaults
from aigw.plugins.ai_proxy import AIProxyConfig
from aigw.testing.gateway import MemoryGateway

SEED: dict[str, Any] = {
    "provider": "openai-compatible",
    "auth": {"header": {"Authorization": "Bearer placeholder"}},
    "options": {"model": "meta-llama/Llama-3.1-8B-Instruct"},
    "override": {"endpoint": "http://vllm-server:8000/v1/chat/completions"},
}


def test_the_page_that_users_come_from() -> None:
    config = decode(SEED, AIProxyConfig)
    assert check(SEED, AIProxyConfig).unknown == []
    assert (config.max_req_body_size, config.override.endpoint) == (
        64 * 1024 * 1024,
        "http://vllm-server:8000/v1/chat/completions",
    )
    assert list(config.advise(Defaults()).warnings) == []
    assert config.advise(Defaults()).effective_order is None


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"auth": None}, "auth: expected an object"),
        ({"override": {}}, "override.endpoint: required for provider openai-compatible"),
        ({"max_req_body_size": 0}, "max_req_body_size: expected an integer >= 1, got 0"),
        ({"logging": {"summaries": "yes"}}, 'logging.summaries: expected true or false, got "yes"'),
    ],
)
def test_what_is_wrong(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode({**SEED, **fields}, AIProxyConfig)
    assert str(caught.value) == complaint


def test_auth_is_required() -> None:
    assert [str(c) for c in check({"provider": "openai"}, AIProxyConfig).complaints] == ["auth: required: an object"]


def test_advice() -> None:
    advice = decode({**SEED, "logging": {"payloads": True}}, AIProxyConfig).advise(Defaults())
    assert list(advice.warnings) == ["logging.payloads: accepted, but payloads are never logged"]


def test_each_request_is_tried_once_whatever_comes() -> None:
    gateway = MemoryGateway()
    gateway.put({"ai-proxy": SEED})
    for _ in range(10):
        client = gateway.ask()
        gateway.models.last.answer(500)
        assert (client.status, len(client.attempts)) == (500, 1)
    assert len(gateway.asked) == 10
