"""Whatever an upstream does, the client is told honestly and in time: another answer, an error, or a visible cut."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from aigw.testing import CLOSE, RESET, SILENCE, Behaviour, Moment, answer, chat, play
from aigw.testing.asking import Answered, ask
from aigw.testing.behaviours import JSON, Step, deaf, framed, head, unless_reused
from aigw.testing.openai import DONE, PING, chunk, completion, event, stream
from aigw.testing.thread import ServedUpstream

TIMEOUT = 400
"""``timeout`` of the routes, in ms: what these tests may have to wait for."""
SOON = 3.0
"""Seconds within which everything must be over."""

WHOLE = json.dumps(completion("Hello")).encode()
ROLE = event(chunk({"role": "assistant", "content": ""}))
HI = event(chunk({"content": "Hi"}))
LATER = b"".join(list(stream())[1:])
MESSAGES = [{"role": "user", "content": "Good day"}]


RESET_OR_REFUSED = "upstream_reset|upstream_unreachable"
"""A reset may come before the gateway's kernel has told it of the connection."""


@attrs.frozen
class Case:
    """``status`` and ``code`` (or ``code|code``): what the client of a lonely instance gets."""

    behaviour: Behaviour
    status: int = 502
    code: str = "upstream_bad_reply"
    moment: Moment = Moment.REQUEST


def slowly(*pieces: bytes) -> list[Step]:
    """Each piece, and then a tenth of a second of nothing."""
    return [step for piece in pieces for step in (piece, 0.1)]


def whole_with(head: bytes, *rest: Any) -> Behaviour:
    return play(head + WHOLE, *rest)


