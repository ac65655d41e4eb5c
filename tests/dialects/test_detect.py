"""Which dialect a request is in, and what each knows about a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aigw.dialects import DIALECTS, detect
from aigw.dialects.body import Body
from aigw.dialects.usage import Usage
from aigw.errors import UpstreamTimeout

CHAT_PATH = "/v1/chat/completions"
OPENAI = [dialect for dialect in DIALECTS if dialect.name.startswith("openai-") or dialect.name == "passthrough"]
"""OpenAI's own, and what is taken to be like them."""
NEVER_STREAM = ("openai-embeddings", "anthropic-count-tokens", "vertex-predict")


def body(value: dict[str, Any]) -> Body:
    return Body.parse(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        (CHAT_PATH, {"messages": []}, "openai-chat"),
        ("/custom-llm", {"messages": [], "input": "x"}, "openai-chat"),
        ("/custom-llm", {"input": "x"}, "openai-embeddings"),
        ("/custom-llm", {"messages": "x", "input": "x"}, "openai-embeddings"),
        ("/v1/responses", {"input": "x"}, "openai-responses"),
        ("/llm/v1/responses", {"input": [], "messages": []}, "openai-responses"),
        ("/llm/v1/embeddings", {"input": "x"}, "openai-embeddings"),
        ("/llm/v1/audio/speech", {"input": "x", "voice": "alloy"}, "passthrough"),
        ("/v1/moderations", {"input": "x"}, "passthrough"),
        ("/v1/responses/input_tokens", {"input": "x"}, "passthrough"),
        ("/v1/responses", {"prompt": {}}, "passthrough"),
        ("/v1/responses", {"messages": []}, "openai-chat"),
        ("/v1/messages", {"messages": []}, "anthropic-messages"),
        ("/llm/v1/messages", {"messages": [], "system": "x"}, "anthropic-messages"),
        ("/v1/messages", {"messages": "x"}, "passthrough"),
        ("/v1/messages/count_tokens", {"messages": []}, "anthropic-count-tokens"),
        ("/v1/messages/batches", {"requests": []}, "passthrough"),
        ("/model/m/converse", {"messages": []}, "bedrock-converse"),
        ("/llm/model/m/converse-stream", {"messages": [], "input": "x"}, "bedrock-converse"),
        ("/model/m/converse", {"promptVariables": {}}, "bedrock-converse"),
        ("/model/m/converse", {"messages": "x"}, "passthrough"),
        ("/x", {"messages": None}, "passthrough"),
        ("/x", {}, "passthrough"),
    ],
)
def test_detects(path: str, value: dict[str, Any], name: str) -> None:
    assert detect(path, body(value)).name == name


def test_a_path_that_came_before_is_read_like_a_new_one() -> None:
    for value, name in (({"messages": []}, "openai-chat"), ({"input": "x"}, "openai-embeddings"), ({}, "passthrough")):
        for path in ("/custom-llm", "/custom-llm"):
            assert detect(path, body(value)).name == name


def test_names_are_unique_and_the_last_takes_everything() -> None:
    assert len({d.name for d in DIALECTS}) == len(DIALECTS)
    assert DIALECTS[-1].matches("", body({}))


@pytest.mark.parametrize(
    ("stream", "streams"), [(True, True), (False, False), (None, False), ("true", False), (1, False)]
)
def test_streams_if_asked_to(stream: Any, streams: bool) -> None:
    for dialect in DIALECTS:
        assert dialect.streams(body({"stream": stream})) is (streams and dialect.name not in NEVER_STREAM)
        assert not dialect.streams(body({}))


def test_knows_the_model() -> None:
    for dialect in DIALECTS:
        assert dialect.model(body({"model": "gpt"})) == "gpt"
        assert dialect.model(body({"model": 7})) == ""
        assert dialect.model(body({})) == ""


@pytest.mark.parametrize(
    ("raw", "expected", "asked"),
    [
        (b'{"messages":[]}', b'{"messages":[]}', True),
        (
            b'{"messages":[],"stream": true}',
            b'{"messages":[],"stream":true,"stream_options":{"include_usage":true}}',
            False,
        ),
        (
            b'{"messages":[],"stream_options":null,"stream":true}',
            b'{"messages":[],"stream_options":{"include_usage":true},"stream":true}',
            False,
        ),
        (
            b'{"messages":[],"stream":true,"stream_options":{"x": 1.0,"include_usage":false}}',
            b'{"messages":[],"stream":true,"stream_options":{"x":1.0,"include_usage":true}}',
            False,
        ),
        (
            b'{"messages":[],"stream":true,"stream_options":{}}',
            b'{"messages":[],"stream":true,"stream_options":{"include_usage":true}}',
            False,
        ),
        (
            b'{"messages":[], "stream":true, "stream_options":{ "include_usage":true}}',
            b'{"messages":[], "stream":true, "stream_options":{ "include_usage":true}}',
            True,
        ),
        (
            b'{"messages":[], "stream":true, "stream_options":"yes"}',
            b'{"messages":[], "stream":true, "stream_options":"yes"}',
            True,
        ),
    ],
)
def test_a_streaming_chat_asks_for_usage(raw: bytes, expected: bytes, asked: bool) -> None:
    request = Body.parse(raw)
    prepared = detect(CHAT_PATH, request).prepare(request)
    assert request.edited(prepared.sets) == expected
    assert prepared.client_asked_usage is asked


def test_the_others_add_nothing() -> None:
    request = body({"input": "x", "stream": True})
    for dialect in DIALECTS:
        if dialect.name != "openai-chat":
            assert not dialect.prepare(request).sets


def test_usage_of_a_complete_reply() -> None:
    for dialect in OPENAI:
        usage = Usage()
        dialect.body_usage(b'{"data":[{"usage":{}}],"usage":{"prompt_tokens":4,"total_tokens":4}}', usage)
        assert usage == Usage(prompt_tokens=4, total_tokens=4)


def test_error_events_are_in_the_clients_dialect() -> None:
    error = UpstreamTimeout("silent\n\nfor \ud83d", param="x")
    told = {"message": "silent\n\nfor \ud83d", "type": "upstream_error", "code": "upstream_timeout", "param": "x"}
    for dialect in OPENAI:
        event = dialect.error_event(error)
        assert event.endswith(b"\n\n")
        assert event.count(b"\n\n") == 1
        assert b"[DONE]" not in event
        lines = event.decode().splitlines()
        document = json.loads(lines[-2].removeprefix("data: "))
        assert document["error"] == told
        if dialect.name == "openai-responses":
            assert lines[0] == "event: error"
            assert document == {**told, "type": "error", "error": told}
        else:
            assert document == {"error": told}
