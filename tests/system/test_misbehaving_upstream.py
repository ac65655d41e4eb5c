"""Whatever an upstream does to a whole answer, the client gets another one in time, or an honest error."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from aigw.testing import CLOSE, RESET, SILENCE, Behaviour, Moment, answer, chat, play
from aigw.testing.asking import Answered, chat_with
from aigw.testing.behaviours import JSON, Step, deaf, framed, head
from aigw.testing.openai import completion
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

TIMEOUT = 400
"""``timeout`` of the routes, in ms: what these tests may have to wait for."""
SOON = 3.0
"""Seconds within which everything must be over."""

WHOLE = json.dumps(completion("Hello")).encode()


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


def chat_request(url: str) -> Answered:
    answered = chat_with(url, patience=SOON * 2)
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
