"""What Anthropic sends, as far as it has a meaning for a chat; everything else in it is skipped.

https://platform.claude.com/docs/en/api/messages/create and https://platform.claude.com/docs/en/build-with-claude/streaming.
Structs, because decoding into them costs a fraction of what decoding into dictionaries does.
"""

from __future__ import annotations

from typing import Any

import msgspec

_MOST = 2**53
"""Counts past what a double holds exactly are no token counts."""


class Block(msgspec.Struct):
    """A part of an answer. ``input``: of a tool, an object."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: Any = None


class Delta(msgspec.Struct):
    """More of a block, or (``stop_reason``) of the message."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_details: Any = None


class Message(msgspec.Struct):
    """An answer, or (without content) its beginning."""

    id: str = ""
    model: str = ""
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_details: Any = None
    usage: Any = None


class Event(msgspec.Struct):
    """One event of a stream."""

    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: Message | None = None
    usage: Any = None


MESSAGE = msgspec.json.Decoder(Message)
EVENT = msgspec.json.Decoder(Event)


class Counts(msgspec.Struct):
    """Tokens, as Anthropic counts them: those read from the cache and written to it come on top of ``input_tokens``."""

    input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0

    def tell(self, usage: Any) -> None:
        """Take in a usage object; counts are cumulative, so the last one stands. What is no count is not told."""
        if isinstance(usage, dict):
            self._take(usage, "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
            details = usage.get("output_tokens_details")
            if isinstance(details, dict):
                self._take(details, "thinking_tokens")

    def _take(self, counts: dict[str, Any], *names: str) -> None:
        for name in names:
            count = counts.get(name)
            if type(count) is int and 0 <= count <= _MOST:
                setattr(self, name, count)

    @property
    def as_openai(self) -> dict[str, Any]:
        """A usage object of a chat (https://platform.openai.com/docs/api-reference/chat/object)."""
        prompt = self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.output_tokens,
            "total_tokens": prompt + self.output_tokens,
            "prompt_tokens_details": {
                "cached_tokens": self.cache_read_input_tokens,
                "cache_write_tokens": self.cache_creation_input_tokens,
            },
            "completion_tokens_details": {"reasoning_tokens": self.thinking_tokens},
        }


_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def finish_reason(stop_reason: str | None, functions_only: bool) -> str:
    """OpenAI's word for it (https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons)."""
    reason = _FINISH_REASONS.get(stop_reason or "", "stop")
    return "function_call" if functions_only and reason == "tool_calls" else reason


def explanation(stop_details: Any) -> str | None:
    """Why the model refused, if it says so."""
    told = stop_details.get("explanation") if isinstance(stop_details, dict) else None
    return told if isinstance(told, str) and told else None
