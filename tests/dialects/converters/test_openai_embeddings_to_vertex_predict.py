"""Embeddings of OpenAI's format in front of Vertex AI's text embedding models."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from aigw.dialects import DIALECTS, detect
from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from aigw.dialects.usage import Usage
from aigw.errors import BadRequest, GatewayError, Unconvertible, UpstreamBadReply

CONVERTER = CONVERTERS["openai-embeddings", "vertex-predict"]
PREDICT = next(d for d in DIALECTS if d.name == "vertex-predict")
NOW = 1_700_000_000


def body(**fields: Any) -> Body:
    return Body.parse(json.dumps({"model": "text-embedding-005", "input": "hi", **fields}).encode())


def converted(**fields: Any) -> Any:
    return json.loads(CONVERTER.request(body(**fields), "ignored").raw_bytes)


def predictions(*vectors: Any, tokens: Any = 3) -> bytes:
    """An answer as Google's documentation shows it."""
    statistics = {"truncated": False, "token_count": tokens}
    return json.dumps(
        {
            "predictions": [{"embeddings": {"statistics": statistics, "values": vector}} for vector in vectors],
            "metadata": {"billableCharacterCount": 11},
        }
    ).encode()


REQUESTS: list[tuple[dict[str, Any], Any]] = [
    ({}, {"instances": [{"content": "hi"}], "parameters": {"autoTruncate": False}}),
    (
        {"input": ["a", "", "\u00e9"]},
        {
            "instances": [{"content": "a"}, {"content": ""}, {"content": "\u00e9"}],
            "parameters": {"autoTruncate": False},
        },
    ),
    (
        {"dimensions": 256, "encoding_format": "base64", "user": "u", "unknown": None},
        {"instances": [{"content": "hi"}], "parameters": {"autoTruncate": False, "outputDimensionality": 256}},
    ),
    ({"input": ["a"] * 2048}, {"instances": [{"content": "a"}] * 2048, "parameters": {"autoTruncate": False}}),
]


@pytest.mark.parametrize(("fields", "expected"), REQUESTS)
def test_requests(fields: dict[str, Any], expected: Any) -> None:
    assert converted(**fields) == expected


REFUSED: list[tuple[dict[str, Any], type[GatewayError], str]] = [
    ({"input": None}, BadRequest, "input"),
    ({"input": 5}, BadRequest, "input"),
    ({"input": []}, BadRequest, "input"),
    ({"input": {"a": 1}}, BadRequest, "input"),
    ({"input": ["a"] * 2049}, BadRequest, "input"),
    ({"input": ["a", None]}, BadRequest, "input[1]"),
    ({"input": ["a", 1]}, BadRequest, "input[1]"),
    ({"input": [1, 2]}, Unconvertible, "input"),
    ({"input": [[1], [2]]}, Unconvertible, "input[0]"),
    ({"input": ["a", [2]]}, Unconvertible, "input[1]"),
    ({"dimensions": "256"}, BadRequest, "dimensions"),
    ({"dimensions": True}, BadRequest, "dimensions"),
    ({"dimensions": 0}, BadRequest, "dimensions"),
    ({"encoding_format": "int8"}, BadRequest, "encoding_format"),
    ({"encoding_format": ["float"]}, BadRequest, "encoding_format"),
    ({"input_type": "query"}, Unconvertible, "input_type"),
]


@pytest.mark.parametrize(("fields", "kind", "param"), REFUSED)
def test_what_is_refused_is_named(fields: dict[str, Any], kind: type[GatewayError], param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        converted(**fields)
    assert type(caught.value) is kind
    assert caught.value.param == param
    assert caught.value.message.startswith(param)


def test_an_answer_as_floats() -> None:
    raw = CONVERTER.answer(body(input=["a", "b"]), predictions([0.5, -1], [0.25, 1e-9], tokens=7.0), NOW)
    assert json.loads(raw) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -1]},
            {"object": "embedding", "index": 1, "embedding": [0.25, 1e-9]},
        ],
        "model": "text-embedding-005",
        "usage": {"prompt_tokens": 14, "total_tokens": 14},
    }
    CreateEmbeddingResponse.model_validate_json(raw, strict=True)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6)))
