"""Chat requests in Anthropic's words, and Anthropic's answers in OpenAI's: tables of what becomes what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from aigw.dialects.converters.openai_chat_to_anthropic_messages import OpenAIChatToAnthropicMessages
from aigw.dialects.converters.openai_chat_to_anthropic_messages.request import (
    CARRIED,
    DEFAULT_MAX_TOKENS,
    IGNORED,
    NATIVE,
)
from aigw.errors import BadRequest, GatewayError, Unconvertible, UpstreamBadReply
from aigw.testing.vendors.anthropic_request import MessagesRequest
from aigw.testing.vendors.anthropic_rules import obey_rules
from aigw.testing.vendors.checking import checked

CONVERTER = OpenAIChatToAnthropicMessages()
MODEL = "claude-opus-5-5"
NOW = 1_790_000_000
VERSION = "2023-06-01"
HI = {"role": "user", "content": "Hi"}
HI_TURN = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}


def body(**members: Any) -> Body:
    return Body.parse(json.dumps({"model": "gpt", **members}).encode())


def converted(model: str = MODEL, **members: Any) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(CONVERTER.request(body(**members), model).raw_bytes)
    return request


def turns(*messages: Any) -> Any:
    return converted(messages=list(messages))["messages"]


def added(model: str = MODEL, **members: Any) -> dict[str, Any]:
    """What a request has, but for what all have."""
    request = converted(model, messages=[HI], **members)
    common = {"model": model, "messages": [HI_TURN], "max_tokens": DEFAULT_MAX_TOKENS}
    return {name: value for name, value in request.items() if common.get(name) != value}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def pdf(**file: Any) -> dict[str, Any]:
    return {"type": "file", "file": file}


def tool(name: str = "f", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def test_is_in_the_catalogue() -> None:
    assert isinstance(CONVERTERS["openai-chat", "anthropic-messages"], OpenAIChatToAnthropicMessages)


def test_a_whole_request() -> None:
    """As in https://platform.openai.com/docs/guides/function-calling, second turn."""
    schema = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
    request = converted(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Weather in Paris?", "name": "ann"},
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "reasoning_content": "I should look.",
                "tool_calls": [call("call_1", "get_weather", '{"location":"Paris","days":1.50}')],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "15 C"},
        ],
        tools=[tool("get_weather", description="Weather.", parameters=schema, strict=True)],
        tool_choice="auto",
        max_completion_tokens=100,
        temperature=0.5,
        top_p=0.9,
        stop=["END"],
        stream=True,
        stream_options={"include_usage": True},
        user="u-1",
        seed=7,
    )
    assert request == {
        "model": MODEL,
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [
            user(text("Weather in Paris?")),
            assistant(
                {
                    "type": "tool_use",
                    "id": "call_1",
                    "name": "get_weather",
                    "input": {"location": "Paris", "days": 1.5},
                }
            ),
            user({"type": "tool_result", "tool_use_id": "call_1", "content": [text("15 C")]}),
        ],
        "tools": [{"name": "get_weather", "description": "Weather.", "input_schema": schema, "strict": True}],
        "tool_choice": {"type": "auto"},
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "stream": True,
        "metadata": {"user_id": "u-1"},
    }


