"""The client's tools as functions, which are all that servers of chat completions have; and the way back.

https://platform.openai.com/docs/guides/function-calling. A function is flat there and nested here. A custom tool
(Codex's ``apply_patch``) takes free text: it becomes a function with one string, ``input``, whose description tells the
grammar, which nobody enforces then. The functions of a namespace get its name in front of theirs. ``allowed_tools``
leaves the others away. Dropped: ``output_schema``, which is for programs that call tools. Hosted tools (web_search,
file_search, code_interpreter, mcp ...) are refused: only OpenAI runs them.
"""

from __future__ import annotations

from typing import Any

import attrs

from aigw.dialects.body import Body
from aigw.dialects.converters.reading import Object, filled, objects, of_type, optional, uncarried
from aigw.dialects.rawjson import object_of
from aigw.errors import BadRequest

_CHOICES = ("none", "auto", "required")
_CALLABLE = ("function", "custom")


@attrs.frozen(kw_only=True)
class Origin:
    """What the client calls a tool. ``namespace``: "" = none."""

    kind: str
    name: str
    namespace: str = ""


@attrs.define
class Toolbox:
    """The tools of one request: as functions, and by the functions' names."""

    functions: list[Object] = attrs.field(factory=list)
    origins: dict[str, Origin] = attrs.field(factory=dict)

    def origin(self, name: str) -> Origin:
        """What the client calls the function of this name; a name that a model made up stays what it is."""
        return self.origins.get(name) or Origin(kind="function", name=name)

    def add(self, function: Object, origin: Origin, path: str) -> None:
        """:raises BadRequest: if there is a tool of this name already."""
        name = function["name"]
        if name in self.origins:
            raise BadRequest(f"{path}.name: there is another tool of this name", param=f"{path}.name")
        self.origins[name] = origin
        self.functions.append({"type": "function", "function": function})


def toolbox_of(request: Body) -> Toolbox:
    """The client's tools.

    :raises Unconvertible: for those that OpenAI hosts. :raises BadRequest: for what are no tools.
    """
    toolbox = Toolbox()
    for path, tool in objects(request.get("tools"), "tools"):
        if tool.get("type") == "namespace":
            _add_namespace(toolbox, tool, path)
        else:
            _add(toolbox, tool, path)
    return toolbox


