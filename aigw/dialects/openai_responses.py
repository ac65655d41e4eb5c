"""OpenAI's Responses API.

https://platform.openai.com/docs/api-reference/responses-streaming: typed events; one of ``response.completed``,
``response.incomplete`` and ``response.failed`` ends the stream and holds the whole response, usage included.
"""

from __future__ import annotations

from typing import ClassVar

from aigw.dialects.body import Body
from aigw.dialects.dialect import Holder, Watch
from aigw.dialects.passthrough import Passthrough, error_object
from aigw.dialects.rawjson import encode, object_of
from aigw.dialects.sse import data_of
from aigw.dialects.stream import EventHolder, Meaning, StreamWatch, told_error
from aigw.dialects.usage import Usage
from aigw.errors import GatewayError

MARKS = (b"response.completed", b"response.incomplete", b"response.failed", b"error")

_EVENT_LIMIT = 8 * 1024 * 1024
"""The last event repeats all of the answer, pictures included."""

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_PREAMBLE = (
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
)


class OpenAIResponses(Passthrough):
    """``input`` in, a response with ``output`` items out."""

    name: ClassVar[str] = "openai-responses"
    endings: ClassVar[tuple[str, ...]] = ("/v1/responses",)
    """It tells it from embeddings, which have an ``input`` too."""

    def matches(self, path: str, body: Body) -> bool:
        """An ``input``."""
        return "input" in body

    def holder(self) -> Holder:
        """The first event after the preamble decides."""
        return EventHolder(read, _EVENT_LIMIT)

    def watch(self, usage: Usage, hide_usage: bool) -> Watch:
        """Complete with one of the ends; usage is part of it and never hidden."""
        return StreamWatch(read, MARKS, usage, hide_usage=False, limit=_EVENT_LIMIT)

    def error_event(self, error: GatewayError) -> bytes:
        """An ``error`` event; the nested object, too, because it is what OpenAI's SDKs raise on."""
        told = error_object(error)
        return b"event: error\ndata: " + encode({**told, "type": "error", "error": told}) + b"\n\n"


def read(event: bytes) -> Meaning:
    """What one event of a Responses stream means."""
    data = object_of(data_of(event))
    kind = data.get("type")
    if kind in _ENDS:
        response = data.get("response")
        response = response if isinstance(response, dict) else {}
        error = told_error(event, response) or "no details" if kind == "response.failed" else None
        return Meaning(real=True, complete=True, error=error, usage=response.get("usage"))
    error = told_error(event, data)
    if error is None and kind == "error":
        error = told_error(event, {"error": data})
    real = isinstance(kind, str) and kind.startswith("response.") and kind not in _PREAMBLE and data.get("delta") != ""
    return Meaning(real=real, error=error)
