"""Anthropic: the Messages API, whole and streamed, its count of tokens, and its endpoint for OpenAI's chat format.

https://platform.claude.com/docs/en/api/messages, .../docs/en/build-with-claude/streaming, .../docs/en/api/errors,
.../docs/en/api/openai-sdk (what that endpoint does not know it ignores; it tells nothing of the thinking)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from aigw.testing.requests import Received
from aigw.testing.vendors.anthropic_request import MessagesRequest, TokensRequest, heard
from aigw.testing.vendors.anthropic_rules import NEWEST, SIGNATURE, obey_rules
from aigw.testing.vendors.chat_format import ChatFormat
from aigw.testing.vendors.checking import Complaint, checked, decoded
from aigw.testing.vendors.openai import retry_after
from aigw.testing.vendors.scenario import Heard, Stop, Tokens, Turn, slices, words
from aigw.testing.vendors.vendor import Answer, Refused, Vendor, event, stream, whole

VERSIONS = ("2023-01-01", "2023-06-01", NEWEST)
KINDS: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
STOPS: Mapping[Stop, str] = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.SEQUENCE: "stop_sequence",
    Stop.TOOLS: "tool_use",
    Stop.REFUSAL: "refusal",
    Stop.FILTER: "refusal",
}
PING = event({"type": "ping"}, "ping")
OVERLOADED = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")
"""An error in mid-stream, after which the connection closes."""


class Anthropic(Vendor):
    """``key``: it takes it in ``x-api-key``, or as a bearer token."""

    provider = "anthropic"
    chat = ChatFormat(lenient=True, id="msg_fake", broken=OVERLOADED)
    routes = (
        ("POST", "/v1/messages", "speak"),
        ("POST", "/v1/messages/count_tokens", "count"),
        ("POST", "/v1/chat/completions", "complete"),
        ("GET", "/v1/models", "list_models"),
    )
    call_prefix = "toolu_"

    def as_model(self, url: str, **fields: Any) -> dict[str, Any]:
        """With the key in the header that Anthropic's own clients have long used."""
        return super().as_model(url, **{"auth": {"header": {"x-api-key": self.key}}, **fields})

    def authenticate(self, request: Received) -> None:
        """Check the key, and (except for clients of OpenAI's) that a version is named.

        :raises Refused: if they are not right.
        """
        headers = request.headers
        if "x-api-key" not in headers and "authorization" not in headers:
            raise Refused(401, "x-api-key header is required")
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if headers.get("x-api-key", bearer) != self.key:
            raise Refused(401, "invalid x-api-key")
        if request.target.startswith("/v1/chat/"):
            return
        version = headers.get("anthropic-version")
        if version is None:
            raise Refused(400, "anthropic-version: header is required")
        if version not in VERSIONS:
            raise Refused(400, f'anthropic-version: "{version}" is not a valid version')

    def speak(self, request: Received) -> Answer:
        """The Messages API."""
        asked, _ = checked(MessagesRequest, decoded(request.body))
        obey_rules(asked, request.headers["anthropic-version"])
        turn = self.perform(heard(asked))
        if not asked.stream:
            return _answered(whole(_message(turn, asked.model, blocks_of(turn)) | _stopped(turn)))
        return _answered(stream(_events(turn, asked.model), turn, OVERLOADED))

    def count(self, request: Received) -> Answer:
        """How many tokens a request has: as many as the scenario says."""
        asked, _ = checked(TokensRequest, decoded(request.body))
        obey_rules(asked, request.headers["anthropic-version"])
        return _answered(whole({"input_tokens": self.perform(Heard(model=asked.model)).tokens.prompt}))

    def complete(self, request: Received) -> Answer:
        """OpenAI's chat format."""
        return self.chat.answer(self, decoded(request.body))

    def list_models(self, request: Received) -> Answer:
        """Which there are."""
        model = {"type": "model", "id": "claude-fake", "display_name": "Fake", "created_at": "2026-01-01T00:00:00Z"}
        return _answered(
            whole({"data": [model], "has_more": False, "first_id": "claude-fake", "last_id": "claude-fake"})
        )

    def refusal(self, refused: Refused) -> Answer:
        """Anthropic's error object, the same for both formats."""
        message = _worded(refused) if isinstance(refused, Complaint) else refused.message
        kind = KINDS.get(refused.status, "invalid_request_error")
        error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}
        return _answered(whole(error, refused.status, retry_after(refused)))


def blocks_of(turn: Turn) -> list[dict[str, Any]]:
    """What the model says, as blocks of content."""
    blocks: list[dict[str, Any]] = []
    if turn.thinking:
        blocks.append({"type": "thinking", "thinking": turn.thinking, "signature": SIGNATURE})
    if turn.text:
        blocks.append({"type": "text", "text": turn.text})
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)} for call in turn.calls
    ]
    return blocks + calls


def usage(tokens: Tokens) -> dict[str, Any]:
    """What Anthropic says of tokens: what is cached is no part of the input."""
    return {
        "input_tokens": tokens.prompt - tokens.cached - tokens.written,
        "cache_creation_input_tokens": tokens.written,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": tokens.completion,
    }


def _events(turn: Turn, model: str) -> Iterator[bytes]:
    begun = _message(turn, model, [])
    begun["usage"]["output_tokens"] = 1
    yield _named({"type": "message_start", "message": begun})
    for index, block in enumerate(blocks_of(turn)):
        yield from _block_events(index, block)
    yield _named({"type": "message_delta", "delta": _stopped(turn), "usage": usage(turn.tokens)})
    yield _named({"type": "message_stop"})


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[bytes]:
    start = {**block, **_EMPTY[block["type"]]}
    yield _named({"type": "content_block_start", "index": index, "content_block": start})
    if index == 0:
        yield PING
    for delta in _deltas(block):
        yield _named({"type": "content_block_delta", "index": index, "delta": delta})
    yield _named({"type": "content_block_stop", "index": index})


_EMPTY: Mapping[str, Mapping[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
"""What is different of a block that has only begun."""


def _deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in words(block["text"]))
    elif block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in words(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        pieces = ["", *slices(json.dumps(block["input"]))]
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)


def _message(turn: Turn, model: str, content: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(content),
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage(turn.tokens), "service_tier": "standard"},
    }


def _stopped(turn: Turn) -> dict[str, Any]:
    return {"stop_reason": STOPS[turn.stop], "stop_sequence": turn.sequence}


def _named(data: Mapping[str, Any]) -> bytes:
    return event(data, str(data["type"]))


def _answered(answer: Answer) -> Answer:
    own = {"request-id": "req_fake", "anthropic-organization-id": "org-fake"}
    limits = {"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49"}
    return attrs.evolve(answer, headers={**answer.headers, **own, **limits})


def _worded(complaint: Complaint) -> str:
    if complaint.problem == "json":
        return f"The request body is not valid JSON: {complaint.detail}"
    words = {"missing": "Field required", "unknown": "Extra inputs are not permitted"}
    said = words.get(complaint.problem, complaint.detail)
    return f"{complaint.dotted}: {said}" if complaint.where else said
