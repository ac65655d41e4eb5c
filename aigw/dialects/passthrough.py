"""Any JSON object: what is known without knowing the API. The other dialects say where they differ.

Nothing is claimed about such a stream: it passes as it comes, and it is complete when HTTP says so.
"""

from __future__ import annotations

from typing import ClassVar

from aigw.dialects.body import Body
from aigw.dialects.dialect import Holder, Prepared, Watch
from aigw.dialects.rawjson import encode
from aigw.dialects.stream import AnyByte, Relay
from aigw.dialects.usage import Usage, record_body
from aigw.errors import GatewayError

AS_IT_IS = Prepared(sets={}, client_asked_usage=True)


class Passthrough:
    """A JSON object in no dialect that has a name here."""

    name: ClassVar[str] = "passthrough"
    stream_type: ClassVar[bytes] = b"text/event-stream"
    endings: ClassVar[tuple[str, ...]] = ()

    def matches(self, path: str, body: Body) -> bool:
        """Every object."""
        return True

    def streams(self, body: Body, path: str = "") -> bool:
        """``"stream": true``, as most APIs have it."""
        return body.get("stream") is True

    def model(self, body: Body, path: str = "") -> str:
        """``model``, as most APIs have it."""
        model = body.get("model")
        return model if type(model) is str else ""

    def text(self, body: Body) -> str:
        """Nobody knows where it would be."""
        return ""

    def tool_calls(self, raw: bytes) -> list[str]:
        """Nobody knows where they would be."""
        return []

    def prepare(self, body: Body) -> Prepared:
        """Nothing to add."""
        return AS_IT_IS

    def holder(self) -> Holder:
        """The first byte decides."""
        return AnyByte()

    def watch(self, usage: Usage, hide_usage: bool) -> Watch:
        """Everything passes unseen."""
        return Relay()

    def body_usage(self, raw: bytes, usage: Usage) -> None:
        """A ``usage`` object like OpenAI's, if there is one."""
        record_body(usage, raw)

    def error_event(self, error: GatewayError) -> bytes:
        """As in a stream of chat completions."""
        return b"data: " + encode({"error": error_object(error)}) + b"\n\n"


def error_object(error: GatewayError) -> dict[str, str | None]:
    """OpenAI's error object (https://platform.openai.com/docs/guides/error-codes)."""
    return {"message": error.message, "type": error.kind, "code": error.code, "param": error.param}
