"""The Responses API in front of chat completions: requests, answers and errors."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from aigw.dialects.reasoning import NONE, Reasoning
from aigw.errors import BadRequest, Unconvertible, UpstreamBadReply
from aigw.providers import PROVIDERS
from aigw.testing.vendors.chat_request import ChatRequest, obey_rules
from aigw.testing.vendors.checking import checked

CONVERTER = CONVERTERS["openai-responses", "openai-chat"]
NOW = 1_700_000_000
F: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
PATCH: dict[str, Any] = {"type": "custom", "name": "apply_patch", "description": "Edit files"}
FUNCTION_F: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": F["parameters"]}}
STATELESS = "the gateway keeps no state"
OPEN = Reasoning(fields=("reasoning_content", "reasoning"))
DEEPSEEK = PROVIDERS["deepseek"].reasoning


def body(**fields: Any) -> Body:
    fields = {"model": "m", "input": "hi", **fields}
    return Body.parse(json.dumps({name: value for name, value in fields.items() if value is not ...}).encode())


def converted(vendors: Reasoning = OPEN, /, **fields: Any) -> Any:
    return json.loads(CONVERTER.request(body(**fields), "m", vendors).raw_bytes)


def messages(*items: Any, **fields: Any) -> Any:
    return converted(input=list(items), **fields)["messages"]


def user(content: Any = "hi") -> dict[str, Any]:
    return {"role": "user", "content": content}


def call(identity: str = "c1", name: str = "f", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": identity, "name": name, "arguments": arguments, **more}


def output(identity: str = "c1", said: Any = "done") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": identity, "output": said}


def tool_call(identity: str = "c1", name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: Any, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **more}


def told(identity: str = "c1", content: str = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identity, "content": content}


def said(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def thought(*texts: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": text} for text in texts]
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": content, **more}


# Fields.

FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"temperature": 0.5, "top_p": 1, "user": "u"}, {"temperature": 0.5, "top_p": 1, "user": "u"}),
    ({"temperature": None, "tools": None, "background": None, "conversation": None}, {}),
    ({"service_tier": "flex", "safety_identifier": "s"}, {"service_tier": "flex", "safety_identifier": "s"}),
    ({"top_k": 5, "seed": 1, "stop": ["x"]}, {"top_k": 5, "seed": 1, "stop": ["x"]}),
    ({"max_output_tokens": 9}, {"max_tokens": 9}),
    ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    ({"stream": False}, {}),
    (
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        {"stream": True, "stream_options": {"include_usage": True}},
    ),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
    ({"reasoning": {"effort": None, "mode": "standard", "context": "auto"}}, {}),
    ({"text": {"verbosity": "low", "format": {"type": "text"}}}, {"verbosity": "low"}),
    ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True}}},
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": None}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
    ),
    ({"include": ["reasoning.encrypted_content", "file_search_call.results"]}, {}),
    ({"include": ["message.output_text.logprobs"], "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
    ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"store": True, "metadata": {"a": "b"}, "max_tool_calls": 2, "client_metadata": {"x": "y"}}, {}),
    ({"prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}}, {}),
    ({"background": False, "truncation": "disabled", "context_management": []}, {}),
    ({"parallel_tool_calls": False}, {}),
    ({"tool_choice": "auto"}, {}),
    ({"tool_choice": "none", "tools": []}, {}),
]


@pytest.mark.parametrize(("fields", "expected"), FIELDS)
def test_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    chat = converted(**fields)
    assert chat == {"model": "m", "messages": [user()], **expected}
    obey_rules(checked(ChatRequest, {name: value for name, value in chat.items() if name != "top_k"})[0])


# Items.

IMAGE: dict[str, Any] = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
CHAT_IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
FILE: dict[str, Any] = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}

ITEMS: list[tuple[list[Any], list[Any]]] = [
    ([user()], [user()]),
    ([{"type": "message", **user([{"type": "input_text", "text": "a"}])}], [user("a")]),
    (
        [user([{"type": "input_text", "text": "a"}, IMAGE, {**IMAGE, "detail": "high"}, FILE])],
        [
            user(
                [
                    {"type": "text", "text": "a"},
                    CHAT_IMAGE,
                    {"type": "image_url", "image_url": {**CHAT_IMAGE["image_url"], "detail": "high"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": FILE["file_data"]}},
                ]
            )
        ],
    ),
    (
        [user([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}])],
        [user([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}])],
    ),
    # developer is system, and those at the beginning are one
    (
        [
            {"role": "developer", "content": "a"},
            {"role": "system", "content": [{"type": "input_text", "text": "b"}]},
            user(),
        ],
        [{"role": "system", "content": "a\n\nb"}, user()],
    ),
    ([user(), {"role": "developer", "content": "a"}], [user(), {"role": "system", "content": "a"}]),
    # one turn of the model is one message
    ([user(), said("a"), said("b"), user("c")], [user(), {"role": "assistant", "content": "a\n\nb"}, user("c")]),
    ([user(), {"role": "assistant", "content": "a"}], [user(), {"role": "assistant", "content": "a"}]),
    (
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
        [{"role": "assistant", "content": "no"}],
    ),
    (
        [user(), thought("t"), said("a"), call(), call("c2"), output(), output("c2", "two"), said("b")],
        [
            user(),
            calling(tool_call(), tool_call("c2"), content="a", reasoning_content="t"),
            told(),
            told("c2", "two"),
            {"role": "assistant", "content": "b"},
        ],
    ),
    ([call(), said("late"), output()], [calling(tool_call(), content="late"), told()]),
    (
        [call(), output(), thought("t", "u"), thought("v"), call("c2"), output("c2")],
        [calling(tool_call()), told(), calling(tool_call("c2"), reasoning_content="t\n\nu\n\nv"), told("c2")],
    ),
    # reasoning goes back with calls only
    ([user(), thought("t"), said("a")], [user(), {"role": "assistant", "content": "a"}]),
    ([thought(encrypted_content="x"), call()], [calling(tool_call())]),
    ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]}, user()], [user()]),
    # what stands between calls and their results waits
    (
        [call(), call("c2"), output(), user("look"), output("c2"), user()],
        [calling(tool_call(), tool_call("c2")), told(), told("c2"), user("look"), user()],
    ),
    (
        [call(), user("never mind"), said("a")],
        [calling(tool_call()), user("never mind"), {"role": "assistant", "content": "a"}],
    ),
    ([call(), user("never mind")], [calling(tool_call()), user("never mind")]),
    # results
    ([output(said=[{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}])], [told(content="a\nb")]),
    ([output(said=[])], [told(content="")]),
    (
        [call(), call("c2"), output(said=[{"type": "input_text", "text": "a"}, IMAGE]), output("c2", [IMAGE])],
        [
            calling(tool_call(), tool_call("c2")),
            told(content="a\n(continued in the next message)"),
            told("c2", "(continued in the next message)"),
            user([{"type": "text", "text": "Result of call c1:"}, CHAT_IMAGE]),
            user([{"type": "text", "text": "Result of call c2:"}, CHAT_IMAGE]),
        ],
    ),
    # custom tools and namespaces
    (
        [
            {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'a"\n'},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        ],
        [calling(tool_call(name="apply_patch", arguments='{"input":"a\\"\\n"}')), told(content="ok")],
    ),
    (
        [call(namespace="mcp__git__"), call("c2", namespace="crm")],
        [calling(tool_call(name="mcp__git__f"), tool_call("c2", name="crm__f"))],
    ),
    ([user(), said(""), user()], [user(), user()]),
    ([], []),
]


@pytest.mark.parametrize(("items", "expected"), ITEMS)
def test_items(items: list[Any], expected: list[Any]) -> None:
    assert messages(*items) == expected


def test_instructions_and_those_at_the_beginning_are_one_message() -> None:
    items = [{"role": "developer", "content": "b"}, user(), {"role": "developer", "content": "c"}]
    assert messages(*items, instructions="a") == [
        {"role": "system", "content": "a\n\nb"},
        user(),
        {"role": "system", "content": "c"},
    ]
    assert messages(user(), instructions="") == [user()]


def test_what_codex_sends_is_what_openai_takes() -> None:
    chat = converted(
        NONE,
        instructions="You are Codex",
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment>"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it"}, IMAGE]},
            thought("I look"),
            said("I look first."),
            call("call_1", "exec_command", '{"cmd":"ls"}'),
            {"type": "custom_tool_call", "call_id": "call_2", "name": "apply_patch", "input": "*** Begin Patch"},
            output("call_1", "README"),
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "ok"}]},
            call("call_3", "view_image"),
            output("call_3", [IMAGE]),
        ],
        tools=[F | {"name": "exec_command", "strict": False}, PATCH, F | {"name": "view_image"}],
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "medium", "summary": "auto"},
        store=False,
        stream=True,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="0190",
        text={"verbosity": "medium"},
        client_metadata={"x-codex-installation-id": "1"},
    )
    assert [message["role"] for message in chat["messages"]] == [
        *("system", "user", "user", "assistant", "tool", "tool", "assistant", "tool", "user"),
    ]
    assert chat["messages"][3]["content"] == "I look first."
    obey_rules(checked(ChatRequest, chat)[0])


def test_reasoning_goes_back_as_the_vendor_wants_it() -> None:
    items = [user(), thought("t"), call(), output()]
    for reasoning, fields in ((NONE, {}), (Reasoning(fields=("reasoning",)), {"reasoning": "t"})):
        assert converted(reasoning, input=items)["messages"][1] == calling(tool_call(), **fields)
    assert "thinking" not in converted(DEEPSEEK, input=items)
    lost = converted(DEEPSEEK, input=[call(), output()], reasoning={"effort": "high"})
    assert (lost["thinking"], "reasoning_effort" in lost) == ({"type": "disabled"}, False)
    assert converted(DEEPSEEK, reasoning={"effort": "none"})["thinking"] == {"type": "disabled"}
    assert converted(DEEPSEEK, reasoning={"effort": "low"})["reasoning_effort"] == "low"


# Tools.

TOOLS: list[tuple[list[Any], list[Any]]] = [
    ([F], [FUNCTION_F]),
    (
        [
            {
                **F,
                "description": "d",
                "strict": False,
                "output_schema": {},
                "allowed_callers": ["direct"],
                "async": False,
            }
        ],
        [{"type": "function", "function": {**FUNCTION_F["function"], "description": "d", "strict": False}}],
    ),
    (
        [{"type": "function", "name": "g", "parameters": None, "strict": None, "description": None}],
        [{"type": "function", "function": {"name": "g"}}],
    ),
    (
        [
            {
                "type": "namespace",
                "name": "crm",
                "description": "Customers",
                "tools": [{**F, "description": "d"}, F | {"name": "g"}],
            }
        ],
        [
            {
                "type": "function",
                "function": {**FUNCTION_F["function"], "name": "crm__f", "description": "Customers\n\nd"},
            },
            {"type": "function", "function": {**FUNCTION_F["function"], "name": "crm__g", "description": "Customers"}},
        ],
    ),
]


@pytest.mark.parametrize(("tools", "expected"), TOOLS)
def test_tools(tools: list[Any], expected: list[Any]) -> None:
    assert converted(tools=tools) == {"model": "m", "messages": [user()], "tools": expected}


def test_a_custom_tool_is_a_function_with_one_string() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"}
    for form, about in ((..., None), ({"type": "text"}, None), (grammar, "lark grammar:\nstart: /.+/s")):
        tool = {**PATCH, **({} if form is ... else {"format": form})}
        function = converted(tools=[tool])["tools"][0]["function"]
        text = function["parameters"]["properties"]["input"]
        assert (function["name"], function["description"], text["type"]) == ("apply_patch", "Edit files", "string")
        assert function["parameters"]["required"] == ["input"]
        assert text.get("description", "").endswith(about or "")
        assert ("description" in text) is (about is not None)


CHOICES: list[tuple[Any, Any, list[str]]] = [
    ("required", "required", ["f", "apply_patch"]),
    ("none", "none", ["f", "apply_patch"]),
    ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}, ["f", "apply_patch"]),
    (
        {"type": "custom", "name": "apply_patch"},
        {"type": "function", "function": {"name": "apply_patch"}},
        ["f", "apply_patch"],
    ),
    ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}, "auto", ["f"]),
    (
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]},
        "required",
        ["apply_patch"],
    ),
    ({"type": "allowed_tools", "mode": "auto", "tools": []}, None, []),
]


@pytest.mark.parametrize(("choice", "expected", "names"), CHOICES)
def test_choices(choice: Any, expected: Any, names: list[str]) -> None:
    chat = converted(tools=[F, PATCH], tool_choice=choice, parallel_tool_calls=False)
    obey_rules(checked(ChatRequest, chat)[0])
    assert [tool["function"]["name"] for tool in chat.get("tools", [])] == names
    assert chat.get("tool_choice") == expected
    assert chat.get("parallel_tool_calls") is (False if names else None)


# Refusals.

UNCONVERTIBLE: list[tuple[dict[str, Any], str]] = [
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"conversation": {"id": "conv_1"}}, "conversation"),
    ({"background": True}, "background"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"truncation": "auto"}, "truncation"),
    ({"context_management": [{"type": "compaction"}]}, "context_management"),
    ({"moderation": {"model": "m"}}, "moderation"),
    ({"something_new": 1}, "something_new"),
    ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    ({"reasoning": {"context": "all_turns"}}, "reasoning.context"),
    ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [F, {"type": "file_search", "vector_store_ids": []}]}, "tools[1].type"),
    ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"),
    ({"tools": [{"type": "local_shell"}]}, "tools[0].type"),
    ({"tools": [{"type": "tool_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]}, "tools[0].tools[0].type"),
    ({"tools": [{**F, "defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tools": [{**F, "async": True}]}, "tools[0].async"),
    ({"tools": [{**F, "allowed_callers": ["programmatic"]}]}, "tools[0].allowed_callers"),
    ({"tools": [{**PATCH, "format": {"type": "yaml"}}]}, "tools[0].format.type"),
    ({"tools": [F], "tool_choice": {"type": "web_search"}}, "tool_choice.type"),
    (
        {"tools": [F], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}},
        "tool_choice.tools[0].type",
    ),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
    ({"input": [user(), {"type": "web_search_call", "id": "x"}]}, "input[1].type"),
    ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0].type"),
    ({"input": [user([{"type": "input_image", "file_id": "file_1"}])]}, "input[0].content[0].file_id"),
    ({"input": [user([{"type": "input_file", "file_id": "file_1"}])]}, "input[0].content[0].file_id"),
    ({"input": [user([{"type": "input_file", "file_url": "https://h/a.pdf"}])]}, "input[0].content[0].file_url"),
    ({"input": [user([{"type": "input_video"}])]}, "input[0].content[0].type"),
    ({"input": [{"role": "assistant", "content": [IMAGE]}]}, "input[0].content[0].type"),
    ({"input": [{"role": "system", "content": [IMAGE]}]}, "input[0].content[0].type"),
    ({"input": [{"type": "reasoning", "content": [IMAGE]}]}, "input[0].content[0].type"),
]

BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": None}, "input"),
    ({"input": 5}, "input"),
    ({"input": {}}, "input"),
    ({"input": ["hi"]}, "input[0]"),
    ({"input": [{}]}, "input[0].type"),
    ({"input": [{"type": 5}]}, "input[0].type"),
    ({"input": [{"role": 5, "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "critic", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [user(5)]}, "input[0].content"),
    ({"input": [user([5])]}, "input[0].content[0]"),
    ({"input": [user([{"text": "x"}])]}, "input[0].content[0].type"),
    ({"input": [user([{"type": "input_text"}])]}, "input[0].content[0].text"),
    ({"input": [user([{"type": "input_image"}])]}, "input[0].content[0].image_url"),
    ({"input": [user([{"type": "input_image", "image_url": {"url": "x"}}])]}, "input[0].content[0].image_url"),
    ({"input": [user([{"type": "input_image", "image_url": "x", "detail": 1}])]}, "input[0].content[0].detail"),
    ({"input": [user([{"type": "input_file"}])]}, "input[0].content[0].file_data"),
    ({"input": [user([{"type": "input_audio"}])]}, "input[0].content[0].input_audio"),
    ({"input": [{**call(), "call_id": ""}]}, "input[0].call_id"),
    ({"input": [{**call(), "name": None}]}, "input[0].name"),
    ({"input": [{**call(), "arguments": {}}]}, "input[0].arguments"),
    ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "n"}]}, "input[0].input"),
    ({"input": [{**output(), "call_id": 5}]}, "input[0].call_id"),
    ({"input": [{**output(), "output": None}]}, "input[0].output"),
    ({"input": [{"type": "reasoning", "content": 5}]}, "input[0].content"),
    ({"instructions": 5}, "instructions"),
    ({"max_output_tokens": "9"}, "max_output_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"reasoning": "high"}, "reasoning"),
    ({"reasoning": {"effort": 3}}, "reasoning.effort"),
    ({"text": []}, "text"),
    ({"text": {"verbosity": 1}}, "text.verbosity"),
    ({"text": {"format": "json"}}, "text.format"),
    ({"text": {"format": {}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
    ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ({"include": "all"}, "include"),
    ({"include": [5]}, "include[0]"),
    ({"top_logprobs": "3"}, "top_logprobs"),
    ({"tools": {}}, "tools"),
    ({"tools": ["f"]}, "tools[0]"),
    ({"tools": [{"name": "f"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{**F, "name": ""}]}, "tools[0].name"),
    ({"tools": [{**F, "parameters": []}]}, "tools[0].parameters"),
    ({"tools": [{**F, "strict": 1}]}, "tools[0].strict"),
    ({"tools": [{**F, "allowed_callers": "direct"}]}, "tools[0].allowed_callers"),
    ({"tools": [F, F]}, "tools[1].name"),
    ({"tools": [{"type": "namespace", "tools": []}]}, "tools[0].name"),
    ({"tools": [{"type": "namespace", "name": "n", "tools": [5]}]}, "tools[0].tools[0]"),
    ({"tools": [{**PATCH, "format": "text"}]}, "tools[0].format"),
    ({"tools": [{**PATCH, "format": {"type": "grammar", "syntax": "lark"}}]}, "tools[0].format.definition"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [F], "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [F], "tool_choice": {"type": "function"}}, "tool_choice.name"),
    ({"tools": [F], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
    ({"tools": [F], "tool_choice": {"type": "allowed_tools", "tools": []}}, "tool_choice.mode"),
    ({"tools": [F], "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": []}}, "tool_choice"),
    ({"tools": [F], "parallel_tool_calls": 1}, "parallel_tool_calls"),
]


@pytest.mark.parametrize(("fields", "param"), UNCONVERTIBLE)
def test_what_a_chat_can_not_carry_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Unconvertible) as caught:
        converted(**fields)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize(("fields", "param"), BAD)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        converted(**fields)
    assert type(caught.value) is BadRequest
    assert caught.value.param == param


def test_the_words_for_what_takes_a_memory() -> None:
    with pytest.raises(Unconvertible, match=STATELESS):
        converted(previous_response_id="resp_1")
    with pytest.raises(Unconvertible, match=r"web_search = \"disabled\""):
        converted(tools=[{"type": "web_search"}])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["", "x", "message", "user", "function", "input_text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "name", "text", "call_id", "output", "tools"]), inner
        )
    ),
    max_leaves=12,
)
NAMES = ["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions", "stream", "top_logprobs"]


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_whatever_a_client_writes_is_converted_or_refused(fields: dict[str, Any]) -> None:
    try:
        chat = converted(**fields)
    except BadRequest as error:
        named = error.param
    else:
        named = chat["messages"] and "messages"
    assert named or fields.get("input") == []


# Answers.


def completion(message: Any = ..., finish: Any = "stop", **more: Any) -> bytes:
    message = {"role": "assistant", "content": "Hello"} if message is ... else message
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    head = {"id": "chatcmpl-abc", "object": "chat.completion", "created": 5, "model": "m-1"}
    return json.dumps({**head, "choices": [choice], "usage": usage, **more}).encode()


def answered(raw: bytes, **fields: Any) -> Any:
    answer = CONVERTER.answer(body(**fields), raw, NOW)
    Response.model_validate_json(answer)
    return json.loads(answer)


def text_item(text: str, index: int = 0, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": f"msg_abc_{index}", "type": "message", "status": status, "role": "assistant", "content": [part]}


def test_an_answer() -> None:
    assert answered(completion()) == {
        "id": "resp_abc",
        "object": "response",
        "created_at": 5,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "m-1",
        "output": [text_item("Hello")],
        "store": False,
        "background": False,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": None,
        "top_p": None,
        "truncation": "disabled",
        "user": None,
        "usage": {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 12,
        },
    }


def test_what_was_asked_for_is_repeated() -> None:
    asked: dict[str, Any] = {
        "instructions": "Be brief",
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "text": {"format": {"type": "json_object"}},
        "tool_choice": "required",
        "tools": [F],
        "top_p": 0.9,
        "truncation": "disabled",
        "user": "u",
    }
    answer = answered(completion(service_tier="flex"), **asked, store=True)
    assert {name: answer[name] for name in asked} == asked
    assert (answer["store"], answer["service_tier"]) == (False, "flex")


FC: dict[str, Any] = {"id": "fc_abc_0", "type": "function_call", "status": "completed"}

OUTPUTS: list[tuple[Any, list[Any]]] = [
    ({"content": ""}, [text_item("")]),
    ({"content": None}, [text_item("")]),
    ({}, [text_item("")]),
    ({"content": [{"type": "text", "text": "a"}, {"type": "x"}, 5, {"type": "text", "text": "b"}]}, [text_item("ab")]),
    (
        {"content": "a", "reasoning_content": "t"},
        [
            {
                "id": "rs_abc_0",
                "type": "reasoning",
                "summary": [],
                "status": "completed",
                "content": [{"type": "reasoning_text", "text": "t"}],
            },
            text_item("a", 1),
        ],
    ),
    (
        {"content": None, "refusal": "no"},
        [{**text_item(""), "content": [{"type": "refusal", "refusal": "no"}]}],
    ),
    (
        {"content": "a", "refusal": "no"},
        [{**text_item(""), "content": [text_item("a")["content"][0], {"type": "refusal", "refusal": "no"}]}],
    ),
    (
        {
            "content": None,
            "tool_calls": [tool_call("c1", "f", '{"a":1}'), tool_call("c2", "apply_patch", '{"input":"x"}')],
        },
        [
            {**FC, "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
            {
                "id": "ctc_abc_1",
                "type": "custom_tool_call",
                "status": "completed",
                "call_id": "c2",
                "name": "apply_patch",
                "input": "x",
            },
        ],
    ),
    (
        {"content": "a", "tool_calls": [{"function": {"name": "crm__f", "arguments": {"b": 2}}}, 5]},
        [
            text_item("a"),
            {
                **FC,
                "id": "fc_abc_1",
                "call_id": "call_5ef62dbb2fbbf6f4dfaaf4b2",
                "name": "f",
                "namespace": "crm",
                "arguments": '{"b":2}',
            },
        ],
    ),
    (
        {"tool_calls": [tool_call("c1", "apply_patch", "*** Begin Patch"), tool_call("c2", "made_up", "")]},
        [
            {
                "id": "ctc_abc_0",
                "type": "custom_tool_call",
                "status": "completed",
                "call_id": "c1",
                "name": "apply_patch",
                "input": "*** Begin Patch",
            },
            {**FC, "id": "fc_abc_1", "call_id": "c2", "name": "made_up", "arguments": ""},
        ],
    ),
]

OUTPUT_TOOLS = [F, PATCH, {"type": "namespace", "name": "crm", "description": "", "tools": [F]}]


@pytest.mark.parametrize(("message", "expected"), OUTPUTS)
def test_outputs(message: Any, expected: list[Any]) -> None:
    found = answered(completion(message), tools=OUTPUT_TOOLS)["output"]
    for item in (*found, *expected):
        if item.get("call_id", "").startswith("call_"):
            assert len(item.pop("call_id")) == 29
    assert found == expected


ENDS: list[tuple[Any, str, Any]] = [
    ("stop", "completed", None),
    ("tool_calls", "completed", None),
    (None, "completed", None),
    (["length"], "completed", None),
    ("length", "incomplete", {"reason": "max_output_tokens"}),
    ("content_filter", "incomplete", {"reason": "content_filter"}),
    ("insufficient_system_resource", "incomplete", {"reason": "max_output_tokens"}),
]


@pytest.mark.parametrize(("finish", "status", "details"), ENDS)
def test_ends(finish: Any, status: str, details: Any) -> None:
    answer = answered(completion(finish=finish))
    assert (answer["status"], answer["incomplete_details"]) == (status, details)
    assert answer["output"] == [text_item("Hello", status=status)]


def test_log_probabilities() -> None:
    told = {
        "content": [{"token": "H", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "J", "logprob": -1}]}]
    }
    choice = {"index": 0, "message": {"content": "H"}, "finish_reason": "stop", "logprobs": told}
    raw = completion(choices=[choice])
    assert answered(raw)["output"][0]["content"][0]["logprobs"] == []
    assert answered(raw, top_logprobs=1)["output"][0]["content"][0]["logprobs"] == [
        {"token": "H", "bytes": [], "logprob": -0.5, "top_logprobs": [{"token": "J", "bytes": [], "logprob": -1}]}
    ]


def test_what_the_upstream_leaves_out() -> None:
    raw = completion(id=None, created="x", model=None, usage=None)
    one, other = answered(raw), answered(raw, input="another question")
    assert (one["created_at"], one["model"], one["usage"]) == (NOW, "m", None)
    assert one["id"] != other["id"]
    assert answered(completion(id="../../x y"))["id"].startswith("resp_")
    assert "/" not in answered(completion(id="../../x y"))["id"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices":5}',
        b'{"choices":[]}',
        b'{"choices":[5]}',
        b'{"choices":[{"index":0}]}',
        b'{"choices":[{"index":1,"message":{"content":"x"}}]}',
        completion("x"),
    ],
)
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(UpstreamBadReply):
        CONVERTER.answer(body(), raw, NOW)


@given(JSON, JSON)
def test_whatever_an_upstream_writes_is_an_answer_or_a_bad_reply(message: Any, finish: Any) -> None:
    with contextlib.suppress(UpstreamBadReply):
        assert answered(completion(message, finish), tools=OUTPUT_TOOLS)["output"]


ERRORS: list[tuple[int, bytes, str]] = [
    (503, b"<html>", "the upstream answered with status 503"),
    (400, b'{"object":"error","message":"too long","code":400}', "too long"),
    (422, b'{"detail":"Not Found"}', "Not Found"),
    (400, b'{"error":"model not found"}', "model not found"),
    (400, b'{"error":{"message":5}}', "the upstream answered with status 400"),
    (500, b'{"message":"' + b"x" * 900 + b'"}', "x" * 500),
]


@pytest.mark.parametrize(("status", "raw", "message"), ERRORS)
def test_errors(status: int, raw: bytes, message: str) -> None:
    kind = "invalid_request_error" if status < 500 else "server_error"
    expected = {"error": {"message": message, "type": kind, "code": None, "param": None}}
    assert json.loads(CONVERTER.error(status, raw)) == expected


def test_an_error_of_openais_is_the_same_in_both() -> None:
    raw = b'{"error": {"message":"no","type":"invalid_request_error","param":"messages","code":"x"}}'
    assert CONVERTER.error(400, raw) == raw
