"""The fields of a chat request as those of Anthropic's Messages: each is carried, left out as documented, or refused.

``IGNORED`` is what Anthropic's own layer for OpenAI's SDKs ignores
(https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk), and OpenAI's hints about its prompt
cache, which change no answer (https://platform.openai.com/docs/guides/prompt-caching). ``NATIVE`` are fields of the
Messages API that chats don't have: a client that writes them knows whom it talks to (that page shows ``thinking``), so
they pass as they are. Any other field is refused, by OpenAI and Anthropic as by us: to leave it out could change what
is meant.

What this makes is for ``anthropic-version: 2023-06-01``. Since 2026-10-21 Anthropic refuses ``temperature``, ``top_p``
and ``top_k`` (https://platform.claude.com/docs/en/api/migration-2026-10-21), as do its models since Claude Opus 4.7.
They are sent all the same: what a client asks for in vain it is to hear of, and from the one who decides.
"""

from __future__ import annotations

import re
from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_anthropic_messages.conversation import Conversation
from aigw.dialects.converters.openai_chat_to_anthropic_messages.tools import tool_members
from aigw.dialects.converters.reading import (
    Object,
    expected,
    given,
    number,
    of_type,
    optional,
    uncarried,
)
from aigw.errors import BadRequest

DEFAULT_MAX_TOKENS = 16_384
"""Anthropic wants a limit, OpenAI's clients need none: room for some thinking and a long answer, and within what
all models since Claude 3.7 can do."""

IGNORED = frozenset(
    {
        *("audio", "frequency_penalty", "logit_bias", "logprobs", "metadata", "prediction", "presence_penalty"),
        *("seed", "service_tier", "store", "top_logprobs"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    }
)
NATIVE = frozenset({"cache_control", "container", "inference_geo", "output_config", "speed", "thinking", "top_k"})
CARRIED = frozenset(
    {
        *("model", "messages", "max_tokens", "max_completion_tokens", "stop", "stream", "stream_options"),
        *("temperature", "top_p", "n", "modalities", "verbosity", "reasoning_effort", "response_format"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "user", "safety_identifier"),
    }
)
_KNOWN = IGNORED | NATIVE | CARRIED

_EFFORTS = {"minimal": "low", **{name: name for name in ("low", "medium", "high", "xhigh", "max")}}
_WITHOUT_EFFORT = re.compile(
    r"claude-(?:instant|[123]\b|(?:sonnet|haiku)-4-5|(?:sonnet|opus)-4(?:-[01])?(?:-20\d{6})?(?![-\d]))"
)
"""The models from before https://platform.claude.com/docs/en/build-with-claude/effort: no more will come."""


def converted_request(request: Body, model: str) -> Body:
    """The same request in Anthropic's dialect.

    :raises Unconvertible: naming what can't be carried. :raises BadRequest: naming what is not as OpenAI has it.
    """
    _refuse_what_is_lost(request)
    conversation = Conversation.of(request.get("messages"))
    members: Object = {"model": model, "max_tokens": _max_tokens(request)}
    if conversation.system:
        members["system"] = conversation.prompt
    members["messages"] = conversation.turns
    members.update(tool_members(request))
    members.update(_sampling(request))
    members.update({name: request.raw(name) for name in request.members if name in NATIVE and given(request, name)})
    members.update(_thinking(request))
    members.update(_output_config(request, model))
    user = _user(request)
    if user:
        members["metadata"] = {"user_id": user}
    stream = optional(bool, request.get("stream"), "stream")
    if stream is not None:
        members["stream"] = stream
    return Body(members={}).changed(members)


def _refuse_what_is_lost(request: Body) -> None:
    for name in request.members:
        if name not in _KNOWN and given(request, name):
            raise uncarried(name, "Anthropic's messages have nothing like it")
    if optional(int, request.get("n"), "n") not in (None, 1):
        raise uncarried("n", "Anthropic gives one answer to a request")
    if request.get("modalities") not in (None, [], ["text"]):
        raise uncarried("modalities", "Anthropic answers with text only")
    if request.get("verbosity") not in (None, "medium"):
        raise uncarried("verbosity", "Anthropic's messages have nothing like it")
    optional(dict, request.get("stream_options"), "stream_options")


def _max_tokens(request: Body) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        limit = optional(int, request.get(name), name)
        if limit is not None:
            return limit
    return DEFAULT_MAX_TOKENS


def _sampling(request: Body) -> Object:
    members: Object = {}
    temperature, top_p = number(request.get("temperature"), "temperature"), number(request.get("top_p"), "top_p")
    if temperature is not None:
        members["temperature"] = min(temperature, 1)  # capped, as Anthropic's layer documents
    if top_p is not None:
        members["top_p"] = top_p
    stops = _stops(request.get("stop"))
    if stops:
        members["stop_sequences"] = stops
    return members


def _stops(value: Any) -> list[str]:
    if value is None:
        return []
    if type(value) is not str and type(value) is not list:
        raise expected("a string or an array", value, "stop")
    stops = [("stop", value)] if type(value) is str else [(f"stop[{i}]", item) for i, item in enumerate(value)]
    for path, stop in stops:
        if not of_type(str, stop, path).strip():
            raise uncarried(path, "Anthropic's stop sequences have a character that is not white space")
    return [stop for _, stop in stops]


def _thinking(request: Body) -> Object:
    """No effort at all is no thinking, unless the client tells in Anthropic's words."""
    wants_none = request.get("reasoning_effort") == "none"
    return {"thinking": {"type": "disabled"}} if wants_none and not given(request, "thinking") else {}


def _output_config(request: Body, model: str) -> Object:
    """Effort and format, under what the client tells in Anthropic's words."""
    config: Object = {}
    effort = optional(str, request.get("reasoning_effort"), "reasoning_effort")
    if effort is not None and effort != "none":
        if effort not in _EFFORTS:
            raise BadRequest(f"reasoning_effort: expected none, {', '.join(_EFFORTS)}", param="reasoning_effort")
        if not _WITHOUT_EFFORT.search(model):
            config["effort"] = _EFFORTS[effort]
    output_format = _format(optional(dict, request.get("response_format"), "response_format"))
    if output_format is not None:
        config["format"] = output_format
    config.update(optional(dict, request.get("output_config"), "output_config") or {})
    return {"output_config": config} if config else {}


def _format(wanted: Object | None) -> Object | None:
    """A schema is carried (https://platform.claude.com/docs/en/build-with-claude/structured-outputs).

    ``json_object`` is left out, as documented: with it OpenAI, too, wants the messages to ask for JSON.
    """
    path = "response_format"
    if wanted is None:
        return None
    kind = of_type(str, wanted.get("type"), f"{path}.type")
    if kind in ("text", "json_object"):
        return None
    if kind != "json_schema":
        raise uncarried(f"{path}.type", "Anthropic has no such format")
    path = f"{path}.json_schema"
    schema = of_type(dict, of_type(dict, wanted.get("json_schema"), path).get("schema"), f"{path}.schema")
    return {"type": "json_schema", "schema": schema}


def _user(request: Body) -> str | None:
    """OpenAI's ``safety_identifier`` (before: ``user``) is what Anthropic's ``metadata.user_id`` is."""
    user = optional(str, request.get("user"), "user")
    return optional(str, request.get("safety_identifier"), "safety_identifier") or user
