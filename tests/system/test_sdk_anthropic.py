"""The official SDK of Anthropic in front of the gateway: natively, converted, falling back from one to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import attrs
import pytest
from anthropic.types import TextBlock, ThinkingBlock, ToolUseBlock

from aigw.testing.asking import ask
from aigw.testing.thread import ServedUpstream
from aigw.testing.vendors import KEY, Anthropic, Bedrock, DeepSeek, OpenAI, OpenRouter, Scenario, Tokens, Vendor
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
    STOPPED,
    TALK_AND_CALL,
)

SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"name": "get_weather", "description": "The weather in a city.", "input_schema": SCHEMA}
HELLO: Any = [{"role": "user", "content": "Good day to you"}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
VENDORS: dict[str, type[Vendor]] = {"anthropic": Anthropic, "openai": OpenAI, "deepseek": DeepSeek, "bedrock": Bedrock}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """Natively, converted to chat completions, and from there to Converse."""
    return VENDORS[request.param]()


@pytest.fixture
def place(behind: Callable[..., Any], vendor: Vendor) -> Any:
    return behind(vendor)


@pytest.fixture
def client(place: Any) -> Iterator[anthropic.Anthropic]:
    with client_of(place) as client:
        yield client


def client_of(place: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=place.url, api_key="clients-own", max_retries=0, timeout=20)


def said(client: anthropic.Anthropic, streamed: bool, **asked: Any) -> Any:
    """The whole message, however it came."""
    asked = {"model": "m", "max_tokens": 2048, "messages": HELLO, **asked}
    if not streamed:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()


def sent_back(message: Any) -> Any:
    blocks = [block.model_dump(exclude_none=True) for block in message.content]
    return {"role": "assistant", "content": [{k: v for k, v in b.items() if k != "parsed_output"} for b in blocks]}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_message(streamed: bool, client: anthropic.Anthropic, place: Any, vendor: Vendor) -> None:
    message = said(client, streamed, system="Be kind.", stop_sequences=["X"], metadata={"user_id": "u"})
    assert "".join(block.text for block in message.content if isinstance(block, TextBlock)) == "Good day to you"
    assert (message.stop_reason, message.role, message.type) == ("end_turn", "assistant", "message")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (20, 10)
    assert place.accounted(20, 10)
    assert "clients-own" not in vendor.received[0].head.decode()


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_and_back(streamed: bool, client: anthropic.Anthropic, vendor: Vendor) -> None:
    """Two calls at once; the message goes back as it came, with both results. (DeepSeek wants its thinking back.)"""
    vendor.will(PARALLEL_CALLS)
    asked: Any = {"tools": [TOOL], "tool_choice": {"type": "auto"}, "thinking": THINKING}
    message = said(client, streamed, **asked)
    calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
    assert [(call.name, call.input) for call in calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Rome"}),
    ]
    assert message.stop_reason == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"Sun {n}"} for n, call in enumerate(calls)]
    history = [*HELLO, sent_back(message), {"role": "user", "content": results}]
    again = said(client, streamed, **{**asked, "messages": history})
    assert again.content[-1].text.endswith("Sun 1")


@pytest.mark.parametrize("streamed", [False, True])
def test_talk_before_a_call(streamed: bool, client: anthropic.Anthropic, vendor: Vendor) -> None:
    vendor.will(TALK_AND_CALL)
    message = said(client, streamed, tools=[TOOL], thinking={"type": "disabled"})
    assert [block.type for block in message.content] == ["text", "tool_use"]


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking(streamed: bool, behind: Callable[..., Any]) -> None:
    """DeepSeek's ``reasoning_content``."""
    with client_of(behind(DeepSeek())) as client:
        message = said(client, streamed, thinking=THINKING)
    assert isinstance(message.content[0], ThinkingBlock)
    assert message.content[0].thinking == "Let me think."