def test_an_answer_in_base64_as_openais_sdk_reads_it(vector: list[float]) -> None:
    answer = json.loads(CONVERTER.answer(body(encoding_format="base64"), predictions(vector), NOW))
    packed = base64.b64decode(answer["data"][0]["embedding"])
    assert list(struct.unpack(f"<{len(packed) // 4}f", packed)) == vector


BAD: list[bytes] = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b'{"predictions":{}}',
    b'{"predictions":[]}',
    b'{"predictions":[null]}',
    b'{"predictions":[{"embeddings":[]}]}',
    b'{"predictions":[{"embeddings":{"values":"abc"}}]}',
    b'{"predictions":[{"embeddings":{"values":[1,"2"]}}]}',
    b'{"predictions":[{"embeddings":{"values":[null]}}]}',
    b'{"predictions":[{"embeddings":{"values":[' + b"9" * 400 + b"]}}]}",
    predictions([1], [2]),
]


@pytest.mark.parametrize("raw", BAD)
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_what_is_no_answer(raw: bytes, encoding: str) -> None:
    with pytest.raises(UpstreamBadReply):
        CONVERTER.answer(body(encoding_format=encoding), raw, NOW)


def test_what_32_bits_can_not_hold() -> None:
    with pytest.raises(UpstreamBadReply):
        CONVERTER.answer(body(encoding_format="base64"), predictions([1e39]), NOW)
    assert json.loads(CONVERTER.answer(body(), predictions([1e39]), NOW))["data"][0]["embedding"] == [1e39]


ERRORS: list[tuple[int, bytes, str, str, str | None]] = [
    (
        400,
        b'{"error":{"code":400,"message":"The input token count is too large","status":"INVALID_ARGUMENT"}}',
        "The input token count is too large",
        "invalid_request_error",
        "INVALID_ARGUMENT",
    ),
    (503, b"<html>", "the upstream answered with status 503", "server_error", None),
    (500, b'{"error":{"message":5,"status":[]}}', "the upstream answered with status 500", "server_error", None),
    (429, b'{"error":"x"}', "the upstream answered with status 429", "invalid_request_error", None),
    (500, b'{"error":{"message":"' + b"x" * 900 + b'"}}', "x" * 500, "server_error", None),
]


@pytest.mark.parametrize(("status", "raw", "message", "kind", "code"), ERRORS)
def test_errors(status: int, raw: bytes, message: str, kind: str, code: str | None) -> None:
    told = {"error": {"message": message, "type": kind, "code": code, "param": None}}
    assert json.loads(CONVERTER.error(status, raw)) == told


def test_there_are_no_streams() -> None:
    with pytest.raises(UpstreamBadReply):
        CONVERTER.stream(body(), NOW)


def test_no_client_is_taken_for_a_speaker_of_predict() -> None:
    raw = json.dumps({"instances": [{"content": "a"}], "stream": True}).encode()
    path = "/v1/projects/p/locations/l/publishers/google/models/m:predict"
    assert detect(path, Body.parse(raw)).name == "passthrough"
    assert not PREDICT.streams(Body.parse(raw))


TOKENS: list[tuple[Any, int]] = [
    ([{"embeddings": {"statistics": {"token_count": 4}}}, {"embeddings": {"statistics": {"token_count": 5.0}}}], 9),
    ([{"embeddings": {"statistics": {"token_count": -4}}}, {"embeddings": {"statistics": {"token_count": "5"}}}], 0),
    ([{"embeddings": {"statistics": {"token_count": True}}}, None, {"embeddings": None}, {"embeddings": [1]}], 0),
    ([{"embeddings": {"statistics": {"token_count": 10**30}}}], 0),
    ({"embeddings": 1}, 0),
    (None, 0),
]


@pytest.mark.parametrize(("told", "tokens"), TOKENS)
def test_usage(told: Any, tokens: int) -> None:
    usage = Usage()
    PREDICT.body_usage(json.dumps({"predictions": told}).encode(), usage)
    assert usage == Usage(prompt_tokens=tokens, total_tokens=tokens)
