"""A complete answer of the Converse API as a ``chat.completion``, and Bedrock's errors as OpenAI's.

https://platform.openai.com/docs/api-reference/chat/object. Reasoning is ``reasoning_content``, as DeepSeek has it
(https://api-docs.deepseek.com/guides/thinking_mode). Bedrock tells neither an id nor the model: the model is what the
client called it, the id is made of the answer.
"""

from __future__ import annotations

from hashlib import sha256

from aigw.dialects.bedrock_stream import message_of
from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_bedrock_converse.wire import (
    ANSWER,
    Block,
    ToolUse,
    arguments_of,
    chat_usage,
    finish_reason,
)
from aigw.dialects.converters.reading import Object
from aigw.dialects.rawjson import encode, object_of, struct_of
from aigw.errors import UpstreamBadReply

_CODES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
"""By status (.../API_runtime_Converse.html#API_runtime_Converse_Errors): the name itself is in a header only."""
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def converted_answer(request: Body, raw: bytes, now: int) -> bytes:
    """The answer as the client's dialect has it.

    :raises UpstreamBadReply: if it is none of the Converse API.
    """
    answer = struct_of(ANSWER, raw)
    if answer is None:
        raise UpstreamBadReply("the upstream's answer is none of Bedrock's Converse API")
    choice = {
        "index": 0,
        "message": _said(answer.output.message.content),
        "logprobs": None,
        "finish_reason": finish_reason(answer.stop_reason),
    }
    completion = {
        "id": completion_id(raw, now),
        "object": "chat.completion",
        "created": now,
        "model": model_of(request),
        "choices": [choice],
        "usage": chat_usage(answer.usage),
    }
    return encode(completion)


def completion_id(seed: bytes, now: int) -> str:
    """An id for an answer that has none."""
    return f"chatcmpl-{sha256(b'%d %b' % (now, seed)).hexdigest()[:24]}"


def model_of(request: Body) -> str:
    """What the client called the model."""
    model = request.get("model")
    return model if isinstance(model, str) else ""


def called(use: ToolUse | None) -> bool:
    """Is it the client that has to run the tool?"""
    return use is not None and use.type is None


def _said(blocks: list[Block]) -> Object:
    text = "".join(map(_text, blocks))
    thinking = "".join(reasoning_of(block) for block in blocks)
    calls = [_call(block.tool_use) for block in blocks if block.tool_use is not None and called(block.tool_use)]
    said: Object = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
    if thinking:
        said["reasoning_content"] = thinking
    return said | ({"tool_calls": calls} if calls else {})


def _text(block: Block) -> str:
    cited = block.citations_content
    return (block.text or "") + "".join(part.text for part in (cited.content if cited else None) or ())


def reasoning_of(block: Block) -> str:
    """The reasoning in a block, or in a delta."""
    reasoning = block.reasoning_content
    if reasoning is None:
        return ""
    return reasoning.text if reasoning.reasoning_text is None else reasoning.reasoning_text.text


def _call(use: ToolUse) -> Object:
    function = {"name": use.name, "arguments": arguments_of(use.input)}
    return {"id": use.tool_use_id, "type": "function", "function": function}


def converted_error(status: int, raw: bytes) -> bytes:
    """``{"message": ...}`` as OpenAI's error object; Bedrock's name for the error is the ``code``.

    Whatever else it may be (a proxy's page) is told by its status.
    """
    told = object_of(raw)
    name = told.get("__type")
    code = name.rpartition("#")[2][:100] if isinstance(name, str) else _CODES.get(status)
    message = message_of(told) or f"the upstream answered with status {status}"
    kind = _KINDS.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    return encode({"error": {"message": message, "type": kind, "param": None, "code": code}})
