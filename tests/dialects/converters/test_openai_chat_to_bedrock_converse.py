"""Chats in front of Bedrock's Converse API: requests, answers, errors."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from aigw.dialects.converters.openai_chat_to_bedrock_converse import OpenAIChatToBedrockConverse
from aigw.dialects.converters.openai_chat_to_bedrock_converse.request import DEFAULTS, LEFT_OUT, NATIVE
from aigw.errors import BadRequest, Unconvertible, UpstreamBadReply

CONVERTER = OpenAIChatToBedrockConverse()
NOW = 1_790_000_000
HI = [{"role": "user", "content": "hi"}]
TOLD_HI = [{"role": "user", "content": [{"text": "hi"}]}]
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


def converted(**members: Any) -> dict[str, Any]:
    raw = json.dumps({"model": "m", "messages": HI, **members}).encode()
    found: dict[str, Any] = json.loads(CONVERTER.request(Body.parse(raw), "m").raw_bytes)
    return found


def turns(*messages: Any) -> list[dict[str, Any]]:
    """The turns that messages become, where nothing else needs to be there."""
    found: list[dict[str, Any]] = converted(messages=messages, tools=[TOOL])["messages"]
    return found


def call(call_id: str = "c1", name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def use(call_id: str = "c1", name: str = "f", **given: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": given}}


def result(*content: Any, call_id: str = "c1") -> dict[str, Any]:
    return {"toolResult": {"toolUseId": call_id, "content": list(content)}}


TOOL = {"type": "function", "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}}}
SPEC = {"toolSpec": {"name": "f", "description": "does f", "inputSchema": {"json": {"type": "object"}}}}


def test_it_is_in_the_catalogue() -> None:
    assert isinstance(CONVERTERS["openai-chat", "bedrock-converse"], OpenAIChatToBedrockConverse)


def test_a_whole_request() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "what is this?"}, image(PNG)]},
        {"role": "assistant", "content": "let me see", "tool_calls": [call(arguments='{"a":[1,2.50]}'), call("c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": "go on"},
        {"role": "developer", "content": [{"type": "text", "text": "in French"}]},
    ]
    found = converted(
        messages=messages,
        tools=[TOOL],
        tool_choice="required",
        max_tokens=5,
        temperature=0.5,
        top_p=1,
        stop=["a", "b"],
        stream=True,
        stream_options={"include_usage": True},
        user="u",
        seed=1,
        n=1,
    )
    assert found == {
        "messages": [
            {"role": "user", "content": [{"text": "what is this?"}, told_image("png", "iVBORw0KGgo=")]},
            {"role": "assistant", "content": [{"text": "let me see"}, use(a=[1, 2.5]), use("c2")]},
            {
                "role": "user",
                "content": [result({"text": "one"}), result({"text": "two"}, call_id="c2"), {"text": "go on"}],
            },
        ],
        "system": [{"text": "be brief"}, {"text": "in French"}],
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 1, "stopSequences": ["a", "b"]},
        "toolConfig": {"tools": [SPEC], "toolChoice": {"any": {}}},
    }


def test_the_smallest_request() -> None:
    assert converted() == {"messages": TOLD_HI}
    nothing = dict.fromkeys([*DEFAULTS, *LEFT_OUT, *NATIVE, "tools", "stop", "temperature", "max_tokens", "top_k"])
    assert converted(**nothing, stream=None, response_format=None, metadata={}) == {"messages": TOLD_HI}


# Messages


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def told_image(form: str, data: str) -> dict[str, Any]:
    return {"image": {"format": form, "source": {"bytes": data}}}


def file(**members: Any) -> dict[str, Any]:
    return {"type": "file", "file": members}


def document(form: str, name: str, data: str) -> dict[str, Any]:
    return {"document": {"format": form, "name": name, "source": {"bytes": data}}}


def test_messages_of_one_role_become_one_turn() -> None:
    assert turns(
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "d"}], "refusal": "e"},
    ) == [
        {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
        {"role": "assistant", "content": [{"text": "c"}, {"text": "d"}, {"text": "e"}]},
    ]


def test_what_says_nothing_is_left_out() -> None:
    assert turns(
        {"role": "user", "content": "a", "name": ""},
        {"role": "assistant", "content": " \n", "reasoning_content": "hm"},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None, "tool_calls": None},
    ) == [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (image(PNG), told_image("png", "iVBORw0KGgo=")),
        (image("DATA:image/JPG;x=y;base64,AA=="), told_image("jpeg", "AA==")),
        (image("data:image/webp;base64,AA=="), told_image("webp", "AA==")),
        (file(file_data=PDF, filename="Q3 report_v2.final.pdf"), document("pdf", "Q3 report v2 final", "JVBERi0=")),
        (file(file_data=PDF), document("pdf", "document", "JVBERi0=")),
        (file(file_data=PDF, filename="§§§.pdf"), document("pdf", "document", "JVBERi0=")),
        (file(file_data=PDF, filename="x" * 300 + ".pdf"), document("pdf", "x" * 200, "JVBERi0=")),
        (file(file_data="data:text/csv;base64,YQ==", filename="a.b"), document("csv", "a", "YQ==")),
        (file(file_data="data:application/octet-stream;base64,YQ==", filename="a.MD"), document("md", "a", "YQ==")),
        (
            {"type": "input_audio", "input_audio": {"format": "wav", "data": "AA=="}},
            {"audio": {"format": "wav", "source": {"bytes": "AA=="}}},
        ),
    ],
)
def test_parts_of_a_message(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert turns({"role": "user", "content": [part]}) == [{"role": "user", "content": [block]}]


def test_documents_of_the_same_name_are_told_apart() -> None:
    part = file(file_data=PDF, filename="x" * 250 + ".pdf")
    loud = file(file_data=PDF, filename="X" * 250 + ".pdf")
    found = turns(
        {"role": "user", "content": [part, loud]},
        {"role": "assistant", "tool_calls": [call()]},
        {"role": "tool", "tool_call_id": "c1", "content": [part]},
    )
    blocks = [*found[0]["content"], *found[2]["content"][0]["toolResult"]["content"]]
    assert [block["document"]["name"] for block in blocks] == ["x" * 200, "X" * 180 + " (2)", "x" * 180 + " (3)"]


def test_results_of_tools() -> None:
    asked = {"role": "assistant", "tool_calls": [call()]}
    answered = {"role": "tool", "name": "f", "tool_call_id": "c1"}
    for content, told in (
        (None, [{"text": ""}]),
        ("", [{"text": ""}]),
        ("x", [{"text": "x"}]),
        ([{"type": "text", "text": "x"}, image(PNG)], [{"text": "x"}, told_image("png", "iVBORw0KGgo=")]),
    ):
        assert turns(*HI, asked, {**answered, "content": content})[2] == {"role": "user", "content": [result(*told)]}


@pytest.mark.parametrize(
    ("call_id", "allowed"),
    [
        ("toolu_bdrk_01.a:b-c", "toolu_bdrk_01.a:b-c"),
        ("call/ü 1", "call___1"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "9537c5fdf120482f7d58d25e9ed583f52c02b4e304ea814db1633ad565aed7e9"),
    ],
)
def test_ids_of_calls(call_id: str, allowed: str) -> None:
    answered = {"role": "tool", "tool_call_id": call_id, "content": "x"}
    _, asked, told = turns(*HI, {"role": "assistant", "tool_calls": [call(call_id)]}, answered)
    assert asked["content"] == [use(allowed)]
    assert told["content"] == [result({"text": "x"}, call_id=allowed)]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        (" ", {}),
        ('{"a":1}', {"a": 1}),
        ('{"a":"\\ud83d"}', {"a": "\ud83d"}),
        ('{"a":"\ud83d"}', {"a": "\ud83d"}),
    ],
)
def test_arguments_of_calls(arguments: str, given: dict[str, Any]) -> None:
    asked = {"role": "assistant", "tool_calls": [call(arguments=arguments)]}
    assert turns(*HI, asked)[1]["content"] == [use(**given)]


MARK = {"cache_control": {"type": "ephemeral"}}
POINT = {"cachePoint": {"type": "default"}}


def test_marks_of_the_prompt_cache() -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    found = converted(
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "s", **hour}]},
            {"role": "user", "content": [{"type": "text", "text": "u", **MARK}, {"type": "text", "text": "", **MARK}]},
            {"role": "assistant", "tool_calls": [{**call(), **MARK}, call("c2")]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r", **MARK}]},
            {"role": "tool", "tool_call_id": "c2", "content": "r", **MARK},
        ],
        tools=[{**TOOL, **MARK}],
    )
    assert found["system"] == [{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert found["messages"] == [
        {"role": "user", "content": [{"text": "u"}, POINT]},
        {"role": "assistant", "content": [use(), POINT, use("c2")]},
        {"role": "user", "content": [result({"text": "r"}), POINT, result({"text": "r"}, call_id="c2"), POINT]},
    ]
    assert found["toolConfig"] == {"tools": [SPEC, POINT]}


# The other fields


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 7}, {"inferenceConfig": {"maxTokens": 7}}),
        ({"temperature": 0}, {"inferenceConfig": {"temperature": 0}}),
        ({"stop": "a"}, {"inferenceConfig": {"stopSequences": ["a"]}}),
        ({"stop": []}, {}),
        ({"tools": []}, {}),
        ({"tools": [TOOL], "tool_choice": "none"}, {}),
        ({"tools": [TOOL], "tool_choice": "auto"}, {"toolConfig": {"tools": [SPEC], "toolChoice": {"auto": {}}}}),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"toolConfig": {"tools": [SPEC], "toolChoice": {"tool": {"name": "f"}}}},
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": " ", "strict": True}}]},
            {
                "toolConfig": {
                    "tools": [
                        {
                            "toolSpec": {
                                "name": "f",
                                "inputSchema": {"json": {"type": "object", "properties": {}}},
                                "strict": True,
                            }
                        }
                    ]
                }
            },
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}}}}}]},
            {
                "toolConfig": {
                    "tools": [
                        {
                            "toolSpec": {
                                "name": "f",
                                "inputSchema": {"json": {"type": "object", "properties": {"a": {}}}},
                            }
                        }
                    ]
                }
            },
        ),
        ({"parallel_tool_calls": False}, {}),
        ({"reasoning_effort": "xhigh"}, {"outputConfig": {"effort": "xhigh"}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": {"type": "object"}},
                },
                "outputConfig": {"effort": "max"},
            },
            {
                "outputConfig": {
                    "effort": "max",
                    "textFormat": {
                        "type": "json_schema",
                        "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "n"}},
                    },
                }
            },
        ),
        ({"metadata": {"a": "b"}, "requestMetadata": {"a": "c"}}, {"requestMetadata": {"a": "c"}}),
        ({"metadata": {"a": "b"}}, {"requestMetadata": {"a": "b"}}),
        ({"service_tier": "flex"}, {"serviceTier": {"type": "flex"}}),
        ({"service_tier": "auto"}, {}),
        (
            {"top_k": 3, "thinking": {"type": "enabled"}, "additionalModelRequestFields": {"top_k": 4}},
            {"additionalModelRequestFields": {"top_k": 4, "thinking": {"type": "enabled"}}},
        ),
        (
            {"guardrailConfig": {"guardrailIdentifier": "g"}, "performanceConfig": {"latency": "optimized"}},
            {"guardrailConfig": {"guardrailIdentifier": "g"}, "performanceConfig": {"latency": "optimized"}},
        ),
        ({"frequency_penalty": 0.0, "logprobs": False, "logit_bias": {}, "modalities": ["text"]}, {}),
        ({"store": False, "top_logprobs": 0, "verbosity": "medium", "functions": []}, {}),
    ],
)
def test_fields(members: dict[str, Any], told: dict[str, Any]) -> None:
    assert converted(**members) == {"messages": TOLD_HI, **told}


USED = [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [call()]}]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"frequency_penalty": False}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"store": True}, "store"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"prediction": {}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"verbosity": "low"}, "verbosity"),
        ({"temperature": 1.5}, "temperature"),
        ({"reasoning_effort": "none"}, "reasoning_effort"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": "none", "messages": USED}, "tool_choice"),
        ({"messages": USED}, "messages[1].tool_calls[0]"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages[0]"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x", "name": "Eva"}]}, "messages[0].name"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "system", "content": "x"}, {"role": "assistant", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "assistant", "function_call": {}}]}, "messages[0].function_call"),
        ({"messages": [{"role": "assistant", "audio": {"id": "x"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]}, "messages[0].tool_calls[0].type"),
        ({"messages": [{"role": "assistant", "content": [image(PNG)]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "system", "content": [image(PNG)]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [image("https://example.com/a.png")]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [image("data:image/svg+xml;base64,AA==")]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [image("data:image/png,x")]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [file(file_id="f")]}]},
            "messages[0].content[0].file.file_id",
        ),
        (
            {"messages": [{"role": "user", "content": [file(file_data="data:x/y;base64,AA==", filename="a.exe")]}]},
            "messages[0].content[0].file.file_data",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "input_audio", "input_audio": {"format": "ogg", "data": "AA=="}}],
                    }
                ]
            },
            "messages[0].content[0].input_audio.format",
        ),
    ],
)
def test_what_can_not_be_carried_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(Unconvertible) as caught:
        converted(**members)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": {}}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        ({"messages": [{"role": "user", "content": [image(1)]}]}, "messages[0].content[0].image_url.url"),
        ({"messages": [{"role": "user", "content": [file(file_data="")]}]}, "messages[0].content[0].file.file_data"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": 1}]}]},
            "messages[0].content[0].cache_control",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [call("")]}]},
            "messages[0].tool_calls[0].id",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [call(arguments="{")]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [call(arguments="[]")]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": []}, "top_p"),
        ({"stop": 1}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]},
            "tools[0].function.parameters",
        ),
        ({"tools": [TOOL], "tool_choice": "some"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": 1}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"reasoning_effort": 1}, "reasoning_effort"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"service_tier": 1}, "service_tier"),
        ({"additionalModelRequestFields": []}, "additionalModelRequestFields"),
        ({"outputConfig": "x"}, "outputConfig"),
    ],
)
def test_what_is_not_as_openai_has_it_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        converted(**members)
    assert type(caught.value) is BadRequest
    assert caught.value.param == param


NAMES = [
    "role",
    "content",
    "type",
    "text",
    "image_url",
    "url",
    "file",
    "function",
    "tool_calls",
    "id",
    "name",
    "arguments",
]
FIELDS = [
    "messages",
    "tools",
    "tool_choice",
    "stop",
    "temperature",
    "max_tokens",
    "response_format",
    "metadata",
    "n",
    "x",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_request_is_converted_or_refused(members: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequest):
        converted(**members)


# Answers


def answer(content: Any, stop: Any = "end_turn", usage: Any = None) -> bytes:
    message = {"role": "assistant", "content": content}
    return json.dumps({"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {}}).encode()


def completed(raw: bytes) -> dict[str, Any]:
    request = Body.parse(b'{"model":"m","messages":[]}')
    told = CONVERTER.answer(request, raw, NOW)
    ChatCompletion.model_validate_json(told.replace(b"\\ud83d", b"?"))
    found: dict[str, Any] = json.loads(told)
    return found


COUNTS = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 15, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 6}


def test_a_whole_answer() -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AA=="}},
        {"text": "let me "},
        {"citationsContent": {"content": [{"text": "see"}], "citations": [{}]}},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
        {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}},
        {"toolUse": {"toolUseId": "t3", "name": "h", "input": {}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "t3", "content": []}},
    ]
    found = completed(answer(content, "tool_use", COUNTS))
    identity = found.pop("id")
    assert identity.startswith("chatcmpl-")
    assert found == {
        "object": "chat.completion",
        "created": NOW,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "let me see",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "tool_calls": [call("t1", "f", '{"a":1}'), call("t2", "g")],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 13,
            "completion_tokens": 2,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 6},
        },
    }
    assert completed(answer([], "tool_use", COUNTS))["id"] != identity


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("what_comes_next", "stop"),
    ],
)
def test_why_it_stopped(stop: str, reason: str) -> None:
    assert completed(answer([{"text": "x"}], stop))["choices"][0]["finish_reason"] == reason


def test_short_answers() -> None:
    message = {"role": "assistant", "content": "", "refusal": None}
    assert completed(answer([]))["choices"][0]["message"] == message
    lone = completed(b'{"output":{"message":{"content":[{"text":"\\ud83d"}]}},"usage":7}')
    assert lone["choices"][0]["message"]["content"] == "\ud83d"
    assert lone["usage"]["total_tokens"] == 0
    only_a_call = completed(answer([{"toolUse": {"toolUseId": "t", "name": "f", "input": "?"}}], "tool_use"))
    assert only_a_call["choices"][0]["message"]["content"] is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"output":{}}',
        b'{"output":{"message":{}}}',
        b'{"output":{"message":{"content":[1]}}}',
        b'{"output":{"message":{"content":[{"text":1}]}}}',
        b'{"output":{"message":{"content":[]}},"stopReason":1}',
        b"[" * 100_000,
        b'{"output":{"message":{"content":[{"text":"\xff"}]}}}',
        answer([{"text": "x"}], "malformed_tool_use"),
        answer([], "malformed_model_output"),
    ],
)
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(UpstreamBadReply):
        CONVERTER.answer(Body.parse(b"{}"), raw, NOW)


# Errors


@pytest.mark.parametrize(
    ("status", "raw", "message", "kind", "code"),
    [
        (429, b'{"message":"slow down"}', "slow down", "rate_limit_error", "ThrottlingException"),
        (400, b'{"Message":"no"}', "no", "invalid_request_error", "ValidationException"),
        (400, b'{"__type":"a.b#QuotaException","message":"no"}', "no", "invalid_request_error", "QuotaException"),
        (403, b'{"message":7}', "the upstream answered with status 403", "permission_error", "AccessDeniedException"),
        (401, b"", "the upstream answered with status 401", "authentication_error", None),
        (503, b"<html>", "the upstream answered with status 503", "server_error", "ServiceUnavailableException"),
        (502, b"[" * 100_000, "the upstream answered with status 502", "server_error", None),
    ],
)
def test_errors(status: int, raw: bytes, message: str, kind: str, code: str | None) -> None:
    told = {"message": message, "type": kind, "param": None, "code": code}
    assert json.loads(CONVERTER.error(status, raw)) == {"error": told}
