"""What an instance changes in a body, and that it changes nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.dialects.body import Body
from aigw.llm.config import Model
from aigw.llm.shaping import shape_of
from aigw.model.schema import decode
from aigw.providers import PROVIDERS

M = b'"messages":[]'
ENDPOINT = {"openai-compatible": "http://h/x", "azure-openai": "http://h/x"}


def shaped(
    body: bytes,
    provider: str = "openai-compatible",
    dialect: str = "openai-chat",
    extra: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **override: Any,
) -> bytes:
    if provider in ENDPOINT:
        override["endpoint"] = ENDPOINT[provider]
    document = {"provider": provider, "auth": {}, "options": options or {}, "override": override}
    shape = shape_of(decode(document, Model), PROVIDERS[provider], dialect)
    return shape.outgoing(Body.parse(body), extra or {})


WRITTEN = (
    rb' { "messages" : [ {"role":"user", "content":"\u00e9\ud83d"} ], "temperature": 1.00,'
    rb' "seed": 123456789012345678901234567890, "model":"m" } '
)


@pytest.mark.parametrize("provider", ["openai-compatible", "deepseek", "openrouter", "aimlapi", "openai", "gemini"])
@pytest.mark.parametrize("dialect", ["openai-chat", "passthrough"])
def test_what_nothing_has_to_change_leaves_byte_for_byte(provider: str, dialect: str) -> None:
    assert shaped(WRITTEN, provider, dialect) == WRITTEN
    assert shaped(WRITTEN, provider, dialect, options={"model": "m"}) == WRITTEN
    assert shaped(WRITTEN, provider, dialect, options={"temperature": 1.0, "model": "m"}) == WRITTEN


def test_where_a_field_changes_the_others_leave_as_they_were_written() -> None:
    assert shaped(WRITTEN, options={"model": "other", "n": 2}) == (
        rb'{"messages":[ {"role":"user", "content":"\u00e9\ud83d"} ],"temperature":1.00,'
        rb'"seed":123456789012345678901234567890,"model":"other","n":2}'
    )


OPTIONS: list[tuple[dict[str, Any], bytes, bytes]] = [
    ({"model": "m"}, b"{" + M + b"}", b"{" + M + b',"model":"m"}'),
    ({"model": "m"}, b'{"model":"x",' + M + b"}", b'{"model":"m",' + M + b"}"),
    ({"stop": None}, b'{"stop":"x",' + M + b"}", b'{"stop":null,' + M + b"}"),
    ({"a": {"b": [1]}}, b'{"a":{"c":1},' + M + b"}", b'{"a":{"b":[1]},' + M + b"}"),
    (
        {"stream_options": {"include_usage": False}},
        b"{" + M + b"}",
        b"{" + M + b',"stream_options":{"include_usage":false}}',
    ),
]


@pytest.mark.parametrize(("options", "body", "leaves"), OPTIONS)
def test_options_overwrite(options: dict[str, Any], body: bytes, leaves: bytes) -> None:
    assert shaped(body, options=options) == leaves


def test_what_the_gateway_adds_comes_first_and_gives_way_to_options() -> None:
    extra = {"stream_options": {"include_usage": True}}
    assert shaped(b"{" + M + b"}", extra=extra) == b"{" + M + b',"stream_options":{"include_usage":true}}'
    quiet = {"stream_options": {"include_usage": False}}
    assert shaped(b"{" + M + b"}", extra=extra, options=quiet) == (
        b"{" + M + b',"stream_options":{"include_usage":false}}'
    )


CHAT, RESPONSES = "openai-chat", "openai-responses"
RENAMED: list[tuple[str, str, dict[str, Any], bytes, bytes]] = [
    # provider, dialect, options, what the client says, what leaves
    ("openai", CHAT, {}, b'{"max_tokens":5,"a":1}', b'{"a":1,"max_completion_tokens":5}'),
    ("openai", CHAT, {}, b'{"max_completion_tokens":5}', b'{"max_completion_tokens":5}'),
    ("openai", CHAT, {}, b'{"max_tokens":5,"max_completion_tokens":6}', b'{"max_completion_tokens":6}'),
    ("openai", CHAT, {"max_tokens": 7}, b'{"a":1}', b'{"a":1,"max_completion_tokens":7}'),
    ("openai", CHAT, {"max_tokens": 7}, b'{"max_tokens":5}', b'{"max_completion_tokens":7}'),
    ("openai", CHAT, {"max_tokens": 7}, b'{"max_completion_tokens":5}', b'{"max_completion_tokens":7}'),
    ("openai", CHAT, {"max_completion_tokens": 8}, b'{"max_tokens":5}', b'{"max_completion_tokens":8}'),
    (
        "openai",
        CHAT,
        {"max_tokens": 7, "max_completion_tokens": 8},
        b'{"max_tokens":5}',
        b'{"max_completion_tokens":8}',
    ),
    ("openai", CHAT, {}, b'{"max_tokens":null}', b'{"max_completion_tokens":null}'),
    ("openai", CHAT, {}, b'{"max_tokens":5.0e0}', b'{"max_completion_tokens":5.0e0}'),
    ("gemini", CHAT, {}, b'{"max_tokens":5}', b'{"max_completion_tokens":5}'),
    ("deepseek", CHAT, {}, b'{"max_tokens":5}', b'{"max_tokens":5}'),
    ("openai-compatible", CHAT, {}, b'{"max_tokens":5}', b'{"max_tokens":5}'),
    ("openai-compatible", CHAT, {}, b'{"max_completion_tokens":5}', b'{"max_completion_tokens":5}'),
    ("openai-compatible", CHAT, {"max_tokens": 7}, b'{"max_completion_tokens":5}', b'{"max_tokens":7}'),
    ("azure-openai", CHAT, {}, b'{"max_tokens":5}', b'{"max_tokens":5}'),
    ("openai", RESPONSES, {}, b'{"max_output_tokens":5}', b'{"max_output_tokens":5}'),
    ("openai", RESPONSES, {}, b'{"max_tokens":5}', b'{"max_output_tokens":5}'),
    ("openai", RESPONSES, {"max_tokens": 7}, b'{"max_output_tokens":5}', b'{"max_output_tokens":7}'),
    ("openai", "passthrough", {}, b'{"max_tokens":5}', b'{"max_tokens":5}'),
    ("openai", "openai-embeddings", {}, b'{"max_tokens":5}', b'{"max_tokens":5}'),
]


@pytest.mark.parametrize(("provider", "dialect", "options", "body", "leaves"), RENAMED)
def test_max_tokens_is_called_what_the_vendor_calls_it(
    provider: str, dialect: str, options: dict[str, Any], body: bytes, leaves: bytes
) -> None:
    assert shaped(body, provider, dialect, options=options) == leaves


LIMITS: list[tuple[str, str, bool, bytes, bytes]] = [
    # provider, dialect, force, what the client says, what leaves with llm_options.max_tokens = 9
    ("openai", CHAT, False, b"{}", b'{"max_completion_tokens":9}'),
    ("openai", CHAT, False, b'{"max_tokens":5}', b'{"max_completion_tokens":5}'),
    ("openai", CHAT, False, b'{"max_completion_tokens":5}', b'{"max_completion_tokens":5}'),
    ("openai", CHAT, True, b'{"max_tokens":5}', b'{"max_completion_tokens":9}'),
    ("openai", CHAT, True, b'{"max_completion_tokens":5}', b'{"max_completion_tokens":9}'),
    ("gemini", CHAT, False, b"{}", b'{"max_completion_tokens":9}'),
    ("openai-compatible", CHAT, False, b"{}", b'{"max_tokens":9}'),
    ("openai-compatible", CHAT, False, b'{"max_completion_tokens":5}', b'{"max_completion_tokens":5}'),
    ("openai-compatible", CHAT, True, b'{"max_completion_tokens":5}', b'{"max_tokens":9}'),
    ("deepseek", CHAT, True, b'{"max_tokens":5}', b'{"max_tokens":9}'),
    ("azure-openai", CHAT, False, b"{}", b'{"max_tokens":9}'),
    ("openai", RESPONSES, False, b"{}", b'{"max_output_tokens":9}'),
    ("openai-compatible", RESPONSES, False, b"{}", b'{"max_output_tokens":9}'),
    ("openai", RESPONSES, True, b'{"max_output_tokens":5}', b'{"max_output_tokens":9}'),
    ("openai", "openai-embeddings", False, b"{}", b"{}"),
    ("openai-compatible", "openai-embeddings", True, b"{}", b"{}"),
    ("openai", "passthrough", False, b"{}", b'{"max_tokens":9}'),
    ("openai", "passthrough", False, b'{"max_tokens":5}', b'{"max_tokens":5}'),
]


@pytest.mark.parametrize(("provider", "dialect", "force", "body", "leaves"), LIMITS)
def test_llm_options_limit_the_answer_whatever_the_vendor_calls_that(
    provider: str, dialect: str, force: bool, body: bytes, leaves: bytes
) -> None:
    limit = {"max_tokens": 9}
    assert shaped(body, provider, dialect, llm_options=limit, request_body_force_override=force) == leaves


PATCHES: list[tuple[dict[str, Any], bool, bytes, bytes]] = [
    ({"a": 1}, False, b"{}", b'{"a":1}'),
    ({"a": 1}, False, b'{"a":5.0}', b'{"a":5.0}'),
    ({"a": 1}, False, b'{"a":null}', b'{"a":null}'),
    ({"a": 1}, True, b'{"a":5.0}', b'{"a":1}'),
    ({"a": {"b": 1}}, False, b'{"a":{"c":2.00}}', b'{"a":{"c":2.00,"b":1}}'),
    ({"a": {"b": 1}}, False, b'{"a":{"b": 2.00}}', b'{"a":{"b": 2.00}}'),
    ({"a": {"b": 1}}, True, b'{"a":{"b": 2.00,"c":3}}', b'{"a":{"b":1,"c":3}}'),
    ({"a": {"b": {"c": [1]}}}, True, b'{"a":{"b":{"c":[2],"d":1.0}},"z":1}', b'{"a":{"b":{"c":[1],"d":1.0}},"z":1}'),
    ({"a": {"b": 1}}, False, b'{"a":"text"}', b'{"a":"text"}'),
    ({"a": {"b": 1}}, True, b'{"a":"text"}', b'{"a":{"b":1}}'),
    ({"a": [1]}, True, b'{"a":[2,3]}', b'{"a":[1]}'),
    ({}, True, b'{ "a" : 1 }', b'{ "a" : 1 }'),
]


@pytest.mark.parametrize(("patch", "force", "body", "leaves"), PATCHES)
def test_request_body_is_merged_in(patch: dict[str, Any], force: bool, body: bytes, leaves: bytes) -> None:
    assert shaped(body, request_body={CHAT: patch}, request_body_force_override=force) == leaves


def test_request_body_is_per_dialect() -> None:
    assert shaped(b"{}", request_body={"openai-embeddings": {"a": 1}}) == b"{}"
    assert shaped(b"{}", dialect="openai-embeddings", request_body={"openai-embeddings": {"a": 1}}) == b'{"a":1}'


def test_options_then_llm_options_then_request_body() -> None:
    both: dict[str, Any] = {"llm_options": {"max_tokens": 9}, "request_body": {CHAT: {"max_tokens": 10, "o": {"b": 2}}}}
    options = {"max_tokens": 8, "o": {"a": 1}}
    assert shaped(b"{}", options=options, **both) == b'{"max_tokens":8,"o":{"a":1,"b":2}}'
    forced = {**both, "request_body_force_override": True}
    assert shaped(b"{}", options=options, **forced) == b'{"max_tokens":10,"o":{"a":1,"b":2}}'


def test_azure_takes_no_model() -> None:
    assert shaped(b'{"model":"m","a":1}', "azure-openai") == b'{"a":1}'
    assert shaped(b'{"a":1}', "azure-openai", options={"model": "gpt"}) == b'{"a":1}'
    assert shaped(b'{ "a":1}', "azure-openai", options={"model": "gpt"}) == b'{ "a":1}'


def test_one_client_changes_nothing_for_the_next() -> None:
    document = {
        "provider": "openai",
        "auth": {},
        "options": {"model": "m", "max_tokens": 5},
        "override": {"request_body": {CHAT: {"o": {"b": 1}}}},
    }
    shape = shape_of(decode(document, Model), PROVIDERS["openai"], CHAT)
    first = shape.outgoing(Body.parse(b'{"o":{"a":1}}'), {})
    shape.outgoing(Body.parse(b'{"o":{"x":[]},"max_tokens":1}'), {"stream_options": {}})
    assert shape.outgoing(Body.parse(b'{"o":{"a":1}}'), {}) == first