class TestDeepSeek:
    """Thinks by default, and wants what it thought back with each call of a tool: Claude Code in front of it."""

    @pytest.mark.parametrize("streamed", [False, True])
    def test_many_turns_with_tools(self, streamed: bool, behind: Callable[..., Any]) -> None:
        vendor = DeepSeek()
        history = [*HELLO]
        with client_of(behind(vendor)) as client:
            for turn in range(3):
                vendor.will(TALK_AND_CALL)
                message = said(client, streamed, messages=history, tools=[TOOL], system="Be kind.")
                assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
                result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": f"Sun {turn}"}
                history += [sent_back(message), {"role": "user", "content": [result]}]
            assert said(client, streamed, messages=history, tools=[TOOL]).content[-1].text == "Sun 2"
        back = [message for message in vendor.received[-1].json()["messages"] if message["role"] == "assistant"]
        assert [message["reasoning_content"] for message in back] == ["Let me think."] * 3

    def test_what_another_model_thought(self, falling_back: Callable[..., Any]) -> None:
        """Claude's thinking can't be read; DeepSeek takes over without thinking. OpenAI is sent none at all."""
        first, second, third = Anthropic(), DeepSeek(), OpenAI()
        place = falling_back((first, {}), (second, {}), (third, {}))
        with client_of(place) as client:
            first.will(TALK_AND_CALL)
            message = said(client, True, tools=[TOOL], thinking=THINKING)
            result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "Sun"}
            asked: Any = {
                "messages": [*HELLO, sent_back(message), {"role": "user", "content": [result]}],
                "tools": [TOOL],
                "thinking": THINKING,
            }
            first.will(BROKEN)
            assert said(client, True, **asked).content[-1].text == "Sun"
            assert second.received[-1].json()["thinking"] == {"type": "disabled"}
            first.will(BROKEN)
            second.will(BROKEN)
            assert said(client, False, **asked).content[-1].text == "Sun"

    def test_what_it_thought_itself_is_told_nobody_else(self, falling_back: Callable[..., Any]) -> None:
        """OpenAI would refuse it, and Anthropic a signature that is none of its own."""
        first, second, third = DeepSeek(scenario=TALK_AND_CALL), Anthropic(), OpenAI()
        with client_of(falling_back((first, {}), (second, {}), (third, {}))) as client:
            message = said(client, False, tools=[TOOL])
            assert message.content[0].type == "thinking"
            result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "Sun"}
            history = [*HELLO, sent_back(message), {"role": "user", "content": [result]}]
            first.will(BUSY, BUSY)
            second.will(Scenario(), BUSY)
            for _ in "23":
                assert said(client, False, tools=[TOOL], messages=history).content[-1].text == "Sun"
        assert (len(second.received), len(third.received)) == (2, 1)


@pytest.mark.parametrize("streamed", [False, True])
def test_cache_counters(streamed: bool, client: anthropic.Anthropic, place: Any, vendor: Vendor) -> None:
    """Of the input, what is cached is no part for Anthropic, and a part for the others, who don't tell of writing."""
    vendor.will(CACHED)
    usage = said(client, streamed).usage
    written = 30 if isinstance(vendor, Anthropic) else 0
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens or 0) == (60, written)
    assert usage.input_tokens == 100 - 60 - written
    assert usage.output_tokens == 10


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("scenario", "reason"),
    [(CUT, "max_tokens"), (REFUSED, "refusal"), (FILTERED, "refusal"), (STOPPED, "stop_sequence")],
)
def test_reasons_to_stop(
    scenario: Scenario, reason: str, streamed: bool, client: anthropic.Anthropic, vendor: Vendor
) -> None:
    """Chat completions don't tell a stop sequence from the end; DeepSeek's refusals are mere text."""
    vendor.will(scenario)
    told = said(client, streamed, stop_sequences=["three"]).stop_reason
    vague = reason == "stop_sequence" or (scenario is REFUSED and isinstance(vendor, DeepSeek))
    assert told == ("end_turn" if vague and not isinstance(vendor, Anthropic) else reason)


def test_images(client: anthropic.Anthropic, vendor: Vendor) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    assert said(client, False, messages=[{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}])
    assert PIXEL in vendor.received[-1].body.decode()


def test_errors(client: anthropic.Anthropic, vendor: Vendor) -> None:
    """Whoever answers, the error is one of Anthropic's."""
    vendor.will(RATE_LIMITED, BROKEN)
    with pytest.raises(anthropic.RateLimitError) as caught:
        said(client, False)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "rate_limit_error")
    assert caught.value.response.headers.get("retry-after") == (None if isinstance(vendor, Bedrock) else "1")
    with pytest.raises(anthropic.InternalServerError):
        said(client, True)


def test_an_error_in_mid_stream(client: anthropic.Anthropic, vendor: Vendor) -> None:
    vendor.will(BREAKS)
    with pytest.raises(anthropic.APIError) as caught:
        list(client.messages.create(model="m", max_tokens=99, messages=HELLO, stream=True))
    body: Any = caught.value.body
    assert body["type"] == "error"


def test_errors_of_the_gateway_are_of_the_right_kind(
    behind: Callable[..., Any], serve_vendor: Callable[[Vendor], ServedUpstream]
) -> None:
    gone = serve_vendor(OpenAI())
    gone.stop()
    place = behind(OpenAI(), override={"endpoint": gone.url})
    with client_of(place) as client, pytest.raises(anthropic.InternalServerError, match="refused") as caught:
        said(client, True)
    assert caught.value.status_code == 502
    with client_of(place) as client, pytest.raises(anthropic.BadRequestError, match=r"messages\[0\]\.role"):
        said(client, False, messages=[{"role": "robot", "content": "Hi"}])
    nowhere: Any = attrs.evolve(place, url=f"{place.url}-not")
    with client_of(nowhere) as client, pytest.raises(anthropic.NotFoundError, match="404 Route Not Found"):
        said(client, False)


