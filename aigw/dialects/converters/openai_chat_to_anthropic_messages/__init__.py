"""OpenAI's Chat Completions in front of a provider that speaks Anthropic's Messages.

The client's fields: https://platform.openai.com/docs/api-reference/chat/create; the provider's:
https://platform.claude.com/docs/en/api/messages/create. What may be left out is what Anthropic's own layer for OpenAI's
SDKs leaves out, and it caps what is out of range as that one does:
https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk. Unlike that layer this one has the native
API below it, so ``user``, ``strict``, ``response_format`` with a schema, ``reasoning_effort`` and files are carried,
and thinking, refusals and cached tokens come back.
"""

from __future__ import annotations

from typing import ClassVar

from aigw.dialects.body import Body
from aigw.dialects.converters.converter import ConvertedStream
from aigw.dialects.converters.openai_chat_to_anthropic_messages.answer import converted_answer, converted_error
from aigw.dialects.converters.openai_chat_to_anthropic_messages.request import converted_request
from aigw.dialects.converters.openai_chat_to_anthropic_messages.stream import ChunkStream
from aigw.dialects.reasoning import NONE, Reasoning


class OpenAIChatToAnthropicMessages:
    """A `Converter`."""

    client: ClassVar[str] = "openai-chat"
    provider: ClassVar[str] = "anthropic-messages"

    def request(self, request: Body, model: str, reasoning: Reasoning = NONE) -> Body:
        """The request as Anthropic's Messages API takes it."""
        return converted_request(request, model)

    def answer(self, request: Body, raw: bytes, now: int) -> bytes:
        """A ``chat.completion``."""
        return converted_answer(request, raw, now)

    def error(self, status: int, raw: bytes) -> bytes:
        """An OpenAI error object."""
        return converted_error(status, raw)

    def stream(self, request: Body, now: int) -> ConvertedStream:
        """``chat.completion.chunk`` events."""
        return ChunkStream(request, now)
