"""A chat completion as a response, and a chat's error as one of the Responses API."""

from __future__ import annotations

from collections.abc import Iterator

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_responses_to_openai_chat.completion import (
    calls_in,
    function_in,
    incomplete_reason,
    logprobs_in,
    refusal_in,
    string,
    text_in,
)
from aigw.dialects.converters.openai_responses_to_openai_chat.request import wants_logprobs
from aigw.dialects.converters.openai_responses_to_openai_chat.response import (
    Envelope,
    envelope_of,
    reasoning_part,
    refusal_part,
    text_part,
)
from aigw.dialects.converters.reading import Object
from aigw.dialects.openai_chat import first_choice
from aigw.dialects.rawjson import encode, object_of
from aigw.dialects.reasoning import reasoning_in
from aigw.dialects.usage import Usage, record
from aigw.errors import UpstreamBadReply

_TOLD_LIMIT = 500


def converted_answer(request: Body, raw: bytes, now: int) -> bytes:
    """The response object.

    :raises UpstreamBadReply: if there is no choice with a message.
    """
    completion = object_of(raw)
    choice = first_choice(completion)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise UpstreamBadReply("the upstream's answer is no chat completion")
    envelope = envelope_of(request, completion, now)
    reason = incomplete_reason(choice)
    status = "incomplete" if reason else "completed"
    logprobs = logprobs_in(choice) if wants_logprobs(request) else []
    output = list(_items(envelope, message, status, logprobs))
    return encode(envelope.response(status, output, _usage(completion), reason))


def converted_error(status: int, raw: bytes) -> bytes:
    """The error as it came, if it is one of OpenAI's; else one with what it says.

    Others have their message at the top (vLLM as it was) or in ``detail`` (FastAPI).
    """
    told = object_of(raw)
    error = told.get("error")
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return raw
    message = next(filter(None, map(string, (error, told.get("message"), told.get("detail")))), "")
    kind = "invalid_request_error" if 400 <= status < 500 else "server_error"
    message = message[:_TOLD_LIMIT] or f"the upstream answered with status {status}"
    return encode({"error": {"message": message, "type": kind, "code": None, "param": None}})


def _items(envelope: Envelope, message: Object, status: str, logprobs: list[Object]) -> Iterator[Object]:
    """What the model thought, said and called, in this order. A message, even an empty one, if there is no call."""
    index = 0
    text, refusal, calls = text_in(message), refusal_in(message), calls_in(message)
    if reasoning := reasoning_in(message)[1]:
        yield envelope.reasoning(index, [reasoning_part(reasoning)], "completed")
        index += 1
    if text or refusal or not calls:
        parts = [text_part(text, logprobs)] if text or not refusal else []
        yield envelope.message(index, [*parts, *([refusal_part(refusal)] if refusal else [])], status)
        index += 1
    for place, call in enumerate(calls, index):
        identity = envelope.call_id(string(call.get("id")), place)
        yield envelope.call(place, identity, *function_in(call), status)


def _usage(completion: Object) -> Usage | None:
    if not isinstance(completion.get("usage"), dict):
        return None
    usage = Usage()
    record(usage, completion["usage"])
    return usage
