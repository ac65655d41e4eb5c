"""The tools of a chat and the choice between them, as the Converse API has them.

https://platform.openai.com/docs/guides/function-calling and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolConfiguration.html. There is no choice of none:
it is carried by leaving the tools out. Where the messages already use tools Bedrock insists on having them ("The
toolConfig field must be defined when using toolUse and toolResult content blocks"), so then it can't be carried.
"""

from __future__ import annotations

from typing import Any

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_chat_to_bedrock_converse.content import cache_points
from aigw.dialects.converters.reading import Object, expected, filled, objects, of_type, optional, uncarried
from aigw.errors import BadRequest

_CHOICES: dict[str, Object] = {"auto": {"auto": {}}, "required": {"any": {}}}
_NO_PARAMETERS: Object = {"type": "object", "properties": {}}


def tool_config(request: Body, used_at: str) -> Object | None:
    """The ``toolConfig``; None if there are no tools. ``used_at``: where the messages use tools, "" = nowhere."""
    tools = [block for path, tool in objects(request.get("tools"), "tools") for block in _tool(tool, path)]
    choice = request.get("tool_choice")
    if not tools:
        _check_without_tools(choice, used_at)
        return None
    if choice == "none":
        if used_at:
            raise uncarried("tool_choice", "Bedrock can't forbid the use of tools once the messages use them")
        return None
    converted = _choice(choice, "tool_choice")
    if optional(bool, request.get("parallel_tool_calls"), "parallel_tool_calls") is False:
        raise uncarried("parallel_tool_calls", "Bedrock can't be kept from calling several tools at once")
    return {"tools": tools} if converted is None else {"tools": tools, "toolChoice": converted}


def _check_without_tools(choice: Any, used_at: str) -> None:
    if used_at:
        raise uncarried(used_at, "Bedrock needs the tools that the messages use to be in tools")
    if choice not in (None, "none", "auto"):
        raise BadRequest("tool_choice: there are no tools to choose from", param="tool_choice")


def _tool(tool: Object, path: str) -> list[Object]:
    if of_type(str, tool.get("type"), f"{path}.type") != "function":
        raise uncarried(f"{path}.type", "only tools of type function can be carried to Bedrock")
    function = of_type(dict, tool.get("function"), f"{path}.function")
    path = f"{path}.function"
    spec: Object = {"name": filled(function.get("name"), f"{path}.name")}
    description = optional(str, function.get("description"), f"{path}.description")
    if description and description.strip():
        spec["description"] = description
    parameters = optional(dict, function.get("parameters"), f"{path}.parameters") or _NO_PARAMETERS
    spec["inputSchema"] = {"json": parameters if "type" in parameters else {"type": "object", **parameters}}
    if optional(bool, function.get("strict"), f"{path}.strict"):
        spec["strict"] = True
    return [{"toolSpec": spec}, *cache_points(tool, path.removesuffix(".function"))]


def _choice(value: Any, path: str) -> Object | None:
    if value is None:
        return None
    if type(value) is str:
        if value not in _CHOICES:
            raise BadRequest(f"{path}: expected none, auto, required or an object", param=path)
        return _CHOICES[value]
    if type(value) is not dict:
        raise expected("a string or an object", value, path)
    if of_type(str, value.get("type"), f"{path}.type") != "function":
        raise uncarried(f"{path}.type", "Bedrock has auto, required and the choice of one function")
    function = of_type(dict, value.get("function"), f"{path}.function")
    return {"tool": {"name": filled(function.get("name"), f"{path}.function.name")}}
