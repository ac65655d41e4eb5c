"""The tools of a chat and the choice between them, as Anthropic has them.

https://platform.openai.com/docs/guides/function-calling and
https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools. ``functions`` and ``function_call``, which
came before tools, are the same with other names, and one call at a time.
"""

from __future__ import annotations

from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_anthropic_messages.content import with_cache_control
from aigw.dialects.converters.reading import (
    Object,
    expected,
    filled,
    objects,
    of_type,
    optional,
    uncarried,
)
from aigw.errors import BadRequest

_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def has_functions_only(request: Body) -> bool:
    """Does the client know ``functions`` instead of tools? Then it is to be answered with a ``function_call``."""
    return bool(request.get("functions")) and not request.get("tools")


def tool_members(request: Body) -> Object:
    """``tools`` and ``tool_choice``, if there are any tools."""
    functions_only = has_functions_only(request)
    tools = _functions(request) if functions_only else _tools(request)
    name = "function_call" if functions_only else "tool_choice"
    choice = _choice(request.get(name), name)
    if not tools:
        if choice is not None and choice["type"] in ("any", "tool"):
            raise BadRequest(f"{name}: there are no tools to choose from", param=name)
        return {}
    parallel = optional(bool, request.get("parallel_tool_calls"), "parallel_tool_calls")
    if (functions_only or parallel is False) and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return {"tools": tools} if choice is None else {"tools": tools, "tool_choice": choice}


def _functions(request: Body) -> list[Object]:
    return [_tool(function, path) for path, function in objects(request.get("functions"), "functions")]


def _tools(request: Body) -> list[Object]:
    tools = []
    for path, tool in objects(request.get("tools"), "tools"):
        if of_type(str, tool.get("type"), f"{path}.type") != "function":
            raise uncarried(f"{path}.type", "only tools of type function can be carried to Anthropic")
        converted = _tool(of_type(dict, tool.get("function"), f"{path}.function"), f"{path}.function")
        tools.append(with_cache_control(converted, tool, path))
    return tools


def _tool(function: Object, path: str) -> Object:
    tool: Object = {"name": filled(function.get("name"), f"{path}.name")}
    description = optional(str, function.get("description"), f"{path}.description")
    if description:
        tool["description"] = description
    parameters = optional(dict, function.get("parameters"), f"{path}.parameters") or {"properties": {}}
    tool["input_schema"] = parameters if "type" in parameters else {"type": "object", **parameters}
    if optional(bool, function.get("strict"), f"{path}.strict"):
        tool["strict"] = True
    return tool


def _choice(value: Any, path: str) -> Object | None:
    if value is None:
        return None
    if type(value) is str:
        if value not in _CHOICES:
            raise BadRequest(f"{path}: expected none, auto, required or an object", param=path)
        return {"type": _CHOICES[value]}
    if type(value) is not dict:
        raise expected("a string or an object", value, path)
    return {"type": "tool", "name": _chosen(value, path)}


def _chosen(choice: Object, path: str) -> str:
    """The name of the one tool that is to be called."""
    if path == "function_call":
        return filled(choice.get("name"), f"{path}.name")
    if of_type(str, choice.get("type"), f"{path}.type") != "function":
        raise uncarried(f"{path}.type", "Anthropic has auto, none, required and the choice of one function")
    return filled(of_type(dict, choice.get("function"), f"{path}.function").get("name"), f"{path}.function.name")
