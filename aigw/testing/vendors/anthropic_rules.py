"""What Anthropic wants of a request beyond the types of its fields.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use (what has to follow a call),
.../docs/en/build-with-claude/extended-thinking (whose blocks come back unchanged),
.../docs/en/api/migration-2026-10-21 (what the newest version of the API refuses)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aigw.testing.vendors.anthropic_request import (
    CustomTool,
    Document,
    Image,
    Message,
    MessagesRequest,
    RedactedThinking,
    Source,
    Text,
    Thinking,
    TokensRequest,
    ToolResult,
    ToolUse,
)
from aigw.testing.vendors.checking import checked
from aigw.testing.vendors.vendor import Refused

NEWEST = "2026-10-21"
"""The version of the API since which there is no sampling any more."""
SIGNATURE = "EqQBCkgIARABGAIiQFake"
"""Of the thinking that the fake has thought; it takes no other back."""


def obey_rules(request: TokensRequest, version: str) -> None:
    """Check what spans fields, and the tools of the client's own. ``version``: of the API.

    :raises Refused: with Anthropic's words.
    """
    for index, tool in enumerate(request.tools or ()):
        if tool.get("type") in (None, "custom"):
            checked(CustomTool, tool, at=f"tools[{index}].custom")
    if request.tool_choice is not None and not request.tools:
        raise _refused("tool_choice: tool_choice may only be specified while providing tools")
    if request.messages[0].role == "system":
        raise _refused("messages.0.role: use the top-level `system` parameter for the initial system prompt")
    for index, message in enumerate(request.messages):
        _obey_in_message(message, f"messages.{index}", index == len(request.messages) - 1)
    _match_calls(request.messages)
    if isinstance(request, MessagesRequest):
        _obey_thinking(request)
    if version == NEWEST:
        _obey_newest(request)


def _obey_in_message(message: Message, where: str, last: bool) -> None:
    if not message.content and not (last and message.role == "assistant"):
        raise _refused(
            f"{where}: all messages must have non-empty content except for the optional final assistant message"
        )
    for index, block in enumerate(message.blocks):
        here = f"{where}.content.{index}"
        if isinstance(block, Text) and not block.text and not isinstance(message.content, str):
            raise _refused("messages: text content blocks must be non-empty")
        if isinstance(block, ToolUse | Thinking | RedactedThinking) and message.role != "assistant":
            raise _refused(f"{here}: `{_kind(block)}` blocks can only be in `assistant` messages")
        if isinstance(block, ToolResult) and message.role != "user":
            raise _refused(f"{here}: `tool_result` blocks can only be in `user` messages")
        if isinstance(block, Thinking) and block.signature != SIGNATURE:
            raise _refused(f"{here}: Invalid `signature` in `thinking` block")
        if isinstance(block, Image | Document):
            _obey_in_source(block.source, f"{here}.source")
    if last and message.role == "assistant" and _texts(message) != _texts(message).rstrip():
        raise _refused("messages: final assistant content cannot end with trailing whitespace")


_SOURCES: Mapping[str, Sequence[str]] = {
    "base64": ("media_type", "data"),
    "text": ("media_type", "data"),
    "url": ("url",),
    "content": ("content",),
    "file": ("file_id",),
}


def _obey_in_source(source: Source, where: str) -> None:
    needed = _SOURCES[source.type]
    for name in ("media_type", "data", "url", "content", "file_id"):
        there = getattr(source, name) is not None
        if there != (name in needed):
            problem = "Extra inputs are not permitted" if there else "Field required"
            raise _refused(f"{where}.{source.type}.{name}: {problem}")


def _match_calls(messages: Sequence[Message]) -> None:
    """The results of all calls come first in the message after them, and there are no others."""
    waiting: list[str] = []
    seen: set[str] = set()
    for index, message in enumerate(messages):
        leading = _leading_results(message)
        missing = [id for id in waiting if id not in leading]
        if missing:
            raise _refused(
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next"
                " message."
            )
        for place, block in enumerate(message.blocks):
            if isinstance(block, ToolResult) and block.tool_use_id not in waiting:
                raise _refused(
                    f"messages.{index}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block.tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` block in the "
                    "previous message."
                )
        waiting = [block.id for block in message.blocks if isinstance(block, ToolUse)]
        if len(set(waiting)) < len(waiting) or seen & set(waiting):
            raise _refused(f"messages.{index}.content: `tool_use` ids must be unique")
        seen |= set(waiting)
    if waiting:
        raise _refused(
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks: {waiting}"
        )


def _leading_results(message: Message) -> list[str]:
    leading = []
    for block in message.blocks:
        if not isinstance(block, ToolResult):
            break
        leading.append(block.tool_use_id)
    return leading


def _obey_thinking(request: MessagesRequest) -> None:
    if request.thinking is None or request.thinking.type != "enabled":
        return
    budget = request.thinking.budget_tokens
    if budget is None:
        raise _refused("thinking.enabled.budget_tokens: Field required")
    if request.max_tokens <= budget:
        raise _refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if request.temperature not in (None, 1):
        raise _refused("`temperature` may only be set to 1 when thinking is enabled.")
    if request.top_k is not None:
        raise _refused("`top_k` must be unset when thinking is enabled.")
    if request.tool_choice is not None and request.tool_choice.type in ("any", "tool"):
        raise _refused("Thinking may not be enabled when tool_choice forces tool use.")


def _obey_newest(request: TokensRequest) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if getattr(request, name, None) is not None:
            raise _refused(f"{name}: Extra inputs are not permitted")
    for index, message in enumerate(request.messages):
        for place, block in enumerate(message.blocks):
            here = f"messages.{index}.content.{place}"
            if isinstance(block, Document) and message.role == "assistant":
                raise _refused(f"{here}: `document` blocks are not permitted in `assistant` messages")
            if isinstance(block, Text) and block.citations and message.role == "user":
                raise _refused(f"{here}.citations: not permitted in `user` messages")


def _texts(message: Message) -> str:
    return "".join(block.text for block in message.blocks if isinstance(block, Text))


def _kind(block: Any) -> str:
    return str(block.__struct_config__.tag)


def _refused(message: str) -> Refused:
    return Refused(400, message)
