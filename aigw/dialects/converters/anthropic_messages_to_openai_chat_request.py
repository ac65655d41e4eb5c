"""A request to Anthropic's Messages API as one for a chat completion: all but its messages."""

from __future__ import annotations

import hashlib
from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.anthropic_messages_to_openai_chat_messages import chat_messages
from aigw.dialects.converters.reading import Object, filled, objects, of_type, optional, uncarried
from aigw.dialects.reasoning import Reasoning
from aigw.errors import BadRequest

_CONVERTED = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "metadata",
        "output_config",
        "output_format",
        "stop_sequences",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
_DROPPED = frozenset(
    {"cache_control", "context_management", "diagnostics", "fallback_credit_token", "service_tier", "speed"}
)
_REFUSED = {
    "billing_policy": "only Anthropic can bill somebody else",
    "compaction": "chat completions don't compact conversations",
    "container": "chat completions have no containers",
    "fallbacks": "models of Anthropic's can't take over here",
    "inference_geo": "chat completions promise no region",
    "mcp_servers": "chat completions don't call MCP servers",
    "thread": "chat completions keep no threads",
    "user_profile_id": "only Anthropic knows its profiles",
}
"""Members that promise something, and why that can't be kept. Nothing, null and an empty array promise nothing."""

_KNOWN = _CONVERTED | _DROPPED | _REFUSED.keys()

_EFFORTS = ((1024, "low"), (8192, "medium"))
"""Budgets of thinking up to which an effort is meant, as Google documents it for its OpenAI compatible endpoint
(https://ai.google.dev/gemini-api/docs/openai); beyond, it is ``high``."""

_LONGEST_USER = 64
"""Characters. OpenAI refuses more; Claude Code's are longer. OpenAI recommends hashes of names anyway
(https://platform.openai.com/docs/guides/safety-best-practices)."""

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_members(request: Body, model: str, reasoning: Reasoning) -> Object:
    """The members of the chat; values are JSON values, or `msgspec.Raw` where the client's own text goes on."""
    _refuse(request)
    messages = chat_messages(request.get("system"), request.get("messages"), reasoning)
    converted = {
        "model": model,
        "messages": messages,
        "max_tokens": _max_tokens(request.get("max_tokens")),
        "stop": _stop(request.get("stop_sequences")),
        "response_format": _response_format(request),
        "user": _user(request.get("metadata")),
        **reasoning.asked(messages, _reasoning_effort(request), _thinks(request)),
        **_tools(request),
    }
    carried = {name: raw for name, raw in request.members.items() if name not in _KNOWN}
    return carried | {name: value for name, value in converted.items() if value is not None}


def _refuse(request: Body) -> None:
    for name, why in _REFUSED.items():
        if request.get(name) not in (None, [], {}) and not (name == "fallbacks" and request.get(name) == "default"):
            raise uncarried(name, why)


def _max_tokens(value: Any) -> int:
    if of_type(int, value, "max_tokens") < 0:
        raise BadRequest("max_tokens: expected an integer of 0 or more", param="max_tokens")
    if value == 0:
        raise uncarried("max_tokens", "chat completions can't fill a cache without generating anything")
    return int(value)


def _stop(value: Any) -> list[str] | None:
    sequences = optional(list, value, "stop_sequences")
    return [of_type(str, item, f"stop_sequences[{i}]") for i, item in enumerate(sequences or ())] or None


def _user(metadata: Any) -> str | None:
    user = optional(str, (optional(dict, metadata, "metadata") or {}).get("user_id"), "metadata.user_id")
    if user is not None and len(user) > _LONGEST_USER:
        return hashlib.sha256(user.encode(errors="surrogatepass")).hexdigest()
    return user


def _thinks(request: Body) -> bool | None:
    """Does the client want thinking? None if it leaves that to the model."""
    thinking = optional(dict, request.get("thinking"), "thinking") or {}
    return {"enabled": True, "disabled": False}.get(optional(str, thinking.get("type"), "thinking.type") or "")


def _reasoning_effort(request: Body) -> str | None:
    """What the client says outright, else what its budget comes to; nothing if it wants no thinking."""
    thinking = optional(dict, request.get("thinking"), "thinking") or {}
    config = optional(dict, request.get("output_config"), "output_config") or {}
    kind = optional(str, thinking.get("type"), "thinking.type")
    effort = optional(str, config.get("effort"), "output_config.effort")
    if kind == "disabled":
        return None
    if effort or kind != "enabled":
        return effort
    budget = of_type(int, thinking.get("budget_tokens"), "thinking.budget_tokens")
    return next((name for most, name in _EFFORTS if budget <= most), "high")


def _response_format(request: Body) -> Object | None:
    """``output_config.format``, or ``output_format``, as it was called while it was in beta."""
    config = optional(dict, request.get("output_config"), "output_config") or {}
    for name in config:
        if name not in ("effort", "format") and config[name] is not None:
            raise uncarried(f"output_config.{name}", "chat completions have nothing like it")
    path = "output_format" if config.get("format") is None else "output_config.format"
    wanted = optional(dict, config.get("format") or request.get("output_format"), path)
    if wanted is None:
        return None
    if wanted.get("type") != "json_schema":
        raise uncarried(f"{path}.type", "only json_schema is known")
    schema = of_type(dict, wanted.get("schema"), f"{path}.schema")
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": schema, "strict": True}}


def _tools(request: Body) -> Object:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls``; OpenAI takes the latter two only together with tools."""
    tools = [_tool(tool, path) for path, tool in objects(request.get("tools"), "tools")]
    choice = optional(dict, request.get("tool_choice"), "tool_choice") or {}
    serial = optional(bool, choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    wanted = _tool_choice(choice) if choice else None
    if not tools:
        return {"tool_choice": wanted} if wanted not in ("auto", "none") else {}
    return {"tools": tools, "tool_choice": wanted, "parallel_tool_calls": False if serial else None}


def _tool(tool: Object, path: str) -> Object:
    kind = optional(str, tool.get("type"), f"{path}.type")
    if kind not in (None, "custom"):
        raise uncarried(f"{path}.type", f"only Anthropic's models have the tool {kind}")
    callers = optional(list, tool.get("allowed_callers"), f"{path}.allowed_callers")
    if callers is not None and "direct" not in callers:
        raise uncarried(f"{path}.allowed_callers", "only the model itself can call a tool")
    description = optional(str, tool.get("description"), f"{path}.description")
    strict = optional(bool, tool.get("strict"), f"{path}.strict")
    function: Object = {"name": filled(tool.get("name"), f"{path}.name")}
    if description is not None:
        function["description"] = description
    function["parameters"] = _parameters(tool, path)
    if strict is not None:
        function["strict"] = strict
    return {"type": "function", "function": function}


def _parameters(tool: Object, path: str) -> Object:
    """The schema; examples of inputs go into it, where JSON Schema has a place for them."""
    schema = of_type(dict, tool.get("input_schema"), f"{path}.input_schema")
    examples = [example for _, example in objects(tool.get("input_examples"), f"{path}.input_examples")]
    return {**schema, "examples": examples} if examples and "examples" not in schema else schema


def _tool_choice(choice: Object) -> str | Object:
    kind = of_type(str, choice.get("type"), "tool_choice.type")
    if kind == "tool":
        return {"type": "function", "function": {"name": filled(choice.get("name"), "tool_choice.name")}}
    if kind not in _CHOICES:
        raise uncarried("tool_choice.type", f"expected auto, any, tool or none, got {kind[:100]}")
    return _CHOICES[kind]
