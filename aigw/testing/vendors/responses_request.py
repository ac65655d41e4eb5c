"""Requests to OpenAI's Responses API, read as strictly as OpenAI does.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from aigw.testing.vendors.checking import Strict, checked
from aigw.testing.vendors.scenario import Heard, Tool
from aigw.testing.vendors.vendor import Refused


class InputText(Strict, tag_field="type", tag="input_text"):
    """What somebody says."""

    text: str


class InputImage(Strict, tag_field="type", tag="input_image"):
    """An image, by URL or by the id of a file."""

    detail: Literal["auto", "low", "high", "original"] = "auto"
    image_url: str | None = None
    file_id: str | None = None


class InputFile(Strict, tag_field="type", tag="input_file"):
    """A document."""

    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None


class OutputText(Strict, tag_field="type", tag="output_text"):
    """What the model said."""

    text: str
    annotations: list[Any] = []
    logprobs: list[Any] | None = None


class OutputRefusal(Strict, tag_field="type", tag="refusal"):
    """What it said in place of it."""

    refusal: str


class MessageItem(Strict, tag_field="type", tag="message"):
    """A message."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | InputImage | InputFile | OutputText | OutputRefusal]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class FunctionCallItem(Strict, tag_field="type", tag="function_call"):
    """A call that the model made."""

    call_id: Annotated[str, Meta(min_length=1, max_length=64)]
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$", max_length=128)]
    arguments: str
    id: Annotated[str, Meta(pattern="^fc")] | None = None
    status: str | None = None


class FunctionOutputItem(Strict, tag_field="type", tag="function_call_output"):
    """What came of it."""

    call_id: Annotated[str, Meta(min_length=1, max_length=64)]
    output: str | list[InputText | InputImage | InputFile]
    id: str | None = None
    status: str | None = None


class Summary(Strict, tag_field="type", tag="summary_text"):
    """Of the thinking."""

    text: str


class ReasoningItem(Strict, tag_field="type", tag="reasoning"):
    """What the model thought."""

    summary: list[Summary]
    id: str | None = None
    content: list[Any] | None = None
    encrypted_content: str | None = None
    status: str | None = None


class FunctionTool(Strict, tag_field="type", tag="function"):
    """A function that the model may call."""

    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$", max_length=128)]
    parameters: dict[str, Any] | None
    strict: bool | None = None
    description: str | None = None


class ResponsesRequest(Strict):
    """The body of a request."""

    model: str
    input: str | list[MessageItem | FunctionCallItem | FunctionOutputItem | ReasoningItem]
    background: bool | None = None
    conversation: str | dict[str, Any] | None = None
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Meta(ge=16)] | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning: dict[str, Any] | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    text: dict[str, Any] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    top_logprobs: int | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None


def with_types(document: Any) -> Any:
    """A message need not say that it is one; here it does."""
    items = document.get("input") if isinstance(document, dict) else None
    if not isinstance(items, list):
        return document
    typed = [
        {**item, "type": "message"} if isinstance(item, dict) and "role" in item and "type" not in item else item
        for item in items
    ]
    return {**document, "input": typed}


def obey_rules(request: ResponsesRequest) -> None:
    """Check what spans fields, and the function tools (of other tools this fake knows nothing).

    :raises Refused: with OpenAI's words.
    """
    for index, tool in enumerate(request.tools or ()):
        if tool.get("type") == "function":
            checked(FunctionTool, tool, at=f"tools[{index}]")
    if request.previous_response_id is not None and request.previous_response_id != "resp_fake":
        words = f"Previous response with id '{request.previous_response_id}' not found."
        raise Refused(400, words, code="previous_response_not_found", param="previous_response_id")
    _match_calls(request)


def heard(request: ResponsesRequest) -> Heard:
    """What matters of it."""
    choice = request.tool_choice
    tools = [] if choice == "none" else request.tools or []
    last = None if isinstance(request.input, str) or not request.input else request.input[-1]
    return Heard(
        model=request.model,
        text=request.input if isinstance(request.input, str) else _text(last),
        tools=[Tool(tool["name"], tool.get("parameters") or {}) for tool in tools if tool.get("type") == "function"],
        answered=isinstance(last, FunctionOutputItem),
        forced=str(choice.get("name", "")) if isinstance(choice, dict) else "" if choice == "required" else None,
        streams=bool(request.stream),
        thinks=bool(request.reasoning and request.reasoning.get("summary")),
    )


def _match_calls(request: ResponsesRequest) -> None:
    """Each call is answered, and nothing else is."""
    if isinstance(request.input, str) or request.previous_response_id is not None:
        return
    called = [item.call_id for item in request.input if isinstance(item, FunctionCallItem)]
    answered = [item.call_id for item in request.input if isinstance(item, FunctionOutputItem)]
    for id in called:
        if id not in answered:
            raise Refused(400, f"No tool output found for function call {id}.", param="input")
    for id in answered:
        if id not in called:
            raise Refused(400, f"No tool call found for function call output with call_id {id}.", param="input")


def _text(item: Any) -> str:
    content: str | Sequence[Any] = ""
    if isinstance(item, MessageItem):
        content = item.content
    elif isinstance(item, FunctionOutputItem):
        content = item.output
    if isinstance(content, str):
        return content
    return " ".join(part.text for part in content if isinstance(part, InputText | OutputText))
