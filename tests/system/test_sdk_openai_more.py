"""The official SDK of OpenAI in front of other vendors, in other dialects, and for what is not JSON."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from aigw.testing.thread import ServedUpstream
from aigw.testing.vendors import (
    KEY,
    Anthropic,
    AzureOpenAI,
    Bedrock,
    DeepSeek,
    Gemini,
    OpenAI,
    OpenRouter,
    Scenario,
    Vendor,
    VertexAI,
)
from aigw.testing.vendors.scenario import (
    BREAKS,
    BROKEN,
    BUSY,
    CACHED,
    CUT,
    FILTERED,
    PARALLEL_CALLS,
    RATE_LIMITED,
    REFUSED,
    TALK_AND_CALL,
)

SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
FLAT_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
HELLO: Any = [{"role": "user", "content": "Good day to you"}]
NATIVE: Any = {"provider_conf": {"native": True}}


def client_of(place: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{place.url}/v1", api_key="clients-own", max_retries=0, timeout=20)


def said(client: openai.OpenAI, streamed: bool, **asked: Any) -> Any:
    """The whole completion, however it came."""
    asked = {"model": "google/m", "messages": HELLO, **asked}
    if not streamed:
        return client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        return stream.get_final_completion()


VENDORS: dict[str, tuple[Callable[[], Vendor], Any, str]] = {
    "anthropic": (Anthropic, {}, "/v1/chat/completions"),
    "anthropic-native": (Anthropic, NATIVE, "/v1/messages"),
    "azure-openai": (AzureOpenAI, {}, "/openai/deployments/gpt-fake/chat/completions?api-version=2024-10-21"),
    "deepseek": (DeepSeek, {}, "/chat/completions"),
    "gemini": (Gemini, {}, "/v1beta/openai/chat/completions"),
    "openrouter": (OpenRouter, {}, "/api/v1/chat/completions"),
    "vertex-ai": (
        VertexAI,
        {},
        "/v1/projects/fake-project/locations/us-central1/endpoints/openapi/chat/completions",
    ),
}


class TestChat:
    @pytest.fixture(params=VENDORS)
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def vendor(self, name: str) -> Vendor:
        return VENDORS[name][0]()

    @pytest.fixture
    def place(self, name: str, vendor: Vendor, behind: Callable[..., Any]) -> Any:
        return behind(vendor, **VENDORS[name][1])

    @pytest.fixture
    def client(self, place: Any) -> Iterator[openai.OpenAI]:
        with client_of(place) as client:
            yield client

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_chat(self, streamed: bool, name: str, client: openai.OpenAI, vendor: Vendor, place: Any) -> None:
        asked = {"max_tokens": 99, "temperature": 0.5, "stop": ["X"], "user": "u"}
        whole = said(client, streamed, messages=[{"role": "system", "content": "Be kind."}, *HELLO], **asked)
        assert whole.choices[0].message.content == "Good day to you"
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage.total_tokens == 30
        assert vendor.received[-1].target == VENDORS[name][2]
        assert "clients-own" not in vendor.received[-1].head.decode()
        assert place.accounted(20, 10)

    def test_a_client_that_asks_for_no_usage_sees_none(self, name: str, client: openai.OpenAI, place: Any) -> None:
        """Where the vendor tells it unasked, in a chunk that has a choice, it may stay."""
        chunks = list(client.chat.completions.create(model="google/m", messages=HELLO, stream=True))
        assert all(chunk.choices or name == "azure-openai" for chunk in chunks)
        assert place.accounted(20, 10)

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_and_back(self, streamed: bool, client: openai.OpenAI, vendor: Vendor) -> None:
        vendor.will(PARALLEL_CALLS)
        message = said(client, streamed, tools=[TOOL]).choices[0].message
        assert [json.loads(call.function.arguments)["city"] for call in message.tool_calls] == ["Paris", "Rome"]
        calls = [
            {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
            for c in message.tool_calls
        ]
        back: Any = {"role": "assistant", "content": message.content, "tool_calls": calls}
        if isinstance(vendor, DeepSeek):
            back["reasoning_content"] = (message.model_extra or {})["reasoning_content"]
        results = [{"role": "tool", "tool_call_id": c["id"], "content": f"Sun {n}"} for n, c in enumerate(calls)]
        again = said(client, streamed, messages=[*HELLO, back, *results], tools=[TOOL])
        assert again.choices[0].message.content.endswith("Sun 1")

    @pytest.mark.parametrize("streamed", [False, True])
    def test_reasons_to_stop(self, streamed: bool, client: openai.OpenAI, vendor: Vendor) -> None:
        vendor.will(CUT, FILTERED)
        reasons = [said_leniently(client, streamed) for _ in "12"]
        assert reasons == ["length", "content_filter"]

    def test_errors(self, client: openai.OpenAI, vendor: Vendor) -> None:
        vendor.will(RATE_LIMITED, BUSY)
        with pytest.raises(openai.RateLimitError):
            said(client, False)
        with pytest.raises(openai.InternalServerError):
            said(client, False)

    def test_an_error_in_mid_stream_is_raised(self, client: openai.OpenAI, vendor: Vendor) -> None:
        """Google's too, whose SDK-less list a client of OpenAI's would overlook."""
        vendor.will(BREAKS)
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="google/m", messages=HELLO, stream=True))


def said_leniently(client: openai.OpenAI, streamed: bool) -> str | None:
    """Why it stopped; the SDK's own gathering of a stream raises for some reasons."""
    if not streamed:
        return client.chat.completions.create(model="google/m", messages=HELLO).choices[0].finish_reason
    chunks = list(client.chat.completions.create(model="google/m", messages=HELLO, stream=True))
    return next(chunk.choices[0].finish_reason for chunk in reversed(chunks) if chunk.choices)


