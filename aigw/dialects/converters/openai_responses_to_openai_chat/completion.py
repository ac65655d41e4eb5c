"""What a chat completion, or a chunk of one, says. An upstream wrote it: whatever is not as it should be is nothing.

https://platform.openai.com/docs/api-reference/chat/object and .../chat-streaming/streaming.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.reading import Object
from aigw.dialects.rawjson import encode
from aigw.dialects.reasoning import texts_in

_INCOMPLETE = {
    "length": "max_output_tokens",
    "insufficient_system_resource": "max_output_tokens",
    "content_filter": "content_filter",
}
"""``finish_reason`` -> the reason of ``incomplete_details``; the second one is DeepSeek's, for an answer cut off."""

_is_plain = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch


def identity_of(completion: Object, request: Body, now: int) -> str:
    """What the ids of a response are made of: the completion's own; if there is none, a hash of the question and the
    time.
    """
    given = completion.get("id")
    if isinstance(given, str) and _is_plain(given.removeprefix("chatcmpl-")):
        return given.removeprefix("chatcmpl-")
    seed = given.encode("utf-8", "surrogatepass") if isinstance(given, str) and given else request.raw_bytes
    return sha256(b"%d " % now + seed).hexdigest()[:32]


def incomplete_reason(choice: Object) -> str | None:
    """Why an answer is not whole; None if it is."""
    reason = choice.get("finish_reason")
    return _INCOMPLETE.get(reason) if isinstance(reason, str) else None


def text_in(message: Object) -> str:
    """The text; some servers have it in parts (Mistral's reasoning models)."""
    content = message.get("content")
    return content if isinstance(content, str) else "".join(texts_in(content, "text"))


def refusal_in(message: Object) -> str:
    """What it says where it refuses."""
    return string(message.get("refusal"))


def calls_in(message: Object) -> list[Object]:
    """The tool calls, or pieces of them."""
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def function_in(call: Object) -> tuple[str, str]:
    """Name and arguments of a call; some servers have the arguments as an object."""
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    text = encode(arguments).decode() if isinstance(arguments, dict) else string(arguments)
    return string(function.get("name")), text


def logprobs_in(choice: Object) -> list[Object]:
    """The log probabilities of the text's tokens; the Responses API has no null in place of ``bytes``."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    tokens = content if isinstance(content, list) else []
    return [_token(token) for token in tokens if isinstance(token, dict)]


def string(value: Any) -> str:
    """The value if it is a string."""
    return value if isinstance(value, str) else ""


def _token(token: Object) -> Object:
    top = token.get("top_logprobs")
    others = [_probability(other) for other in top if isinstance(other, dict)] if isinstance(top, list) else []
    return {**_probability(token), "top_logprobs": others}


def _probability(token: Object) -> Object:
    logprob, raw = token.get("logprob"), token.get("bytes")
    return {
        "token": string(token.get("token")),
        "bytes": raw if isinstance(raw, list) else [],
        "logprob": logprob if type(logprob) in (int, float) else 0.0,
    }
