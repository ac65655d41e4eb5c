"""The official SDKs notice no difference between the fake vendors and the real ones."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import anthropic
import boto3
import openai
import pytest
from anthropic.types import ThinkingBlock, ToolUseBlock
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from aigw.testing.asking import ask
from aigw.testing.thread import ServedUpstream
from aigw.testing.vendors import (
    KEY,
    Account,
    Anthropic,
    AzureOpenAI,
    Bedrock,
    DeepSeek,
    Gemini,
    OpenAI,
    OpenRouter,
    Scenario,
    Tokens,
    Vendor,
    VertexAI,
)
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

V = TypeVar("V", bound=Vendor)
Serve = Callable[[V], ServedUpstream]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
FLAT_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
ANTHROPIC_TOOL: Any = {"name": "get_weather", "input_schema": SCHEMA}
BEDROCK_TOOLS: Any = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}]}
HELLO: Any = [{"role": "user", "content": "Good day to you"}]


def chat_client(upstream: ServedUpstream, path: str = "/v1") -> openai.OpenAI:
    return openai.OpenAI(base_url=upstream.url + path, api_key=KEY, max_retries=0, timeout=20)


CHATS: dict[str, tuple[type[Vendor], str]] = {
    "openai": (OpenAI, "/v1"),
    "anthropic": (Anthropic, "/v1"),
    "deepseek": (DeepSeek, ""),
    "gemini": (Gemini, "/v1beta/openai"),
    "openrouter": (OpenRouter, "/api/v1"),
}


@pytest.fixture(params=CHATS)
def chat(request: pytest.FixtureRequest, serve_vendor: Serve[Vendor]) -> Iterator[tuple[Vendor, openai.OpenAI]]:
    """A vendor that speaks OpenAI's chat format, and a client of it."""
    kind, path = CHATS[request.param]
    vendor = kind()
    with chat_client(serve_vendor(vendor), path) as client:
        yield vendor, client


class TestChat:
    def test_whole(self, chat: tuple[Vendor, openai.OpenAI]) -> None:
        answered = chat[1].chat.completions.create(model="m", messages=HELLO)
        assert answered.choices[0].message.content == "Good day to you"
        assert answered.choices[0].finish_reason == "stop"
        assert answered.usage is not None
        assert answered.usage.total_tokens == 30

    def test_streamed(self, chat: tuple[Vendor, openai.OpenAI]) -> None:
        with chat[1].chat.completions.stream(
            model="m", messages=HELLO, stream_options={"include_usage": True}
        ) as stream:
            whole = stream.get_final_completion()
        assert whole.choices[0].message.content == "Good day to you"
        assert whole.usage is not None
        assert whole.usage.total_tokens == 30

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_and_back(self, chat: tuple[Vendor, openai.OpenAI], streamed: bool) -> None:
        """The model calls twice at once, is answered twice, and repeats the second answer."""
        vendor, client = chat
        vendor.will(PARALLEL_CALLS)
        asked: Any = {"model": "m", "messages": HELLO, "tools": [CHAT_TOOL]}
        if streamed:
            with client.chat.completions.stream(**asked) as stream:
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(**asked).choices[0].message
        calls: Any = message.tool_calls
        assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "Rome"]
        said: Any = {
            "role": "assistant",
            "content": message.content,
            "tool_calls": [_plain_call(call) for call in calls],
        }
        if isinstance(vendor, DeepSeek):
            said["reasoning_content"] = message.model_extra and message.model_extra["reasoning_content"]
        results = [{"role": "tool", "tool_call_id": call.id, "content": f"Sun {n}"} for n, call in enumerate(calls)]
        again = client.chat.completions.create(**{**asked, "messages": [*HELLO, said, *results]})
        assert again.choices[0].message.content == "Sun 1"

    def test_reasons_to_stop(self, chat: tuple[Vendor, openai.OpenAI]) -> None:
        vendor, client = chat
        vendor.will(CUT, FILTERED, STOPPED)
        reasons = [client.chat.completions.create(model="m", messages=HELLO).choices[0].finish_reason for _ in "123"]
        assert reasons == ["length", "content_filter", "stop"]

    def test_errors(self, chat: tuple[Vendor, openai.OpenAI]) -> None:
        vendor, client = chat
        vendor.will(RATE_LIMITED, BUSY)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="m", messages=HELLO)
        assert caught.value.response.headers["retry-after"] == "1"
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="m", messages=HELLO)

    def test_an_error_in_mid_stream(self, chat: tuple[Vendor, openai.OpenAI]) -> None:
        vendor, client = chat
        vendor.will(BREAKS)
        stream = client.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert all(next(stream).choices for _ in range(3))
        if isinstance(vendor, Gemini):
            assert not hasattr(next(stream), "choices")  # the SDK does not understand a list, and raises nothing
        else:
            with pytest.raises(openai.APIError):
                next(stream)