CONVERSATIONS: dict[str, tuple[list[Any], list[Any]]] = {
    "same roles become one turn": (
        [HI, {"role": "user", "content": [text("How"), text("are you?")]}],
        [user(text("Hi"), text("How"), text("are you?"))],
    ),
    "what says nothing is left out": (
        [HI, {"role": "assistant", "content": " \n"}, {"role": "user", "content": [text(""), text("x")]}],
        [user(text("Hi"), text("x"))],
    ),
    "results of parallel calls stand in one turn, before what the user says": (
        [
            HI,
            {"role": "assistant", "content": "Two.", "tool_calls": [call("a", "f", "{}"), call("b", "g", "")]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": ""},
            {"role": "user", "content": "So?"},
        ],
        [
            HI_TURN,
            assistant(
                text("Two."),
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ),
            user(
                {"type": "tool_result", "tool_use_id": "a", "content": [text("1")]},
                {"type": "tool_result", "tool_use_id": "b"},
                text("So?"),
            ),
        ],
    ),
    "other vendors' ids": (
        [
            HI,
            {"role": "assistant", "tool_calls": [call("functions.f:0", "f", "{}")]},
            {"role": "tool", "tool_call_id": "functions.f:0", "content": [text("1")]},
        ],
        [
            HI_TURN,
            assistant({"type": "tool_use", "id": "functions_f_0", "name": "f", "input": {}}),
            user({"type": "tool_result", "tool_use_id": "functions_f_0", "content": [text("1")]}),
        ],
    ),
    "functions of old": (
        [
            HI,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": "x", "function_call": {"name": "f", "arguments": '{"a":2}'}},
            {"role": "function", "name": "f", "content": "2"},
        ],
        [
            HI_TURN,
            assistant({"type": "tool_use", "id": "messages_1__function_call", "name": "f", "input": {"a": 1}}),
            user({"type": "tool_result", "tool_use_id": "messages_1__function_call", "content": [text("1")]}),
            assistant(
                text("x"), {"type": "tool_use", "id": "messages_3__function_call", "name": "f", "input": {"a": 2}}
            ),
            user({"type": "tool_result", "tool_use_id": "messages_3__function_call", "content": [text("2")]}),
        ],
    ),
    "refusals are text": (
        [
            HI,
            {"role": "assistant", "content": None, "refusal": "I won't."},
            HI,
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ],
        [HI_TURN, assistant(text("I won't.")), HI_TURN, assistant(text("No."))],
    ),
    "images": (
        [
            {
                "role": "user",
                "content": [
                    text("What?"),
                    image("https://example.com/a.png"),
                    image("data:image/jpg;base64,/9j/"),
                    image("DATA:image/PNG;charset=x;base64,iVBO"),
                ],
            }
        ],
        [
            user(
                text("What?"),
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
            )
        ],
    ),
    "a PDF": (
        [{"role": "user", "content": [pdf(filename="a.pdf", file_data="data:application/pdf;base64,JVBE")]}],
        [
            user(
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                    "title": "a.pdf",
                }
            )
        ],
    ),
    "marks for the cache go along": (
        [{"role": "user", "content": [text("x", cache_control={"type": "ephemeral"})]}],
        [user(text("x", cache_control={"type": "ephemeral"}))],
    ),
    "other vendors' members of a message are no part of the dialect": (
        [HI, {"role": "assistant", "content": "x", "annotations": [], "audio": None, "reasoning": "y", "weight": 1}],
        [HI_TURN, assistant(text("x"))],
    ),
    "a lone surrogate": (
        [
            {"role": "assistant", "tool_calls": [call("a", "f", '{"x":"\ud83d"}')]},
            {"role": "tool", "tool_call_id": "a", "content": "\ud83d"},
        ],
        [
            assistant({"type": "tool_use", "id": "a", "name": "f", "input": {"x": "\ud83d"}}),
            user({"type": "tool_result", "tool_use_id": "a", "content": [text("\ud83d")]}),
        ],
    ),
}


@pytest.mark.parametrize("case", CONVERSATIONS)
def test_conversations(case: str) -> None:
    messages, expected = CONVERSATIONS[case]
    assert turns(*messages) == expected


def test_system_prompts_are_hoisted_and_joined() -> None:
    system = [{"role": "system", "content": [text("a"), text(" ")]}, HI, {"role": "developer", "content": "b"}]
    assert converted(messages=system)["system"] == "a\nb"
    marked = [{"role": "system", "content": [text("a", cache_control={"type": "ephemeral"})]}, *system]
    assert converted(messages=marked)["system"] == [
        text("a", cache_control={"type": "ephemeral"}),
        text("a"),
        text("b"),
    ]


EMPTY_SCHEMA = {"type": "object", "properties": {}}
F = {"name": "f", "input_schema": EMPTY_SCHEMA}
TOOLS = {"tools": [tool()]}
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}

FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"max_tokens": 5}, {"max_tokens": 5}),
    ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
    ({"max_tokens": None}, {}),
    ({"temperature": 1.7}, {"temperature": 1}),
    ({"temperature": 0}, {"temperature": 0}),
    ({"stop": "x"}, {"stop_sequences": ["x"]}),
    ({"stop": []}, {}),
    ({"stream": False}, {"stream": False}),
    ({"n": 1, "modalities": ["text"], "verbosity": "medium"}, {}),
    ({"user": "a", "safety_identifier": "b"}, {"metadata": {"user_id": "b"}}),
    ({"user": "a"}, {"metadata": {"user_id": "a"}}),
    (dict.fromkeys(IGNORED, 1), {}),
    ({"whatever": None}, {}),
    ({"thinking": {"type": "adaptive"}, "top_k": 3}, {"thinking": {"type": "adaptive"}, "top_k": 3}),
    ({"thinking": None}, {}),
    ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
    ({"reasoning_effort": "xhigh"}, {"output_config": {"effort": "xhigh"}}),
    ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    ({"reasoning_effort": "none", "thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
    ({"response_format": {"type": "text"}}, {}),
    ({"response_format": {"type": "json_object"}}, {}),
    ({"response_format": JSON_SCHEMA}, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    (
        {"response_format": JSON_SCHEMA, "reasoning_effort": "high", "output_config": {"effort": "low"}},
        {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    ({"tools": []}, {}),
    ({"tools": [], "tool_choice": "none", "parallel_tool_calls": False}, {}),
    (TOOLS, {"tools": [F]}),
    ({**TOOLS, "parallel_tool_calls": True}, {"tools": [F]}),
    (
        {**TOOLS, "parallel_tool_calls": False},
        {"tools": [F], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    (
        {**TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": [F], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ),
    (
        {**TOOLS, "tool_choice": "none", "parallel_tool_calls": False},
        {"tools": [F], "tool_choice": {"type": "none"}},
    ),
    (
        {**TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tools": [F], "tool_choice": {"type": "tool", "name": "f"}},
    ),
    ({"tools": [tool(parameters={}, strict=False, description="")]}, {"tools": [F]}),
    (
        {"tools": [tool(parameters={"$ref": "#/x"})]},
        {"tools": [{"name": "f", "input_schema": {"type": "object", "$ref": "#/x"}}]},
    ),
    (
        {"tools": [{**tool(), "cache_control": {"type": "ephemeral"}}]},
        {"tools": [{**F, "cache_control": {"type": "ephemeral"}}]},
    ),
    (
        {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
        {"tools": [F], "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
    ),
    (
        {"functions": [{"name": "f"}]},
        {"tools": [F], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
]


@pytest.mark.parametrize(("members", "expected"), FIELDS)
def test_fields(members: dict[str, Any], expected: dict[str, Any]) -> None:
    assert added(**members) == expected


OLD_MODELS = [
    *("claude-2.1", "claude-instant-1.2", "claude-3-haiku-20240307", "claude-3-7-sonnet-latest", "claude-opus-4"),
    *("claude-sonnet-4-20250514", "claude-opus-4-0", "claude-opus-4-1-20250805", "claude-sonnet-4@20250514"),
    *("claude-sonnet-4-5", "claude-haiku-4-5-20251001"),
]
NEW_MODELS = [
    *("claude-opus-4-5-20251101", "claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-4-8", "claude-opus-4-10"),
    *("claude-opus-5", "claude-haiku-5-5", "claude-fable-5-1", "deepseek-flash"),
]


@pytest.mark.parametrize("model", OLD_MODELS)
def test_models_of_old_know_no_effort(model: str) -> None:
    assert added(model, reasoning_effort="high") == {}


@pytest.mark.parametrize("model", NEW_MODELS)
def test_models_of_today_know_effort(model: str) -> None:
    assert added(model, reasoning_effort="high") == {"output_config": {"effort": "high"}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"verbosity": "low"}, "verbosity"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"min_p": 0.1}, "min_p"),
    ({"stop": ["x", "\n"]}, "stop[1]"),
    ({"response_format": {"type": "grammar"}}, "response_format.type"),
    ({"tools": [tool(), {"type": "custom", "custom": {"name": "x"}}]}, "tools[1].type"),
    ({**TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.type"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "content[0].type"),
    ({"messages": [{"role": "system", "content": [image("https://x/")]}]}, "content[0].type"),
    ({"messages": [{"role": "assistant", "content": [image("https://x/")]}]}, "content[0].type"),
    ({"messages": [{"role": "user", "content": [image("data:image/bmp;base64,x")]}]}, "content[0].image_url.url"),
    ({"messages": [{"role": "user", "content": [image("data:image/png,x")]}]}, "content[0].image_url.url"),
    ({"messages": [{"role": "user", "content": [image("file:///etc/passwd")]}]}, "content[0].image_url.url"),
    ({"messages": [{"role": "user", "content": [pdf(file_id="file-1")]}]}, "content[0].file.file_id"),
    (
        {"messages": [{"role": "user", "content": [pdf(file_data="data:text/csv;base64,x")]}]},
        "content[0].file.file_data",
    ),
    ({"messages": [{"role": "user", "content": [pdf(file_data="JVBE")]}]}, "content[0].file.file_data"),
    ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {}}]}]},
        "messages[0].tool_calls[0].type",
    ),
]

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": {}}, "messages"),
    ({"messages": ["x"]}, "messages[0]"),
    ({"messages": [{}]}, "messages[0].role"),
    ({"messages": [HI, {"role": "robot"}]}, "messages[1].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    (
        {"messages": [{"role": "user", "content": [text("x", cache_control=1)]}]},
        "messages[0].content[0].cache_control",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        "messages[0].content[0].image_url",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content[0].image_url.url",
    ),
    ({"messages": [{"role": "user", "content": [pdf()]}]}, "messages[0].content[0].file.file_data"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "tool", "tool_call_id": "", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0]"),
    ({"messages": [{"role": "assistant", "refusal": 1}]}, "messages[0].refusal"),
    ({"messages": [{"role": "assistant", "tool_calls": "x"}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"type": "function"}]}]}, "messages[0].tool_calls[0].function"),
    ({"messages": [{"role": "assistant", "tool_calls": [call("", "f", "{}")]}]}, "messages[0].tool_calls[0].id"),
    (
        {"messages": [HI, {"role": "assistant", "tool_calls": [call("a", "f", "{}"), call("b", "f", "{")]}]},
        "messages[1].tool_calls[1].function.arguments",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [call("a", "f", "[1]")]}]},
        "messages[0].tool_calls[0].function.arguments",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [call("a", "f", "[" * 100_000)]}]},
        "messages[0].tool_calls[0].function.arguments",
    ),
    ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages[0].function_call.arguments"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": False}, "top_p"),
    ({"n": "1"}, "n"),
    ({"stop": 5}, "stop"),
    ({"stop": ["x", 5]}, "stop[1]"),
    ({"stream": 1}, "stream"),
    ({"stream_options": True}, "stream_options"),
    ({"user": 5}, "user"),
    ({"reasoning_effort": 5}, "reasoning_effort"),
    ({"reasoning_effort": "much"}, "reasoning_effort"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
    ({"output_config": 1}, "output_config"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"function": {}}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [tool("")]}, "tools[0].function.name"),
    ({"tools": [tool(parameters=[])]}, "tools[0].function.parameters"),
    ({"tools": [tool(strict="yes")]}, "tools[0].function.strict"),
    ({**TOOLS, "tool_choice": "any"}, "tool_choice"),
    ({**TOOLS, "tool_choice": 5}, "tool_choice"),
    ({**TOOLS, "tool_choice": {"type": "function"}}, "tool_choice.function"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({**TOOLS, "parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ({"functions": [{}]}, "functions[0].name"),
    ({"functions": [{"name": "f"}], "function_call": {}}, "function_call.name"),
]


@pytest.mark.parametrize(("members", "path"), REFUSED)
def test_what_can_not_be_carried_is_named(members: dict[str, Any], path: str) -> None:
    with pytest.raises(Unconvertible) as refused:
        converted(**{"messages": [HI], **members})
    assert refused.value.param is not None
    assert refused.value.param.endswith(path)
    assert refused.value.message.startswith(refused.value.param + ": ")


@pytest.mark.parametrize(("members", "path"), WRONG)
def test_what_is_wrong_is_named(members: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        converted(**{"messages": [HI], **members})
    assert not isinstance(refused.value, Unconvertible)
    assert refused.value.param == path
    assert refused.value.message.startswith(path + ": ")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WORDS = [
    *("content", "role", "user", "assistant", "tool", "system", "type", "text", "image_url", "url", "tool_calls"),
    *("function", "name", "arguments", "id", "tool_call_id", "file", "file_data", "function_call", "refusal"),
    *("cache_control", "auto", "required"),
]
HOSTILE = st.recursive(
    JSON_VALUES | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(CARRIED | NATIVE)), HOSTILE, max_size=6), HOSTILE)
def test_no_client_can_break_it(members: dict[str, Any], message: Any) -> None:
    """Whatever stands in a request, it is converted or refused."""
    request = body(**{"messages": [HI, {"role": "assistant", "content": message}], **members})
    try:
        json.loads(CONVERTER.request(request, MODEL).raw_bytes)
    except BadRequest as refused:
        assert refused.param is not None  # noqa: PT017
    CONVERTER.stream(request, NOW).feed(b"event: message_stop\n\n")


@pytest.mark.parametrize("case", CONVERSATIONS)
def test_anthropic_takes_the_conversations(case: str) -> None:
    messages, _ = CONVERSATIONS[case]
    taken, _ = checked(MessagesRequest, converted(messages=[HI, *messages]))
    obey_rules(taken, VERSION)


@pytest.mark.parametrize("members", [members for members, _ in FIELDS])
def test_anthropic_takes_the_fields(members: dict[str, Any]) -> None:
    taken, _ = checked(MessagesRequest, converted(messages=[HI], **members))
    obey_rules(taken, VERSION)


# Answers.


def answer(content: list[Any], stop_reason: str = "end_turn", **more: Any) -> bytes:
    message = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5-20261001",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 6},
    }
    return json.dumps(message | more).encode()


