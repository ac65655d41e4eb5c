"""OpenRouter: OpenAI's chat format, with comments in its streams, what a request cost, and errors of those behind it.

https://openrouter.ai/docs/api-reference/overview, .../streaming, .../errors-and-debugging
"""

from __future__ import annotations

from typing import Any

from aigw.testing.requests import Received
from aigw.testing.vendors import chat_format
from aigw.testing.vendors.chat_format import ChatFormat
from aigw.testing.vendors.checking import Complaint
from aigw.testing.vendors.openai import body_of, retry_after
from aigw.testing.vendors.scenario import Tokens
from aigw.testing.vendors.vendor import CREATED, Answer, Refused, Vendor, event, whole

PROCESSING = b": OPENROUTER PROCESSING\n\n"
GONE = {"code": "server_error", "message": "Provider disconnected unexpectedly"}


def usage(tokens: Tokens) -> dict[str, Any]:
    """With the price in credits."""
    return {**chat_format.usage(tokens), "cost": 0.00025, "is_byok": False}


def native(choice: dict[str, Any]) -> dict[str, Any]:
    """With the reason in the words of the provider behind it."""
    return {**choice, "native_finish_reason": choice["finish_reason"]}


class OpenRouter(Vendor):
    """Each stream begins with comments; an error in mid-stream is also a reason to finish."""

    provider = "openrouter"
    chat = ChatFormat(
        lenient=True,
        reasoning="reasoning",
        refusals=True,
        usage=usage,
        usage_always=True,
        id="gen-fake",
        extra={"provider": "Fake"},
        opening=[PROCESSING, PROCESSING],
        dress=native,
        broken=event(
            {
                "id": "gen-fake",
                "object": "chat.completion.chunk",
                "created": CREATED,
                "model": "fake",
                "provider": "Fake",
                "error": GONE,
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            }
        ),
    )
    routes = (("POST", "/api/v1/chat/completions", "complete"),)

    def complete(self, request: Received) -> Answer:
        """Chat."""
        document = body_of(request)
        asked = document.get("reasoning") if isinstance(document, dict) else None
        return self.chat.answer(self, document, thinks=bool(asked))

    def refusal(self, refused: Refused) -> Answer:
        """The code is the status; what went wrong behind OpenRouter is in the metadata."""
        status = 502 if refused.status in (500, 529) else refused.status
        error: dict[str, Any] = {"message": refused.message, "code": status}
        if refused.status == 401:
            error["message"] = "User not found."
        if refused.scripted:
            error |= {
                "message": "Provider returned error",
                "metadata": {"raw": refused.message, "provider_name": "Fake"},
            }
        elif isinstance(refused, Complaint):
            error["message"] = f"Input validation error: {refused.message}"
        return whole({"error": error, "user_id": "user_fake"}, status, retry_after(refused))