def _plain_call(call: Any) -> Any:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


class TestAzure:
    def test_chat(self, serve_vendor: Serve[AzureOpenAI]) -> None:
        vendor = AzureOpenAI()
        upstream = serve_vendor(vendor)
        with openai.AzureOpenAI(
            azure_endpoint=upstream.url, api_key=KEY, api_version="2024-10-21", max_retries=0
        ) as client:
            whole = client.chat.completions.create(model="gpt-fake", messages=HELLO)
            assert whole.choices[0].message.content == "Good day to you"
            chunks = list(client.chat.completions.create(model="gpt-fake", messages=HELLO, stream=True))
            assert chunks[0].choices == []
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[1:]) == "Good day to you"
            assert client.embeddings.create(model="gpt-fake", input=["a", "bc"]).data[1].embedding[:2] == [2.0, 1.0]
            vendor.will(Scenario(status=400))
            with pytest.raises(openai.BadRequestError) as caught:
                client.chat.completions.create(model="gpt-fake", messages=HELLO)
            assert caught.value.code == "content_filter"
            with pytest.raises(openai.NotFoundError, match="deployment"):
                client.chat.completions.create(model="another", messages=HELLO)
        vendor.complaints.clear()


class TestOpenAI:
    @pytest.fixture
    def vendor(self) -> OpenAI:
        return OpenAI()

    @pytest.fixture
    def client(self, vendor: OpenAI, serve_vendor: Serve[OpenAI]) -> Iterator[openai.OpenAI]:
        with chat_client(serve_vendor(vendor)) as client:
            yield client

    def test_responses(self, client: openai.OpenAI) -> None:
        answered = client.responses.create(model="m", input="Good day to you", instructions="Be kind.")
        assert (answered.output_text, answered.status) == ("Good day to you", "completed")
        assert answered.usage is not None
        assert answered.usage.total_tokens == 30

    def test_responses_streamed(self, client: openai.OpenAI, vendor: OpenAI) -> None:
        vendor.will(TALK_AND_CALL)
        with client.responses.stream(
            model="m", input="Weather?", tools=[FLAT_TOOL], reasoning={"summary": "auto"}
        ) as stream:
            events = list(stream)
            final = stream.get_final_response()
        assert [event.sequence_number for event in events] == sorted({event.sequence_number for event in events})
        assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
        assert final.output_text == "I look it up."
        call: Any = final.output[2]
        assert json.loads(call.arguments) == {"city": "Paris"}
        said: Any = [item.model_dump(exclude_none=True) for item in final.output]
        for item in said:
            item.pop("parsed_arguments", None)
            for part in item.get("content", ()):
                part.pop("parsed", None)
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sun"}
        history: Any = [{"role": "user", "content": "Weather?"}, *said, result]
        assert client.responses.create(model="m", input=history, tools=[FLAT_TOOL]).output_text == "Sun"

    @pytest.mark.parametrize("scenario", [CUT, FILTERED, REFUSED])
    def test_responses_that_end_otherwise(self, scenario: Scenario, client: openai.OpenAI, vendor: OpenAI) -> None:
        vendor.will(scenario, scenario)
        whole = client.responses.create(model="m", input="Hi")
        events = list(client.responses.create(model="m", input="Hi", stream=True))
        last: Any = events[-1]
        assert last.type == ("response.completed" if scenario is REFUSED else "response.incomplete")
        assert last.response.output == whole.output

    def test_responses_that_break(self, client: openai.OpenAI, vendor: OpenAI) -> None:
        vendor.will(BREAKS)
        with pytest.raises(openai.APIError, match="The server had an error"):
            list(client.responses.create(model="m", input="Hi", stream=True))

    def test_embeddings(self, client: openai.OpenAI) -> None:
        """The SDK asks for base64 where it is not told otherwise."""
        vectors = client.embeddings.create(model="m", input=["one", "three"], dimensions=3).data
        assert [item.embedding for item in vectors] == [[3.0, 0.0, 3.0], [5.0, 1.0, 5.0]]
        floats = client.embeddings.create(model="m", input="one", encoding_format="float").data
        assert floats[0].embedding == [3.0, 0.0, 3.0, 0.0]

    def test_models(self, client: openai.OpenAI) -> None:
        assert "gpt-fake" in [model.id for model in client.models.list()]

    def test_uploads(self, client: openai.OpenAI, vendor: OpenAI) -> None:
        noise = random.Random(1).randbytes(100_000) + bytes(range(256)) + b"\r\n--\r\n\n\r"
        heard = client.audio.transcriptions.create(model="whisper-fake", file=("speech.wav", noise))
        assert heard.text == f"speech.wav: {len(noise)} bytes"
        edited = client.images.edit(model="m", image=("a.png", noise, "image/png"), prompt="Another sky")
        assert edited.data
        assert base64.b64decode(edited.data[0].b64_json or "").startswith(b"\x89PNG")
        file = client.files.create(file=("batch.jsonl", noise), purpose="batch")
        assert client.files.content(file.id).read() == noise
        assert client.files.retrieve(file.id).bytes == len(noise)
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert client.batches.retrieve(batch.id).status == "completed"
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)
        assert vendor.complaints.pop().status == 404

    def test_speech(self, client: openai.OpenAI) -> None:
        assert client.audio.speech.create(model="m", voice="alloy", input="Hi").read() == b"\xff\xfb\x00Hi\x00\xff"

    def test_a_wrong_key(self, client: openai.OpenAI, vendor: OpenAI) -> None:
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="wrong").models.list()
        assert vendor.complaints.pop().status == 401


