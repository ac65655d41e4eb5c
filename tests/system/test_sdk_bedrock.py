"""``boto3`` in front of the gateway, and Bedrock behind it: signed anew, binary streams included."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from aigw.testing.asking import ask
from aigw.testing.vendors import Account, Bedrock, OpenAI, Scenario
from aigw.testing.vendors.scenario import (
    BREAKS,
    BUSY,
    CACHED,
    CUT,
    FILTERED,
    PARALLEL_CALLS,
    RATE_LIMITED,
    REFUSED,
    STOPPED,
    TALK_AND_CALL,
)

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-fake-v1:0"
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}]}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
HELLO: Any = [{"role": "user", "content": [{"text": "Good day to you"}]}]
CHAT_HELLO: Any = [{"role": "user", "content": "Good day to you"}]


@pytest.fixture(params=[None, "session/token+of=a fake"])
def vendor(request: pytest.FixtureRequest) -> Bedrock:
    """Keys that last, and those of a session. It checks each signature on its own."""
    return Bedrock(Account(token=request.param))


@pytest.fixture
def place(behind: Callable[..., Any], vendor: Bedrock) -> Any:
    return behind(vendor)


@pytest.fixture
def runtime(place: Any) -> Any:
    return runtime_of(place)


def runtime_of(place: Any, **more: Any) -> Any:
    """A client whose own keys are no good, and go no further than the gateway."""
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=place.url,
        region_name="eu-west-1",
        aws_access_key_id="AKIDCLIENTSOWN",
        aws_secret_access_key="clients-own",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
        **more,
    )


@pytest.fixture
def chat(place: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{place.url}/v1", api_key="clients-own", max_retries=0, timeout=20) as client:
        yield client


class TestNative:
    @pytest.mark.parametrize("model", ["anthropic.claude-fake-v1:0", ARN])
    def test_converse(self, model: str, runtime: Any, vendor: Bedrock, place: Any) -> None:
        answered = runtime.converse(modelId=model, messages=HELLO, inferenceConfig={"maxTokens": 99})
        assert answered["output"]["message"]["content"] == [{"text": "Good day to you"}]
        assert answered["stopReason"] == "end_turn"
        assert answered["usage"]["totalTokens"] == 30
        once = model.replace(":", "%3A").replace("/", "%2F")
        assert vendor.received[0].target == f"/model/{once}/converse"
        assert "CLIENTSOWN" not in vendor.received[0].head.decode()
        assert place.accounted(20, 10)

    def test_converse_stream(self, runtime: Any, vendor: Bedrock, place: Any) -> None:
        vendor.will(TALK_AND_CALL)
        answered = runtime.converse_stream(modelId=ARN, messages=HELLO, toolConfig=TOOLS)
        events = list(answered["stream"])
        kinds = [next(iter(event)) for event in events]
        assert (kinds[0], kinds[-2:]) == ("messageStart", ["messageStop", "metadata"])
        inputs = [
            event["contentBlockDelta"]["delta"].get("toolUse") for event in events if "contentBlockDelta" in event
        ]
        assert json.loads("".join(part["input"] for part in inputs if part)) == {"city": "Paris"}
        assert place.accounted(20, 10)

    def test_a_model_of_the_operators(self, behind: Callable[..., Any], vendor: Bedrock) -> None:
        """``options.model`` wins over the path of the client."""
        place = behind(vendor, options={"model": ARN})
        answered = ask("POST", f"{place.url}/model/whatever/converse", {"messages": HELLO})
        assert answered.status == 200
        assert "inference-profile%2Fus.anthropic" in vendor.received[0].target

    def test_errors(self, runtime: Any, vendor: Bedrock) -> None:
        """The name of the exception stands in a header, which has to reach the client."""
        vendor.will(RATE_LIMITED, BUSY)
        with pytest.raises(runtime.exceptions.ThrottlingException):
            runtime.converse(modelId="m", messages=HELLO)
        with pytest.raises(runtime.exceptions.ServiceUnavailableException):
            runtime.converse_stream(modelId="m", messages=HELLO)
        with pytest.raises(runtime.exceptions.ValidationException, match="alternate"):
            runtime.converse(modelId="m", messages=HELLO * 2)
        assert vendor.complaints.pop().status == 400

    def test_errors_of_the_gateway(self, runtime: Any, vendor: Bedrock, behind: Callable[..., Any]) -> None:
        """They have a message where AWS's have it."""
        place = behind(OpenAI())
        runtime = runtime_of(place)
        with pytest.raises(ClientError, match="does not support bedrock-converse") as caught:
            runtime.converse(modelId="m", messages=HELLO)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        with pytest.raises(ClientError, match="404 Route Not Found"):
            runtime_of(attrs.evolve(place, url=f"{place.url}-not")).converse_stream(modelId="m", messages=HELLO)

    def test_the_clients_session_stays_here(self, behind: Callable[..., Any]) -> None:
        """Even where requests are not signed."""
        vendor = Bedrock()
        place = behind(vendor, auth={"header": {"Authorization": "Bearer of the operator"}})
        with pytest.raises(ClientError):
            runtime_of(place, aws_session_token="clients-session").converse(modelId="m", messages=HELLO)
        assert vendor.complaints.pop()
        head = vendor.received[0].head.decode()
        assert "Bearer of the operator" in head
        assert "clients-session" not in head
        assert "CLIENTSOWN" not in head

    def test_an_exception_in_mid_stream(self, runtime: Any, vendor: Bedrock) -> None:
        vendor.will(BREAKS)
        stream = runtime.converse_stream(modelId="m", messages=HELLO)["stream"]
        with pytest.raises(EventStreamError):
            list(stream)
        stream.close()

    def test_wrong_keys_of_the_operators(self, behind: Callable[..., Any], vendor: Bedrock) -> None:
        keys = {"access_key_id": vendor.account.access_key, "secret_access_key": "wrong"}
        place = behind(vendor, auth={"aws": keys})
        assert ask("POST", f"{place.url}/model/m/converse", {"messages": HELLO}).status == 403
        assert vendor.complaints.pop().code in ("InvalidSignatureException", "UnrecognizedClientException")