def told(raw: bytes, **members: Any) -> dict[str, Any]:
    completion = json.loads(CONVERTER.answer(body(messages=[HI], **members), raw, NOW))
    ChatCompletion.model_validate(completion, strict=True)
    assert isinstance(completion, dict)
    return completion


def test_a_whole_answer() -> None:
    """The example of https://platform.claude.com/docs/en/build-with-claude/working-with-messages."""
    assert told(answer([text("Hello!")])) == {
        "id": "msg_01",
        "object": "chat.completion",
        "created": NOW,
        "model": "claude-opus-5-5-20261001",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello!", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 6,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, 2.5], "b": "\u00e9"}}
FUNCTION = {"name": "f", "arguments": '{"a":[1,2.5],"b":"\u00e9"}'}

SAID: list[tuple[list[Any], dict[str, Any], dict[str, Any]]] = [
    ([], {}, {"content": ""}),
    ([text("a"), text("b", citations=[])], {}, {"content": "ab"}),
    (
        [THOUGHT, {"type": "redacted_thinking", "data": "x"}, text("a")],
        {},
        {"content": "a", "reasoning_content": "Hm."},
    ),
    ([USE], {}, {"content": None, "tool_calls": [{"id": "toolu_1", "type": "function", "function": FUNCTION}]}),
    (
        [text("x"), USE, {**USE, "id": "toolu_2", "input": {}}],
        {},
        {
            "content": "x",
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": FUNCTION},
                {"id": "toolu_2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
    ),
    ([USE], {"functions": [{"name": "f"}]}, {"content": None, "function_call": FUNCTION}),
    ([{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, text("x")], {}, {"content": "x"}),
]


@pytest.mark.parametrize(("content", "members", "expected"), SAID)
def test_what_is_said(content: list[Any], members: dict[str, Any], expected: dict[str, Any]) -> None:
    message = told(answer(content), **members)["choices"][0]["message"]
    assert message == {"role": "assistant", "refusal": None, **expected}


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("a_new_one", "stop"),
        (None, "stop"),
    ],
)
def test_finish_reasons(stop_reason: str, finish_reason: str) -> None:
    assert told(answer([], stop_reason))["choices"][0]["finish_reason"] == finish_reason


def test_the_finish_reason_of_functions() -> None:
    choice = told(answer([USE], "tool_use"), functions=[{"name": "f"}])["choices"][0]
    assert choice["finish_reason"] == "function_call"


def test_a_refusal_is_explained() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "Too dangerous."}
    message = told(answer([], "refusal", stop_details=details))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "", "refusal": "Too dangerous."}


