"""OpenAI's Chat Completions in front of Amazon Bedrock's Converse API, whichever model is behind it.

The client's fields: https://platform.openai.com/docs/api-reference/chat/create; the provider's:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. The model, and whether it streams,
are in Bedrock's path.
"""

from __future__ import annotations

from typing import ClassVar

from aigw.dialects.body import Body
from aigw.dialects.converters.converter import ConvertedStream
from aigw.dialects.converters.openai_chat_to_bedrock_converse.answer import converted_answer, converted_error
from aigw.dialects.converters.openai_chat_to_bedrock_converse.request import converted_request
from aigw.dialects.converters.openai_chat_to_bedrock_converse.stream import ChunkStream
from aigw.dialects.reasoning import NONE, Reasoning


class OpenAIChatToBedrockConverse:
    """A `Converter`."""

    client: ClassVar[str] = "openai-chat"
    provider: ClassVar[str] = "bedrock-converse"

    def request(self, request: Body, model: str, reasoning: Reasoning = NONE) -> Body:
        """The request as the Converse API takes it."""
        return converted_request(request)

    def answer(self, request: Body, raw: bytes, now: int) -> bytes:
        """A ``chat.completion``."""
        return converted_answer(request, raw, now)

    def error(self, status: int, raw: bytes) -> bytes:
        """An OpenAI error object."""
        return converted_error(status, raw)

    def stream(self, request: Body, now: int) -> ConvertedStream:
        """``chat.completion.chunk`` events out of AWS's event stream."""
        return ChunkStream(request, now)
