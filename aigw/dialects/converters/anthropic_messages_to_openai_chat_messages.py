"""The messages of a request to Anthropic's Messages API as those of a chat.

Turns of the same role that follow each other are one turn, as Anthropic documents it. Texts that stand alone leave as
one string, not as parts: DeepSeek and many chat templates know nothing else.
"""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from aigw.dialects.converters.anthropic_messages_to_openai_chat_answer import reasoning_field
from aigw.dialects.converters.reading import Object, filled, objects, of_type, optional, uncarried
from aigw.dialects.rawjson import encode
from aigw.dialects.reasoning import Reasoning
from aigw.errors import BadRequest

_BILLING = "x-anthropic-billing-header:"
"""How the block begins that Claude Code puts before its system prompt (the gateway protocol's attribution block)."""

_ELSEWHERE = "(what is not text in this result is in the next message)"


def chat_messages(system: Any, messages: Any, reasoning: Reasoning) -> list[Object]:
    """The whole chat.

    :raises Unconvertible: naming what it can't say.
    :raises BadRequest: naming what is not as the Messages API has it.
    """
    chat = _system_message(system, "system")
    turn: _Turn = _UserTurn()
    role, path = "user", "messages"
    for path, message in objects(of_type(list, messages, "messages"), "messages"):
        if message.get("role") != role:
            chat += turn.messages()
            role = of_type(str, message.get("role"), f"{path}.role")
            turn = _turn(role, path, reasoning)
        turn.add(message.get("content"), f"{path}.content")
    if role == "assistant":
        raise uncarried(path, "chat completions can't continue a message of the assistant")
    return chat + turn.messages()


class _Turn(Protocol):
    def add(self, content: Any, path: str) -> None: ...

    def messages(self) -> list[Object]: ...


def _turn(role: str, path: str, reasoning: Reasoning) -> _Turn:
    match role:
        case "user":
            return _UserTurn()
        case "assistant":
            return _AssistantTurn(reasoning)
        case "system":
            return _SystemTurn()
    raise BadRequest(f"{path}.role: expected user, assistant or system, got {role[:100]}", param=f"{path}.role")


@attrs.define(eq=False)
class _SystemTurn:
    """https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages."""

    said: list[Object] = attrs.field(factory=list)

    def add(self, content: Any, path: str) -> None:
        self.said += _system_message(content, path)

    def messages(self) -> list[Object]:
        return self.said


def _system_message(content: Any, path: str) -> list[Object]:
    """One message, or none if there is nothing to say."""
    texts = []
    for where, block in _blocks(content or "", path):
        if block.get("type") != "text":
            raise _unknown(block.get("type"), where)
        text = _text(block, where)
        if not text.startswith(_BILLING):
            texts.append(text)
    return [{"role": "system", "content": "\n".join(texts)}] if any(texts) else []


@attrs.define(eq=False)
class _UserTurn:
    """Results of tools have to follow the calls at once: they come first, then what they hold beside texts, then
    what the user says."""

    results: list[Object] = attrs.field(factory=list)
    attached: list[Object] = attrs.field(factory=list)
    parts: list[Object] = attrs.field(factory=list)

    def add(self, content: Any, path: str) -> None:
        for where, block in _blocks(content, path):
            if block.get("type") == "tool_result":
                self._add_result(block, where)
            else:
                self.parts += _parts(block, where)

    def messages(self) -> list[Object]:
        parts = self.attached + self.parts
        return [*self.results, {"role": "user", "content": _content(parts)}] if parts else self.results

    def _add_result(self, block: Object, path: str) -> None:
        call = filled(block.get("tool_use_id"), f"{path}.tool_use_id")
        texts, attached = [], []
        for where, inner in _blocks(block.get("content") or "", f"{path}.content"):
            for part in _result_parts(inner, where):
                if part["type"] == "text":
                    texts.append(part["text"])
                else:
                    attached.append(part)
        if attached:
            texts.append(_ELSEWHERE)
            self.attached += [_text_part(f"From the result of {call}:"), *attached]
        failed = optional(bool, block.get("is_error"), f"{path}.is_error")
        text = ("Error: " if failed else "") + "\n".join(texts)
        self.results.append({"role": "tool", "tool_call_id": call, "content": text})