class TestAnthropicNative:
    def test_cached_tokens(self, behind: Callable[..., Any]) -> None:
        place = behind(Anthropic(scenario=CACHED), **NATIVE)
        with client_of(place) as client:
            usage = said(client, True).usage
        assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.total_tokens) == (100, 60, 110)
        assert place.accounted(100, 10)

    def test_a_chat_client_brings_no_version(self, behind: Callable[..., Any]) -> None:
        vendor = Anthropic()
        with client_of(behind(vendor, **NATIVE)) as client:
            assert said(client, False).choices[0].message.content == "Good day to you"
        assert vendor.received[0].headers["anthropic-version"] in ("2023-06-01", "2026-10-21")
        assert vendor.received[0].headers["x-api-key"] == KEY
        assert vendor.received[0].json()["max_tokens"] >= 1


class TestVertex:
    def test_one_token_for_many(self, behind: Callable[..., Any]) -> None:
        vendor = VertexAI()
        with client_of(behind(vendor)) as client:
            for _ in range(3):
                said(client, False)
        assert vendor.tokens.exchanges == 1

    def test_embeddings(self, behind: Callable[..., Any]) -> None:
        """The SDK asks for base64, where it is not told otherwise."""
        vendor = VertexAI()
        place = behind(vendor)
        with client_of(place) as client:
            told = client.embeddings.create(model="text-embedding-fake", input=["one", "one two"], dimensions=3)
            assert [item.embedding for item in told.data] == [[3.0, 0.0, 3.0], [7.0, 1.0, 7.0]]
            assert (told.usage.prompt_tokens, told.model) == (3, "text-embedding-fake")
            with pytest.raises(openai.BadRequestError):
                client.embeddings.create(model="text-embedding-fake", input=[[1, 2], [3]])
        assert vendor.received[-1].target.endswith("/publishers/google/models/text-embedding-fake:predict")

    def test_an_exchange_that_fails_falls_back(self, falling_back: Callable[..., Any]) -> None:
        first, second = VertexAI(), DeepSeek()
        first.tokens.fails = 503
        with client_of(falling_back((first, {}), (second, {}))) as client:
            assert said(client, True).choices[0].message.content == "Good day to you"
        assert len(second.received) == 1


