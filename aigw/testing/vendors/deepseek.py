"""DeepSeek: OpenAI's chat format without the version in the path, thinking shown and wanted back, cache hits counted.

https://api-docs.deepseek.com/api/create-chat-completion, https://api-docs.deepseek.com/guides/thinking_mode (after a
call of a tool, the thinking before it has to come back), https://api-docs.deepseek.com/quick_start/error_codes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from aigw.testing.requests import Received
from aigw.testing.vendors.chat_format import ChatFormat
from aigw.testing.vendors.chat_request import Assistant, ChatRequest, Developer, System, ToolResult, User
from aigw.testing.vendors.checking import Complaint, Strict
from aigw.testing.vendors.openai import body_of, retry_after
from aigw.testing.vendors.scenario import Tokens
from aigw.testing.vendors.vendor import Answer, Refused, Vendor, whole

KEEP_ALIVE = b": keep-alive\n\n"
KINDS = {401: "authentication_error", 402: "unknown_error", 429: "rate_limit_error", 500: "server_error"}


def usage(tokens: Tokens) -> dict[str, Any]:
    """What is not read from the cache is a miss."""
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "prompt_cache_hit_tokens": tokens.cached,
        "prompt_cache_miss_tokens": tokens.prompt - tokens.cached,
    }


class ThinkingAssistant(Assistant, tag="assistant"):
    """What the model said, and thought before. ``prefix``: it goes on from here."""

    reasoning_content: str | None = None
    prefix: bool | None = None


DeepSeekMessage = System | Developer | User | ThinkingAssistant | ToolResult


class Thinking(Strict):
    """Should it think?"""

    type: Literal["enabled", "disabled", "adaptive"]


class DeepSeekChat(ChatRequest):
    """What OpenAI takes, and what is DeepSeek's own."""

    messages: Annotated[list[DeepSeekMessage], Meta(min_length=1)]  # type: ignore[assignment]  # lists are invariant
    thinking: Thinking | None = None


class DeepSeek(Vendor):
    """Thinks unless told not to, or its model is ``deepseek-chat``."""

    provider = "deepseek"
    chat = ChatFormat(
        request=DeepSeekChat,
        lenient=True,
        reasoning="reasoning_content",
        usage=usage,
        usage_with="finish",
        usage_always=True,
        id="9554b31c-fake",
        extra={"system_fingerprint": "fp_fake"},
        opening=[KEEP_ALIVE],
    )
    routes = (
        ("POST", "(?:/v1)?/chat/completions", "complete"),
        ("POST", "/beta/chat/completions", "complete"),
    )
    call_prefix = "call_00_"

    def complete(self, request: Received) -> Answer:
        """Chat."""
        document = body_of(request)
        thinks = _thinks(document)
        if thinks:
            _want_thinking_back(document)
        return self.chat.answer(self, document, thinks=thinks)

    def refusal(self, refused: Refused) -> Answer:
        """DeepSeek's errors: the code is the same for all."""
        message = refused.message
        if refused.status == 401:
            message = "Authentication Fails, Your api key: ****fake is invalid"
        if isinstance(refused, Complaint):
            message = f"Failed to deserialize the JSON body into the target type: {message}"
        status = 503 if refused.status == 529 else 422 if isinstance(refused, Complaint) else refused.status
        kind = KINDS.get(status, "service_unavailable_error" if status >= 500 else "invalid_request_error")
        error = {"message": message, "type": kind, "param": None, "code": "invalid_request_error"}
        return whole({"error": error}, status, retry_after(refused))


def _thinks(document: Any) -> bool:
    if not isinstance(document, Mapping):
        return False
    thinking = document.get("thinking")
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return document.get("model") != "deepseek-chat"


def _want_thinking_back(document: Mapping[str, Any]) -> None:
    messages = document.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, Mapping) and message.get("tool_calls") and message.get("reasoning_content") is None:
            raise Refused(400, "The reasoning_content in the thinking mode must be passed back to the API.")
