"""What is read of a request before any instance is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.errors import BadRequest, InvalidJSON, MethodNotAllowed, UnsupportedMediaType
from aigw.llm.call import read_call
from aigw.testing import exchange_of

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]

CALLS: list[tuple[str, dict[str, Any], str, str, str]] = [
    # path, body, dialect, type, model
    ("/chat", {"messages": MESSAGES}, "openai-chat", "ai_chat", ""),
    ("/chat", {"messages": MESSAGES, "model": "gpt"}, "openai-chat", "ai_chat", "gpt"),
    ("/chat", {"messages": MESSAGES, "stream": True}, "openai-chat", "ai_stream", ""),
    ("/chat", {"messages": MESSAGES, "stream": "true", "model": 5}, "openai-chat", "ai_chat", ""),
    ("/v1/responses", {"input": "x", "stream": True, "model": "o"}, "openai-responses", "ai_stream", "o"),
    ("/v1/embeddings", {"input": ["x"], "model": "e"}, "openai-embeddings", "ai_chat", "e"),
    ("/rerank", {"query": "x", "model": "r"}, "passthrough", "ai_chat", "r"),
    ("/empty", {}, "passthrough", "ai_chat", ""),
]


@pytest.mark.parametrize(("path", "body", "dialect", "kind", "model"), CALLS)
def test_what_a_client_asks_for(path: str, body: dict[str, Any], dialect: str, kind: str, model: str) -> None:
    exchange = exchange_of(body, path=path)
    call = read_call(exchange)
    assert call.dialect.name == dialect
    assert call.streams == (kind == "ai_stream")
    assert call.model == exchange.request_model == exchange.model == model
    assert exchange.request_type == kind


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"post"])
def test_only_post_is_taken(method: bytes) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        read_call(exchange_of(method=method))
    assert caught.value.headers == ((b"Allow", b"POST"),)


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", " application/json ;x=y", None],
)
def test_json_by_its_name_or_by_none(media_type: str | None) -> None:
    exchange = exchange_of()
    exchange.headers.removeHeader(b"content-type")
    if media_type is not None:
        exchange.headers.setRawHeaders(b"content-type", [media_type.encode()])
    assert read_call(exchange).dialect.name == "openai-chat"


@pytest.mark.parametrize(
    ("media_type", "shown"),
    [
        (b"text/plain", "text/plain"),
        (b"multipart/form-data; boundary=x", "multipart/form-data"),
        (b"application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        (b"application/jsonx", "application/jsonx"),
        (b"", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 500, "x" * 100),
    ],
)
def test_anything_else_is_refused_by_its_name(media_type: bytes, shown: str) -> None:
    exchange = exchange_of()
    exchange.headers.setRawHeaders(b"content-type", [media_type])
    with pytest.raises(UnsupportedMediaType) as caught:
        read_call(exchange)
    assert caught.value.message == f'Content-Type: expected application/json, got "{shown}"'
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"a":\xff}', b"[" * 100_000])
def test_a_body_is_a_json_object(body: bytes) -> None:
    with pytest.raises(InvalidJSON):
        read_call(exchange_of(body))


def test_a_body_with_a_model_that_no_number_can_hold_is_no_trap() -> None:
    body = b'{"messages":[],"model":' + b"9" * 5000 + b',"stream":' + b"9" * 5000 + b"}"
    with pytest.raises(InvalidJSON):
        read_call(exchange_of(body))


OPAQUE: list[tuple[bytes, str, bytes | None, bytes]] = [
    # method, path, media type, body
    (b"GET", "/v1/models", None, b""),
    (b"GET", "/v1/chat/completions", None, b""),
    (b"DELETE", "/llm/v1/files/f", b"application/json", b""),
    (b"PUT", "/v1/x", b"application/json", b"{}"),
    (b"POST", "/v1/audio/transcriptions", b"multipart/form-data; boundary=x", b"--x--"),
    (b"POST", "/v1/batches/b/cancel", b"application/json", b""),
    (b"POST", "/v1/batches/b/cancel", None, b""),
]


@pytest.mark.parametrize(("method", "path", "media_type", "body"), OPAQUE)
def test_what_is_no_json_is_passed_through_where_somebody_takes_it(
    method: bytes, path: str, media_type: bytes | None, body: bytes
) -> None:
    exchange = exchange_of(body, method=method, path=path)
    exchange.headers.removeHeader(b"content-type")
    if media_type is not None:
        exchange.headers.setRawHeaders(b"content-type", [media_type])
    call = read_call(exchange)
    assert (call.opaque, call.streams, call.model, call.dialect.name) == (True, False, "", "passthrough")
    assert exchange.request_type == ""
    with pytest.raises((BadRequest, MethodNotAllowed)):
        read_call(exchange, passes=False)


def test_json_is_read_wherever_it_goes() -> None:
    call = read_call(exchange_of({"model": "dall-e", "prompt": "x"}, path="/v1/images/generations"))
    assert (call.opaque, call.dialect.name, call.model) == (False, "passthrough", "dall-e")
