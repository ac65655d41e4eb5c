"""A request to the Responses API as one for a chat completion: every field of it is carried, dropped or refused here.

https://platform.openai.com/docs/api-reference/responses/create and .../chat/create.

Dropped, because the answer is the same without: ``store`` (the answer says that nothing is stored) and ``metadata``
(which it repeats); ``prompt_cache_key`` and its sisters, which make OpenAI's caching better; ``max_tool_calls``, which
counts calls of hosted tools; ``include`` but for log probabilities, because nothing else there concerns what a chat
answers; ``stream_options`` (padding against eavesdroppers); a reasoning summary, in whose place the reasoning itself
comes; ``client_metadata``, which is Codex's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_responses_to_openai_chat.conversation import messages_of
from aigw.dialects.converters.openai_responses_to_openai_chat.tools import tool_members
from aigw.dialects.converters.reading import Object, of_type, optional, uncarried
from aigw.dialects.rawjson import encode
from aigw.dialects.reasoning import Reasoning

LOGPROBS = "message.output_text.logprobs"
"""The member of ``include`` that asks for log probabilities."""

_SAME = (
    *("temperature", "top_p", "service_tier", "user", "safety_identifier"),
    *("frequency_penalty", "presence_penalty", "seed", "stop", "logit_bias"),
    *("top_k", "min_p", "repetition_penalty", "chat_template_kwargs"),
)
"""Mean the same in a chat; the later ones are a chat's or vLLM's own, for clients that know what is behind us."""

_CONVERTED = (
    *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls"),
    *("stream", "max_output_tokens", "reasoning", "text", "include", "top_logprobs"),
)
_DROPPED = (
    *("store", "metadata", "max_tool_calls", "stream_options", "client_metadata"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
)
_KNOWN = frozenset({*_SAME, *_CONVERTED, *_DROPPED})

_STATELESS = "the gateway keeps no state between requests; send all of the conversation as input"
_REFUSED: Mapping[str, str] = {
    "previous_response_id": _STATELESS,
    "conversation": _STATELESS,
    "background": "the gateway keeps no answers for later",
    "prompt": "this provider has no stored prompts",
    "truncation": 'a chat can\'t have its beginning dropped; only "disabled" works here',
}
_HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "background": (False,),
    "truncation": ("disabled",),
    "context_management": ([],),
}
"""Values of refused fields that ask for nothing."""


def converted_request(request: Body, model: str, reasoning: Reasoning) -> Body:
    """The chat completion request. Only one choice is ever asked for.

    :raises Unconvertible: naming what can't be carried. :raises BadRequest: naming what the API does not have.
    """
    for name in request.members:
        _check(request, name)
    messages = messages_of(request, reasoning.field())
    chat: Object = {"model": model, "messages": messages, **tool_members(request)}
    for name in _SAME:
        if request.type_of(name) not in ("", "null"):
            chat[name] = request.raw(name)
    chat |= (
        _limit(request)
        | _stream(request)
        | reasoning.asked(messages, _effort(request), None)
        | _text(request)
        | _logprobs(request)
    )
    return Body.parse(encode(chat))


def wants_logprobs(request: Body) -> bool:
    """Does the client ask for log probabilities?"""
    include = request.get("include")
    return (isinstance(include, list) and LOGPROBS in include) or bool(request.get("top_logprobs"))


def _check(request: Body, name: str) -> None:
    if name in _KNOWN or request.type_of(name) == "null" or request.get(name) in _HARMLESS.get(name, ()):
        return
    raise uncarried(name, _REFUSED.get(name, "chat completions have nothing like it"))


def _limit(request: Body) -> Object:
    limit = optional(int, request.get("max_output_tokens"), "max_output_tokens")
    return {} if limit is None else {"max_tokens": limit}


def _stream(request: Body) -> Object:
    streams = optional(bool, request.get("stream"), "stream")
    return {"stream": True, "stream_options": {"include_usage": True}} if streams else {}


def _effort(request: Body) -> str | None:
    reasoning = optional(dict, request.get("reasoning"), "reasoning") or {}
    for name, harmless in (("mode", "standard"), ("context", "auto")):
        if reasoning.get(name) not in (None, harmless):
            raise uncarried(f"reasoning.{name}", "chat completions have nothing like it")
    return optional(str, reasoning.get("effort"), "reasoning.effort")


def _text(request: Body) -> Object:
    text = optional(dict, request.get("text"), "text") or {}
    verbosity = optional(str, text.get("verbosity"), "text.verbosity")
    members: Object = {} if verbosity is None else {"verbosity": verbosity}
    form = optional(dict, text.get("format"), "text.format")
    return members if form is None else members | _format(form)


def _format(form: Object) -> Object:
    kind = of_type(str, form.get("type"), "text.format.type")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"response_format": {"type": kind}}
    if kind != "json_schema":
        raise uncarried("text.format.type", "a chat has text, json_object and json_schema")
    schema = {name: value for name, value in form.items() if name != "type" and value is not None}
    of_type(str, schema.get("name"), "text.format.name")
    of_type(dict, schema.get("schema"), "text.format.schema")
    return {"response_format": {"type": kind, "json_schema": schema}}


def _logprobs(request: Body) -> Object:
    for index, name in enumerate(optional(list, request.get("include"), "include") or ()):
        of_type(str, name, f"include[{index}]")
    top = optional(int, request.get("top_logprobs"), "top_logprobs")
    if not wants_logprobs(request):
        return {}
    return {"logprobs": True} if top is None else {"logprobs": True, "top_logprobs": top}
