"""Whatever an upstream does to a stream, the client is told honestly and in time: another answer, or a visible cut."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from aigw.testing import CLOSE, RESET, SILENCE, Behaviour, play
from aigw.testing.asking import Answered, chat_with
from aigw.testing.behaviours import Step, framed, head
from aigw.testing.openai import DONE, PING, chunk, event, stream
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

TIMEOUT = 400
"""``timeout`` of the routes, in ms: what these tests may have to wait for."""
SOON = 3.0
"""Seconds within which everything must be over."""

ROLE = event(chunk({"role": "assistant", "content": ""}))
HI = event(chunk({"content": "Hi"}))
LATER = b"".join(list(stream())[1:])


def streamed(url: str) -> Answered:
    answered = chat_with(url, stream=True, patience=SOON * 2)
    assert answered.seconds < SOON
    return answered


def slowly(*pieces: bytes) -> list[Step]:
    """Each piece, and then a tenth of a second of nothing."""
    return [step for piece in pieces for step in (piece, 0.1)]


def events(*data: bytes, **fields: Any) -> bytes:
    return head(200, **fields) + b"".join(data)


BEFORE_THE_FIRST_EVENT: Mapping[str, Behaviour] = {
    "stalls after the status": play(events(), SILENCE),
    "stalls after pings": play(events(), *slowly(*[PING] * 8), SILENCE),
    "stalls after the role": play(events(ROLE), SILENCE),
    "role, then pings": play(events(ROLE), *slowly(*[PING] * 8), SILENCE),
    "an error event": play(events(event({"error": {"message": "out of memory", "code": 500}})), CLOSE),
    "role, then an error event": play(events(ROLE, event({"error": {"message": "out of memory"}})), SILENCE),
    "closes after the status": play(events(), CLOSE),
    "resets after the status": play(events(), RESET),
    "resets after the role": play(events(ROLE), RESET),
    "an end without a beginning": play(events(chunked=True) + framed(b"")),
    "dies mid-chunk": play(events(chunked=True) + b"99\r\ndata: {", CLOSE),
    "gzip that is none": play(events(HI, headers={"Content-Encoding": "gzip"}), SILENCE),
}
"""Streams that fail before they said anything real: another instance may still take over."""

DEADLINES = {"first_token_ms": 600, "hold_ms": 5000}


@pytest.mark.parametrize("name", BEFORE_THE_FIRST_EVENT)
def test_a_stream_is_replaced_before_its_first_event(
    name: str, hybrid: Callable[..., str], upstream: ServedUpstream, upstreams: Callable[[], ServedUpstream]
) -> None:
    cloud = upstreams()
    upstream.does(BEFORE_THE_FIRST_EVENT[name])
    answered = streamed(hybrid(upstream, cloud, timeout=TIMEOUT, deadlines=DEADLINES))
    assert (answered.status, answered.cut, answered.events[-1]) == (200, False, "[DONE]")
    assert answered.said == "Good day"
    assert (answered.headers["x-aigw-instance"], answered.headers["x-aigw-attempts"]) == ("cloud", "2")
    assert b"ping" not in answered.body


@pytest.mark.parametrize("name", BEFORE_THE_FIRST_EVENT)
def test_a_lonely_stream_that_does_not_begin(name: str, single: Callable[..., str], upstream: ServedUpstream) -> None:
    upstream.does(BEFORE_THE_FIRST_EVENT[name])
    answered = streamed(single(upstream, timeout=TIMEOUT, deadlines=DEADLINES))
    if answered.status == 200:
        assert_honest_end(answered)
    else:
        assert answered.status in (502, 504)
        assert answered.json["error"]["type"] == "upstream_error"


AFTER_THE_FIRST_EVENT: Mapping[str, Behaviour] = {
    "stalls": play(events(ROLE, HI), SILENCE),
    "stalls within an event": play(events(ROLE, HI, b'data: {"cho'), SILENCE),
    "closes": play(events(ROLE, HI), CLOSE),
    "closes within an event": play(events(ROLE, HI, b'data: {"cho'), CLOSE),
    "resets": play(events(ROLE, HI), RESET),
    "ends properly without finish and [DONE]": play(events(chunked=True) + framed(ROLE + HI) + framed(b"")),
    "dies mid-chunk": play(events(chunked=True) + framed(ROLE + HI) + b"99\r\ndata", CLOSE),
    "an error event": play(events(ROLE, HI, event({"error": {"message": "out of memory"}})), SILENCE),
    "an error event, then [DONE]": play(events(ROLE, HI, event({"error": {"message": "oops"}}), DONE), CLOSE),
    "a bad chunk": play(events(chunked=True) + framed(ROLE + HI) + b"xyz\r\n", SILENCE),
    "less than it promised": play(events(ROLE, HI, length=9999), CLOSE),
}


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("name", AFTER_THE_FIRST_EVENT)
def test_a_stream_that_began_ends_honestly(
    name: str,
    fallback: bool,
    single: Callable[..., str],
    hybrid: Callable[..., str],
    upstream: ServedUpstream,
    upstreams: Callable[[], ServedUpstream],
) -> None:
    upstream.does(AFTER_THE_FIRST_EVENT[name])
    cloud = upstreams()
    url = hybrid(upstream, cloud, timeout=TIMEOUT) if fallback else single(upstream, timeout=TIMEOUT)
    answered = streamed(url)
    assert (answered.status, answered.said) == (200, "Hi")
    assert_honest_end(answered)
    assert cloud.received == []


STREAMS_THAT_ARE_RIGHT: Mapping[str, Behaviour] = {
    "no length": play(events(*stream()), CLOSE),
    "HTTP/1.0": play(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", list(stream()), CLOSE),
    "chunked, byte by byte": play(head(chunked=True), [framed(bytes([b])) for b in b"".join(stream())], b"0\r\n\r\n"),
    "with a length": play(events(*stream(), length=len(b"".join(stream())))),
    "gzip": play(
        head(chunked=True, headers={"Content-Encoding": "gzip"})
        + framed(gzip.compress(b"".join(stream())))
        + framed(b"")
    ),
    "no [DONE], but a finish reason": play(events(*list(stream())[:-1]), CLOSE),
    "CRLF lines": play(events(b"".join(stream()).replace(b"\n", b"\r\n")), CLOSE),
    "pings between events": play(events(*[PING + e for e in stream()]), CLOSE),
    "goes on after [DONE]": play(events(*stream(), chunked=False, length=9999), 0.05, PING, SILENCE),
}


@pytest.mark.parametrize("name", STREAMS_THAT_ARE_RIGHT)
def test_an_odd_stream_is_relayed(name: str, single: Callable[..., str], upstream: ServedUpstream) -> None:
    upstream.does(STREAMS_THAT_ARE_RIGHT[name])
    answered = streamed(single(upstream, timeout=TIMEOUT))
    assert answered.status == 200
    assert answered.said == "Hello"
    assert "error" not in answered.body.decode()
    assert "content-encoding" not in answered.headers


def test_a_thinking_model_behind_a_lonely_route_shows_life(
    single: Callable[..., str], upstream: ServedUpstream
) -> None:
    upstream.does(play(events(ROLE), *slowly(*[PING] * 6), LATER, CLOSE))
    answered = streamed(single(upstream, timeout=TIMEOUT))
    assert answered.body.count(PING) == 6
    assert answered.said == "Hello"


def assert_honest_end(answered: Answered) -> None:
    """An error event last, never [DONE], and a connection that nobody takes for complete."""
    assert "[DONE]" not in answered.events
    told = json.loads(answered.events[-1])
    assert told["error"]["message"]
    assert answered.cut or answered.closes
