"""What a model endpoint may look like, and how a complaint about it reads."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.llm.config import Model
from aigw.model.schema import Invalid, check, decode
from aigw.providers import PROVIDERS

VALID: dict[str, Any] = {"provider": "openai-compatible", "auth": {}, "override": {"endpoint": "http://h/x"}}


def model(**fields: Any) -> dict[str, Any]:
    return {**VALID, **fields}


def override(**fields: Any) -> dict[str, Any]:
    return model(override={"endpoint": "http://h/x", **fields})


def endpoint(url: str) -> dict[str, Any]:
    return model(override={"endpoint": url})


VENDORS = ", ".join(sorted(PROVIDERS))
BAD_URL = "override.endpoint: expected a URL with a valid host and port"
BAD_SCHEME = "override.endpoint: expected a URL that begins with http:// or https://"
BAD_TEXT = "override.endpoint: expected a URL, percent-encoded, without spaces"

WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {},
        f"provider: required: one of {VENDORS}; auth: required: an object",
    ),
    (
        model(provider="opnai"),
        f'provider: expected one of {VENDORS}, got "opnai"',
    ),
    (model(override={}), "override.endpoint: required for provider openai-compatible"),
    (model(provider="azure-openai", override={}), "override.endpoint: required for provider azure-openai"),
    (endpoint(""), 'override.endpoint: expected a string of 1 to 4096 characters, got ""'),
    (endpoint("ftp://h/x"), f'{BAD_SCHEME}, got "ftp://h/x"'),
    (endpoint("h:80/x"), f'{BAD_SCHEME}, got "h:80/x"'),
    (endpoint("user:pw@h/x"), BAD_SCHEME),
    (endpoint("http://u:pw@h/x"), "override.endpoint: credentials do not belong into the URL; put them into auth"),
    (endpoint("http:///x"), BAD_URL),
    (endpoint("http://h:0/x"), BAD_URL),
    (endpoint("http://h:65536/x"), BAD_URL),
    (endpoint("http://h:x/x"), BAD_URL),
    (endpoint("http://[::1/x"), BAD_URL),
    (endpoint("http://h/a b"), BAD_TEXT),
    (endpoint("http://h/\u00e9"), BAD_TEXT),
    (endpoint("http://h/\r\nX: y"), BAD_TEXT),
    (endpoint("http://h/$TENANT{x}"), BAD_TEXT),
    (endpoint("http://h/x#part"), "override.endpoint: a fragment (#...) means nothing here"),
    (model(options={"model": 5}), "options.model: expected a string"),
    (model(options=[]), "options: expected an object"),
    (model(auth=None), "auth: expected an object"),
    (model(auth={"header": {"A B": "x"}}), "auth.header.A B: name: expected a string of 0 to 256 characters matching"),
    (model(auth={"header": {"A:": "x"}}), "auth.header.A:: name: expected a string"),
    (model(auth={"header": {"": "x"}}), "auth.header.: name: expected a string"),
    (model(auth={"header": {"X": 5}}), "auth.header.X: expected a string"),
    (model(auth={"header": {"X-Key": "a\nb"}}), "auth.header.X-Key: control characters, or spaces around the value"),
    (model(auth={"header": {"X-Key": "sk\x00"}}), "auth.header.X-Key: control characters, or spaces around the value"),
    (model(auth={"header": {"X-Key": "sk "}}), "auth.header.X-Key: control characters, or spaces around the value"),
    (override(llm_options={"max_tokens": 0}), "override.llm_options.max_tokens: expected an integer >= 1, got 0"),
    (override(request_body={"openai-chat": []}), "override.request_body.openai-chat: expected an object"),
    (model(timeout=0), "timeout: expected an integer >= 1 and <= 600000, got 0"),
    (model(timeout=600_001), "timeout: expected an integer >= 1 and <= 600000, got 600001"),
    (model(keepalive_timeout=999), "keepalive_timeout: expected an integer >= 1000, got 999"),
    (model(keepalive_pool=0), "keepalive_pool: expected an integer >= 1, got 0"),
    (model(ssl_verify="no"), 'ssl_verify: expected true or false, got "no"'),
    (model(deadlines={"idle_ms": 0}), "deadlines.idle_ms: expected an integer >= 1 and <= 86400000, got 0"),
    (model(deadlines={"hold_ms": -1}), "deadlines.hold_ms: expected an integer >= 0 and <= 86400000, got -1"),
    (model(max_response_bytes=0), "max_response_bytes: expected an integer >= 1, got 0"),
    (model(max_stream_duration_ms=0), "max_stream_duration_ms: expected an integer >= 1, got 0"),
]


@pytest.mark.parametrize(("document", "complaint"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_what_is_wrong(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode(document, Model)
    assert str(caught.value).startswith(complaint)
    assert "sk" not in str(caught.value)
    assert "pw" not in str(caught.value)


RIGHT: list[dict[str, Any]] = [
    VALID,
    {"provider": "openai", "auth": {"header": {"Authorization": "Bearer x"}}},
    {"provider": "gemini", "auth": {"query": {"key": "x"}}, "options": {}, "override": {}},
    endpoint("https://api.together.xyz/v1/chat/completions"),
    endpoint("HTTP://vllm-server:8000"),
    endpoint("http://[::1]:8000/v1?x=%20"),
    model(auth={"header": {"Authorization": "Bearer $env://KEY", "X-Tenant": "caf\u00e9"}}),
    model(deadlines={"hold_ms": 0, "connect_ms": 1, "total_ms": 86_400_000}, streaming_flush_interval_ms=0),
    model(provider_conf={"project_id": "p"}, keepalive=False, ssl_verify=False, timeout=600_000),
    model(options={"model": "m", "temperature": None, "anything": [{"at": "all"}]}),
    override(request_body={"openai-chat": {"a": {"b": 1}}}, request_body_force_override=True),
]


@pytest.mark.parametrize("document", RIGHT, ids=[str(i) for i in range(len(RIGHT))])
def test_what_is_right(document: dict[str, Any]) -> None:
    assert decode(document, Model).provider == document["provider"]
    assert check(document, Model).unknown == []


def test_credentials_are_secrets_and_in_no_repr() -> None:
    document = model(auth={"header": {"Authorization": "Bearer sk-1"}, "query": {"key": "sk-2"}})
    assert check(document, Model).secrets == [("auth", "header", "Authorization"), ("auth", "query", "key")]
    assert "sk-" not in repr(decode(document, Model))
