"""Anthropic's Messages API: typed events, each with its name in an ``event`` line; `message_stop` ends a stream.

https://docs.anthropic.com/en/api/messages, and https://docs.anthropic.com/en/docs/build-with-claude/streaming:
``message_start`` tells the input tokens, any number of ``message_delta`` tell the cumulative usage so far, the last
of them why the model stopped; ``ping`` and ``error`` may come anywhere, unknown events have to be expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from aigw.dialects.body import Body
from aigw.dialects.dialect import Holder, Prepared, Watch
from aigw.dialects.passthrough import AS_IT_IS, Passthrough
from aigw.dialects.rawjson import encode, member_of, object_of, objects_in
from aigw.dialects.sse import data_of
from aigw.dialects.stream import EventHolder, Meaning, StreamWatch, told_error
from aigw.dialects.usage import Usage, record_anthropic, usage_of
from aigw.errors import GatewayError

MARKS = (b"message_start", b"message_delta", b"message_stop", b"event: error", b"event:error", b'"error"')
"""Every event that matters to the watch holds one; in a text that a delta quotes, the last one is escaped."""

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""By status (https://docs.anthropic.com/en/api/errors); 503 is there because 529 is Anthropic's own."""

SIGNED = "aigw:"
"""How the signature of a thinking block begins that the gateway made of another provider's reasoning."""

_SIGNED = re.compile(rb'"signature"\s*:\s*"aigw:')
_EMPTY_STARTS = ("text", "thinking")
"""Blocks that start with nothing in them."""


class AnthropicMessages(Passthrough):
    """``messages`` (and ``system``) in, a message of content blocks out."""

    name: ClassVar[str] = "anthropic-messages"
    endings: ClassVar[tuple[str, ...]] = ("/v1/messages",)
    """They tell it from chat completions, which have ``messages`` too."""

    def matches(self, path: str, body: Body) -> bool:
        """An array of ``messages``."""
        return body.type_of("messages") == "array"

    def text(self, body: Body) -> str:
        """The system prompt and the texts of all messages, those in tool results included."""
        messages = body.get("messages")
        said = [message.get("content") for message in objects_in(messages)]
        return "\n".join(text for content in (body.get("system"), *said) for text in _texts(content))

    def tool_calls(self, raw: bytes) -> list[str]:
        """Those that the client is to run."""
        blocks = objects_in(object_of(raw).get("content"))
        names = (block.get("name") for block in blocks if block.get("type") == "tool_use")
        return [name for name in names if isinstance(name, str)]

    def prepare(self, body: Body) -> Prepared:
        """Nothing to add. Thinking that the gateway itself signed stays behind: Anthropic checks the signatures of what
        its models thought, and would refuse a conversation that has been with another provider for a while.
        """
        messages = body.raw("messages")
        if messages is None or not _SIGNED.search(messages):
            return AS_IT_IS
        return Prepared(sets={"messages": _without_foreign_thoughts(body.get("messages"))}, client_asked_usage=True)

    def holder(self) -> Holder:
        """The first delta with something in it, or a block that starts with something, decides."""
        return EventHolder(read)

    def watch(self, usage: Usage, hide_usage: bool) -> Watch:
        """Complete with a stop reason; usage is part of the stream and never hidden."""
        return StreamWatch(read, MARKS, usage, hide_usage=False, recorder=record_anthropic)

    def body_usage(self, raw: bytes, usage: Usage) -> None:
        """The ``usage`` of a message."""
        record_anthropic(usage, usage_of(raw))

    def error_event(self, error: GatewayError) -> bytes:
        """An ``error`` event."""
        return b"event: error\ndata: " + encode(error_document(error.status, error.message)) + b"\n\n"


class AnthropicCountTokens(AnthropicMessages):
    """How many tokens a request would have (https://docs.anthropic.com/en/api/messages-count-tokens): only a provider
    that has this API can tell. Nothing is generated, so nothing is used, and it never streams.
    """

    name: ClassVar[str] = "anthropic-count-tokens"
    endings: ClassVar[tuple[str, ...]] = ("/v1/messages/count_tokens",)

    def streams(self, body: Body, path: str = "") -> bool:
        """Never."""
        return False

    def body_usage(self, raw: bytes, usage: Usage) -> None:
        """Counting uses no tokens."""


def error_type(status: int) -> str:
    """What Anthropic calls an error with this HTTP status."""
    return ERROR_TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def error_document(status: int, message: str) -> dict[str, Any]:
    """Anthropic's error object."""
    return {"type": "error", "error": {"type": error_type(status), "message": message}}


def read(event: bytes) -> Meaning:
    """What one event of a message stream means."""
    data = object_of(data_of(event))
    match data.get("type"):
        case "content_block_delta":
            return Meaning(real=_says_something(data.get("delta")))
        case "content_block_start":
            return Meaning(real=_starts_with_something(data.get("content_block")))
        case "message_start":
            return Meaning(usage=member_of(data.get("message"), "usage"))
        case "message_delta":
            finished = bool(member_of(data.get("delta"), "stop_reason"))
            return Meaning(real=finished, complete=finished, usage=data.get("usage"))
        case "message_stop":
            return _STOP
    return Meaning(error=told_error(event, data))


def _without_foreign_thoughts(messages: Any) -> Any:
    """The messages without these blocks, and without those that consist of nothing else."""
    if not isinstance(messages, list):
        return messages
    left = []
    for message in messages:
        content = member_of(message, "content")
        kept = [block for block in content if not _is_foreign(block)] if isinstance(content, list) else content
        if kept or not content:
            left.append(message if kept == content else {**message, "content": kept})
    return left


def _is_foreign(block: Any) -> bool:
    signature = member_of(block, "signature")
    return member_of(block, "type") == "thinking" and isinstance(signature, str) and signature.startswith(SIGNED)


def _says_something(delta: Any) -> bool:
    """Whatever kind of delta it is: text, thinking, a signature, a part of a tool's input, a citation."""
    return isinstance(delta, dict) and any(value not in (None, "", [], {}) for n, value in delta.items() if n != "type")


def _starts_with_something(block: Any) -> bool:
    if not isinstance(block, dict):
        return False
    kind = block.get("type")
    return kind not in _EMPTY_STARTS or bool(block.get(kind))


def _texts(content: Any) -> Iterator[str]:
    """The texts of a ``content``, which is a text or blocks, and of the results among these."""
    if isinstance(content, str):
        yield content
    for block in objects_in(content):
        if isinstance(text := block.get("text"), str) and block.get("type") == "text":
            yield text
        elif block.get("type") == "tool_result":
            yield from _result_texts(block.get("content"))


def _result_texts(content: Any) -> Iterator[str]:
    """One level, as the API has it: results do not hold results."""
    if isinstance(content, str):
        yield content
    for block in objects_in(content):
        if isinstance(text := block.get("text"), str):
            yield text


_STOP = Meaning(real=True, complete=True, last=True)