class TestChat:
    """Chat completions, converted."""

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_chat(self, streamed: bool, chat: openai.OpenAI, vendor: Bedrock, place: Any) -> None:
        whole = said(chat, streamed, messages=[{"role": "system", "content": "Be kind."}, *CHAT_HELLO], max_tokens=99)
        assert whole.choices[0].message.content == "Good day to you"
        assert whole.choices[0].finish_reason == "stop"
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (20, 10, 30)
        sent = vendor.received[0].json()
        assert (sent["system"], sent["inferenceConfig"]["maxTokens"]) == ([{"text": "Be kind."}], 99)
        assert vendor.received[0].target.endswith("/converse-stream" if streamed else "/converse")
        assert place.accounted(20, 10)

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_and_back(self, streamed: bool, chat: openai.OpenAI, vendor: Bedrock) -> None:
        vendor.will(PARALLEL_CALLS)
        message = said(chat, streamed, tools=[CHAT_TOOL]).choices[0].message
        assert [json.loads(call.function.arguments)["city"] for call in message.tool_calls] == ["Paris", "Rome"]
        calls = [
            {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
            for c in message.tool_calls
        ]
        results = [{"role": "tool", "tool_call_id": c["id"], "content": f"Sun {n}"} for n, c in enumerate(calls)]
        history = [*CHAT_HELLO, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
        again = said(chat, streamed, messages=history, tools=[CHAT_TOOL])
        assert again.choices[0].message.content.endswith("Sun 1")

    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize(
        ("scenario", "reason"),
        [(CUT, "length"), (STOPPED, "stop"), (REFUSED, "content_filter"), (FILTERED, "content_filter")],
    )
    def test_reasons_to_stop(
        self, scenario: Scenario, reason: str, streamed: bool, chat: openai.OpenAI, vendor: Bedrock
    ) -> None:
        """(The SDK's own gathering of a stream raises for some.)"""
        vendor.will(scenario)
        if not streamed:
            assert said(chat, False).choices[0].finish_reason == reason
            return
        chunks = list(chat.chat.completions.create(model="m", messages=CHAT_HELLO, stream=True))
        assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == [reason]

    def test_cached_tokens(self, chat: openai.OpenAI, vendor: Bedrock) -> None:
        vendor.will(CACHED)
        usage = said(chat, False).usage
        assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.total_tokens) == (100, 60, 110)

    def test_errors(self, chat: openai.OpenAI, vendor: Bedrock) -> None:
        vendor.will(RATE_LIMITED, BREAKS)
        with pytest.raises(openai.RateLimitError, match="told to fail"):
            said(chat, False)
        with pytest.raises(openai.APIError):
            list(chat.chat.completions.create(model="m", messages=CHAT_HELLO, stream=True))


def said(client: openai.OpenAI, streamed: bool, **asked: Any) -> Any:
    """The whole completion, however it came."""
    asked = {"model": "anthropic.claude-fake-v1:0", "messages": CHAT_HELLO, **asked}
    if not streamed:
        return client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        return stream.get_final_completion()


def test_nothing_is_sent_without_a_model(behind: Callable[..., Any]) -> None:
    """It belongs into the path."""
    vendor = Bedrock()
    answered = ask("POST", f"{behind(vendor).url}/v1/chat/completions", {"messages": CHAT_HELLO})
    assert (answered.status, vendor.received) == (400, [])


def test_clients_get_no_errors_of_others(behind: Callable[..., Any]) -> None:
    """A body that is no JSON never leaves the gateway, and the error is one that ``boto3`` can read."""
    vendor = Bedrock()
    place = behind(vendor)
    answered = ask("POST", f"{place.url}/model/m/converse", b"{", headers={"Content-Type": "application/json"})
    assert answered.status == 400
    assert vendor.received == []
    assert "message" in answered.json or "error" in answered.json