@attrs.define(eq=False)
class _AssistantTurn:
    """Its texts are joined without anything between them: they are pieces of what a model said in one go."""

    reasoning: Reasoning
    texts: list[str] = attrs.field(factory=list)
    calls: list[Object] = attrs.field(factory=list)
    thought: dict[str, str] = attrs.field(factory=dict)

    def add(self, content: Any, path: str) -> None:
        for where, block in _blocks(content, path):
            match block.get("type"):
                case "text":
                    self.texts.append(_text(block, where))
                case "tool_use":
                    self.calls.append(_call(block, where))
                case "thinking":
                    self._add_thinking(block, where)
                case "redacted_thinking":
                    pass
                case kind:
                    raise _unknown(kind, where)

    def messages(self) -> list[Object]:
        text = "".join(self.texts)
        message: Object = {"role": "assistant", "content": text if text or not self.calls else None, **self.thought}
        if self.calls:
            message["tool_calls"] = self.calls
        return [message]

    def _add_thinking(self, block: Object, path: str) -> None:
        field = reasoning_field(optional(str, block.get("signature"), f"{path}.signature"))
        text = of_type(str, block.get("thinking"), f"{path}.thinking")
        back = None if field is None else self.reasoning.field(field)
        if back is not None:
            self.thought[back] = self.thought.get(back, "") + text


def _call(block: Object, path: str) -> Object:
    name = filled(block.get("name"), f"{path}.name")
    arguments = encode(of_type(dict, block.get("input"), f"{path}.input")).decode()
    function = {"name": name, "arguments": arguments}
    return {"id": filled(block.get("id"), f"{path}.id"), "type": "function", "function": function}


def _content(parts: list[Object]) -> str | list[Object]:
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return "\n".join(texts) if len(texts) == len(parts) else parts


def _blocks(content: Any, path: str) -> list[tuple[str, Object]]:
    """The blocks of a ``content``, each behind its path; a text is short for one block."""
    if isinstance(content, str):
        return [(path, _text_part(content))]
    return list(objects(of_type(list, content, path), path))


def _result_parts(block: Object, path: str) -> list[Object]:
    if block.get("type") == "tool_reference":
        # Claude Code's tool search names tools, all of which the model has been told of anyway.
        return [_text_part(encode(block).decode())]
    return _parts(block, path)


def _parts(block: Object, path: str) -> list[Object]:
    """What of a chat message a block of the user is."""
    match block.get("type"):
        case "text":
            return [_text_part(_text(block, path))]
        case "image":
            return [_image(block, path)]
        case "document":
            return _document(block, path)
        case "search_result":
            return _search_result(block, path)
        case kind:
            raise _unknown(kind, path)


def _image(block: Object, path: str) -> Object:
    source = of_type(dict, block.get("source"), f"{path}.source")
    match source.get("type"):
        case "base64":
            url = _data_url(source, f"{path}.source")
        case "url":
            url = filled(source.get("url"), f"{path}.source.url")
        case kind:
            raise _unknown(kind, f"{path}.source")
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: Object, path: str) -> list[Object]:
    """Title and context, which Anthropic shows to the model, come first."""
    _refuse_citations(block, path)
    title = optional(str, block.get("title"), f"{path}.title")
    context = optional(str, block.get("context"), f"{path}.context")
    about = [_text_part(text) for text in (title, context) if text]
    source = of_type(dict, block.get("source"), f"{path}.source")
    match source.get("type"):
        case "text":
            return [*about, _text_part(of_type(str, source.get("data"), f"{path}.source.data"))]
        case "content":
            content = _blocks(source.get("content"), f"{path}.source.content")
            return about + [part for where, inner in content for part in _parts(inner, where)]
        case "base64" if source.get("media_type") == "application/pdf":
            file = {"filename": title or "document.pdf", "file_data": _data_url(source, f"{path}.source")}
            return [*about, {"type": "file", "file": file}]
        case kind:
            raise _unknown(kind, f"{path}.source")


def _search_result(block: Object, path: str) -> list[Object]:
    _refuse_citations(block, path)
    title = of_type(str, block.get("title"), f"{path}.title")
    source = of_type(str, block.get("source"), f"{path}.source")
    texts = [_text(inner, where) for where, inner in objects(block.get("content"), f"{path}.content")]
    return [_text_part("\n".join([title, source, *texts]))]


def _refuse_citations(block: Object, path: str) -> None:
    citations = optional(dict, block.get("citations"), f"{path}.citations") or {}
    if citations.get("enabled"):
        raise uncarried(f"{path}.citations", "chat completions don't cite")


def _data_url(source: Object, path: str) -> str:
    media_type = filled(source.get("media_type"), f"{path}.media_type")
    return f"data:{media_type};base64,{filled(source.get('data'), f'{path}.data')}"


def _text(block: Object, path: str) -> str:
    return of_type(str, block.get("text"), f"{path}.text")


def _text_part(text: str) -> Object:
    return {"type": "text", "text": text}


def _unknown(kind: Any, path: str) -> BadRequest:
    """The refusal of a block or source of a type that a chat has nothing for in this place."""
    kind = of_type(str, kind, f"{path}.type")
    return uncarried(f"{path}.type", f"chat completions have nothing for {kind[:100]} here")
