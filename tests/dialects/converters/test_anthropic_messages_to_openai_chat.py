"""Requests, answers and errors between Anthropic's Messages API and chat completions."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from aigw.dialects.converters.anthropic_messages_to_openai_chat import AnthropicMessagesToOpenAIChat
from aigw.dialects.reasoning import NONE, Reasoning
from aigw.errors import BadRequest, Unconvertible, UpstreamBadReply
from aigw.providers import PROVIDERS

CONVERTER = AnthropicMessagesToOpenAIChat()
HI = [{"role": "user", "content": "hi"}]
SIGNED = "aigw:reasoning_content"
OPEN = Reasoning(fields=("reasoning_content", "reasoning"))
DEEPSEEK = PROVIDERS["deepseek"].reasoning
ASK = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "x"}}]}
ASKED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"x"}'}}],
}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}
RESULTS = {"role": "tool", "tool_call_id": "toolu_1", "content": "seen"}


def body(**members: Any) -> Body:
    return Body.parse(json.dumps({"model": "claude", "max_tokens": 100, "messages": HI, **members}).encode())


def chat(vendors: Reasoning = OPEN, /, **members: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(CONVERTER.request(body(**members), "gpt", vendors).raw_bytes)
    return document


def said(*messages: dict[str, Any]) -> Any:
    """The chat's messages; the conversation ends with the user, as it has to."""
    return chat(messages=[*messages, {"role": "user", "content": "go on"}])["messages"][:-1]


def user(*blocks: dict[str, Any]) -> Any:
    """What one message of the user becomes."""
    return chat(messages=[{"role": "user", "content": list(blocks)}])["messages"]


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


def test_is_in_the_catalogue() -> None:
    assert isinstance(CONVERTERS["anthropic-messages", "openai-chat"], AnthropicMessagesToOpenAIChat)


# Requests: the members beside messages


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {}),
        ({"stream": True}, {"stream": True}),
        ({"temperature": 0.5, "top_p": 1.0, "top_k": 40}, {"temperature": 0.5, "top_p": 1.0, "top_k": 40}),
        ({"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"stop_sequences": ["\n\nHuman:", "END"]}, {"stop": ["\n\nHuman:", "END"]}),
        ({"stop_sequences": []}, {}),
        ({"metadata": {"user_id": "u-1"}}, {"user": "u-1"}),
        ({"metadata": {"user_id": None}}, {}),
        ({"metadata": None}, {}),
        ({"metadata": {"user_id": "u" * 64}}, {"user": "u" * 64}),
        ({"metadata": {"user_id": "u" * 65}}, {"user": hashlib.sha256(b"u" * 65).hexdigest()}),
        # what only costs, or saves
        (
            {
                "cache_control": {"type": "ephemeral"},
                "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
                "diagnostics": {"previous_message_id": "msg_1"},
                "service_tier": "auto",
                "speed": "fast",
                "fallbacks": "default",
                "mcp_servers": [],
                "container": None,
            },
            {},
        ),
        # thinking
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, {}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, {"reasoning_effort": "xhigh"}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 31999}, "output_config": {"effort": "low"}},
            {"reasoning_effort": "low"},
        ),
        ({"output_config": {"effort": "max", "format": None}}, {"reasoning_effort": "max"}),
        # structured output
        *(
            (
                outputs,
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "output", "schema": {"type": "object"}, "strict": True},
                    }
                },
            )
            for outputs in (
                {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
                {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
            )
        ),
    ],
)
def test_members(members: dict[str, Any], expected: dict[str, Any]) -> None:
    assert chat(**members) == {"model": "gpt", "max_tokens": 100, "messages": HI, **expected}


def test_numbers_that_are_carried_stay_as_they_are_written() -> None:
    raw = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}],"temperature":0.70,"seed":1e2}'
    converted = CONVERTER.request(Body.parse(raw), "gpt").raw_bytes
    assert b'"temperature":0.70' in converted
    assert b'"seed":1e2' in converted


SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
TOOL = {"name": "look", "description": "Look.", "input_schema": SCHEMA}
FUNCTION = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": SCHEMA}}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"tools": [TOOL]}, {"tools": [FUNCTION]}),
        (
            {
                "tools": [
                    {
                        **TOOL,
                        "type": "custom",
                        "strict": True,
                        "cache_control": {"type": "ephemeral"},
                        "defer_loading": True,
                        "eager_input_streaming": True,
                        "allowed_callers": ["direct"],
                    }
                ]
            },
            {"tools": [{"type": "function", "function": {**FUNCTION["function"], "strict": True}}]},  # type: ignore[dict-item]
        ),
        (
            {"tools": [{"name": "a", "input_schema": {}, "input_examples": [{"x": 1}]}]},
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"examples": [{"x": 1}]}}}]},
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "auto"}}, {"tools": [FUNCTION], "tool_choice": "auto"}),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}}, {"tools": [FUNCTION], "tool_choice": "required"}),
        ({"tools": [TOOL], "tool_choice": {"type": "none"}}, {"tools": [FUNCTION], "tool_choice": "none"}),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True}},
            {
                "tools": [FUNCTION],
                "tool_choice": {"type": "function", "function": {"name": "look"}},
                "parallel_tool_calls": False,
            },
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": False}},
            {"tools": [FUNCTION], "tool_choice": "auto"},
        ),
        ({"tools": [], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, {}),
        ({"tools": None, "tool_choice": None}, {}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
    ],
)
def test_tools(members: dict[str, Any], expected: dict[str, Any]) -> None:
    assert chat(**members) == {"model": "gpt", "max_tokens": 100, "messages": HI, **expected}


# Requests: messages


@pytest.mark.parametrize(
    ("system", "content"),
    [
        ("be brief", "be brief"),
        ([text("be brief", cache_control={"type": "ephemeral"}), text("be kind")], "be brief\nbe kind"),
        (
            [text("x-anthropic-billing-header: cc_version=2.1.38; cch=4873d;"), text("You are Claude Code")],
            "You are Claude Code",
        ),
    ],
)
def test_system(system: Any, content: str) -> None:
    assert chat(system=system)["messages"] == [{"role": "system", "content": content}, *HI]


@pytest.mark.parametrize("system", [None, "", [], [text("x-anthropic-billing-header: x")]])
def test_no_system(system: Any) -> None:
    assert chat(system=system)["messages"] == HI


def test_the_same_role_twice_is_one_turn() -> None:
    assert said(
        {"role": "user", "content": "one"},
        {"role": "user", "content": [text("two"), text("three", cache_control={"type": "ephemeral"})]},
        {"role": "assistant", "content": "fo"},
        {"role": "assistant", "content": [text("ur", citations=[{"type": "char_location"}])]},
        {"role": "system", "content": "five"},
        {"role": "system", "content": [text("six")]},
    ) == [
        {"role": "user", "content": "one\ntwo\nthree"},
        {"role": "assistant", "content": "four"},
        {"role": "system", "content": "five"},
        {"role": "system", "content": "six"},
    ]


def test_images() -> None:
    assert user(
        text("what is this?"),
        image(type="base64", media_type="image/png", data="iVBORw0KGgo="),
        image(type="url", url="https://example.com/a.jpg"),
    ) == [
        {
            "role": "user",
            "content": [
                text("what is this?"),
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
            ],
        }
    ]


def test_documents() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    assert user(
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "title": "T"},
        {"type": "document", "source": {"type": "content", "content": [text("a"), text("b")]}, "context": "C"},
        {"type": "document", "source": {"type": "content", "content": "c"}, "citations": {"enabled": False}},
    ) == [{"role": "user", "content": "T\nplain\nC\na\nb\nc"}]
    assert user({"type": "document", "source": pdf, "title": "report.pdf"}, {"type": "document", "source": pdf}) == [
        {
            "role": "user",
            "content": [
                text("report.pdf"),
                {
                    "type": "file",
                    "file": {"filename": "report.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
                },
                {
                    "type": "file",
                    "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
                },
            ],
        }
    ]


def test_search_results() -> None:
    result = {"type": "search_result", "title": "T", "source": "https://example.com", "content": [text("found")]}
    assert user(result) == [{"role": "user", "content": "T\nhttps://example.com\nfound"}]


def test_a_call_and_its_result() -> None:
    assert chat(messages=[*HI, ASK, {"role": "user", "content": [RESULT]}])["messages"] == [*HI, ASKED, RESULTS]


def test_results_come_first_whatever_else_the_user_says() -> None:
    calls = [{"type": "tool_use", "id": f"t{i}", "name": "n", "input": {}} for i in range(3)]
    converted = said(
        {"role": "assistant", "content": [text("let me see"), *calls]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [text("a"), text("b")]}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t0", "is_error": True, "content": "no such file"},
                text("also"),
                {"type": "tool_result", "tool_use_id": "t2"},
            ],
        },
    )
    assert converted[0]["content"] == "let me see"
    assert [call["id"] for call in converted[0]["tool_calls"]] == ["t0", "t1", "t2"]
    assert converted[1:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "a\nb"},
        {"role": "tool", "tool_call_id": "t0", "content": "Error: no such file"},
        {"role": "tool", "tool_call_id": "t2", "content": ""},
    ]


