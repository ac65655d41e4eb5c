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


def vendor(provider: str, **fields: Any) -> dict[str, Any]:
    return {"provider": provider, "auth": {}, **fields}


AWS = {"access_key_id": "sk-1", "secret_access_key": "sk-2"}
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
    (vendor("bedrock"), "provider_conf.region: required"),
    (vendor("bedrock", override={"endpoint": "http://h/x/converse"}), "provider_conf.region: required"),
    (vendor("bedrock", provider_conf={"region": "us-east-1/"}), "provider_conf.region: expected a string"),
    (vendor("vertex-ai"), "provider_conf.project_id: required"),
    (vendor("vertex-ai", override={"endpoint": "http://h"}), "provider_conf.project_id: required"),
    (vendor("vertex-ai", provider_conf={"project_id": 5}), "provider_conf.project_id: expected a string"),
    (vendor("azure-openai", provider_conf={"resource": "r"}), "provider_conf.deployment: required beside resource"),
    (vendor("azure-openai", override={"endpoint": "http://h/"}), "override.endpoint: has no path, and provider_conf"),
    (
        vendor("azure-openai", provider_conf={"deployment": "d"}),
        "override.endpoint: required for provider azure-openai",
    ),
    (vendor("anthropic", provider_conf={"native": "yes"}), "provider_conf.native: expected true or false"),
    (model(provider_conf={"dialects": ["openai-chats"]}), "provider_conf.dialects[0]: expected one of"),
    (vendor("openai", auth={"aws": AWS}), "auth.aws: means nothing to provider openai"),
    (vendor("openai", auth={"gcp": {}}), "auth.gcp: means nothing to provider openai"),
    (
        vendor("bedrock", auth={"gcp": {}}, provider_conf={"region": "us-east-1"}),
        "auth.gcp: means nothing to provider bedrock",
    ),
    (vendor("bedrock", auth={"aws": {"access_key_id": "sk-1"}}), "auth.aws.secret_access_key: required"),
    (vendor("bedrock", auth={"aws": {**AWS, "session_token": 5}}), "auth.aws.session_token: expected a string"),
    (vendor("vertex-ai", auth={"gcp": {"max_ttl": 0}}), "auth.gcp.max_ttl: expected an integer >= 1, got 0"),
    (vendor("vertex-ai", auth={"gcp": {"expire_early_secs": -1}}), "auth.gcp.expire_early_secs: expected an integer"),
    (
        vendor("vertex-ai", auth={"gcp": {"service_account_json": "sk-1"}}),
        "auth.gcp.service_account_json: the service account JSON is no JSON object",
    ),
    (
        vendor("vertex-ai", auth={"gcp": {"service_account_json": '{"type": "authorized_user", "x": "sk-1"}'}}),
        "auth.gcp.service_account_json: the service account JSON is of another type",
    ),
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
    vendor("bedrock", auth={"aws": AWS}, provider_conf={"region": "us-east-1"}),
    vendor("bedrock", auth={"header": {"Authorization": "Bearer x"}}, provider_conf={"region": "eu-west-3"}),
    vendor("vertex-ai", auth={"gcp": {}}, provider_conf={"project_id": "p", "region": "us-central1"}),
    vendor("vertex-ai", auth={"gcp": {"service_account_json": "$env://X"}}, provider_conf={"project_id": "p"}),
    vendor("vertex-ai", auth={"gcp": {}}, override={"endpoint": "http://h/x/chat/completions"}),
    vendor("azure-openai", provider_conf={"resource": "r", "deployment": "d"}),
    vendor("azure-openai", provider_conf={"deployment": "d"}, override={"endpoint": "http://h"}),
    vendor("azure-openai", override={"endpoint": "http://h/openai/deployments/d/chat/completions?api-version=1"}),
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
    document = vendor("bedrock", auth={"aws": {**AWS, "session_token": "sk-3"}}, provider_conf={"region": "us-east-1"})
    names = ("access_key_id", "secret_access_key", "session_token")
    assert check(document, Model).secrets == [("auth", "aws", name) for name in names]
    assert "sk-" not in repr(decode(document, Model))
    document = vendor(
        "vertex-ai", auth={"gcp": {"service_account_json": "$env://SK"}}, provider_conf={"project_id": "p"}
    )
    assert check(document, Model).secrets == [("auth", "gcp", "service_account_json")]
    assert "SK" not in repr(decode(document, Model))
