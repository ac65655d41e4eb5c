"""Amazon Bedrock's Converse API: the model is in the path, and streams are binary.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and ..._ConverseStream.html.
``"stream": true`` in the body of a ``/converse`` is APISIX's way to ask for a stream; Bedrock knows the path only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from aigw.dialects import eventstream
from aigw.dialects.bedrock_stream import ConverseHolder, ConverseWatch, record_tokens
from aigw.dialects.body import Body
from aigw.dialects.dialect import Holder, Watch
from aigw.dialects.passthrough import Passthrough
from aigw.dialects.rawjson import encode, member_of, object_of, objects_in
from aigw.dialects.usage import Usage, usage_of
from aigw.errors import GatewayError

_EXCEPTIONS = {429: "throttlingException", 500: "internalServerException", 503: "serviceUnavailableException"}
"""By status, of those that a stream may have."""


class BedrockConverse(Passthrough):
    """``messages`` of content blocks in, one of them out."""

    name: ClassVar[str] = "bedrock-converse"
    stream_type: ClassVar[bytes] = eventstream.MEDIA_TYPE
    endings: ClassVar[tuple[str, ...]] = ("/converse", "/converse-stream")
    """They tell it from chats."""

    def matches(self, path: str, body: Body) -> bool:
        """An array of ``messages``. A stored prompt, named in place of a model, may do without."""
        return body.type_of("messages") == "array" or ("messages" not in body and "/model/" in path)

    def streams(self, body: Body, path: str = "") -> bool:
        """The path tells, or (to a gateway) the body."""
        return path.endswith("/converse-stream") or super().streams(body)

    def model(self, body: Body, path: str = "") -> str:
        """The id in the path, which may be an ARN with slashes and colons; else ``model``, for a gateway."""
        model = path.partition("/model/")[2].removesuffix("-stream").removesuffix("/converse")
        return model or super().model(body)

    def text(self, body: Body) -> str:
        """The system prompt and the texts of all messages, those in tool results included."""
        contents = [message.get("content") for message in objects_in(body.get("messages"))]
        return "\n".join(text for content in (body.get("system"), *contents) for text in _texts(content))

    def tool_calls(self, raw: bytes) -> list[str]:
        """Those in the message that the client is to run: what Bedrock runs itself has a ``type``."""
        message = member_of(object_of(raw).get("output"), "message")
        uses = (block.get("toolUse") for block in objects_in(member_of(message, "content")))
        names = (member_of(use, "name") for use in uses if member_of(use, "type") is None)
        return [name for name in names if isinstance(name, str)]

    def holder(self) -> Holder:
        """The first delta with something in it, or a tool use that starts, decides."""
        return ConverseHolder()

    def watch(self, usage: Usage, hide_usage: bool) -> Watch:
        """Complete with a stop reason; usage is part of the stream and never hidden."""
        return ConverseWatch(usage)

    def body_usage(self, raw: bytes, usage: Usage) -> None:
        """The ``usage`` of an answer."""
        record_tokens(usage, usage_of(raw))

    def error_event(self, error: GatewayError) -> bytes:
        """An exception, as one of those that the API may have in mid-stream."""
        otherwise = "validationException" if error.status < 500 else "modelStreamErrorException"
        exception = _EXCEPTIONS.get(error.status, otherwise)
        headers = {":message-type": "exception", ":exception-type": exception, ":content-type": "application/json"}
        return eventstream.encode(headers, encode({"message": error.message}))


def _texts(content: Any) -> Iterator[str]:
    """The texts of blocks, of what they have a guardrail look at, and of the results among them."""
    for block in objects_in(content):
        for holder in (block, member_of(block.get("guardContent"), "text")):
            if isinstance(text := member_of(holder, "text"), str):
                yield text
        results = objects_in(member_of(block.get("toolResult"), "content"))
        yield from (text for result in results if isinstance(text := result.get("text"), str))
