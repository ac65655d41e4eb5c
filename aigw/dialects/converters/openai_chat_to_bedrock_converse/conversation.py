"""The messages of a chat as the system prompt and turns of the Converse API.

https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html: user and assistant take turns,
and the user begins. So messages of the same role become one turn, and the results of all tools that a turn used stand
together in the next one. System and developer messages are the system prompt, wherever they stand.

Left out: ``reasoning_content``, because Bedrock wants reasoning back with its signature, unmodified
(.../API_runtime_ReasoningTextBlock.html), and chats have no place for that; the ``name`` of a tool's result, which the
call has already told. Members of a message that OpenAI's requests don't have (other vendors' answers, sent back) are no
part of the dialect and left out, too.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import attrs

from aigw.dialects.converters.openai_chat_to_bedrock_converse.content import (
    ASSISTANT,
    SYSTEM,
    TOOL,
    USER,
    blocks_of,
    cache_points,
    text_blocks,
)
from aigw.dialects.converters.reading import Object, arguments_in, filled, objects, of_type, optional, uncarried
from aigw.errors import BadRequest

_ROLES = "system, developer, user, assistant or tool"
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_LONGEST_ID = 64
_NO_RESULT: Object = {"text": ""}
"""Some models want a block in every result."""
_LONGEST_STEM = 180
"""Of a document's name, so that a number has room behind it."""


@attrs.define
class Conversation:
    """``system``: blocks. ``turns``: user's and assistant's in turn, each with one block at least.

    ``uses_tools``: where the first use of a tool is, or its result; "" = nowhere.
    """

    system: list[Object] = attrs.field(factory=list)
    turns: list[Object] = attrs.field(factory=list)
    uses_tools: str = ""
    _names: dict[str, int] = attrs.field(factory=dict)
    """Of the documents so far, in lower case: no two of a request may have the same."""

    @classmethod
    def of(cls, messages: Any) -> Conversation:
        """Take the messages in.

        :raises BadRequest: naming what is not as OpenAI has it. :raises Unconvertible: naming what Bedrock lacks.
        """
        conversation = cls()
        for path, message in objects(of_type(list, messages, "messages"), "messages"):
            conversation._add(message, path)
            if conversation.turns and conversation.turns[0]["role"] != "user":
                raise uncarried(f"{path}.role", "a conversation with Bedrock starts with the user")
        if not conversation.turns:
            raise uncarried("messages", "Bedrock needs a message of the user that says something")
        return conversation

    def _add(self, message: Object, path: str) -> None:
        role = of_type(str, message.get("role"), f"{path}.role")
        content = message.get("content")
        if role != "tool" and message.get("name") not in (None, ""):
            raise uncarried(f"{path}.name", "Bedrock's messages have no names of participants")
        match role:
            case "system" | "developer":
                self.system += blocks_of(content, f"{path}.content", SYSTEM)
            case "user":
                self._say("user", blocks_of(content, f"{path}.content", USER))
            case "assistant":
                self._say("assistant", self._answer(message, path))
            case "tool":
                self._say("user", self._result(message, path))
            case "function":
                raise uncarried(f"{path}.role", "only tools can be carried to Bedrock, not what came before them")
            case _:
                raise BadRequest(f"{path}.role: expected {_ROLES}", param=f"{path}.role")

    def _say(self, role: str, blocks: list[Object]) -> None:
        self._name_apart(blocks)
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        elif blocks:
            self.turns.append({"role": role, "content": blocks})

    def _name_apart(self, blocks: list[Object]) -> None:
        for document in (block["document"] for block in blocks if "document" in block):
            name = document["name"]
            count = self._names[name.lower()] = self._names.get(name.lower(), 0) + 1
            if count > 1:
                document["name"] = f"{name[:_LONGEST_STEM]} ({count})"

    def _answer(self, message: Object, path: str) -> list[Object]:
        for name in ("audio", "function_call"):
            if message.get(name) is not None:
                raise uncarried(f"{path}.{name}", "Bedrock's messages have nothing like it")
        blocks = blocks_of(message.get("content"), f"{path}.content", ASSISTANT)
        blocks += text_blocks(optional(str, message.get("refusal"), f"{path}.refusal"))
        for place, call in objects(message.get("tool_calls"), f"{path}.tool_calls"):
            self.uses_tools = self.uses_tools or place
            blocks += [_tool_use(call, place), *cache_points(call, place)]
        return blocks

    def _result(self, message: Object, path: str) -> list[Object]:
        self.uses_tools = self.uses_tools or path
        called = filled(message.get("tool_call_id"), f"{path}.tool_call_id")
        blocks = blocks_of(message.get("content"), f"{path}.content", TOOL)
        points = [block for block in blocks if "cachePoint" in block]
        content = [block for block in blocks if "cachePoint" not in block] or [_NO_RESULT]
        self._name_apart(content)
        result = {"toolResult": {"toolUseId": _allowed(called), "content": content}}
        return [result, *(points[-1:] or cache_points(message, path))]


def _tool_use(call: Object, path: str) -> Object:
    if call.get("type", "function") != "function":
        raise uncarried(f"{path}.type", "Bedrock's messages have calls of functions only")
    function = of_type(dict, call.get("function"), f"{path}.function")
    use = {
        "toolUseId": _allowed(filled(call.get("id"), f"{path}.id")),
        "name": filled(function.get("name"), f"{path}.function.name"),
        "input": arguments_in(function.get("arguments"), f"{path}.function.arguments"),
    }
    return {"toolUse": use}


def _allowed(call_id: str) -> str:
    """An id that Bedrock takes: of 64 characters at most, and not of all kinds."""
    if len(call_id) > _LONGEST_ID:
        return sha256(call_id.encode("utf-8", "backslashreplace")).hexdigest()
    return _NOT_IN_AN_ID.sub("_", call_id)