class TestResponses:
    """Natively behind OpenAI; converted to chat completions behind DeepSeek, and from there to Converse."""

    @pytest.fixture(params=[OpenAI, DeepSeek, Bedrock])
    def vendor(self, request: pytest.FixtureRequest) -> Vendor:
        vendor: Vendor = request.param()
        return vendor

    @pytest.fixture
    def place(self, vendor: Vendor, behind: Callable[..., Any]) -> Any:
        return behind(vendor)

    @pytest.fixture
    def client(self, place: Any) -> Iterator[openai.OpenAI]:
        with client_of(place) as client:
            yield client

    def test_whole(self, client: openai.OpenAI, place: Any) -> None:
        told = client.responses.create(model="m", input="Good day to you", instructions="Be kind.", store=False)
        assert (told.output_text, told.status, told.object) == ("Good day to you", "completed", "response")
        assert told.usage is not None
        assert (told.usage.input_tokens, told.usage.output_tokens, told.usage.total_tokens) == (20, 10, 30)
        assert place.accounted(20, 10)

    def test_streamed(self, client: openai.OpenAI, vendor: Vendor, place: Any) -> None:
        vendor.will(TALK_AND_CALL)
        with client.responses.stream(model="m", input="Weather?", tools=[FLAT_TOOL], store=False) as stream:
            events = list(stream)
            final = stream.get_final_response()
        numbers = [event.sequence_number for event in events]
        assert sorted(set(numbers)) == list(range(len(set(numbers))))  # the SDK makes two events of some
        assert events[0].type == "response.created"
        assert [item.type for item in final.output if item.type != "reasoning"] == ["message", "function_call"]
        assert final.output_text == "I look it up."
        assert place.accounted(20, 10)

    def test_tools_and_back(self, client: openai.OpenAI, vendor: Vendor) -> None:
        """Everything that came goes back, reasoning too: DeepSeek wants it."""
        vendor.will(PARALLEL_CALLS)
        first = client.responses.create(model="m", input="Weather?", tools=[FLAT_TOOL], store=False)
        calls: Any = [item for item in first.output if item.type == "function_call"]
        assert [json.loads(call.arguments)["city"] for call in calls] == ["Paris", "Rome"]
        items: Any = [item.model_dump(exclude_none=True) for item in first.output]
        results = [
            {"type": "function_call_output", "call_id": call.call_id, "output": f"Sun {n}"}
            for n, call in enumerate(calls)
        ]
        history: Any = [{"role": "user", "content": "Weather?"}, *items, *results]
        again = client.responses.create(model="m", input=history, tools=[FLAT_TOOL], store=False)
        assert again.output_text.endswith("Sun 1")

    @pytest.mark.parametrize(("scenario", "reason"), [(CUT, "max_output_tokens"), (FILTERED, "content_filter")])
    def test_incomplete(self, scenario: Scenario, reason: str, client: openai.OpenAI, vendor: Vendor) -> None:
        vendor.will(scenario, scenario)
        told = client.responses.create(model="m", input="Hi", max_output_tokens=16)
        assert told.status == "incomplete"
        assert told.incomplete_details is not None
        assert told.incomplete_details.reason == reason
        last: Any = list(client.responses.create(model="m", input="Hi", stream=True))[-1]
        assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", reason)

    def test_errors(self, client: openai.OpenAI, vendor: Vendor) -> None:
        vendor.will(RATE_LIMITED, BROKEN, BREAKS)
        with pytest.raises(openai.RateLimitError):
            client.responses.create(model="m", input="Hi")
        with pytest.raises(openai.InternalServerError):
            client.responses.create(model="m", input="Hi", stream=True)
        with pytest.raises(openai.APIError):  # for that, the event has to have an ``error`` object, as OpenAI's has
            list(client.responses.create(model="m", input="Hi", stream=True))


def test_what_a_stateless_gateway_cannot_keep(behind: Callable[..., Any]) -> None:
    vendor = DeepSeek()
    with client_of(behind(vendor)) as client, pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="m", input="And?", previous_response_id="resp_fake")
    assert vendor.received == []


def test_a_refusal(behind: Callable[..., Any]) -> None:
    with client_of(behind(OpenAI(scenario=REFUSED))) as client:
        assert said(client, False).choices[0].message.refusal == "I can't help with that."
        part: Any = client.responses.create(model="m", input="Hi").output[0]
        assert part.content[0].refusal == "I can't help with that."


