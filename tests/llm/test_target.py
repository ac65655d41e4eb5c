"""An instance as requests use it: what was worked out once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pytest

from aigw.balancing.deadlines import Deadlines
from aigw.balancing.sharing import keyed_digest
from aigw.errors import BadRequest, InstanceUnusable, UnsupportedDialect
from aigw.llm.config import Model, Transport
from aigw.llm.target import LONGEST_URL, MOST_URLS, Target, account_of, target_of
from aigw.model.schema import decode
from aigw.testing.gateway import MemoryGateway

KEY = "sk-0123456789"


def target(
    environ: Mapping[str, str] | None = None, plugin: dict[str, Any] | None = None, name: str = "a", **fields: Any
) -> Target:
    document = {"provider": "openai", "auth": {"header": {"Authorization": f"Bearer {KEY}"}}, **fields}
    parts = MemoryGateway(environ=environ).parts
    return target_of(name, 1, 0, decode(document, Model), decode(plugin or {}, Transport), parts)


CHAT, RESPONSES, EMBEDDINGS, MESSAGES = "openai-chat", "openai-responses", "openai-embeddings", "anthropic-messages"
CONVERSE, PREDICT = "bedrock-converse", "vertex-predict"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v1:0"
ENCODED = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-v1%3A0"
AT = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
GOOGLE = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
GLOBAL = "https://aiplatform.googleapis.com/v1/projects/p/locations/global"
AZURE = "https://r.openai.azure.com/openai/deployments/d"

URLS: list[tuple[str, dict[str, Any], str | None, str, str]] = [
    # provider, provider_conf, endpoint, dialect, URL (of a stream, if the dialect says so, with a model of this name)
    ("openai", {}, None, CHAT, "https://api.openai.com/v1/chat/completions"),
    ("openai", {}, None, RESPONSES, "https://api.openai.com/v1/responses"),
    ("openai", {}, None, EMBEDDINGS, "https://api.openai.com/v1/embeddings"),
    ("deepseek", {}, None, CHAT, "https://api.deepseek.com/chat/completions"),
    ("gemini", {}, None, CHAT, "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
    ("openrouter", {}, None, CHAT, "https://openrouter.ai/api/v1/chat/completions"),
    ("aimlapi", {}, None, CHAT, "https://api.aimlapi.com/chat/completions"),
    ("anthropic", {}, None, CHAT, "https://api.anthropic.com/v1/chat/completions"),
    ("anthropic", {}, None, MESSAGES, "https://api.anthropic.com/v1/messages"),
    ("anthropic", {}, None, "anthropic-count-tokens", "https://api.anthropic.com/v1/messages/count_tokens"),
    ("bedrock", {"region": "us-east-1"}, None, CONVERSE, f"{AT}/{ENCODED}/converse"),
    ("bedrock", {"region": "us-east-1"}, None, f"{CONVERSE} stream", f"{AT}/{ENCODED}/converse-stream"),
    ("bedrock", {"region": "us-east-1"}, "http://h", CONVERSE, f"http://h/model/{ENCODED}/converse"),
    ("vertex-ai", {"project_id": "p"}, None, CHAT, f"{GLOBAL}/endpoints/openapi/chat/completions"),
    (
        "vertex-ai",
        {"project_id": "p", "region": "us-central1"},
        None,
        CHAT,
        f"{GOOGLE}/endpoints/openapi/chat/completions",
    ),
    (
        "vertex-ai",
        {"project_id": "p", "region": "us-central1"},
        None,
        PREDICT,
        f"{GOOGLE}/publishers/google/models/{ENCODED}:predict",
    ),
    (
        "azure-openai",
        {"resource": "r", "deployment": "d"},
        None,
        CHAT,
        f"{AZURE}/chat/completions?api-version=2024-10-21",
    ),
    (
        "azure-openai",
        {"resource": "r", "deployment": "d", "api_version": "2025-01-01-preview"},
        None,
        EMBEDDINGS,
        f"{AZURE}/embeddings?api-version=2025-01-01-preview",
    ),
    (
        "azure-openai",
        {"deployment": "d"},
        "https://h?api-version=1",
        CHAT,
        "https://h/openai/deployments/d/chat/completions?api-version=1",
    ),
    # An endpoint without a path: the vendor's follows.
    ("deepseek", {}, "http://h", CHAT, "http://h/chat/completions"),
    ("openai-compatible", {}, "http://h:8000/", CHAT, "http://h:8000/v1/chat/completions"),
    ("openai-compatible", {}, "http://h", EMBEDDINGS, "http://h/v1/embeddings"),
    ("openai-compatible", {"dialects": [MESSAGES]}, "http://h", MESSAGES, "http://h/v1/messages"),
    # One with a path is used as it is.
    ("openai-compatible", {}, "http://h:8000/my/chat", CHAT, "http://h:8000/my/chat"),
    (
        "bedrock",
        {"region": "us-east-1"},
        "http://h/model/x/converse",
        f"{CONVERSE} stream",
        "http://h/model/x/converse",
    ),
    ("azure-openai", {}, f"{AZURE}/chat/completions?api-version=1", CHAT, f"{AZURE}/chat/completions?api-version=1"),
]


@pytest.mark.parametrize(("provider", "conf", "endpoint", "dialect", "url"), URLS)
def test_where_requests_go(provider: str, conf: dict[str, Any], endpoint: str | None, dialect: str, url: str) -> None:
    one = target(provider=provider, provider_conf=conf, override={"endpoint": endpoint} if endpoint else {})
    dialect, _, streams = dialect.partition(" ")
    for _ in range(2):
        assert one.url(dialect, streams=bool(streams), model=ARN).decode() == url


@pytest.mark.parametrize(("provider", "conf"), [("bedrock", {"region": "x"}), ("vertex-ai", {"project_id": "p"})])
def test_a_url_with_a_model_takes_one(provider: str, conf: dict[str, Any]) -> None:
    one = target(provider=provider, provider_conf=conf)
    dialect = CONVERSE if provider == "bedrock" else PREDICT
    with pytest.raises(BadRequest, match=r"^model: required") as caught:
        one.url(dialect)
    assert caught.value.param == "model"
    assert target(provider=provider, provider_conf=conf, override={"endpoint": "http://h/x"}).url(dialect)


def test_an_endpoint_that_says_it_all_needs_nothing_else() -> None:
    one = target(provider="vertex-ai", auth={"gcp": {}}, override={"endpoint": "http://h/x/chat/completions"})
    assert one.conf is None
    assert one.url(CHAT) == b"http://h/x/chat/completions"


def test_urls_are_worked_out_once_and_not_remembered_without_end() -> None:
    one = target()
    assert one.url(CHAT, model="a") is one.url(CHAT, model="b")
    one = target(provider="bedrock", provider_conf={"region": "x"})
    first = one.url(CONVERSE, model="m0")
    assert one.url(CONVERSE, model="m0") is first
    for n in range(1, 2 * MOST_URLS):
        one.url(CONVERSE, model=f"m{n}")
    again = one.url(CONVERSE, model="m0")
    assert again == first
    assert again is not first
    assert one.url(CONVERSE, model="m" * LONGEST_URL) is not one.url(CONVERSE, model="m" * LONGEST_URL)


def test_what_is_passed_through_goes_where_the_client_wanted() -> None:
    one = target(auth={"query": {"key": "k"}})
    assert (
        one.passed_url("/llm/v1/images", b"/llm/v1/images?key=mine&n=1")
        == b"https://api.openai.com/v1/images?n=1&key=k"
    )
    one = target(provider="gemini", override={"endpoint": "http://h"})
    assert one.passed_url("/v1/models", b"/v1/models") == b"http://h/v1beta/openai/models"
    one = target(provider="deepseek", override={"endpoint": "http://h/any?a=b"})
    assert one.passed_url("/v1/models", b"/v1/models?c=d") == b"http://h/any?a=b"


def test_a_dialect_that_is_not_spoken_is_refused_each_time() -> None:
    one = target(provider="gemini")
    for _ in range(2):
        with pytest.raises(
            UnsupportedDialect, match=r"does not support bedrock-converse \(supported: openai-responses, "
        ):
            one.way("bedrock-converse")
        assert not one.speaks("bedrock-converse")
    assert one.way(CHAT) is one.way(CHAT)
    assert one.way(CHAT).shape is not one.way(EMBEDDINGS).shape


def test_what_is_missing_is_told_when_the_instance_is_used() -> None:
    one = target(auth={"header": {"X-Key": "$env://A"}, "query": {"k": "$env://B"}}, environ={"A": "x"})
    assert (one.headers.block, one.query) == (b"", {})
    assert not one.brings_own_key
    with pytest.raises(InstanceUnusable, match=r"^instance a can't be called: environment variable B is not set$"):
        one.way(CHAT)


@pytest.mark.parametrize(
    ("auth", "brings"),
    [({}, True), ({"header": {}}, True), ({"header": {"X": "y"}}, False), ({"query": {"x": "y"}}, False)],
)
def test_who_brings_the_key(auth: dict[str, Any], brings: bool) -> None:
    assert target(auth=auth).brings_own_key is brings


def test_headers_are_bytes_in_the_order_in_which_they_were_written() -> None:
    one = target(auth={"header": {"X-B": "caf\u00e9", "authorization": "Bearer x"}})
    assert one.headers.block == "X-B: caf\u00e9\r\nauthorization: Bearer x\r\n".encode()
    assert one.header_names == {b"x-b", b"authorization"}


DEADLINES: list[tuple[dict[str, Any], dict[str, Any], Deadlines]] = [
    ({}, {}, Deadlines(connect=30.0, first_byte=30.0, idle=30.0)),
    ({"timeout": 2000}, {}, Deadlines(connect=2.0, first_byte=2.0, idle=2.0)),
    ({"timeout": 2000}, {"timeout": 3000}, Deadlines(connect=3.0, first_byte=3.0, idle=3.0)),
    (
        {"timeout": 2000, "deadlines": {"idle_ms": 50, "hold_ms": 0, "total_ms": 60}},
        {"deadlines": {"idle_ms": 70, "first_token_ms": 80}},
        Deadlines(connect=2.0, first_byte=2.0, idle=0.07, hold=0.0, total=0.06, first_token=0.08),
    ),
]


@pytest.mark.parametrize(("plugin", "instance", "deadlines"), DEADLINES)
def test_an_instances_own_fields_win_over_the_plugins(
    plugin: dict[str, Any], instance: dict[str, Any], deadlines: Deadlines
) -> None:
    assert target(plugin=plugin, **instance).deadlines == deadlines


def test_limits_of_plugin_and_instance() -> None:
    limits = {"max_stream_duration_ms": 1500, "max_response_bytes": 10}
    assert (target(plugin=limits).max_stream, target(plugin=limits).max_bytes) == (1.5, 10)
    assert target(plugin=limits, max_response_bytes=20).max_bytes == 20
    assert (target().max_stream, target().max_bytes) == (None, None)


def account(target: Target) -> Hashable:
    return account_of(target, keyed_digest(b"a key"))


def test_an_account_has_one_name_in_all_processes_that_have_the_key() -> None:
    one = target(auth={"header": {"Authorization": f"Bearer {KEY}"}})
    assert account(one) == account(target(auth={"header": {"Authorization": f"Bearer {KEY}"}}))
    assert account(one) != account_of(one, keyed_digest(b"another"))


def test_what_makes_two_instances_the_same_account() -> None:
    assert account(target()) == account(target(timeout=5))
    others = [
        target(name="b"),
        target(provider="gemini"),
        target(override={"endpoint": "http://h"}),
        target(options={"model": "m"}),
        target(auth={"header": {"Authorization": "Bearer another"}}),
        target(auth={"query": {"key": KEY}}),
    ]
    assert len({account(other) for other in [target(), *others]}) == len(others) + 1


def test_no_secret_is_in_a_repr_nor_in_what_tells_accounts_apart() -> None:
    one = target(auth={"header": {"Authorization": f"Bearer {KEY}"}, "query": {"key": KEY}})
    assert KEY not in repr(one)
    assert KEY not in repr(account(one))
    assert KEY not in repr(MemoryGateway(environ={"KEY": KEY}).parts)