def test_what_cannot_be_carried_is_a_400(behind: Callable[..., Any]) -> None:
    vendor = OpenAI()
    searching: Any = {"type": "web_search_20250305", "name": "web_search"}
    with client_of(behind(vendor)) as client, pytest.raises(anthropic.BadRequestError, match="tools"):
        said(client, False, tools=[searching])
    assert vendor.received == []


class TestNative:
    @pytest.fixture
    def vendor(self) -> Anthropic:
        return Anthropic()

    def test_tokens_are_counted(self, client: anthropic.Anthropic, vendor: Anthropic, place: Any) -> None:
        """Counting is no use of the model: nothing is accounted."""
        vendor.will(Scenario(tokens=Tokens(prompt=1234)))
        assert client.messages.count_tokens(model="m", messages=HELLO, tools=[TOOL]).input_tokens == 1234
        assert vendor.received[0].target == "/v1/messages/count_tokens"
        assert place.tokens("prompt") == 0

    def test_thinking_comes_back_signed(self, client: anthropic.Anthropic, vendor: Anthropic) -> None:
        """The vendor refuses thinking that was changed on its way."""
        vendor.will(TALK_AND_CALL)
        message = said(client, True, tools=[TOOL], thinking=THINKING)
        result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "Sun"}
        history = [*HELLO, sent_back(message), {"role": "user", "content": [result]}]
        assert said(client, False, messages=history, tools=[TOOL], thinking=THINKING).content[-1].text == "Sun"

    def test_the_body_goes_out_as_it_came(self, client: anthropic.Anthropic, vendor: Anthropic, place: Any) -> None:
        body = b'{"max_tokens": 9,"model":"m", "messages":[{"role":"user","content":"\\u00e9 1.0e2"}]}'
        headers = {"anthropic-version": "2023-06-01", "x-api-key": "clients-own", "Content-Type": "application/json"}
        assert ask("POST", f"{place.url}/v1/messages", body, headers=headers).status == 200
        assert vendor.received[0].body == body
        assert vendor.received[0].headers["x-api-key"] == KEY

    def test_the_clients_version_goes_along(self, client: anthropic.Anthropic, vendor: Anthropic) -> None:
        """The SDK's, in which there is no temperature any more; an older one has it."""
        said(client, False)
        newest = vendor.received[0].headers["anthropic-version"]
        with pytest.raises(anthropic.BadRequestError, match="temperature"):
            said(client, False, extra_body={"temperature": 1})
        assert vendor.complaints.pop().status == 400
        older = {"anthropic-version": "2023-06-01"}
        assert said(client, False, extra_body={"temperature": 1}, extra_headers=older).content
        assert [request.headers["anthropic-version"] for request in vendor.received] == [newest, newest, "2023-06-01"]


class TestFallback:
    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("scenario", [BUSY, RATE_LIMITED, BROKEN])
    def test_from_one_dialect_to_another(
        self, scenario: Scenario, streamed: bool, falling_back: Callable[..., Any]
    ) -> None:
        """Each attempt begins with what the client wrote."""
        first, second = Anthropic(scenario=scenario), DeepSeek()
        place = falling_back((first, {}), (second, {"options": {"model": "deepseek-chat"}}))
        with client_of(place) as client:
            message = said(client, streamed, system="Be kind.", tools=[TOOL], tool_choice={"type": "none"})
        assert message.content[-1].text == "Good day to you"
        assert "system" in first.received[0].json()
        sent = second.received[0].json()
        assert (sent["model"], sent["messages"][0]["role"], second.received[0].target) == (
            "deepseek-chat",
            "system",
            "/chat/completions",
        )
        assert place.accounted(20, 10)

    def test_and_back(self, falling_back: Callable[..., Any]) -> None:
        first, second = OpenRouter(scenario=BROKEN), Anthropic()
        with client_of(falling_back((first, {}), (second, {}))) as client:
            assert said(client, True).content[0].text == "Good day to you"
        assert second.received[0].headers["anthropic-version"] == "2026-10-21"

    def test_of_a_stream_that_breaks_before_it_begins(self, falling_back: Callable[..., Any]) -> None:
        first, second = OpenAI(scenario=Scenario(breaks_after=0)), Anthropic()
        with client_of(falling_back((first, {}), (second, {}))) as client:
            assert said(client, True).content[0].text == "Good day to you"

    def test_the_last_error_is_anthropics(self, falling_back: Callable[..., Any]) -> None:
        place = falling_back((Anthropic(scenario=BUSY), {}), (OpenAI(scenario=RATE_LIMITED), {}))
        with client_of(place) as client, pytest.raises(anthropic.RateLimitError) as caught:
            said(client, True)
        body: Any = caught.value.body
        assert body["error"]["type"] == "rate_limit_error"
