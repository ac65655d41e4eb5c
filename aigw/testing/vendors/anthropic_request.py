"""Requests to Anthropic's Messages API, read as strictly as Anthropic does.

https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from aigw.testing.vendors.checking import Strict
from aigw.testing.vendors.scenario import Heard, Tool

ToolId = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$")]


class CacheControl(Strict):
    """Up to here the prompt is cached."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Block(Strict, tag_field="type", kw_only=True):
    """Any block of content."""

    cache_control: CacheControl | None = None


class Text(Block, tag="text"):
    """Some text."""

    text: str
    citations: list[Any] | None = None


class Source(Strict):
    """Where an image or a document is."""

    type: Literal["base64", "url", "text", "content", "file"]
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | list[Any] | None = None
    file_id: str | None = None


class Image(Block, tag="image"):
    """An image."""

    source: Source


class Document(Block, tag="document"):
    """A PDF or a text."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations: dict[str, Any] | None = None


class SearchResult(Block, tag="search_result"):
    """Something that was found."""

    source: str
    title: str
    content: list[Any]
    citations: dict[str, Any] | None = None


class Thinking(Strict, tag_field="type", tag="thinking"):
    """What the model thought, as it was signed."""

    thinking: str
    signature: str


class RedactedThinking(Strict, tag_field="type", tag="redacted_thinking"):
    """The same, encrypted."""

    data: str


class ToolUse(Block, tag="tool_use"):
    """A call that the model made."""

    id: ToolId
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    input: dict[str, Any]
    caller: dict[str, Any] | None = None


class ToolResult(Block, tag="tool_result"):
    """What came of it."""

    tool_use_id: ToolId
    content: str | list[Text | Image | Document | SearchResult] | None = None
    is_error: bool | None = None


class Message(Strict):
    """What one of the two said; or instructions on the way."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Text | Image | Document | SearchResult | Thinking | RedactedThinking | ToolUse | ToolResult]

    @property
    def blocks(self) -> list[Any]:
        """The content as blocks."""
        return [Text(text=self.content)] if isinstance(self.content, str) else self.content


class CustomTool(Strict):
    """A tool of the client's."""

    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,128}$")]
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    description: str | None = None
    cache_control: CacheControl | None = None
    strict: bool | None = None
    eager_input_streaming: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    input_examples: list[Any] | None = None


class ToolChoice(Strict):
    """Which tool may or must be used."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(Strict):
    """Should the model think, and how much?"""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Meta(ge=1024)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class TokensRequest(Strict, kw_only=True):
    """The body of a request that counts tokens."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    cache_control: CacheControl | None = None
    context_management: dict[str, Any] | None = None
    mcp_servers: list[Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    speed: Literal["standard", "fast"] | None = None
    system: str | list[Text] | None = None
    thinking: ThinkingConfig | None = None
    tool_choice: ToolChoice | None = None
    tools: list[dict[str, Any]] | None = None


class MessagesRequest(TokensRequest, kw_only=True):
    """The body of a request for a message."""

    max_tokens: Annotated[int, Meta(ge=0)]
    container: Any = None
    inference_geo: str | None = None
    metadata: dict[str, str | None] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None


def heard(request: MessagesRequest) -> Heard:
    """What matters of it."""
    choice = request.tool_choice or ToolChoice(type="auto")
    tools = [] if choice.type == "none" else request.tools or []
    last = request.messages[-1].blocks
    texts = [block.text for block in last if isinstance(block, Text)]
    results = [block for block in last if isinstance(block, ToolResult)]
    return Heard(
        model=request.model,
        text=" ".join(texts or _result_texts(results)),
        tools=[Tool(tool["name"], tool["input_schema"]) for tool in tools if "input_schema" in tool],
        answered=bool(results),
        forced={"any": "", "tool": choice.name}.get(choice.type),
        stops=request.stop_sequences or [],
        streams=bool(request.stream),
        thinks=_thinks(request),
    )


def _thinks(request: TokensRequest) -> bool:
    return request.thinking is not None and request.thinking.type != "disabled"


def _result_texts(results: Sequence[ToolResult]) -> Iterator[str]:
    for result in results:
        if isinstance(result.content, str):
            yield result.content
        else:
            yield from (part.text for part in result.content or () if isinstance(part, Text))
