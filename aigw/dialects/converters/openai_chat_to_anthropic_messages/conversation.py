"""The messages of a chat as Anthropic's system prompt and turns.

System and developer messages are hoisted to the front and joined by a newline, as Anthropic's layer for OpenAI's SDKs
does (https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk); messages of the same role become one
turn, so that the results of all tools called in one turn stand together in the next one, which is where they must be
(https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls).

Left out: ``name`` (documented there), and ``reasoning_content``: thinking goes back to Anthropic with its signature or
not at all, and OpenAI's dialect has no place for signatures
(https://platform.claude.com/docs/en/build-with-claude/extended-thinking). Members of a message that OpenAI's requests
don't have (other vendors' answers, sent back) are no part of the dialect and left out, too.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from aigw.dialects.converters.openai_chat_to_anthropic_messages.content import (
    ASSISTANT,
    SYSTEM,
    TOOL,
    USER,
    blocks_of,
    text_block,
    with_cache_control,
)
from aigw.dialects.converters.reading import (
    Object,
    arguments_in,
    filled,
    objects,
    of_type,
    optional,
    uncarried,
)
from aigw.errors import BadRequest

_ROLES = "system, developer, user, assistant, tool or function"
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")


@attrs.define
class Conversation:
    """``system``: text blocks. ``turns``: user's and assistant's in turn, each with one block at least."""

    system: list[Object] = attrs.field(factory=list)
    turns: list[Object] = attrs.field(factory=list)
    _function_id: str = ""
    """Of the last ``function_call``; it has none of its own, so it is called after its place."""

    @classmethod
    def of(cls, messages: Any) -> Conversation:
        """Take the messages in.

        :raises BadRequest: naming what is not as OpenAI has it. :raises Unconvertible: naming what Anthropic lacks.
        """
        conversation = cls()
        for path, message in objects(of_type(list, messages, "messages"), "messages"):
            conversation._add(message, path)
        if not conversation.turns:
            raise uncarried("messages", "Anthropic needs a message of the user or the assistant that says something")
        return conversation

    @property
    def prompt(self) -> str | list[Object]:
        """The system prompt: one text, or the blocks if any is marked for caching."""
        if any("cache_control" in block for block in self.system):
            return self.system
        return "\n".join(block["text"] for block in self.system)

    def _add(self, message: Object, path: str) -> None:
        role = of_type(str, message.get("role"), f"{path}.role")
        match role:
            case "system" | "developer":
                self.system += blocks_of(message.get("content"), f"{path}.content", SYSTEM)
            case "user":
                self._say("user", blocks_of(message.get("content"), f"{path}.content", USER))
            case "assistant":
                self._say("assistant", self._answer(message, path))
            case "tool":
                called = filled(message.get("tool_call_id"), f"{path}.tool_call_id")
                self._say("user", [_result(called, message, path)])
            case "function":
                if not self._function_id:
                    raise BadRequest(f"{path}: no function_call comes before it", param=path)
                self._say("user", [_result(self._function_id, message, path)])
            case _:
                raise BadRequest(f"{path}.role: expected {_ROLES}", param=f"{path}.role")

    def _say(self, role: str, blocks: list[Object]) -> None:
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        elif blocks:
            self.turns.append({"role": role, "content": blocks})

    def _answer(self, message: Object, path: str) -> list[Object]:
        if message.get("audio") is not None:
            raise uncarried(f"{path}.audio", "Anthropic's messages have no audio")
        blocks = blocks_of(message.get("content"), f"{path}.content", ASSISTANT)
        refusal = optional(str, message.get("refusal"), f"{path}.refusal")
        if refusal and refusal.strip():
            blocks.append(text_block(refusal))
        blocks += [_tool_use(call, place) for place, call in objects(message.get("tool_calls"), f"{path}.tool_calls")]
        function = optional(dict, message.get("function_call"), f"{path}.function_call")
        if function is not None:
            self._function_id = f"{path}.function_call"
            blocks.append(_use(self._function_id, function, f"{path}.function_call"))
        return blocks


def _tool_use(call: Object, path: str) -> Object:
    if call.get("type", "function") != "function":
        raise uncarried(f"{path}.type", "Anthropic's messages have calls of functions only")
    function = of_type(dict, call.get("function"), f"{path}.function")
    use = _use(filled(call.get("id"), f"{path}.id"), function, f"{path}.function")
    return with_cache_control(use, call, path)


def _use(call_id: str, function: Object, path: str) -> Object:
    return {
        "type": "tool_use",
        "id": _allowed(call_id),
        "name": filled(function.get("name"), f"{path}.name"),
        "input": arguments_in(function.get("arguments"), f"{path}.arguments"),
    }


def _result(call_id: str, message: Object, path: str) -> Object:
    blocks = blocks_of(message.get("content"), f"{path}.content", TOOL)
    result: Object = {"type": "tool_result", "tool_use_id": _allowed(call_id)}
    if blocks:
        result["content"] = blocks
    return with_cache_control(result, message, path)


def _allowed(call_id: str) -> str:
    """An id that Anthropic takes (``^[a-zA-Z0-9_-]+$``); other vendors' have dots and colons, too."""
    return _NOT_IN_AN_ID.sub("_", call_id)