def test_usage_with_cache_and_thinking() -> None:
    usage = {
        "input_tokens": 3,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
        "service_tier": "standard",
    }
    assert told(answer([text("x")], usage=usage))["usage"] == {
        "prompt_tokens": 123,
        "completion_tokens": 50,
        "total_tokens": 173,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }


@pytest.mark.parametrize("usage", [None, [], {"input_tokens": -1, "output_tokens": "x", "output_tokens_details": 1}])
def test_usage_that_is_none(usage: Any) -> None:
    assert told(answer([], usage=usage))["usage"]["total_tokens"] == 0


def test_a_lone_surrogate_in_an_answer() -> None:
    assert told(answer([text("\ud83d")]))["choices"][0]["message"]["content"] == "\ud83d"


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b"{}", b'"x"', b'{"content":"x"}', b'{"content":[1]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(UpstreamBadReply):
        CONVERTER.answer(body(messages=[HI]), raw, NOW)


@given(HOSTILE)
def test_no_upstream_can_break_it(value: Any) -> None:
    for raw in (json.dumps(value).encode(), answer([value]), answer(value), answer([], usage=value)):
        try:
            CONVERTER.answer(body(messages=[HI]), raw, NOW)
        except GatewayError as error:
            assert isinstance(error, UpstreamBadReply)  # noqa: PT017
        json.loads(CONVERTER.error(500, raw))


