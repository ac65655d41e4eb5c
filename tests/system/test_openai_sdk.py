"""The official SDK of OpenAI notices no difference."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from aigw.testing import CLOSE, SILENCE, answer, chat, play
from aigw.testing.behaviours import head
from aigw.testing.openai import chunk, event
from aigw.testing.process import GatewayProcess
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

STREAMS = 200
BIG = 60 * 1024 * 1024
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def messages(text: str = "Good day to you") -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture
def base_url(gateway: GatewayProcess, upstream: ServedUpstream) -> Iterator[str]:
    """Of a route that takes whatever an SDK appends."""
    url = gateway.put_route("sdk", {"ai-proxy": upstream.as_model(timeout=5000)}, uri="/llm/*")
    yield url.replace("/sdk", "/llm/v1")
    gateway.admin("DELETE", "/routes/sdk")


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key="clients-own", max_retries=0, timeout=20) as client:
        yield client


def test_chat(client: openai.OpenAI, upstream: ServedUpstream) -> None:
    answered = client.chat.completions.create(model="gpt-x", messages=messages(), temperature=0.5)
    assert answered.choices[0].message.content == "Good day to you"
    assert answered.usage is not None
    assert answered.usage.total_tokens == 10
    assert upstream.received[0].json() == {"messages": messages(), "model": "gpt-x", "temperature": 0.5}
    assert upstream.received[0].target == "/v1/chat/completions"
    assert "clients-own" not in upstream.received[0].head.decode()


def test_stream(client: openai.OpenAI, upstream: ServedUpstream) -> None:
    """The gateway asks for usage, for itself; a client that did not ask sees no chunk without choices."""
    chunks = list(client.chat.completions.create(model="m", messages=messages(), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Good day to you"
    assert all(c.usage is None for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert upstream.received[0].json()["stream_options"] == {"include_usage": True}


def test_stream_with_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="m", messages=messages(), stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 7


def test_tools(client: openai.OpenAI, upstream: ServedUpstream) -> None:
    answered = client.chat.completions.create(model="m", messages=messages(), tools=[WEATHER])
    calls = answered.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert (calls[0].function.name, calls[0].function.arguments) == ("get_weather", '{"city": "Paris"}')
    assert upstream.received[0].json()["tools"] == [WEATHER]


def test_tools_streamed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="m", messages=messages(), tools=[WEATHER]) as stream:
        whole = stream.get_final_completion()
    calls = whole.choices[0].message.tool_calls
    assert calls is not None
    assert (calls[0].function.name, calls[0].function.arguments) == ("get_weather", '{"city": "Paris"}')
    assert whole.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_error(
    status: int, kind: type[openai.APIStatusError], stream: bool, client: openai.OpenAI, upstream: ServedUpstream
) -> None:
    upstream.does(answer(status, headers={"x-request-id": "theirs", "Retry-After": "9"}))
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="m", messages=messages(), stream=stream)
    assert "told to fail" in caught.value.message
    assert caught.value.code == str(status)
    assert caught.value.response.headers["retry-after"] == "9"
    assert len(upstream.received) == 1


def test_the_gateways_own_errors(gateway: GatewayProcess, client: openai.OpenAI, upstream: ServedUpstream) -> None:
    upstream.stop()
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="m", messages=messages())
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_unreachable")
    nowhere = openai.OpenAI(base_url=gateway.url("proxy", "/nowhere"), api_key="x", max_retries=0)
    with nowhere, pytest.raises(openai.NotFoundError, match="404 Route Not Found"):
        nowhere.chat.completions.create(model="m", messages=messages())


def test_an_error_in_mid_stream_is_raised(client: openai.OpenAI, upstream: ServedUpstream) -> None:
    upstream.does(play(head() + event(chunk({"content": "Hi"})), CLOSE))
    stream = client.chat.completions.create(model="m", messages=messages(), stream=True)
    assert next(stream).choices[0].delta.content == "Hi"
    with pytest.raises(openai.APIError, match="before the answer was complete"):
        next(stream)


def test_an_abort_in_mid_stream_reaches_the_upstream(client: openai.OpenAI, upstream: ServedUpstream) -> None:
    upstream.does(chat(pieces=["word "] * 1000, pace=0.02))
    stream = client.chat.completions.create(model="m", messages=messages(), stream=True)
    for _ in range(5):
        next(stream)
    stream.close()
    assert seconds_until_left(upstream) < 1


def test_an_abort_before_the_answer_reaches_the_upstream(client: openai.OpenAI, upstream: ServedUpstream) -> None:
    upstream.does(play(SILENCE))
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="m", messages=messages(), timeout=0.3)
    assert seconds_until_left(upstream) < 1


def test_a_body_of_60_mb(client: openai.OpenAI, upstream: ServedUpstream) -> None:
    upstream.does(chat("read it all"))
    answered = client.chat.completions.create(model="m", messages=messages("x" * BIG))
    assert answered.choices[0].message.content == "read it all"
    assert upstream.received[0].json()["messages"][0]["content"] == "x" * BIG


def test_200_streams_at_once(base_url: str, upstream: ServedUpstream) -> None:
    upstream.does(chat(pace=0.01))

    async def say(client: openai.AsyncOpenAI, text: str) -> str:
        stream = await client.chat.completions.create(model="m", messages=messages(text), stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in stream])

    async def say_all(texts: list[str]) -> list[str]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="x", max_retries=0, timeout=60) as client:
            return await asyncio.gather(*(say(client, text) for text in texts))

    texts = [f"I am number {n} of those who talk" for n in range(STREAMS)]
    assert asyncio.run(say_all(texts)) == texts
    assert len(upstream.received) == STREAMS


def seconds_until_left(upstream: ServedUpstream) -> float:
    """From now until the upstream sees that nobody wants the rest of its last answer."""
    began = time.monotonic()
    while upstream.received[-1].left is None:
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    return time.monotonic() - began


def test_the_base_url_without_v1(gateway: GatewayProcess, client: Callable[..., Any], upstream: ServedUpstream) -> None:
    """Some people leave it away; the route takes both."""
    with openai.OpenAI(base_url=gateway.url("proxy", "/llm"), api_key="x", max_retries=0) as other:
        assert other.chat.completions.create(model="m", messages=messages()).choices[0].message.content
    assert upstream.received[-1].target == "/v1/chat/completions"