class TestAnthropic:
    @pytest.fixture
    def vendor(self) -> Anthropic:
        return Anthropic()

    @pytest.fixture
    def client(self, vendor: Anthropic, serve_vendor: Serve[Anthropic]) -> Iterator[anthropic.Anthropic]:
        with anthropic.Anthropic(base_url=serve_vendor(vendor).url, api_key=KEY, max_retries=0) as client:
            yield client

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_and_back(self, streamed: bool, client: anthropic.Anthropic, vendor: Anthropic) -> None:
        """Thinking, talk and a call; what it said goes back as it was, with the result."""
        vendor.will(TALK_AND_CALL)
        asked: Any = {
            "model": "claude-fake",
            "max_tokens": 2048,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "tools": [ANTHROPIC_TOOL],
        }
        if streamed:
            with client.messages.stream(messages=HELLO, **asked) as stream:
                message: Any = stream.get_final_message()
        else:
            message = client.messages.create(messages=HELLO, **asked)
        thinking, text, call = message.content
        assert isinstance(thinking, ThinkingBlock)
        assert isinstance(call, ToolUseBlock)
        assert (thinking.thinking, text.text, call.input) == ("Let me think.", "I look it up.", {"city": "Paris"})
        assert message.stop_reason == "tool_use"
        said: Any = {"role": "assistant", "content": [_sent_back(block) for block in message.content]}
        result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "Sun"}
        again = client.messages.create(messages=[*HELLO, said, {"role": "user", "content": [result]}], **asked)
        assert again.content[-1].type == "text"
        assert again.content[-1].text == "Sun"

    def test_usage(self, client: anthropic.Anthropic, vendor: Anthropic) -> None:
        vendor.will(CACHED, CACHED)
        whole = client.messages.create(model="m", max_tokens=9, messages=HELLO).usage
        with client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
            streamed = stream.get_final_message().usage
        for usage in (whole, streamed):
            cached = (usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
            assert (usage.input_tokens, cached, usage.output_tokens) == (10, (30, 60), 10)

    def test_reasons_to_stop(self, client: anthropic.Anthropic, vendor: Anthropic) -> None:
        vendor.will(CUT, STOPPED, REFUSED)
        answers = [
            client.messages.create(model="m", max_tokens=9, messages=HELLO, stop_sequences=["three"]) for _ in "123"
        ]
        assert [(a.stop_reason, a.stop_sequence) for a in answers] == [
            ("max_tokens", None),
            ("stop_sequence", "three"),
            ("refusal", None),
        ]

    def test_count(self, client: anthropic.Anthropic) -> None:
        assert client.messages.count_tokens(model="m", messages=HELLO, tools=[ANTHROPIC_TOOL]).input_tokens == 20

    def test_errors(self, client: anthropic.Anthropic, vendor: Anthropic) -> None:
        vendor.will(RATE_LIMITED, BUSY)
        with pytest.raises(anthropic.RateLimitError):
            client.messages.create(model="m", max_tokens=9, messages=HELLO)
        with pytest.raises(anthropic.InternalServerError) as caught:
            client.messages.create(model="m", max_tokens=9, messages=HELLO)
        assert caught.value.status_code == 529

    def test_an_error_in_mid_stream(self, client: anthropic.Anthropic, vendor: Anthropic) -> None:
        vendor.will(BREAKS)
        with pytest.raises(anthropic.APIError, match="Overloaded"):
            list(client.messages.create(model="m", max_tokens=9, messages=HELLO, stream=True))


def _sent_back(block: Any) -> Any:
    return {name: value for name, value in block.model_dump(exclude_none=True).items() if name != "parsed_output"}


class TestBedrock:
    MODEL = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-fake-v1:0"

    @pytest.fixture
    def vendor(self) -> Bedrock:
        return Bedrock(Account(token="session/token+of=a fake"))

    @pytest.fixture
    def runtime(self, vendor: Bedrock, serve_vendor: Serve[Bedrock]) -> Any:
        return runtime_client(serve_vendor(vendor).url, vendor.account)

    def test_converse(self, runtime: Any) -> None:
        answered = runtime.converse(modelId=self.MODEL, messages=[{"role": "user", "content": [{"text": "Good day"}]}])
        assert answered["output"]["message"]["content"] == [{"text": "Good day"}]
        assert answered["usage"]["totalTokens"] == 30

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_and_back(self, streamed: bool, runtime: Any, vendor: Bedrock) -> None:
        vendor.will(TALK_AND_CALL)
        hello = {"role": "user", "content": [{"text": "Good day"}]}
        asked = {
            "modelId": self.MODEL,
            "toolConfig": BEDROCK_TOOLS,
            "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        }
        if streamed:
            message, stop = gathered(runtime.converse_stream(messages=[hello], **asked)["stream"])
        else:
            answered = runtime.converse(messages=[hello], **asked)
            message, stop = answered["output"]["message"], answered["stopReason"]
        assert stop == "tool_use"
        assert [list(block) for block in message["content"]] == [["reasoningContent"], ["text"], ["toolUse"]]
        call = message["content"][2]["toolUse"]
        assert call["input"] == {"city": "Paris"}
        result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "Sun"}]}}
        again = runtime.converse(messages=[hello, message, {"role": "user", "content": [result]}], **asked)
        assert again["output"]["message"]["content"][-1] == {"text": "Sun"}

    def test_errors(self, runtime: Any, vendor: Bedrock) -> None:
        vendor.will(RATE_LIMITED, BUSY)
        hello = [{"role": "user", "content": [{"text": "Hi"}]}]
        with pytest.raises(runtime.exceptions.ThrottlingException):
            runtime.converse(modelId="m", messages=hello)
        with pytest.raises(runtime.exceptions.ServiceUnavailableException):
            runtime.converse(modelId="m", messages=hello)
        with pytest.raises(runtime.exceptions.ValidationException, match="alternate"):
            runtime.converse(modelId="m", messages=hello * 2)
        assert vendor.complaints.pop().status == 400

    def test_an_exception_in_mid_stream(self, runtime: Any, vendor: Bedrock) -> None:
        vendor.will(BREAKS)
        hello = [{"role": "user", "content": [{"text": "Hi"}]}]
        stream = runtime.converse_stream(modelId="m", messages=hello)["stream"]
        with pytest.raises(EventStreamError, match="internalServerException"):
            list(stream)
        stream.close()

    @pytest.mark.parametrize(
        ("differs", "code"),
        [
            ({"secret_key": "wrong"}, "InvalidSignatureException"),
            ({"access_key": "AKIDWRONG"}, "UnrecognizedClientException"),
            ({"token": "wrong"}, "UnrecognizedClientException"),
            ({"region": "eu-west-1"}, "InvalidSignatureException"),
        ],
    )
    def test_a_wrong_signature(
        self, differs: dict[str, Any], code: str, vendor: Bedrock, serve_vendor: Serve[Bedrock]
    ) -> None:
        account = Account(**{"token": vendor.account.token, **differs})
        wrong = runtime_client(serve_vendor(vendor).url, account)
        with pytest.raises(ClientError) as caught:
            wrong.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "Hi"}]}])
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        vendor.complaints.clear()


