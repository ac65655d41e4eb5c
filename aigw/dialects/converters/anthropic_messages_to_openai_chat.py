"""Clients of Anthropic's Messages API in front of chat completions: Claude Code in front of vLLM, DeepSeek, OpenAI.

https://docs.anthropic.com/en/api/messages and https://platform.openai.com/docs/api-reference/chat/create; what Claude
Code sends, and which of it a gateway may keep to itself: https://code.claude.com/docs/en/llm-gateway-protocol.

Carried
    ``system``, system messages in mid-conversation, texts, images (base64 and URL), documents (plain text, content,
    PDF as base64: chat completions take PDF files and no URLs of files,
    https://developers.openai.com/api/docs/guides/file-inputs), search results, tool calls and results, ``tools``
    (``input_examples`` as the schema's ``examples``), ``tool_choice`` (``disable_parallel_tool_use`` is
    ``parallel_tool_calls``), ``max_tokens``, ``stop_sequences``, ``metadata.user_id`` (hashed if it is longer than the
    64 characters that OpenAI takes), ``output_config.effort`` and ``thinking.budget_tokens`` (as
    ``reasoning_effort``), ``output_config.format``. ``stream``, ``temperature``, ``top_p``, ``top_k`` and all fields
    that are not known here leave as they are: vLLM, SGLang and llama.cpp know ``top_k``, and a server that doesn't
    says so itself.

    Reasoning comes back as thinking blocks. Their ``signature`` says that it is a provider's plain reasoning and in
    which field it came; back from the client it is sent on in that field, or in the vendor's own
    (`aigw.dialects.reasoning`): DeepSeek demands it of turns with tool calls, OpenAI and Google refuse it.

    The chat's tool messages have texts only: images in a result go into the user message behind it. There is no
    ``is_error``: such a result begins with ``Error:``.

Dropped
    ``cache_control``, ``service_tier``, ``metadata`` but for ``user_id``, citations of texts in the history: DeepSeek
    documents for its own Messages API that they may be ignored (https://api-docs.deepseek.com/guides/anthropic_api).
    ``thinking`` that is adaptive (the model decides) or disabled, where the vendor has no switch for it (few servers
    know a ``reasoning_effort`` that means none).
    Thinking blocks with the signature of a Claude model, and redacted ones: nobody else can read them.
    ``context_management``, ``diagnostics``, ``speed``, ``fallbacks: "default"``, ``fallback_credit_token``,
    ``eager_input_streaming``, ``defer_loading`` (the tool is there from the beginning): they change cost or speed, or
    save context. The ``x-anthropic-billing-header`` block of Claude Code's system prompt, which Anthropic takes out
    as well before the model sees it; it differs from request to request and would defeat every prefix cache.

Refused
    A last message of the assistant (prefill, which newer Claude models refuse, too), uploaded files, URLs of
    documents, citations, Anthropic's server tools and the tools whose schema it built into its models, containers,
    MCP servers, threads, compaction, ``inference_geo``, and blocks that are not known here.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Raw

from aigw.dialects.anthropic_messages import error_document
from aigw.dialects.body import Body
from aigw.dialects.converters.anthropic_messages_to_openai_chat_answer import message_of, told
from aigw.dialects.converters.anthropic_messages_to_openai_chat_request import chat_members
from aigw.dialects.converters.anthropic_messages_to_openai_chat_stream import MessageStream
from aigw.dialects.converters.converter import ConvertedStream
from aigw.dialects.rawjson import encode, object_of
from aigw.dialects.reasoning import NONE, Reasoning
from aigw.errors import InvalidJSON, UpstreamBadReply


class AnthropicMessagesToOpenAIChat:
    """A `Converter`."""

    client: ClassVar[str] = "anthropic-messages"
    provider: ClassVar[str] = "openai-chat"

    def request(self, request: Body, model: str, reasoning: Reasoning = NONE) -> Body:
        """A chat; the dialect's own ``prepare`` has it tell the usage of a stream."""
        members = chat_members(request, model, reasoning)
        return Body(members={name: Raw(encode(value)) for name, value in members.items()})

    def answer(self, request: Body, raw: bytes, now: int) -> bytes:
        """The first choice as a message."""
        message = message_of(object_of(raw), raw, request)
        if message is None:
            raise UpstreamBadReply("the upstream's answer is no chat completion")
        try:
            return encode(message)
        except InvalidJSON:
            raise UpstreamBadReply("the upstream's answer is nested too deeply") from None

    def error(self, status: int, raw: bytes) -> bytes:
        """Anthropic's error object with the upstream's message."""
        return encode(error_document(status, told(status, raw)))

    def stream(self, request: Body, now: int) -> ConvertedStream:
        """From ``message_start`` to ``message_stop``."""
        return MessageStream(request)
