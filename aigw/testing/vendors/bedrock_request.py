"""Requests to Bedrock's Converse API, read strictly.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and the types it refers to. AWS takes
no notice of members that it does not know; the fake refuses them, as no converter should make them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from aigw.testing.vendors.checking import Complaint, Strict
from aigw.testing.vendors.scenario import Heard, Tool
from aigw.testing.vendors.vendor import Refused

NonEmpty = Annotated[str, Meta(min_length=1)]
ToolName = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$", min_length=1, max_length=64)]
ToolUseId = Annotated[str, Meta(pattern="^[a-zA-Z0-9_.:-]+$", min_length=1, max_length=64)]
STARTS = (
    "A conversation must start with a user message. "
    "Make sure the conversation starts with a user message and try again."
)
ALTERNATES = (
    "A conversation must alternate between user and assistant roles. "
    "Make sure the conversation alternates between user and assistant roles and try again."
)
BLANK = "The text field in the ContentBlock object at {where} is blank. Add text to the text field, and try again."


class CachePoint(Strict):
    """Up to here the prompt is cached."""

    type: Literal["default"]
    ttl: Literal["5m", "1h"] | None = None


class Source(Strict):
    """Where an image or document is. ``bytes``: in base64."""

    bytes: str | None = None
    s3Location: dict[str, Any] | None = None
    text: str | None = None
    content: list[Any] | None = None


class Image(Strict):
    """An image."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: Source


class Document(Strict):
    """A document."""

    name: Annotated[str, Meta(pattern=r"^[\w()\[\] -]+$", min_length=1, max_length=200)]
    source: Source
    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"] | None = None
    context: str | None = None
    citations: dict[str, Any] | None = None


class ToolUse(Strict):
    """A call that the model made."""

    toolUseId: ToolUseId
    name: ToolName
    input: dict[str, Any]
    type: Literal["server_tool_use"] | None = None


class ResultContent(Strict):
    """One of: a part of a result."""

    json: dict[str, Any] | None = None
    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    video: dict[str, Any] | None = None
    searchResult: dict[str, Any] | None = None


class ToolResult(Strict):
    """What came of a call."""

    toolUseId: ToolUseId
    content: list[ResultContent]
    status: Literal["success", "error"] | None = None
    type: str | None = None


class ReasoningText(Strict):
    """What the model thought."""

    text: str
    signature: str | None = None


class Reasoning(Strict):
    """One of: thinking, in the open or encrypted."""

    reasoningText: ReasoningText | None = None
    redactedContent: str | None = None


class Block(Strict):
    """One of: a part of a message."""

    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    video: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    toolUse: ToolUse | None = None
    toolResult: ToolResult | None = None
    guardContent: dict[str, Any] | None = None
    cachePoint: CachePoint | None = None
    reasoningContent: Reasoning | None = None
    citationsContent: dict[str, Any] | None = None
    searchResult: dict[str, Any] | None = None


class Message(Strict):
    """What one of the two said."""

    role: Literal["user", "assistant"]
    content: list[Block]


class SystemBlock(Strict):
    """One of: a part of what the model should be."""

    text: NonEmpty | None = None
    guardContent: dict[str, Any] | None = None
    cachePoint: CachePoint | None = None


class Inference(Strict):
    """How the model should speak."""

    maxTokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    topP: Annotated[float, Meta(ge=0, le=1)] | None = None
    stopSequences: Annotated[list[NonEmpty], Meta(max_length=2500)] | None = None


class InputSchema(Strict):
    """JSON Schema of a tool's arguments."""

    json: dict[str, Any]


class ToolSpec(Strict):
    """A tool of the client's."""

    name: ToolName
    inputSchema: InputSchema
    description: NonEmpty | None = None
    strict: bool | None = None


class ToolEntry(Strict):
    """One of: a tool, or the end of what is cached."""

    toolSpec: ToolSpec | None = None
    cachePoint: CachePoint | None = None
    systemTool: dict[str, Any] | None = None


class Named(Strict):
    """A tool's name."""

    name: ToolName


class Nothing(Strict):
    """An empty object."""