BEFORE_THE_FIRST_BYTE: Mapping[str, Case] = {
    "resets at once": Case(play(RESET), code=RESET_OR_REFUSED, moment=Moment.CONNECTED),
    "closes at once": Case(play(CLOSE), code="upstream_reset", moment=Moment.CONNECTED),
    "resets after the head of the request": Case(play(RESET), code="upstream_reset", moment=Moment.HEAD),
    "resets after the request": Case(play(RESET), code="upstream_reset"),
    "closes after the request": Case(play(CLOSE), code="upstream_reset"),
    "says nothing": Case(play(SILENCE), 504, "upstream_timeout"),
    "accepts and reads nothing": Case(deaf, 504, "upstream_timeout", moment=Moment.CONNECTED),
    "stalls within the status line": Case(play(b"HTTP/1.1 20", SILENCE), 504, "upstream_timeout"),
    "stalls within the head": Case(play(b"HTTP/1.1 200 OK\r\nContent-Ty", SILENCE), 504, "upstream_timeout"),
    "closes within the head": Case(play(b"HTTP/1.1 200 OK\r\nContent-Ty", CLOSE), code="upstream_cut_short"),
    "drips its head": Case(play(b"HTTP/1.1 200 OK\r\nX: ", *slowly(*[b"y"] * 30)), 504, "upstream_timeout"),
    "interim answers without end": Case(play([b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 1000, SILENCE)),
    "switches protocols": Case(play(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", SILENCE)),
    "garbage": Case(play(b"\x16\x03\x01\x00\x00garbage\r\n\r\n", SILENCE)),
    "another protocol's banner": Case(play(b"SSH-2.0-OpenSSH_9.2\r\n", SILENCE), moment=Moment.CONNECTED),
    "no status": Case(play(b"HTTP/1.1 OK\r\n\r\n", SILENCE)),
    "a status out of range": Case(play(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", SILENCE)),
    "two lengths": Case(whole_with(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", SILENCE)),
    "a length that is none": Case(whole_with(b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", SILENCE)),
    "a header without a colon": Case(whole_with(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", SILENCE)),
    "a NUL in a header": Case(whole_with(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", SILENCE)),
    "a head of 10 MB": Case(
        play(b"HTTP/1.1 200 OK\r\nX: ", [b"y" * 65536] * 160, b"\r\n\r\n", SILENCE), code="upstream_reply_too_large"
    ),
    "a redirect": Case(answer(307, {}, {"Location": "http://127.0.0.1:1/elsewhere"})),
    "promises more than it sends": Case(
        play(head(200, JSON, length=len(WHOLE) + 9) + WHOLE, CLOSE), code="upstream_cut_short"
    ),
    "promises more, then stalls": Case(
        play(head(200, JSON, length=len(WHOLE) + 9) + WHOLE, SILENCE), 504, "upstream_timeout"
    ),
    "dies mid-chunk": Case(play(head(200, JSON, chunked=True) + b"999\r\n" + WHOLE, CLOSE), code="upstream_cut_short"),
    "resets mid-chunk": Case(play(head(200, JSON, chunked=True) + b"999\r\n" + WHOLE, RESET), code="upstream_reset"),
    "a chunk size that is none": Case(play(head(200, JSON, chunked=True) + b"xyz\r\n" + WHOLE, SILENCE)),
    "gzip that is none": Case(
        play(head(200, JSON, length=len(WHOLE), headers={"Content-Encoding": "gzip"}) + WHOLE, SILENCE)
    ),
    "gzip that ends early": Case(
        play(head(200, JSON, length=20, headers={"Content-Encoding": "gzip"}) + gzip.compress(WHOLE)[:20], SILENCE),
        code="upstream_cut_short",
    ),
}
"""For a whole answer. In all of these a client that asked a lonely instance gets an error, and no other byte."""


def chat_request(url: str, streams: bool = False) -> Answered:
    answered = ask("POST", url, {"messages": MESSAGES, "stream": streams}, patience=SOON * 2)
    assert answered.seconds < SOON
    return answered


def assert_error(answered: Answered, status: int, code: str) -> None:
    """The error object that OpenAI's SDKs and APISIX's users can read."""
    assert answered.status == status, answered
    assert answered.json["error"]["code"] in code.split("|")
    assert answered.json["error_msg"] == answered.json["error"]["message"]
    assert not answered.cut


@pytest.mark.parametrize("name", BEFORE_THE_FIRST_BYTE)
def test_a_lonely_instance(name: str, single: Callable[..., str], upstream: ServedUpstream) -> None:
    case = BEFORE_THE_FIRST_BYTE[name]
    upstream.does(case.behaviour, case.moment)
    assert_error(chat_request(single(upstream, timeout=TIMEOUT)), case.status, case.code)


@pytest.mark.parametrize("name", BEFORE_THE_FIRST_BYTE)
def test_with_a_fallback(
    name: str, hybrid: Callable[..., str], upstream: ServedUpstream, upstreams: Callable[[], ServedUpstream]
) -> None:
    case, cloud = BEFORE_THE_FIRST_BYTE[name], upstreams()
    upstream.does(case.behaviour, case.moment)
    cloud.does(chat("from the cloud"))
    answered = chat_request(hybrid(upstream, cloud, timeout=TIMEOUT))
    assert (answered.status, answered.json["choices"][0]["message"]["content"]) == (200, "from the cloud")
    assert answered.headers["x-aigw-instance"] == "cloud"
    assert answered.headers["x-aigw-attempts"] == "2"
    assert len(cloud.received) == 1


def test_one_that_refuses(
    single: Callable[..., str], hybrid: Callable[..., str], upstreams: Callable[[], ServedUpstream]
) -> None:
    down, cloud = upstreams(), upstreams()
    down.stop()
    assert_error(chat_request(single(down)), 502, "upstream_unreachable")
    assert chat_request(hybrid(down, cloud)).headers["x-aigw-instance"] == "cloud"


# Whole answers that are odd, and right.

GZIPPED = gzip.compress(WHOLE)

ODD_BUT_RIGHT: Mapping[str, Behaviour] = {
    "interim answers first": play(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + head(200, JSON, length=len(WHOLE))
        + WHOLE
    ),
    "trailers": play(head(200, JSON, chunked=True) + framed(WHOLE) + b"0\r\nX-Trailer: yes\r\n\r\n"),
    "chunk extensions": play(head(200, JSON, chunked=True) + b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(WHOLE), WHOLE)),
    "a byte a chunk": play(
        head(200, JSON, chunked=True), [framed(WHOLE[i : i + 1]) for i in range(len(WHOLE))], b"0\r\n\r\n"
    ),
    "gzip": play(head(200, JSON, length=len(GZIPPED), headers={"Content-Encoding": "gzip"}) + GZIPPED),
    "gzip in two parts": play(
        head(200, JSON, chunked=True, headers={"Content-Encoding": "gzip"}) + framed(GZIPPED[:40]),
        0.05,
        framed(GZIPPED[40:]) + framed(b""),
    ),
    "HTTP/1.0 without a length": play(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + WHOLE, CLOSE),
    "no length": play(head(200, JSON) + WHOLE, CLOSE),
    "no content type": play(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)),
    "slowly": play(
        head(200, JSON, length=len(WHOLE)),
        *[part for b in range(0, len(WHOLE), 60) for part in (WHOLE[b : b + 60], 0.1)],
    ),
    "a close after the answer": play(head(200, JSON, length=len(WHOLE)) + WHOLE, CLOSE),
    "more than it promised": play(head(200, JSON, length=len(WHOLE)) + WHOLE + b"HTTP/1.1 500 Smuggled\r\n\r\n"),
}


@pytest.mark.parametrize("name", ODD_BUT_RIGHT)
def test_an_odd_answer_is_relayed(name: str, single: Callable[..., str], upstream: ServedUpstream) -> None:
    url = single(upstream, timeout=TIMEOUT)
    upstream.does(ODD_BUT_RIGHT[name])
    for _ in range(2):
        answered = chat_request(url)
        assert (answered.status, answered.body, answered.cut) == (200, WHOLE, False)
        assert "content-encoding" not in answered.headers


def test_statuses_and_their_bodies_reach_the_client(single: Callable[..., str], upstream: ServedUpstream) -> None:
    url = single(upstream)
    for status in (400, 401, 403, 404, 409, 422, 429, 500, 503):
        upstream.does(answer(status, {"mine": status}, {"Retry-After": "7", "x-ratelimit-limit-requests": "9"}))
        answered = chat_request(url)
        assert (answered.status, answered.json) == (status, {"mine": status})
        assert (answered.headers["retry-after"], answered.headers["x-ratelimit-limit-requests"]) == ("7", "9")
        assert answered.headers["x-aigw-attempts"] == "1"


# Streams.


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
    answered = chat_request(hybrid(upstream, cloud, timeout=TIMEOUT, deadlines=DEADLINES), streams=True)
    assert (answered.status, answered.cut, answered.events[-1]) == (200, False, "[DONE]")
    assert said(answered) == "Good day"
    assert (answered.headers["x-aigw-instance"], answered.headers["x-aigw-attempts"]) == ("cloud", "2")
    assert b"ping" not in answered.body


@pytest.mark.parametrize("name", BEFORE_THE_FIRST_EVENT)
def test_a_lonely_stream_that_does_not_begin(name: str, single: Callable[..., str], upstream: ServedUpstream) -> None:
    upstream.does(BEFORE_THE_FIRST_EVENT[name])
    answered = chat_request(single(upstream, timeout=TIMEOUT, deadlines=DEADLINES), streams=True)
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
    answered = chat_request(url, streams=True)
    assert (answered.status, said(answered)) == (200, "Hi")
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
    answered = chat_request(single(upstream, timeout=TIMEOUT), streams=True)
    assert answered.status == 200
    assert said(answered) == "Hello"
    assert "error" not in answered.body.decode()
    assert "content-encoding" not in answered.headers


def test_a_thinking_model_behind_a_lonely_route_shows_life(
    single: Callable[..., str], upstream: ServedUpstream
) -> None:
    upstream.does(play(events(ROLE), *slowly(*[PING] * 6), LATER, CLOSE))
    answered = chat_request(single(upstream, timeout=TIMEOUT), streams=True)
    assert answered.body.count(PING) == 6
    assert said(answered) == "Hello"


# Connections that are kept.


@pytest.mark.parametrize("ending", [CLOSE, RESET])
def test_a_kept_connection_that_closes_as_it_is_reused(
    ending: Any, single: Callable[..., str], upstream: ServedUpstream
) -> None:
    url = single(upstream)
    upstream.does(unless_reused(chat(), play(ending)))
    for _ in range(3):
        answered = chat_request(url)
        assert (answered.status, answered.headers["x-aigw-attempts"]) == (200, "1")
    assert upstream.fake.connections == 3


def test_a_connection_is_kept(single: Callable[..., str], upstream: ServedUpstream) -> None:
    url = single(upstream)
    for streams in (False, True, False, True):
        assert chat_request(url, streams).status == 200
    assert upstream.fake.connections == 1


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_kept_connection_that_closes_while_a_request_goes_out(
    size: int, single: Callable[..., str], upstream: ServedUpstream
) -> None:
    url = single(upstream)
    assert chat_request(url).status == 200
    upstream.fake.moment = Moment.HEAD
    upstream.fake.script(play(RESET), answer(200, {"once": "more"}))
    answered = ask("POST", url, {"messages": MESSAGES, "filling": "x" * size})
    upstream.fake.moment = Moment.REQUEST
    assert (answered.status, answered.json) == (200, {"once": "more"})
    assert answered.headers["x-aigw-attempts"] == "1"
    assert upstream.fake.connections == 2


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_an_answer_before_the_request_is_all_out(
    size: int, single: Callable[..., str], upstream: ServedUpstream
) -> None:
    upstream.does(play(answer_bytes(401), 0.2, CLOSE), Moment.HEAD)
    answered = ask("POST", single(upstream), {"messages": MESSAGES, "filling": "x" * size})
    assert (answered.status, answered.json) == (401, {"early": True})


def answer_bytes(status: int) -> bytes:
    body = b'{"early": true}'
    return head(status, JSON, length=len(body), headers={"Connection": "close"}) + body


def said(answered: Answered) -> str:
    """What the stream's deltas come to."""
    chunks = [json.loads(data.strip()) for data in sse_data(answered.body) if data.strip() != "[DONE]"]
    deltas = [choice["delta"] for c in chunks for choice in c.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


def sse_data(body: bytes) -> list[str]:
    lines = body.decode().replace("\r\n", "\n").split("\n")
    return [line[6:] for line in lines if line.startswith("data: ")]


def assert_honest_end(answered: Answered) -> None:
    """An error event last, never [DONE], and a connection that nobody takes for complete."""
    assert "[DONE]" not in answered.events
    told = json.loads(answered.events[-1])
    assert told["error"]["message"]
    assert answered.cut or answered.closes