def tool_members(request: Body) -> Object:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls`` of a chat, if there are any tools."""
    toolbox = toolbox_of(request)
    choice, allowed = _choice(request.get("tool_choice"), toolbox)
    functions = [tool for tool in toolbox.functions if allowed is None or tool["function"]["name"] in allowed]
    parallel = optional(bool, request.get("parallel_tool_calls"), "parallel_tool_calls")
    if not functions:
        if choice not in (None, "none", "auto"):
            raise BadRequest("tool_choice: there are no tools to choose from", param="tool_choice")
        return {}
    members: Object = {"tools": functions}
    if choice is not None:
        members["tool_choice"] = choice
    if parallel is not None:
        members["parallel_tool_calls"] = parallel
    return members


def function_name(name: str, namespace: str) -> str:
    """The name of a function for one in a namespace (Codex's end in ``__``, as in ``mcp__server__``)."""
    return f"{namespace}{'' if not namespace or namespace.endswith('_') else '__'}{name}"


def text_of_custom_call(arguments: str) -> str:
    """The free text in the arguments of a call; a model that did not wrap it meant all of it."""
    text = object_of(arguments.encode("utf-8", "surrogatepass")).get("input")
    return text if isinstance(text, str) else arguments


def _add_namespace(toolbox: Toolbox, tool: Object, path: str) -> None:
    name = filled(tool.get("name"), f"{path}.name")
    about = optional(str, tool.get("description"), f"{path}.description") or ""
    for place, inner in objects(tool.get("tools"), f"{path}.tools"):
        _add(toolbox, inner, place, name, about)


def _add(toolbox: Toolbox, tool: Object, path: str, namespace: str = "", about: str = "") -> None:
    kind = of_type(str, tool.get("type"), f"{path}.type")
    if kind not in _CALLABLE:
        raise _hosted(kind, f"{path}.type")
    _check_callers(tool, path)
    name = filled(tool.get("name"), f"{path}.name")
    function: Object = {"name": function_name(name, namespace)}
    described = optional(str, tool.get("description"), f"{path}.description") or ""
    if about or described:
        function["description"] = "\n\n".join(filter(None, (about, described)))
    function |= _custom(tool, path) if kind == "custom" else _function(tool, path)
    toolbox.add(function, Origin(kind=kind, name=name, namespace=namespace), path)


def _function(tool: Object, path: str) -> Object:
    parameters = optional(dict, tool.get("parameters"), f"{path}.parameters")
    strict = optional(bool, tool.get("strict"), f"{path}.strict")
    members: Object = {} if parameters is None else {"parameters": parameters}
    return members if strict is None else {**members, "strict": strict}


def _custom(tool: Object, path: str) -> Object:
    """The parameters of a function that takes free text."""
    text: Object = {"type": "string"}
    form = optional(dict, tool.get("format"), f"{path}.format") or {"type": "text"}
    kind = of_type(str, form.get("type"), f"{path}.format.type")
    if kind == "grammar":
        syntax, definition = (of_type(str, form.get(n), f"{path}.format.{n}") for n in ("syntax", "definition"))
        text["description"] = f"Text that follows this {syntax} grammar:\n{definition}"
    elif kind != "text":
        raise uncarried(f"{path}.format.type", "a function of a chat can't take this format")
    schema = {"type": "object", "properties": {"input": text}, "required": ["input"], "additionalProperties": False}
    return {"parameters": schema}


def _check_callers(tool: Object, path: str) -> None:
    """Tools that are loaded later, called by programs only, or answer later, need OpenAI's platform."""
    for name in ("defer_loading", "async"):
        if tool.get(name) not in (None, False):
            raise uncarried(f"{path}.{name}", "chat completions have nothing like it")
    callers = optional(list, tool.get("allowed_callers"), f"{path}.allowed_callers")
    if callers and "direct" not in callers:
        raise uncarried(f"{path}.allowed_callers", "only the model itself can call tools here")


def _hosted(kind: str, path: str) -> Exception:
    hint = ' (in Codex: web_search = "disabled" in config.toml)' if kind.startswith("web_search") else ""
    shown = kind[:100]
    return uncarried(path, f'"{shown}" is no function or custom tool, and this provider has no tools of its own{hint}')


def _choice(value: Any, toolbox: Toolbox) -> tuple[Any, set[str] | None]:
    """A chat's ``tool_choice`` (None = not said), and the names of the functions that are left (None = all)."""
    path = "tool_choice"
    if value is None or value in _CHOICES:
        return value, None
    choice = of_type(dict, value, path)
    kind = of_type(str, choice.get("type"), f"{path}.type")
    if kind in _CALLABLE:
        return {"type": "function", "function": {"name": _chosen(choice, toolbox, path)}}, None
    if kind != "allowed_tools":
        raise uncarried(f"{path}.type", "only function and custom tools can be chosen here")
    mode = choice.get("mode")
    if mode not in ("auto", "required"):
        raise BadRequest(f'{path}.mode: expected "auto" or "required"', param=f"{path}.mode")
    return mode, {_chosen(tool, toolbox, place) for place, tool in objects(choice.get("tools"), f"{path}.tools")}


def _chosen(choice: Object, toolbox: Toolbox, path: str) -> str:
    if of_type(str, choice.get("type"), f"{path}.type") not in _CALLABLE:
        raise uncarried(f"{path}.type", "only function and custom tools can be chosen here")
    name = filled(choice.get("name"), f"{path}.name")
    namespace = optional(str, choice.get("namespace"), f"{path}.namespace") or ""
    name = function_name(name, namespace)
    if name not in toolbox.origins:
        raise BadRequest(f"{path}.name: there is no tool of this name", param=f"{path}.name")
    return name