class ToolChoice(Strict):
    """One of: which tool may or must be used."""

    auto: Nothing | None = None
    any: Nothing | None = None
    tool: Named | None = None


class ToolConfig(Strict):
    """The tools."""

    tools: Annotated[list[ToolEntry], Meta(min_length=1)]
    toolChoice: ToolChoice | None = None


class ConverseRequest(Strict):
    """The body of a request."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    system: list[SystemBlock] | None = None
    inferenceConfig: Inference | None = None
    toolConfig: ToolConfig | None = None
    guardrailConfig: dict[str, Any] | None = None
    additionalModelRequestFields: dict[str, Any] | None = None
    promptVariables: dict[str, Any] | None = None
    additionalModelResponseFieldPaths: Annotated[list[str], Meta(max_length=10)] | None = None
    requestMetadata: dict[str, str] | None = None
    performanceConfig: dict[str, Any] | None = None
    serviceTier: dict[str, Any] | None = None
    outputConfig: dict[str, Any] | None = None


def obey_rules(request: ConverseRequest) -> None:
    """Check what spans fields.

    :raises Refused: with AWS's words, or (of unions) ours.
    """
    _one_of_each(request, "")
    if request.messages[0].role != "user":
        raise _refused(STARTS)
    for index, message in enumerate(request.messages):
        if not message.content:
            raise _refused(f"The content field in the Message object at messages.{index} is empty.")
        for place, block in enumerate(message.content):
            if block.text is not None and not block.text.strip():
                raise _refused(BLANK.format(where=f"messages.{index}.content.{place}"))
    for before, after in zip(request.messages, request.messages[1:], strict=False):
        if before.role == after.role:
            raise _refused(ALTERNATES)
    _match_calls(request.messages)
    uses = any(block.toolUse or block.toolResult for message in request.messages for block in message.content)
    if uses and request.toolConfig is None:
        raise _refused("The toolConfig field must be defined when using toolUse and toolResult content blocks.")


def heard(request: ConverseRequest, model: str, streams: bool) -> Heard:
    """What matters of it."""
    config = request.toolConfig
    choice = (config.toolChoice if config else None) or ToolChoice()
    specs = [entry.toolSpec for entry in (config.tools if config else ()) if entry.toolSpec]
    last = request.messages[-1].content
    results = [part.text for block in last if block.toolResult for part in block.toolResult.content if part.text]
    thinking = (request.additionalModelRequestFields or {}).get("thinking")
    return Heard(
        model=model,
        text=" ".join([block.text for block in last if block.text] or results),
        tools=[Tool(spec.name, spec.inputSchema.json) for spec in specs],
        answered=any(block.toolResult for block in last),
        forced="" if choice.any else choice.tool.name if choice.tool else None,
        stops=(request.inferenceConfig.stopSequences if request.inferenceConfig else None) or [],
        streams=streams,
        thinks=isinstance(thinking, dict) and thinking.get("type") != "disabled",
    )


_UNIONS = (Block, ResultContent, SystemBlock, ToolEntry, ToolChoice, Reasoning, Source)


def _one_of_each(value: Any, where: str) -> None:
    """Of a union exactly one member is there."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            _one_of_each(item, f"{where}[{index}]")
    elif isinstance(value, Strict):
        there = {name: getattr(value, name) for name in value.__struct_fields__ if getattr(value, name) is not None}
        if isinstance(value, _UNIONS) and len(there) != 1:
            raise Complaint(where, "invalid", f"exactly one member has to be set, not {sorted(there)}")
        for name, member in there.items():
            _one_of_each(member, f"{where}.{name}".lstrip("."))


def _match_calls(messages: Sequence[Message]) -> None:
    """The results of all calls are in the message after them, and no others."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        results = [block.toolResult.toolUseId for block in message.content if block.toolResult]
        if missing := [id for id in waiting if id not in results]:
            raise _refused(f"Expected toolResult blocks at messages.{index}.content for the following Ids: {missing}")
        if len(results) > len(waiting):
            raise _refused(
                f"The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of "
                "previous turn."
            )
        waiting = [block.toolUse.toolUseId for block in message.content if block.toolUse]


def _refused(message: str) -> Refused:
    return Refused(400, message)
