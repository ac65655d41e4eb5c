"""The fields of a chat request as those of the Converse API: each is carried, left out for a reason, or refused.

Left out are what OpenAI documents as no part of the question (``user`` and ``safety_identifier`` against abuse of its
own, hints about its prompt cache), ``seed``, of which it promises nothing
(https://platform.openai.com/docs/api-reference/chat/create), and any field that has its default. A member of the
Converse API that chats don't have (``NATIVE``) passes as it is: who writes it knows whom they talk to. Whatever neither
API knows is for the model, which is what ``additionalModelRequestFields`` are for
(https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html): ``top_k``, ``thinking`` and the like.
"""

from __future__ import annotations

from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_bedrock_converse.conversation import Conversation
from aigw.dialects.converters.openai_chat_to_bedrock_converse.tools import tool_config
from aigw.dialects.converters.reading import Object, expected, filled, given, number, of_type, optional, uncarried
from aigw.dialects.rawjson import encode

LEFT_OUT = frozenset(
    {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "seed"}
)
NATIVE = frozenset(
    {
        "additionalModelResponseFieldPaths",
        "guardrailConfig",
        "performanceConfig",
        "promptVariables",
    }
)
_MERGED = frozenset({"additionalModelRequestFields", "outputConfig", "requestMetadata", "serviceTier"})
"""Of the Converse API, too, and joined with what becomes of the chat's own fields; on those they win."""
_CARRIED = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "parallel_tool_calls",
        "reasoning_effort",
        "response_format",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    }
)
DEFAULTS: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": (),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": ([], ["text"]),
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "presence_penalty": (0,),
    "store": (False,),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""What can't be carried -> the values (besides null) that ask for nothing."""

_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_TIERS = ("default", "flex", "priority")


def converted_request(request: Body) -> Body:
    """The same request in Bedrock's dialect.

    :raises Unconvertible: naming what can't be carried. :raises BadRequest: naming what is not as OpenAI has it.
    """
    _refuse_what_is_lost(request)
    conversation = Conversation.of(request.get("messages"))
    members: Object = {
        "messages": conversation.turns,
        "system": conversation.system,
        "inferenceConfig": _inference(request),
        "toolConfig": tool_config(request, conversation.uses_tools),
        "additionalModelRequestFields": _for_the_model(request) | _native(request, "additionalModelRequestFields"),
        "outputConfig": _output(request) | _native(request, "outputConfig"),
        "requestMetadata": _metadata(request) | _native(request, "requestMetadata"),
        "serviceTier": _tier(request) | _native(request, "serviceTier"),
        **{name: request.raw(name) for name in request.members if name in NATIVE and given(request, name)},
    }
    return Body(members={}).changed({name: value for name, value in members.items() if value not in (None, [], {})})


def _refuse_what_is_lost(request: Body) -> None:
    for name, defaults in DEFAULTS.items():
        if given(request, name) and not _is_one_of(request.get(name), defaults):
            raise uncarried(name, "the Converse API of Bedrock has nothing like it")
    optional(bool, request.get("stream"), "stream")
    optional(dict, request.get("stream_options"), "stream_options")


def _is_one_of(value: Any, defaults: tuple[Any, ...]) -> bool:
    """Is it? (True is no 1, and False no 0.)"""
    return any(value == default and isinstance(value, bool) is isinstance(default, bool) for default in defaults)


def _for_the_model(request: Body) -> Object:
    known = LEFT_OUT | NATIVE | _MERGED | _CARRIED | DEFAULTS.keys()
    return {name: request.raw(name) for name in request.members if name not in known and given(request, name)}


def _native(request: Body, name: str) -> Object:
    return optional(dict, request.get(name), name) or {}


def _inference(request: Body) -> Object:
    """https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InferenceConfiguration.html."""
    limits = [optional(int, request.get(name), name) for name in ("max_completion_tokens", "max_tokens")]
    temperature, top_p = number(request.get("temperature"), "temperature"), number(request.get("top_p"), "top_p")
    if temperature is not None and not 0 <= temperature <= 1:
        raise uncarried("temperature", "Bedrock has temperatures from 0 to 1")
    config = {
        "maxTokens": next((limit for limit in limits if limit is not None), None),
        "temperature": temperature,
        "topP": top_p,
        "stopSequences": _stops(request.get("stop")) or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _stops(value: Any) -> list[str]:
    if value is None:
        return []
    if type(value) is str:
        return [filled(value, "stop")]
    if type(value) is not list:
        raise expected("a string or an array", value, "stop")
    return [filled(item, f"stop[{i}]") for i, item in enumerate(value)]


def _output(request: Body) -> Object:
    """Effort and format (.../API_runtime_OutputConfig.html)."""
    config: Object = {}
    effort = optional(str, request.get("reasoning_effort"), "reasoning_effort")
    if effort is not None:
        if effort not in _EFFORTS:
            raise uncarried("reasoning_effort", f"Bedrock has {', '.join(_EFFORTS)}")
        config["effort"] = effort
    output_format = _format(optional(dict, request.get("response_format"), "response_format"))
    return config | ({} if output_format is None else {"textFormat": output_format})


def _format(wanted: Object | None) -> Object | None:
    """A JSON schema goes along as a string, and is always adhered to."""
    path = "response_format"
    if wanted is None:
        return None
    kind = of_type(str, wanted.get("type"), f"{path}.type")
    if kind == "text":
        return None
    if kind != "json_schema":
        raise uncarried(f"{path}.type", "Bedrock has JSON by a schema only")
    path = f"{path}.json_schema"
    described = of_type(dict, wanted.get("json_schema"), path)
    schema: Object = {"schema": encode(of_type(dict, described.get("schema"), f"{path}.schema")).decode()}
    for name in ("name", "description"):
        if text := optional(str, described.get(name), f"{path}.{name}"):
            schema[name] = text
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _metadata(request: Body) -> Object:
    """What requests are found by later: at OpenAI with the stored answers, at Bedrock in the log of invocations."""
    metadata = optional(dict, request.get("metadata"), "metadata") or {}
    return {name: of_type(str, value, f"metadata.{name}") for name, value in metadata.items()}


def _tier(request: Body) -> Object:
    tier = optional(str, request.get("service_tier"), "service_tier")
    if tier is None or tier == "auto":
        return {}
    if tier not in _TIERS:
        raise uncarried("service_tier", f"Bedrock has {', '.join(_TIERS)}")
    return {"type": tier}