def test_images_in_results_go_behind_them() -> None:
    shot = image(type="base64", media_type="image/png", data="AAAA")
    converted = user(
        {"type": "tool_result", "tool_use_id": "t0", "content": [text("a shot"), shot]},
        {"type": "tool_result", "tool_use_id": "t1", "content": "b"},
        text("well?"),
    )
    assert converted == [
        {
            "role": "tool",
            "tool_call_id": "t0",
            "content": "a shot\n(what is not text in this result is in the next message)",
        },
        {"role": "tool", "tool_call_id": "t1", "content": "b"},
        {
            "role": "user",
            "content": [
                text("From the result of t0:"),
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                text("well?"),
            ],
        },
    ]


def test_references_to_tools_are_shown() -> None:
    reference = {"type": "tool_reference", "tool_name": "look"}
    assert user({"type": "tool_result", "tool_use_id": "t", "content": [reference]}) == [
        {"role": "tool", "tool_call_id": "t", "content": '{"type":"tool_reference","tool_name":"look"}'}
    ]


def thinking(signature: str, thought: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": thought, "signature": signature}


def test_reasoning_goes_back_to_where_it_came_from() -> None:
    ask = ASK["content"][0]
    assert said({"role": "assistant", "content": [thinking(SIGNED, "hm"), ask, thinking(SIGNED, "!")]}) == [
        {**ASKED, "reasoning_content": "hm!"}
    ]
    assert said({"role": "assistant", "content": [thinking("aigw:reasoning", "hm"), text("x")]}) == [
        {"role": "assistant", "content": "x", "reasoning": "hm"}
    ]
    for foreign in ("EqQBCgIYAhIM1gbcDa9GJwZA2b3h", "", "aigw:", "aigw:content", "reasoning"):
        blocks = [thinking(foreign, "hm"), {"type": "redacted_thinking", "data": "EmwK"}, text("x")]
        assert said({"role": "assistant", "content": blocks}) == [{"role": "assistant", "content": "x"}]
    assert said({"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}) == [
        {"role": "assistant", "content": ""}
    ]


def test_reasoning_goes_back_as_the_vendor_wants_it() -> None:
    came = {"role": "assistant", "content": [thinking("aigw:reasoning", "hm"), *ASK["content"]]}
    results = {"role": "user", "content": [RESULT]}
    for reasoning, fields in ((NONE, {}), (DEEPSEEK, {"reasoning_content": "hm"})):
        assert chat(reasoning, messages=[*HI, came, results])["messages"][1] == {**ASKED, **fields}


@pytest.mark.parametrize(
    ("wanted", "came", "asked"),
    [
        ({}, [thinking(SIGNED, "hm")], {}),
        ({"thinking": {"type": "adaptive"}}, [thinking(SIGNED, "hm")], {}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            [thinking(SIGNED, "hm")],
            {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
        ),
        ({"thinking": {"type": "disabled"}}, [thinking(SIGNED, "hm")], {"thinking": {"type": "disabled"}}),
        # another model's, or nobody's: the vendor would refuse it while it thinks
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, [], {"thinking": {"type": "disabled"}}),
        ({"output_config": {"effort": "high"}}, [thinking("EqQB", "hm")], {"thinking": {"type": "disabled"}}),
    ],
)
def test_thinking_is_switched_where_there_is_a_switch(
    wanted: dict[str, Any], came: list[Any], asked: dict[str, Any]
) -> None:
    answered = {"role": "assistant", "content": [*came, *ASK["content"]]}
    document = chat(DEEPSEEK, messages=[*HI, answered, {"role": "user", "content": [RESULT]}], **wanted)
    assert {name: document[name] for name in ("thinking", "reasoning_effort") if name in document} == asked


def test_lone_surrogates_survive() -> None:
    raw = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\\ud83d"}]}'
    assert json.loads(CONVERTER.request(Body.parse(raw), "m").raw_bytes)["messages"][0]["content"] == "\ud83d"


# Requests: refusals


def of_user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def of_assistant(*blocks: Any) -> dict[str, Any]:
    return {"messages": [*HI, {"role": "assistant", "content": list(blocks)}, *HI]}


PDF_URL = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
FIRST = "messages[0].content[0]"


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"mcp_servers": [{"type": "url", "url": "https://example.com"}]}, "mcp_servers"),
        ({"container": "container_1"}, "container"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"thread": {"type": "create"}}, "thread"),
        ({"fallbacks": [{"model": "x"}]}, "fallbacks"),
        ({"output_config": {"task_budget": {"type": "tokens", "total": 1}}}, "output_config.task_budget"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20250825"]}]}, "tools[0].allowed_callers"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"messages": [*HI, {"role": "assistant", "content": "The answer is ("}]}, "messages[1]"),
        (of_user(PDF_URL), f"{FIRST}.source.type"),
        (of_user(image(type="file", file_id="f")), f"{FIRST}.source.type"),
        (
            of_user({"type": "document", "source": {"type": "base64", "media_type": "x/y", "data": "A"}}),
            f"{FIRST}.source.type",
        ),
        (of_user({"type": "document", "source": {}, "citations": {"enabled": True}}), f"{FIRST}.citations"),
        (of_user({"type": "container_upload", "file_id": "f"}), f"{FIRST}.type"),
        (of_user({**RESULT, "content": [{"type": "browser_state"}]}), f"{FIRST}.content[0].type"),
        (of_user({"type": "tool_use", "id": "x", "name": "x", "input": {}}), f"{FIRST}.type"),
        (
            of_assistant({"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}),
            "messages[1].content[0].type",
        ),
        (of_assistant(image(type="url", url="x")), "messages[1].content[0].type"),
        ({"system": [image(type="url", url="x")]}, "system[0].type"),
    ],
)
def test_what_can_not_be_carried_is_named(members: dict[str, Any], path: str) -> None:
    with pytest.raises(Unconvertible) as refusal:
        CONVERTER.request(body(**members), "gpt")
    assert refusal.value.param == path
    assert refusal.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": ["x", 7]}, "stop_sequences[1]"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
        ({"thinking": "yes"}, "thinking"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": 7}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"name": "", "input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
        ({"tools": [{**TOOL, "strict": 1}]}, "tools[0].strict"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": []}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"system": 7}, "system"),
        ({"system": [7]}, "system[0]"),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"messages": None}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        (of_user(7), FIRST),
        (of_user({}), f"{FIRST}.type"),
        (of_user({"type": []}), f"{FIRST}.type"),
        (of_user({"type": "text", "text": None}), f"{FIRST}.text"),
        (of_user({"type": "image"}), f"{FIRST}.source"),
        (of_user(image()), f"{FIRST}.source.type"),
        (of_user(image(type="url")), f"{FIRST}.source.url"),
        (of_user(image(type="base64", data="A")), f"{FIRST}.source.media_type"),
        (of_user({"type": "document", "source": {"type": "text", "data": 7}}), f"{FIRST}.source.data"),
        (of_user({"type": "tool_result", "content": "x"}), f"{FIRST}.tool_use_id"),
        (of_user({**RESULT, "is_error": "yes"}), f"{FIRST}.is_error"),
        (of_user({**RESULT, "content": 7}), f"{FIRST}.content"),
        (of_assistant({"type": "tool_use", "id": "x", "name": "x", "input": "{}"}), "messages[1].content[0].input"),
        (of_assistant({"type": "tool_use", "name": "x", "input": {}}), "messages[1].content[0].id"),
        (of_assistant({"type": "thinking", "thinking": "x", "signature": 7}), "messages[1].content[0].signature"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(members: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        CONVERTER.request(body(**members), "gpt")
    assert refusal.value.param == path
    assert refusal.value.message.startswith(f"{path}: ")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "x", "text", "enabled"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "source", "role", "name", "input"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(["text", "image", "document", "search_result", "tool_use", "tool_result", "thinking", "other"])
BLOCKS = st.dictionaries(
    st.sampled_from(
        ["text", "source", "content", "id", "tool_use_id", "name", "input", "thinking", "signature", "title"]
    ),
    JSON,
)
HOSTILE = st.fixed_dictionaries(
    {},
    optional={
        "messages": JSON
        | st.lists(
            st.fixed_dictionaries(
                {
                    "role": st.sampled_from(["user", "assistant", "system", "x"]),
                    "content": st.lists(st.builds(lambda b, k: {**b, "type": k}, BLOCKS, KINDS), max_size=3),
                }
            ),
            max_size=3,
        ),
        **dict.fromkeys(
            ["system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "max_tokens"],
            JSON,
        ),
    },
)


@given(HOSTILE)
def test_a_client_may_send_anything(members: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequest):
        json.loads(CONVERTER.request(body(**members), "gpt").raw_bytes)


def test_depth_is_survived() -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    call = b'{"type":"tool_use","id":"x","name":"x","input":' + deep + b"}"
    messages = b'[{"role":"assistant","content":[' + call + b']},{"role":"user","content":"x"}]'
    raw = b'{"model":"m","max_tokens":1,"messages":' + messages + b"}"
    with contextlib.suppress(BadRequest):
        CONVERTER.request(Body.parse(raw), "gpt")


# Answers


def completion(message: dict[str, Any], finish: Any = "stop", **choice: Any) -> bytes:
    return json.dumps(
        {
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "object": "chat.completion",
            "created": 1741569952,
            "model": "gpt-5.1",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **choice}],
            "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
        }
    ).encode()


def answer(raw: bytes, **members: Any) -> dict[str, Any]:
    out = CONVERTER.answer(body(**members), raw, 0)
    Message.model_validate_json(out, strict=True)
    document: dict[str, Any] = json.loads(out)
    return document


def call(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"id": "call_abc", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def test_a_whole_answer() -> None:
    assert answer(completion({"content": "Hello!", "refusal": None, "annotations": []})) == {
        "id": "msg_B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "type": "message",
        "role": "assistant",
        "model": "gpt-5.1",
        "content": [{"type": "text", "text": "Hello!"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 19,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 10,
        },
    }


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": None}, []),
        ({"content": ""}, []),
        ({"content": [text("a"), text("b"), 7, {"type": "x"}]}, [text("ab")]),
        (
            {"content": "x", "reasoning_content": "hm"},
            [{"type": "thinking", "thinking": "hm", "signature": SIGNED}, text("x")],
        ),
        (
            {"content": "x", "reasoning": "hm", "reasoning_content": None},
            [{"type": "thinking", "thinking": "hm", "signature": "aigw:reasoning"}, text("x")],
        ),
        (
            {"content": [{"type": "thinking", "thinking": [text("h"), text("m")]}, text("x")]},
            [{"type": "thinking", "thinking": "hm", "signature": SIGNED}, text("x")],
        ),
        (
            {"content": None, "tool_calls": [call("a", '{"x": [1, 2.50]}'), call("b", "")]},
            [
                {"type": "tool_use", "id": "call_abc", "name": "a", "input": {"x": [1, 2.5]}},
                {"type": "tool_use", "id": "call_abc", "name": "b", "input": {}},
            ],
        ),
        (
            {"tool_calls": [call("a", {"x": 1})]},
            [{"type": "tool_use", "id": "call_abc", "name": "a", "input": {"x": 1}}],
        ),
        *(
            (
                {"tool_calls": [call("a", broken)]},
                [{"type": "tool_use", "id": "call_abc", "name": "a", "input": {"INVALID_JSON": broken}}],
            )
            for broken in ('{"x": ', "[1]", "7", '{"x": NaN}')
        ),
        ({"tool_calls": [7, None]}, []),
        ({"content": 7, "reasoning_content": 7, "tool_calls": 7}, []),
    ],
)
def test_content(message: dict[str, Any], content: list[Any]) -> None:
    assert answer(completion(message))["content"] == content


def test_half_a_character_in_arguments_is_kept() -> None:
    out = CONVERTER.answer(body(), completion({"tool_calls": [call("a", "\ud83d")]}), 0)
    assert json.loads(out)["content"][0]["input"] == {"INVALID_JSON": "\ud83d"}


def test_a_call_without_an_id_gets_one() -> None:
    made = answer(completion({"tool_calls": [call("a", "{}", id=None), call("b", "{}", id="")]}))["content"]
    assert made[0]["id"] != made[1]["id"]
    assert all(len(block["id"]) == 30 and block["id"].startswith("toolu_") for block in made)


CALLS = {"tool_calls": [call("a", "{}")]}


@pytest.mark.parametrize(
    ("message", "choice", "reason", "sequence"),
    [
        ({"content": "x"}, {"finish_reason": "stop"}, "end_turn", None),
        ({"content": "x"}, {"finish_reason": "length"}, "max_tokens", None),
        ({"content": "x"}, {"finish_reason": "content_filter"}, "refusal", None),
        ({"content": "x"}, {"finish_reason": "insufficient_system_resource"}, "max_tokens", None),
        ({"content": "x"}, {"finish_reason": "novelty"}, "end_turn", None),
        ({"content": "x"}, {"finish_reason": None}, "end_turn", None),
        ({"content": "x"}, {"finish_reason": {}}, "end_turn", None),
        (CALLS, {"finish_reason": "tool_calls"}, "tool_use", None),
        (CALLS, {"finish_reason": "stop"}, "tool_use", None),
        (CALLS, {"finish_reason": "length"}, "max_tokens", None),
        ({"content": "x"}, {"finish_reason": "stop", "stop_reason": "END"}, "stop_sequence", "END"),
        ({"content": "x"}, {"finish_reason": "stop", "matched_stop": "END"}, "stop_sequence", "END"),
        ({"content": "x"}, {"finish_reason": "stop", "stop_reason": 151645}, "end_turn", None),
        ({"content": "x"}, {"finish_reason": "stop", "stop_reason": "other"}, "end_turn", None),
        ({"refusal": "I can't"}, {"finish_reason": "stop"}, "refusal", None),
    ],
)
def test_why_it_stopped(message: dict[str, Any], choice: dict[str, Any], reason: str, sequence: str | None) -> None:
    document = json.loads(completion(message))
    document["choices"][0].update(choice)
    converted = answer(json.dumps(document).encode(), stop_sequences=["END"])
    assert (converted["stop_reason"], converted["stop_sequence"]) == (reason, sequence)


def test_a_refusal_is_shown() -> None:
    assert answer(completion({"content": None, "refusal": "I can't"}))["content"] == [text("I can't")]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 80},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            [20, 0, 80, 50, {"thinking_tokens": 30}],
        ),
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 64, "completion_tokens": 5}, [36, 0, 64, 5]),
        ({"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}}, [0, 0, 9, 2]),
        (None, [0, 0, 0, 0]),
        ("many", [0, 0, 0, 0]),
    ],
)
def test_usage(usage: Any, expected: list[Any]) -> None:
    document = {**json.loads(completion({"content": "x"})), "usage": usage}
    assert list(answer(json.dumps(document).encode())["usage"].values()) == expected


