"""A chat completion as a message of Anthropic's Messages API, and what its stream has in common with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aigw.dialects.anthropic_messages import SIGNED
from aigw.dialects.body import Body
from aigw.dialects.converters.reading import Object
from aigw.dialects.openai_chat import first_choice
from aigw.dialects.rawjson import decode, object_of
from aigw.dialects.reasoning import FIELDS, reasoning_in, texts_in
from aigw.dialects.usage import Usage, record
from aigw.errors import InvalidJSON, UpstreamBadReply

_TOLD_LIMIT = 500

_STOP_REASONS: Mapping[Any, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
    "insufficient_system_resource": "max_tokens",
}
"""https://platform.openai.com/docs/api-reference/chat/object; the last one is DeepSeek's, for an answer cut off."""

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")
_TOO_LONG = re.compile(r"context.?length|exceed_context_size", re.IGNORECASE)
"""OpenAI's and DeepSeek's ``context_length_exceeded``, vLLM's sentence about the maximum, llama.cpp's type."""


def message_of(completion: Object, raw: bytes, request: Body) -> Object | None:
    """The first choice as a message; None if there is none. ``raw``: the completion's text.

    :raises UpstreamBadReply: if there is a tool call without a name.
    """
    choice = first_choice(completion)
    answer = choice.get("message")
    if not isinstance(answer, dict):
        return None
    content = list(_blocks(answer, message_id(completion, raw)))
    called = any(block["type"] == "tool_use" for block in content)
    usage = Usage()
    record(usage, completion.get("usage"))
    reason, sequence = "refusal", None
    if not answer.get("refusal"):
        reason, sequence = stop_of(choice, called, request)
    return {
        **message_head(completion, raw, request),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": usage_object(usage),
    }


def message_head(completion: Object, raw: bytes, request: Body) -> Object:
    """What a message has before its content: the model as the upstream names it, if it does."""
    model = completion.get("model") or request.get("model")
    return {
        "id": message_id(completion, raw),
        "type": "message",
        "role": "assistant",
        "model": model if isinstance(model, str) else "",
    }


def message_id(completion: Object, raw: bytes) -> str:
    """The completion's, in Anthropic's form; a hash of ``raw`` if it has none."""
    given = completion.get("id")
    given = _NOT_IN_IDS.sub("_", given.removeprefix("chatcmpl-"))[:100] if isinstance(given, str) else ""
    return f"msg_{given or hashlib.sha256(raw).hexdigest()[:24]}"


def call_id(given: Any, message: str, place: int) -> str:
    """The id of a tool call, which has to come back as it is; made up if the upstream gave none."""
    if isinstance(given, str) and given:
        return given
    return f"toolu_{hashlib.sha256(f'{message} {place}'.encode()).hexdigest()[:24]}"


def stop_of(choice: Object, called: bool, request: Body) -> tuple[str, str | None]:
    """``stop_reason`` and ``stop_sequence``.

    Which sequence stopped the model only some tell: vLLM in ``stop_reason``, SGLang in ``matched_stop``. ``stop`` is
    also what OpenAI says of a call that the client demanded.
    """
    reason = choice.get("finish_reason")
    stop_reason = _STOP_REASONS.get(reason, "end_turn") if isinstance(reason, str) else "end_turn"
    if stop_reason != "end_turn":
        return stop_reason, None
    wanted = request.get("stop_sequences")
    for matched in (choice.get("stop_reason"), choice.get("matched_stop")):
        if isinstance(matched, str) and isinstance(wanted, list) and matched in wanted:
            return "stop_sequence", matched
    return ("tool_use" if called else "end_turn"), None


def usage_object(usage: Usage) -> Object:
    """Anthropic's counts, in which what was read from or written to a cache is no part of ``input_tokens``."""
    fresh = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
    counts: Object = {
        "input_tokens": max(0, fresh),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }
    if usage.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


def signature_of(field: str) -> str:
    """Of a thinking block made of what came in this field."""
    return SIGNED + field


def reasoning_field(signature: str | None) -> str | None:
    """The field that a thinking block came in; None if it is another vendor's."""
    return next((field for field in FIELDS if signature == signature_of(field)), None)


def text_in(part: Object) -> str:
    """The text, or the refusal, in a message or delta."""
    content = part.get("content")
    text = content if isinstance(content, str) else "".join(texts_in(content, "text"))
    refusal = part.get("refusal")
    return text + refusal if isinstance(refusal, str) else text


def tool_input(arguments: Any) -> Object:
    """The arguments of a call as an object. What a model wrote that is none is wrapped as Anthropic advises
    (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/fine-grained-tool-streaming)."""
    if isinstance(arguments, dict):
        return arguments
    text = arguments if isinstance(arguments, str) else ""
    if not text.strip():
        return {}
    try:
        value = decode(text.encode(errors="surrogatepass"))
    except InvalidJSON:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": text}


def told(status: int, raw: bytes) -> str:
    """What an upstream says is wrong, whatever the form.

    Claude Code knows by the words that a conversation has become too long, and what to do then
    (https://code.claude.com/docs/en/errors).
    """
    document = object_of(raw)
    error = document.get("error")
    inner = error if isinstance(error, dict) else {}
    said = _first_text(inner.get("message"), error, document.get("message"), document.get("detail"))
    said = said or raw[:_TOLD_LIMIT].decode(errors="replace").strip() or f"the upstream answered with status {status}"
    if status in (400, 413) and any(
        _TOO_LONG.search(str(sign)) for sign in (inner.get("code"), inner.get("type"), said)
    ):
        return f"prompt is too long: {said}"
    return said


def _first_text(*candidates: Any) -> str:
    return next((text for text in candidates if isinstance(text, str) and text), "")


def _blocks(answer: Object, message: str) -> Iterator[Object]:
    field, thought = reasoning_in(answer)
    if thought:
        yield {"type": "thinking", "thinking": thought, "signature": signature_of(field)}
    if text := text_in(answer):
        yield {"type": "text", "text": text}
    calls = answer.get("tool_calls")
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        if isinstance(call, dict):
            yield _tool_use(call, call_id(call.get("id"), message, place))


def _tool_use(call: Object, identity: str) -> Object:
    function = call.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not (isinstance(function, dict) and isinstance(name, str) and name):
        raise UpstreamBadReply("the upstream's answer has a tool call without a name")
    return {"type": "tool_use", "id": identity, "name": name, "input": tool_input(function.get("arguments"))}