# Errors.


def failed(kind: Any, message: Any) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


ERRORS: list[tuple[int, bytes, tuple[str, str, str | None]]] = [
    (400, failed("invalid_request_error", "bad"), ("bad", "invalid_request_error", "invalid_request_error")),
    (401, failed("authentication_error", "who?"), ("who?", "authentication_error", "authentication_error")),
    (403, failed("permission_error", "no"), ("no", "permission_error", "permission_error")),
    (404, failed("not_found_error", "gone"), ("gone", "invalid_request_error", "not_found_error")),
    (413, failed("request_too_large", "big"), ("big", "invalid_request_error", "request_too_large")),
    (429, failed("rate_limit_error", "slow"), ("slow", "rate_limit_error", "rate_limit_error")),
    (500, failed("api_error", "oops"), ("oops", "server_error", "api_error")),
    (529, failed("overloaded_error", "Overloaded"), ("Overloaded", "server_error", "overloaded_error")),
    (400, b'{"error":{"message":"x","type":"t","code":1}}', ("x", "invalid_request_error", "t")),
    (400, b'{"error":"x"}', ("x", "invalid_request_error", None)),
    (502, b"<html>bad gateway</html>", ("the upstream answered with status 502", "server_error", None)),
    (404, b"", ("the upstream answered with status 404", "invalid_request_error", None)),
    (500, failed(5, None), ("the upstream answered with status 500", "server_error", None)),
]


@pytest.mark.parametrize(("status", "raw", "expected"), ERRORS)
def test_errors(status: int, raw: bytes, expected: tuple[str, str, str | None]) -> None:
    message, kind, code = expected
    told_error = json.loads(CONVERTER.error(status, raw))
    assert told_error == {"error": {"message": message, "type": kind, "param": None, "code": code}}
