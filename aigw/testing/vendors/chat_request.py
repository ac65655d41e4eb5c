"""Requests in OpenAI's chat format, read as strictly as OpenAI does.

https://platform.openai.com/docs/api-reference/chat/create; lengths and names as the ``openai`` package types them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from aigw.testing.vendors.checking import Strict
from aigw.testing.vendors.scenario import Heard, Tool
from aigw.testing.vendors.vendor import Refused

FunctionName = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$", max_length=64)]
CallId = Annotated[str, Meta(max_length=40)]


class TextPart(Strict, tag_field="type", tag="text"):
    """Some text."""

    text: str


class ImageUrl(Strict):
    """Where an image is: an http or data URL."""

    url: Annotated[str, Meta(pattern="^(https?://|data:image/)")]
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Strict, tag_field="type", tag="image_url"):
    """An image."""

    image_url: ImageUrl


class InputAudio(Strict):
    """Sound in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Strict, tag_field="type", tag="input_audio"):
    """Sound."""

    input_audio: InputAudio


class File(Strict):
    """A file: its id, or its content as a data URL."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(Strict, tag_field="type", tag="file"):
    """A document."""

    file: File


class RefusalPart(Strict, tag_field="type", tag="refusal"):
    """What the model would not say."""

    refusal: str


class Function(Strict):
    """The function of a call."""

    name: FunctionName
    arguments: str


class ToolCall(Strict):
    """A call that the model made."""

    id: CallId
    type: Literal["function"]
    function: Function


class System(Strict, tag_field="role", tag="system"):
    """What the model should be."""

    content: str | list[TextPart]
    name: str | None = None


class Developer(System, tag="developer"):
    """The same, under its newer name."""


class User(Strict, tag_field="role", tag="user"):
    """What the user says."""

    content: str | list[TextPart | ImagePart | AudioPart | FilePart]
    name: str | None = None


class Assistant(Strict, tag_field="role", tag="assistant"):
    """What the model said."""

    content: str | list[TextPart | RefusalPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Meta(min_length=1)] | None = None
    audio: dict[str, Any] | None = None
    annotations: list[Any] | None = None


class ToolResult(Strict, tag_field="role", tag="tool"):
    """What came of a call."""

    content: str | list[TextPart]
    tool_call_id: CallId


Message = System | Developer | User | Assistant | ToolResult


class FunctionDefinition(Strict):
    """A function that the model may call."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] = {}
    strict: bool | None = None


class ToolDefinition(Strict):
    """A tool that the model may use."""

    type: Literal["function"]
    function: FunctionDefinition


class Named(Strict):
    """A name."""

    name: str


class ToolChoice(Strict):
    """The tool that has to be used."""

    type: Literal["function"]
    function: Named


class StreamOptions(Strict):
    """What a stream should have."""

    include_usage: bool = False
    include_obfuscation: bool = True


class JsonSchema(Strict):
    """What the answer has to look like."""

    name: FunctionName
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Strict):
    """What the answer has to be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(Strict):
    """The body of a request."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    logit_bias: dict[str, int] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    metadata: dict[str, str] | None = None
    modalities: list[str] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    parallel_tool_calls: bool | UnsetType = UNSET
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: ResponseFormat | UnsetType = UNSET
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | UnsetType = UNSET
    tools: Annotated[list[ToolDefinition], Meta(min_length=1, max_length=128)] | UnsetType = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: dict[str, Any] | None = None


def obey_rules(request: ChatRequest) -> None:
    """Check what spans fields.

    :raises Refused: with OpenAI's words.
    """
    if request.stream_options is not None and not request.stream:
        raise _refused("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        words = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise _refused(words, "max_tokens")
    if not request.tools:
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, name) is not UNSET:
                raise _refused(f"'{name}' is only allowed when 'tools' are specified.", name)
    for index, message in enumerate(request.messages):
        if isinstance(message, Assistant) and not (message.content or message.tool_calls or message.refusal):
            where = f"messages.[{index}].content"
            raise _refused("Invalid value for 'content': expected a string, got null.", where)
    _match_calls(request.messages)


def heard(request: ChatRequest, thinks: bool = False) -> Heard:
    """What matters of it."""
    forced = request.tool_choice.function.name if isinstance(request.tool_choice, ToolChoice) else None
    tools = [] if request.tool_choice == "none" or not request.tools else request.tools
    last = request.messages[-1]
    return Heard(
        model=request.model,
        text=_text(last.content),
        tools=[Tool(tool.function.name, tool.function.parameters) for tool in tools],
        answered=isinstance(last, ToolResult),
        forced="" if request.tool_choice == "required" else forced,
        stops=[request.stop] if isinstance(request.stop, str) else request.stop or [],
        streams=bool(request.stream),
        thinks=thinks,
    )


def _text(content: str | Sequence[Any] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(part.text for part in content if isinstance(part, TextPart))


def _match_calls(messages: Sequence[Message]) -> None:
    """Each call is answered right after its message, and nothing else is."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if isinstance(message, ToolResult):
            if message.tool_call_id not in waiting:
                words = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise _refused(f"Invalid parameter: {words}", f"messages.[{index}].role")
            waiting.remove(message.tool_call_id)
            continue
        _none_waits(waiting, index)
        calls = message.tool_calls if isinstance(message, Assistant) else None
        waiting = [call.id for call in calls or ()]
    _none_waits(waiting, len(messages))


def _none_waits(waiting: Sequence[str], index: int) -> None:
    if waiting:
        raise _refused(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            f"messages.[{index}].role",
        )


def _refused(message: str, param: str) -> Refused:
    return Refused(400, message, param=param)
