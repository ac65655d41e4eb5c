"""OpenAI's Responses API (Codex, agents SDKs) in front of a provider that speaks Chat Completions.

Client: https://platform.openai.com/docs/api-reference/responses and .../responses-streaming. Provider:
https://platform.openai.com/docs/api-reference/chat, with what open models' servers add (`aigw.dialects.reasoning`).

The gateway keeps no state: what would need one (``previous_response_id``, ``conversation``, ``background``, stored
prompts, references to items) is refused. So is what only OpenAI's own platform can do: its hosted tools.
"""

from __future__ import annotations

from typing import ClassVar

from aigw.dialects.body import Body
from aigw.dialects.converters.converter import ConvertedStream
from aigw.dialects.converters.openai_responses_to_openai_chat.answer import converted_answer, converted_error
from aigw.dialects.converters.openai_responses_to_openai_chat.request import converted_request
from aigw.dialects.converters.openai_responses_to_openai_chat.stream import ResponseEvents
from aigw.dialects.reasoning import NONE, Reasoning


class OpenAIResponsesToOpenAIChat:
    """A `Converter`."""

    client: ClassVar[str] = "openai-responses"
    provider: ClassVar[str] = "openai-chat"

    def request(self, request: Body, model: str, reasoning: Reasoning = NONE) -> Body:
        """A chat completion request; a stream asks for its usage, which the last event has to tell."""
        return converted_request(request, model, reasoning)

    def answer(self, request: Body, raw: bytes, now: int) -> bytes:
        """A ``response`` object."""
        return converted_answer(request, raw, now)

    def error(self, status: int, raw: bytes) -> bytes:
        """Both APIs have the same error object; whatever else there is becomes one."""
        return converted_error(status, raw)

    def stream(self, request: Body, now: int) -> ConvertedStream:
        """``response.*`` events."""
        return ResponseEvents(request, now)
