"""The input items as the messages of a chat.

https://platform.openai.com/docs/guides/conversation-state and .../docs/guides/function-calling. What the model said in
one turn (reasoning, texts, calls) is one assistant message there, and the results of its calls follow at once: what
the client put between them waits. Pictures in a result, which chats don't have there, come in a user message after it.

``developer`` is ``system``, which every server knows; those at the beginning are one message, because the templates of
many open models take one, and only there. Reasoning goes back where calls were made, if the vendor takes it
(`aigw.dialects.reasoning`): DeepSeek wants it with these and ignores it elsewhere. Dropped: its summary, made for
people, and ``encrypted_content``, which OpenAI itself leaves away for another model; ``id``, ``status`` and ``phase``
of items, which say nothing to a chat. Refused: items that the gateway would have to remember (``item_reference``) and
those of hosted tools.
"""

from __future__ import annotations

import attrs

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_responses_to_openai_chat.content import (
    content_of,
    parts_of,
    text_part,
    texts_of,
)
from aigw.dialects.converters.openai_responses_to_openai_chat.tools import function_name
from aigw.dialects.converters.reading import Object, filled, objects, of_type, optional, uncarried
from aigw.dialects.rawjson import encode
from aigw.errors import BadRequest

_SYSTEM = ("system", "developer")


def messages_of(request: Body, reasoning: str | None) -> list[Object]:
    """The messages: instructions first. ``reasoning``: the field in which it goes back; None = it does not.

    :raises Unconvertible: naming an item, or a part of one. :raises BadRequest: for what is no item.
    """
    conversation = Conversation(reasoning)
    instructions = optional(str, request.get("instructions"), "instructions")
    if instructions:
        conversation.instruct(instructions)
    given = request.get("input")
    if isinstance(given, str):
        conversation.say("user", given)
    elif isinstance(given, list):
        for path, item in objects(given, "input"):
            _take(conversation, item, path)
    else:
        raise BadRequest("input: expected a string or an array of items", param="input")
    return conversation.messages()


@attrs.define
class Turn:
    """What the model said between two things that it was told."""

    texts: list[str] = attrs.field(factory=list)
    calls: list[Object] = attrs.field(factory=list)
    reasoning: list[str] = attrs.field(factory=list)

    def message(self, reasoning: str | None) -> Object:
        """The assistant message. ``reasoning``: the field for it, if it has one."""
        message: Object = {"role": "assistant", "content": "\n\n".join(self.texts) if self.texts else None}
        if self.calls:
            message["tool_calls"] = self.calls
            if reasoning is not None and self.reasoning:
                message[reasoning] = "\n\n".join(self.reasoning)
        return message


class Conversation:
    """Puts items in the order that chats have."""

    def __init__(self, reasoning: str | None) -> None:
        self._reasoning = reasoning
        self._instructions: list[str] = []
        self._messages: list[Object] = []
        self._turn: Turn | None = None
        self._unanswered: set[str] = set()
        self._waiting: list[Object] = []

    def messages(self) -> list[Object]:
        """All of them."""
        self._end_turn()
        self._release()
        system: list[Object] = []
        if self._instructions:
            system.append({"role": "system", "content": "\n\n".join(self._instructions)})
        return system + self._messages

    def turn(self) -> Turn:
        """The model's turn, which others end."""
        if self._turn is None:
            self._release()
            self._turn = Turn()
        return self._turn

    def instruct(self, text: str) -> None:
        """A system message, or more of the one at the beginning."""
        if self._messages or self._turn is not None:
            self.say("system", text)
        else:
            self._instructions.append(text)

    def say(self, role: str, content: str | list[Object]) -> None:
        """A message that is not the model's; it waits for the results of calls."""
        self._end_turn()
        message = {"role": role, "content": content}
        (self._waiting if self._unanswered else self._messages).append(message)

    def call(self, identity: str, name: str, arguments: str) -> None:
        """The model called a function."""
        function = {"name": name, "arguments": arguments}
        self.turn().calls.append({"id": identity, "type": "function", "function": function})

    def answer(self, identity: str, parts: list[Object]) -> None:
        """The result of a call."""
        self._end_turn()
        self._unanswered.discard(identity)
        texts, others = texts_of(parts), [part for part in parts if part["type"] != "text"]
        if others:
            texts.append("(continued in the next message)")
            self._waiting.append({"role": "user", "content": [text_part(f"Result of call {identity}:"), *others]})
        content = texts[0] if len(texts) == 1 else "\n".join(texts)
        self._messages.append({"role": "tool", "tool_call_id": identity, "content": content})
        if not self._unanswered:
            self._release()

    def _end_turn(self) -> None:
        if self._turn is None:
            return
        turn, self._turn = self._turn, None
        if turn.texts or turn.calls:  # reasoning alone is of an answer that was cut off
            self._messages.append(turn.message(self._reasoning))
            self._unanswered = {call["id"] for call in turn.calls}

    def _release(self) -> None:
        self._messages += self._waiting
        self._waiting.clear()
        self._unanswered.clear()


def _take(conversation: Conversation, item: Object, path: str) -> None:
    kind = optional(str, item.get("type"), f"{path}.type")
    if kind is None and "role" in item:
        kind = "message"
    match kind:
        case "message":
            _message(conversation, item, path)
        case "reasoning":
            _reasoning(conversation.turn(), item, path)
        case "function_call" | "custom_tool_call":
            _call(conversation, item, path, kind)
        case "function_call_output" | "custom_tool_call_output":
            identity = filled(item.get("call_id"), f"{path}.call_id")
            conversation.answer(identity, parts_of(item.get("output"), f"{path}.output"))
        case "item_reference":
            raise uncarried(f"{path}.type", "the gateway keeps no items that could be referred to; send the item")
        case None:
            raise BadRequest(f"{path}.type: expected a string", param=f"{path}.type")
        case _:
            raise uncarried(f"{path}.type", "a chat can't carry this kind of item")


def _message(conversation: Conversation, item: Object, path: str) -> None:
    role = of_type(str, item.get("role"), f"{path}.role")
    parts = parts_of(item.get("content"), f"{path}.content")
    if role == "assistant":
        conversation.turn().texts += filter(None, texts_only(parts, path))
    elif role in _SYSTEM:
        conversation.instruct("\n\n".join(texts_only(parts, path)))
    elif role == "user":
        conversation.say(role, content_of(parts))
    else:
        raise BadRequest(f"{path}.role: expected user, assistant, system or developer", param=f"{path}.role")


def texts_only(parts: list[Object], path: str) -> list[str]:
    """The texts of a message that can have nothing else."""
    for index, part in enumerate(parts):
        if part["type"] != "text":
            raise uncarried(f"{path}.content[{index}].type", "messages of this role are texts in a chat")
    return texts_of(parts)


def _reasoning(turn: Turn, item: Object, path: str) -> None:
    content = item.get("content")
    turn.reasoning += [] if content is None else texts_only(parts_of(content, f"{path}.content"), path)


def _call(conversation: Conversation, item: Object, path: str, kind: str) -> None:
    identity = filled(item.get("call_id"), f"{path}.call_id")
    namespace = optional(str, item.get("namespace"), f"{path}.namespace") or ""
    name = function_name(filled(item.get("name"), f"{path}.name"), namespace)
    if kind == "function_call":
        arguments = of_type(str, item.get("arguments"), f"{path}.arguments")
    else:
        arguments = encode({"input": of_type(str, item.get("input"), f"{path}.input")}).decode()
    conversation.call(identity, name, arguments)
