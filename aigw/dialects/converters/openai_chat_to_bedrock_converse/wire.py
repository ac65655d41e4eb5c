"""What Bedrock sends, as far as it has a meaning for a chat; everything else in it is skipped.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and ..._ConverseStream.html. Structs,
because decoding into them costs a fraction of what decoding into dictionaries does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aigw.dialects.bedrock_stream import record_tokens
from aigw.dialects.rawjson import encode
from aigw.dialects.usage import Usage
from aigw.errors import UpstreamBadReply


class ToolUse(msgspec.Struct, rename="camel"):
    """The use of a tool; ``type``: of one that Bedrock runs itself. ``input``: an object, or (in a delta) a part of its
    text."""

    tool_use_id: str = ""
    name: str = ""
    input: Any = None
    type: str | None = None


class Text(msgspec.Struct):
    """A text that is a member of something."""

    text: str = ""


class Reasoning(msgspec.Struct, rename="camel"):
    """Reasoning: whole, or (``text``) a part of it. What is redacted, and signatures, have no place in a chat."""

    text: str = ""
    reasoning_text: Text | None = None


class Citations(msgspec.Struct):
    """Text with what it is based on."""

    content: list[Text] | None = None


class Block(msgspec.Struct, rename="camel"):
    """A part of an answer, the start of one, or a delta: one of these."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: Citations | None = None


class Message(msgspec.Struct):
    """What the model said."""

    content: list[Block]


class Output(msgspec.Struct):
    """What came of it."""

    message: Message


class Answer(msgspec.Struct, rename="camel"):
    """A complete answer."""

    output: Output
    stop_reason: str = ""
    usage: Any = None


class Event(msgspec.Struct, rename="camel"):
    """One event of a stream, whichever it is."""

    content_block_index: int = 0
    start: Block | None = None
    delta: Block | None = None
    stop_reason: str = ""
    usage: Any = None


ANSWER = msgspec.json.Decoder(Answer)
EVENT = msgspec.json.Decoder(Event)


def arguments_of(value: Any) -> str:
    """What a tool is called with, as JSON in a string."""
    return encode(value if isinstance(value, dict) else {}).decode()


def chat_usage(told: Any) -> dict[str, Any]:
    """A usage object of a chat (https://platform.openai.com/docs/api-reference/chat/object)."""
    usage = Usage()
    record_tokens(usage, told)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
    }


_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def finish_reason(stop_reason: str) -> str:
    """OpenAI's word for it (.../API_runtime_ConverseResponse.html, ``stopReason``).

    :raises UpstreamBadReply: if the model's output was malformed, for which OpenAI has no word: a client that is told
        to go on with it would take what is there for the whole answer.
    """
    if stop_reason.startswith("malformed_"):
        raise UpstreamBadReply(f"the model behind the upstream failed: {stop_reason[:100]}")
    return _FINISH_REASONS.get(stop_reason, "stop")