def runtime_client(url: str, account: Account) -> Any:
    """A client of Bedrock that does not look at what AWS is configured on this machine."""
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name=account.region,
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret_key,
        aws_session_token=account.token,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
    )


def gathered(events: Any) -> tuple[Any, str]:
    """The message that a stream comes to, and why it stopped."""
    blocks: dict[int, dict[str, Any]] = {}
    stop = ""
    for event in events:
        ((kind, told),) = event.items()
        if kind == "contentBlockStart":
            blocks[told["contentBlockIndex"]] = {"toolUse": {**told["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            _add(blocks.setdefault(told["contentBlockIndex"], {}), told["delta"])
        elif kind == "messageStop":
            stop = told["stopReason"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return {"role": "assistant", "content": [blocks[index] for index in sorted(blocks)]}, stop


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        text = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        text["text"] += delta["reasoningContent"].get("text", "")
        if "signature" in delta["reasoningContent"]:
            text["signature"] = delta["reasoningContent"]["signature"]


class TestVertex:
    def test_chat_with_a_token(self, serve_vendor: Serve[VertexAI]) -> None:
        """Google's own SDK is not at hand, but that of OpenAI is what Google's pages show for this endpoint."""
        vendor = VertexAI()
        upstream = serve_vendor(vendor)
        token = vendor.tokens.issue()
        base = f"{upstream.url}/v1/projects/fake-project/locations/us-central1/endpoints/openapi"
        with openai.OpenAI(base_url=base, api_key=token, max_retries=0) as client:
            answered = client.chat.completions.create(model="google/gemini-fake", messages=HELLO)
            assert answered.choices[0].message.content == "Good day to you"
            vendor.tokens.expire()
            with pytest.raises(openai.AuthenticationError):
                client.chat.completions.create(model="google/gemini-fake", messages=HELLO)
        assert vendor.complaints.pop().status == 401


def test_a_served_vendor_takes_its_time(serve_vendor: Serve[OpenAI]) -> None:
    upstream = serve_vendor(OpenAI(pace=0.02, scenario=Scenario(text="one two three", tokens=Tokens(prompt=1))))
    began = time.monotonic()
    body = {"model": "m", "messages": HELLO, "stream": True}
    answered = ask("POST", f"{upstream.url}/v1/chat/completions", body, headers={"Authorization": f"Bearer {KEY}"})
    assert answered.said == "one two three"
    assert time.monotonic() - began > 0.1
    assert answered.events[-1] == "[DONE]"
