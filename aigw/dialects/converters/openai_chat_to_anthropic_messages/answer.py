"""A complete message of Anthropic as a ``chat.completion``, and Anthropic's errors as OpenAI's.

https://platform.openai.com/docs/api-reference/chat/object. Thinking is ``reasoning_content``, as DeepSeek has it
(https://api-docs.deepseek.com/guides/thinking_mode); redacted thinking and signatures have no place and are left out.
"""

from __future__ import annotations

from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_anthropic_messages.tools import has_functions_only
from aigw.dialects.converters.openai_chat_to_anthropic_messages.wire import (
    MESSAGE,
    Block,
    Counts,
    Message,
    explanation,
    finish_reason,
)
from aigw.dialects.converters.reading import Object
from aigw.dialects.rawjson import encode, object_of, struct_of
from aigw.errors import UpstreamBadReply

_TOLD_LIMIT = 500
_KINDS = {
    "authentication_error": "authentication_error",
    "permission_error": "permission_error",
    "rate_limit_error": "rate_limit_error",
    "api_error": "server_error",
    "overloaded_error": "server_error",
    "timeout_error": "server_error",
}


def converted_answer(request: Body, raw: bytes, now: int) -> bytes:
    """The answer as the client's dialect has it.

    :raises UpstreamBadReply: if it is no message.
    """
    message = struct_of(MESSAGE, raw)
    if message is None or message.content is None:
        raise UpstreamBadReply("the upstream's answer is no message of Anthropic's dialect")
    counts, functions_only = Counts(), has_functions_only(request)
    counts.tell(message.usage)
    choice = {
        "index": 0,
        "message": _said(message, message.content, functions_only),
        "logprobs": None,
        "finish_reason": finish_reason(message.stop_reason, functions_only),
    }
    answer = {
        "id": message.id,
        "object": "chat.completion",
        "created": now,
        "model": message.model,
        "choices": [choice],
        "usage": counts.as_openai,
    }
    return encode(answer)


def _said(message: Message, blocks: list[Block], functions_only: bool) -> Object:
    text = "".join(block.text for block in blocks if block.type == "text")
    thinking = "".join(block.thinking for block in blocks if block.type == "thinking")
    calls = [_call(block) for block in blocks if block.type == "tool_use"]
    said: Object = {"role": "assistant", "content": text or (None if calls else "")}
    said["refusal"] = explanation(message.stop_details) if message.stop_reason == "refusal" else None
    if thinking:
        said["reasoning_content"] = thinking
    if calls and functions_only:
        said["function_call"] = calls[0]["function"]
    elif calls:
        said["tool_calls"] = calls
    return said


def _call(block: Block) -> Object:
    function = {"name": block.name, "arguments": arguments_of(block.input)}
    return {"id": block.id, "type": "function", "function": function}


def arguments_of(value: Any) -> str:
    """What a tool is called with, as JSON in a string."""
    return encode(value if isinstance(value, dict) else {}).decode()


def converted_error(status: int, raw: bytes) -> bytes:
    """``{"type": "error", "error": {"type", "message"}}`` (https://platform.claude.com/docs/en/api/errors) as OpenAI's.

    Anthropic's type is the ``code``. Whatever else it may be (a proxy's page) is told by its status.
    """
    told = object_of(raw).get("error")
    told = told if isinstance(told, dict) else {"message": told}
    message, code = told.get("message"), told.get("type")
    if not isinstance(message, str) or not message:
        message = f"the upstream answered with status {status}"
    code = code[:_TOLD_LIMIT] if isinstance(code, str) and code else None
    kind = _KINDS.get(code or "", "invalid_request_error" if 400 <= status < 500 else "server_error")
    return encode({"error": {"message": message, "type": kind, "param": None, "code": code}})
