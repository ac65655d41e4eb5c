"""The fakes that speak OpenAI's formats: what they refuse, in whose words, and how their streams differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.web.http_headers import Headers

from aigw.testing.models import Models
from aigw.testing.vendors import (
    KEY,
    VENDORS,
    Answer,
    AzureOpenAI,
    DeepSeek,
    Gemini,
    OpenAI,
    OpenRouter,
    Scenario,
    Vendor,
    attend,
)
from aigw.testing.vendors.scenario import BREAKS, BUSY, CACHED, RATE_LIMITED, REFUSED, TOOL_CALL
from aigw.upstream.profile import Profile

Asked = Callable[..., Answer]
CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
HELLO: Any = [{"role": "user", "content": "Good day"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "Sun"}
TOOL = {"type": "function", "function": {"name": "f"}}


def chat(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages) or HELLO, **fields}


def body_of(answer: Answer) -> Any:
    return json.loads(answer.body)


def data_of(answer: Answer) -> list[Any]:
    lines = [line for line in answer.body.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line[6:]) for line in lines]


REFUSALS: dict[str, tuple[str, Any, str, str | None]] = {
    "no JSON": (CHAT, b"{", "We could not parse the JSON body", None),
    "an unknown argument": (CHAT, chat(top_k=1), "Unrecognized request argument supplied: top_k", None),
    "an unknown member": (
        CHAT,
        chat({"role": "assistant", "content": "Hi", "reasoning_content": "hm"}),
        "Unknown parameter: 'messages[0].reasoning_content'.",
        "messages[0].reasoning_content",
    ),
    "no messages": (CHAT, {"model": "m"}, "Missing required parameter: 'messages'.", "messages"),
    "too hot": (CHAT, chat(temperature=3), "Invalid value for 'temperature'", "temperature"),
    "an unknown role": (CHAT, chat({"role": "robot", "content": ""}), "Invalid value", "messages[0].role"),
    "an unknown part": (CHAT, chat({"role": "user", "content": [{"type": "thinking"}]}), "Invalid value", None),
    "options of no stream": (CHAT, chat(stream_options={"include_usage": True}), "'stream' is enabled", None),
    "both limits": (CHAT, chat(max_tokens=1, max_completion_tokens=1), "at the same time", "max_tokens"),
    "a choice of no tools": (CHAT, chat(tool_choice="auto"), "only allowed when 'tools'", "tool_choice"),
    "no tools": (CHAT, chat(tools=[]), "Invalid value for 'tools'", "tools"),
    "no content": (CHAT, chat({"role": "assistant", "content": None}), "expected a string, got null", None),
    "an unasked answer": (CHAT, chat(*HELLO, RESULT), "preceeding message", "messages.[1].role"),
    "an unanswered call": (CHAT, chat(CALLED, *HELLO), "response messages: c1", "messages.[1].role"),
    "an unanswered last call": (CHAT, chat(*HELLO, CALLED), "response messages: c1", None),
    "a long id": (CHAT, chat({**RESULT, "tool_call_id": "c" * 41}), "length <= 40", None),
    "no vectors": (EMBEDDINGS, {"model": "m", "input": []}, "Invalid value for 'input'", "input"),
    "mixed inputs": (EMBEDDINGS, {"model": "m", "input": ["a", [1]]}, "Expected texts or lists", "input"),
    "unknown embeddings": (EMBEDDINGS, {"model": "m", "input": "a", "x": 1}, "Unrecognized", None),
    "no input": (RESPONSES, {"model": "m"}, "Missing required parameter: 'input'.", "input"),
    "messages": (RESPONSES, {"model": "m", "input": "a", "messages": []}, "supplied: messages", None),
    "a nested tool": (RESPONSES, {"model": "m", "input": "a", "tools": [TOOL]}, "'tools[0].function'", None),
    "an unknown response": (RESPONSES, {"model": "m", "input": "a", "previous_response_id": "x"}, "not found", None),
    "an unasked output": (
        RESPONSES,
        {"model": "m", "input": [{"type": "function_call_output", "call_id": "c", "output": ""}]},
        "No tool call found",
        "input",
    ),
    "an unanswered function": (
        RESPONSES,
        {"model": "m", "input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]},
        "No tool output found",
        "input",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_openai_refuses(name: str, asked: Asked) -> None:
    target, body, words, param = REFUSALS[name]
    vendor = OpenAI()
    answer = asked(vendor, target, body)
    assert answer.status == 400
    error = body_of(answer)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param
    assert len(vendor.complaints) == 1


@pytest.mark.parametrize(
    ("target", "headers", "method", "status"),
    [
        (CHAT, {"authorization": "Bearer wrong"}, "POST", 401),
        (CHAT, {"content-type": "text/plain"}, "POST", 400),
        ("/v2/chat", {}, "POST", 404),
        (CHAT, {}, "GET", 405),
        ("/v1/audio/transcriptions", {}, "POST", 400),
        ("/v1/audio/transcriptions", {"content-type": "multipart/form-data"}, "POST", 400),
        ("/v1/batches/unknown", {}, "GET", 404),
    ],
)
def test_openai_wants(target: str, headers: dict[str, str], method: str, status: int, asked: Asked) -> None:
    assert asked(OpenAI(), target, chat(), headers, method).status == status


@pytest.mark.parametrize("name", ["openai", "deepseek", "gemini", "openrouter", "anthropic"])
def test_a_history_with_calls_is_taken(name: str, asked: Asked) -> None:
    vendor = VENDORS[name]()
    target = next(pattern for _, pattern, method in vendor.routes if method == "complete").replace("(?:/v1)?", "")
    thought = {**CALLED, "reasoning_content": ""} if name == "deepseek" else CALLED
    answer = asked(vendor, target, chat(*HELLO, thought, RESULT, tools=[TOOL]))
    assert (answer.status, body_of(answer)["choices"][0]["message"]["content"]) == (200, "Sun")


class TestDeepSeek:
    TARGET = "/chat/completions"

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({}, 400),
            ({"thinking": {"type": "enabled"}}, 400),
            ({"thinking": {"type": "disabled"}}, 200),
            ({"model": "deepseek-chat"}, 200),
        ],
    )
    def test_thinking_comes_back_after_a_call(self, fields: Any, status: int, asked: Asked) -> None:
        answer = asked(DeepSeek(), self.TARGET, chat(*HELLO, CALLED, RESULT, **fields))
        assert answer.status == status
        assert status == 200 or "must be passed back" in body_of(answer)["error"]["message"]

    def test_usage_and_thinking(self, asked: Asked) -> None:
        vendor = DeepSeek(scenario=CACHED)
        usage = body_of(asked(vendor, self.TARGET, chat()))["usage"]
        assert (usage["prompt_cache_hit_tokens"], usage["prompt_cache_miss_tokens"]) == (60, 40)
        streamed = asked(vendor, self.TARGET, chat(stream=True))
        assert streamed.pieces[0] == b": keep-alive\n\n"
        deltas = [event["choices"][0]["delta"] for event in data_of(streamed)]
        assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "Let me think."
        assert data_of(streamed)[-1]["usage"] == usage
        assert data_of(streamed)[-1]["choices"][0]["finish_reason"] == "stop"

    def test_what_it_does_not_know_it_ignores(self, asked: Asked) -> None:
        vendor = DeepSeek()
        assert asked(vendor, self.TARGET, chat(metadata={}, made_up=1)).status == 200
        assert vendor.ignored == ["made_up"]
        assert asked(vendor, self.TARGET, chat(temperature="x")).status == 422


class TestOpenRouter:
    TARGET = "/api/v1/chat/completions"

    def test_a_stream(self, asked: Asked) -> None:
        streamed = asked(OpenRouter(), self.TARGET, chat(stream=True, reasoning={"effort": "low"}))
        assert streamed.pieces[0] == b": OPENROUTER PROCESSING\n\n"
        last = data_of(streamed)[-1]
        assert (last["choices"], last["usage"]["cost"]) == ([], 0.00025)

    def test_errors(self, asked: Asked) -> None:
        vendor = OpenRouter()
        vendor.will(RATE_LIMITED, BREAKS)
        limited = asked(vendor, self.TARGET, chat())
        assert limited.status == 429
        assert body_of(limited)["error"]["metadata"]["provider_name"] == "Fake"
        broken = asked(vendor, self.TARGET, chat(stream=True))
        assert data_of(broken)[-1]["choices"][0]["finish_reason"] == "error"
        assert b"[DONE]" not in broken.body
        assert body_of(asked(vendor, self.TARGET, chat(), {"authorization": "no"}))["error"]["code"] == 401


class TestGemini:
    TARGET = "/v1beta/openai/chat/completions"

    def test_errors_stand_in_a_list(self, asked: Asked) -> None:
        vendor = Gemini()
        vendor.will(BUSY)
        ((error,),) = [body_of(asked(vendor, self.TARGET, chat()))]
        assert (error["error"]["code"], error["error"]["status"]) == (503, "UNAVAILABLE")
        ((error,),) = [body_of(asked(vendor, self.TARGET, chat(store2=True)))]
        assert error["error"]["message"] == 'Invalid JSON payload received. Unknown name "store2": Cannot find field.'
        assert asked(vendor, self.TARGET, chat(), {"authorization": "Bearer x"}).status == 400

    def test_a_call_comes_whole_and_usage_always(self, asked: Asked) -> None:
        vendor = Gemini(scenario=TOOL_CALL)
        events = data_of(asked(vendor, self.TARGET, chat(tools=[TOOL], stream=True)))
        assert all(event["usage"]["total_tokens"] == 30 for event in events)
        (call,) = [event["choices"][0]["delta"]["tool_calls"] for event in events[1:2]]
        assert json.loads(call[0]["function"]["arguments"]) == {"city": "Paris"}

    def test_thinking_counts_in_the_total_only(self, asked: Asked) -> None:
        usage = body_of(asked(Gemini(scenario=CACHED), self.TARGET, chat()))["usage"]
        assert usage == {"prompt_tokens": 100, "completion_tokens": 6, "total_tokens": 110}


class TestAzure:
    TARGET = "/openai/deployments/gpt-fake/chat/completions?api-version=2024-10-21"
    NO_MODEL = {"messages": HELLO}

    @pytest.mark.parametrize(
        ("target", "headers", "status", "code"),
        [
            (TARGET, {"authorization": "", "api-key": KEY}, 200, None),
            (TARGET, {}, 200, None),
            (f"{TARGET}&api-key={KEY}", {"authorization": ""}, 200, None),
            (TARGET, {"authorization": "", "api-key": "wrong"}, 401, "401"),
            (TARGET.partition("?")[0], {}, 404, "404"),
            (TARGET.replace("gpt-fake", "other"), {}, 404, "DeploymentNotFound"),
        ],
    )
    def test_where_and_who(
        self, target: str, headers: dict[str, str], status: int, code: str | None, asked: Asked
    ) -> None:
        answer = asked(AzureOpenAI(), target, self.NO_MODEL, headers)
        assert answer.status == status
        assert code is None or body_of(answer)["error"]["code"] == code

    def test_filters(self, asked: Asked) -> None:
        vendor = AzureOpenAI()
        streamed = data_of(asked(vendor, self.TARGET, {**self.NO_MODEL, "stream": True}))
        assert (streamed[0]["choices"], streamed[0]["object"]) == ([], "")
        assert "hate" in streamed[-1]["choices"][0]["content_filter_results"]
        vendor.will(Scenario(status=400), RATE_LIMITED)
        refused = body_of(asked(vendor, self.TARGET, self.NO_MODEL))["error"]
        assert refused["innererror"]["code"] == "ResponsibleAIPolicyViolation"
        limited = asked(vendor, self.TARGET, self.NO_MODEL)
        assert (limited.headers["retry-after"], body_of(limited)["error"]["code"]) == ("1", "429")
        assert vendor.complaints == []


def test_a_refusal_has_a_field_of_its_own(asked: Asked) -> None:
    vendor = OpenAI(scenario=REFUSED)
    message = body_of(asked(vendor, CHAT, chat()))["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I can't help with that.")
    deltas = [event["choices"][0]["delta"] for event in data_of(asked(vendor, CHAT, chat(stream=True)))]
    assert "".join(delta.get("refusal", "") for delta in deltas) == "I can't help with that."


def test_behind_the_models_in_memory() -> None:
    models, vendor = Models(), OpenAI()
    client = models.client(Profile())
    headers = Headers({"Content-Type": ["application/json"], "Authorization": [f"Bearer {KEY}"]})
    body = json.dumps(chat(stream=True)).encode()
    waiting: Any = client.request("POST", b"http://vendor.example/v1/chat/completions?a=b", headers=headers, data=body)
    attend(vendor, models.last)
    response = waiting.result
    assert (response.code, response.headers.getRawHeaders("x-request-id")) == (200, ["req_fake"])
    assert (vendor.received[0].target, vendor.received[0].headers["host"]) == (f"{CHAT}?a=b", "vendor.example")


def test_every_vendor_is_a_vendor() -> None:
    assert all(issubclass(kind, Vendor) for kind in VENDORS.values())