def test_azures_key_in_the_query(behind: Callable[..., Any]) -> None:
    vendor = AzureOpenAI()
    with client_of(behind(vendor, auth={"query": {"api-key": KEY}})) as client:
        assert said(client, False).choices[0].message.content == "Good day to you"
    assert "model" not in vendor.received[0].json()


class TestPassthrough:
    """What is no dialect goes through as it is: GET, forms, files."""

    NOISE = random.Random(7).randbytes(3_000_000) + bytes(range(256))

    @pytest.fixture
    def vendor(self) -> OpenAI:
        return OpenAI()

    @pytest.fixture
    def client(self, vendor: OpenAI, behind: Callable[..., Any]) -> Iterator[openai.OpenAI]:
        with client_of(behind(vendor)) as client:
            yield client

    def test_models(self, client: openai.OpenAI, vendor: OpenAI) -> None:
        assert "gpt-fake" in [model.id for model in client.models.list()]
        assert (vendor.received[0].method, vendor.received[0].target) == ("GET", "/v1/models")
        assert vendor.received[0].headers["authorization"] == f"Bearer {KEY}"

    def test_audio(self, client: openai.OpenAI) -> None:
        heard = client.audio.transcriptions.create(model="whisper-fake", file=("speech.wav", self.NOISE))
        assert heard.text == f"speech.wav: {len(self.NOISE)} bytes"
        spoken = client.audio.speech.create(model="m", voice="alloy", input="Hi")
        assert (spoken.read(), spoken.response.headers["content-type"]) == (b"\xff\xfb\x00Hi\x00\xff", "audio/mpeg")

    def test_images(self, client: openai.OpenAI) -> None:
        edited = client.images.edit(model="m", image=("a.png", self.NOISE, "image/png"), prompt="Another sky")
        assert edited.data
        assert base64.b64decode(edited.data[0].b64_json or "").startswith(b"\x89PNG")

    def test_files_and_batches(self, client: openai.OpenAI, vendor: OpenAI) -> None:
        file = client.files.create(file=("batch.jsonl", self.NOISE), purpose="batch")
        assert vendor.files[file.id].content == self.NOISE
        assert client.files.content(file.id).read() == self.NOISE
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert client.batches.retrieve(batch.id).status == "completed"
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError, match="No such File object"):
            client.files.retrieve(file.id)
        assert vendor.complaints.pop().status == 404

    def test_embeddings(self, client: openai.OpenAI) -> None:
        assert client.embeddings.create(model="m", input="one").data[0].embedding[:2] == [3.0, 0.0]


class TestFallback:
    @pytest.mark.parametrize("streamed", [False, True])
    def test_from_one_dialect_to_another(self, streamed: bool, falling_back: Callable[..., Any]) -> None:
        """Native Anthropic, then DeepSeek: each attempt begins with what the client wrote."""
        first, second = Anthropic(scenario=BUSY), DeepSeek()
        place = falling_back((first, NATIVE), (second, {"options": {"model": "deepseek-chat"}}))
        with client_of(place) as client:
            assert said(client, streamed).choices[0].message.content == "Good day to you"
        assert first.received[0].target == "/v1/messages"
        assert second.received[0].json()["model"] == "deepseek-chat"
        assert place.accounted(20, 10)

    def test_of_a_stream_that_breaks_before_it_begins(self, falling_back: Callable[..., Any]) -> None:
        first, second = Anthropic(scenario=Scenario(breaks_after=0)), Gemini()
        with client_of(falling_back((first, NATIVE), (second, {}))) as client:
            assert said(client, True).choices[0].message.content == "Good day to you"

    def test_of_a_vendor_that_is_away(
        self, falling_back: Callable[..., Any], serve_vendor: Callable[[Vendor], ServedUpstream]
    ) -> None:
        first, second = OpenAI(), Anthropic()
        gone = serve_vendor(OpenAI())
        gone.stop()
        place = falling_back((first, {"override": {"endpoint": gone.url}}), (second, NATIVE))
        with client_of(place) as client:
            assert said(client, True).choices[0].message.content == "Good day to you"
        assert first.received == []
