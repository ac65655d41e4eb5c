"""The response object and its items, as a complete answer and the events of a stream have them.

https://platform.openai.com/docs/api-reference/responses/object. It repeats what was asked for, as the client wrote it;
what the provider decides (a temperature nobody asked for) is null. Nothing is stored, and ``store`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import attrs
from msgspec import Raw

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_responses_to_openai_chat.completion import identity_of
from aigw.dialects.converters.openai_responses_to_openai_chat.tools import (
    Toolbox,
    text_of_custom_call,
    toolbox_of,
)
from aigw.dialects.converters.reading import Object
from aigw.dialects.rawjson import decode
from aigw.dialects.usage import Usage

Text = str | Raw
"""A string, or one that is encoded already."""

_NULL = Raw(b"null")
_ECHOED: Mapping[str, Raw] = {
    "background": Raw(b"false"),
    "instructions": _NULL,
    "max_output_tokens": _NULL,
    "max_tool_calls": _NULL,
    "metadata": Raw(b"{}"),
    "parallel_tool_calls": Raw(b"true"),
    "previous_response_id": _NULL,
    "prompt_cache_key": _NULL,
    "reasoning": Raw(b'{"effort":null,"summary":null}'),
    "safety_identifier": _NULL,
    "service_tier": Raw(b'"default"'),
    "temperature": _NULL,
    "text": Raw(b'{"format":{"type":"text"}}'),
    "tool_choice": Raw(b'"auto"'),
    "tools": Raw(b"[]"),
    "top_logprobs": _NULL,
    "top_p": _NULL,
    "truncation": Raw(b'"disabled"'),
    "user": _NULL,
}
"""Members that repeat the request's, and what they are where it has none."""


@attrs.frozen
class Envelope:
    """What all objects of one response have in common. ``identity``: what its ids are made of."""

    identity: str
    created: int
    model: str
    toolbox: Toolbox
    echoed: Object

    def response(self, status: str, output: Sequence[Any], usage: Usage | None, reason: str | None = None) -> Object:
        """The response object. ``reason``: why it is incomplete."""
        return {
            "id": f"resp_{self.identity}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": self.model,
            "output": output,
            "store": False,
            **self.echoed,
            "usage": None if usage is None else usage_object(usage),
        }

    def item_id(self, prefix: str, index: int) -> str:
        """The id of the item at a place in the output."""
        return f"{prefix}_{self.identity}_{index}"

    def call_id(self, given: str, index: int) -> str:
        """The id of a call: the upstream's, which has to come back; made up if there is none."""
        return given or f"call_{sha256(f'{self.identity} {index}'.encode()).hexdigest()[:24]}"

    def call(self, index: int, identity: str, name: str, arguments: Text, status: str) -> Object:
        """The item of a call: of a function, or of the client's custom tool that a function stands for."""
        origin = self.toolbox.origin(name)
        custom = origin.kind == "custom"
        item: Object = {
            "id": self.item_id("ctc" if custom else "fc", index),
            "type": "custom_tool_call" if custom else "function_call",
            "status": status,
            "call_id": identity,
            "name": origin.name,
        }
        if origin.namespace:
            item["namespace"] = origin.namespace
        if custom:
            text = arguments if isinstance(arguments, str) else decode(arguments)
            return {**item, "input": text_of_custom_call(text)}
        return {**item, "arguments": arguments}

    def message(self, index: int, parts: Sequence[Object], status: str) -> Object:
        """The item of what the model says."""
        identity = self.item_id("msg", index)
        return {"id": identity, "type": "message", "status": status, "role": "assistant", "content": parts}

    def reasoning(self, index: int, parts: Sequence[Object], status: str) -> Object:
        """The item of what it thought: the text itself, as models that hide nothing have it, no summary."""
        identity = self.item_id("rs", index)
        return {"id": identity, "type": "reasoning", "summary": [], "content": parts, "status": status}


def envelope_of(request: Body, completion: Object, now: int) -> Envelope:
    """``completion``: the complete one, or the first chunk."""
    created, model = completion.get("created"), completion.get("model")
    if not isinstance(model, str) or not model:  # Azure's first chunk has none
        model = request.get("model")
    echoed: Object = {}
    for name, default in _ECHOED.items():
        echoed[name] = default if request.type_of(name) in ("", "null") else _in_one_line(request, name)
    tier = completion.get("service_tier")
    if isinstance(tier, str):
        echoed["service_tier"] = tier
    return Envelope(
        identity_of(completion, request, now),
        created if type(created) is int and created > 0 else now,
        model if isinstance(model, str) else "",
        toolbox_of(request),
        echoed,
    )


def _in_one_line(request: Body, name: str) -> Any:
    """A member as it was written, unless a line of an event can't hold it."""
    raw = bytes(request.raw(name) or b"")
    return request.get(name) if b"\n" in raw or b"\r" in raw else Raw(raw)


def text_part(text: Text, logprobs: Sequence[Any] = ()) -> Object:
    """A part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def refusal_part(text: Text) -> Object:
    """A part of a message in which the model refuses."""
    return {"type": "refusal", "refusal": text}


def reasoning_part(text: Text) -> Object:
    """A part of a reasoning item."""
    return {"type": "reasoning_text", "text": text}


def usage_object(usage: Usage) -> Object:
    """Token counts as this API has them."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
