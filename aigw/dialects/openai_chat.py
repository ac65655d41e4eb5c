"""OpenAI's Chat Completions, the dialect that most servers speak.

https://platform.openai.com/docs/api-reference/chat/create and .../chat-streaming: chunks with ``choices``, each with a
``delta``; ``finish_reason`` in the last chunk of a choice; one more chunk with no choices, only ``usage``, for those
who asked with ``stream_options.include_usage``; then ``[DONE]``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Raw

from aigw.dialects.body import Body, deep_merge
from aigw.dialects.dialect import Holder, Prepared, Watch
from aigw.dialects.passthrough import AS_IT_IS, Passthrough
from aigw.dialects.rawjson import object_of, objects_in
from aigw.dialects.sse import data_of
from aigw.dialects.stream import EventHolder, Meaning, StreamWatch, told_error
from aigw.dialects.usage import Usage

MARKS = (b'"finish_reason":"', b'"finish_reason": "', b'"prompt_tokens"', b"[DONE]", b"error")
"""Every event that matters to the watch holds one (as JSON is written in practice, without or with one space)."""

_ASK_FOR_USAGE = Prepared(sets={"stream_options": Raw(b'{"include_usage":true}')}, client_asked_usage=False)
_DONE = Meaning(real=True, complete=True, last=True)


class OpenAIChat(Passthrough):
    """``messages`` in, chunks out."""

    name: ClassVar[str] = "openai-chat"

    def matches(self, path: str, body: Body) -> bool:
        """An array of ``messages`` (other APIs that have one, told by their paths, come before)."""
        return body.type_of("messages") == "array"

    def prepare(self, body: Body) -> Prepared:
        """Have the upstream tell the usage of a stream; the other ``stream_options`` stay as they are."""
        if body.get("stream") is not True:
            return AS_IT_IS
        options = body.get("stream_options")
        if options is None:
            return _ASK_FOR_USAGE
        if not isinstance(options, dict) or options.get("include_usage") is True:
            return AS_IT_IS
        wanted = deep_merge(body.members, {"stream_options": {"include_usage": True}}, force=True)
        return Prepared(sets={"stream_options": wanted["stream_options"]}, client_asked_usage=False)

    def holder(self) -> Holder:
        """The first delta that says something decides."""
        return EventHolder(read)

    def watch(self, usage: Usage, hide_usage: bool) -> Watch:
        """Complete with a finish reason or ``[DONE]``."""
        return StreamWatch(read, MARKS, usage, hide_usage)


def read(event: bytes) -> Meaning:
    """What one event of a chat stream means."""
    data = data_of(event)
    if data.strip() == b"[DONE]":
        return _DONE
    chunk = object_of(data)
    if "error" in chunk or "choices" not in chunk:
        error = told_error(event, chunk)
        if error is not None:
            return Meaning(error=error)
    choices, usage = objects_in(chunk.get("choices")), chunk.get("usage")
    finished = any(choice.get("finish_reason") for choice in choices)
    only_usage = chunk.get("choices") == [] and isinstance(usage, dict)
    real = finished or only_usage or any(map(_says_something, choices))
    return Meaning(real=real, complete=finished, usage=usage, only_usage=only_usage)


def wants_usage(request: Body) -> bool:
    """Does the client want to see the usage of a stream?"""
    options = request.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def first_choice(completion: dict[str, Any]) -> dict[str, Any]:
    """The choice with index 0 of a completion or chunk, for those who asked for one; empty if there is none."""
    return next((choice for choice in objects_in(completion.get("choices")) if not choice.get("index")), {})


def _says_something(choice: dict[str, Any]) -> bool:
    """Is there anything but a role in it: text, a refusal, reasoning, tool calls, audio, whatever vendors add?"""
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(
        value not in (None, "", [], {}) for name, value in delta.items() if name != "role"
    )