def test_what_an_upstream_leaves_out() -> None:
    made = answer(b'{"choices":[{"message":{}}]}', model="asked")
    assert made["model"] == "asked"
    assert len(made["id"]) == 28
    assert answer(b'{"id":"a b/\xc3\xa9","model":7,"choices":[{"message":{}}]}')["id"] == "msg_a_b_"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":[7]}',
        b'{"choices":[{"message":[]}]}',
        b'{"a":' * 9999,
    ],
)
def test_no_chat_completion(raw: bytes) -> None:
    with pytest.raises(UpstreamBadReply):
        CONVERTER.answer(body(), raw, 0)


# Errors


@pytest.mark.parametrize(
    ("status", "raw", "kind", "message"),
    [
        (
            401,
            b'{"error":{"message":"Incorrect API key","type":"x","code":"y"}}',
            "authentication_error",
            "Incorrect API key",
        ),
        (429, b'{"error":{"message":"slow down"}}', "rate_limit_error", "slow down"),
        (503, b'{"error":"overloaded"}', "overloaded_error", "overloaded"),
        (400, b'{"object":"error","message":"bad"}', "invalid_request_error", "bad"),
        (404, b'{"detail":"Not Found"}', "not_found_error", "Not Found"),
        (502, b"<html>Bad Gateway</html>", "api_error", "<html>Bad Gateway</html>"),
        (500, b"", "api_error", "the upstream answered with status 500"),
        (500, b"\xff", "api_error", "\ufffd"),
        (500, b'{"error":{"message":{}}}', "api_error", '{"error":{"message":{}}}'),
        (500, b"x" * 9999, "api_error", "x" * 500),
        (
            400,
            b'{"error":{"message":"This model\'s maximum context length is 8192 tokens.","code":400}}',
            "invalid_request_error",
            "prompt is too long: This model's maximum context length is 8192 tokens.",
        ),
        (
            400,
            b'{"error":{"message":"Too much.","code":"context_length_exceeded"}}',
            "invalid_request_error",
            "prompt is too long: Too much.",
        ),
        (500, b'{"error":{"message":"context length"}}', "api_error", "context length"),
    ],
)
def test_errors(status: int, raw: bytes, kind: str, message: str) -> None:
    document = json.loads(CONVERTER.error(status, raw))
    assert document == {"type": "error", "error": {"type": kind, "message": message}}
