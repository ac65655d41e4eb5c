"""From a client's bytes to an upstream's and back, with log and metrics: no shortcut on the way makes a difference."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.llm.answer import Answer
from aigw.proxy.relay import Relay
from aigw.testing import openai
from aigw.testing.full_path import forget_lines, without_shortcuts
from aigw.testing.world import CLOSE, Said, World

# Answers, complete in one read or not.

BODY = json.dumps({"id": "x", "choices": [], "usage": openai.USAGE}, separators=(",", ":")).encode()


def whole(body: bytes = BODY, *fields: bytes, status: bytes = b"200 OK", media: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + media, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*pieces: bytes, media: bytes = b"application/json", fields: bytes = b"", trailers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (media, fields)
    return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers + b"\r\n"


EVENTS = b"".join([*openai.stream(["Hi"], with_usage=True)])
STREAM = b"text/event-stream"
NOT_LONG = {"max_response_bytes": len(BODY)}

WHOLE: Mapping[str, bytes] = {
    "usual": whole(),
    "with charset": whole(media=b"Application/JSON; charset=utf-8"),
    "many fields": whole(BODY, b"X-Request-Id: theirs", b"Set-Cookie: a=b", b"X-A: 1", b"x-b:2 ", b"Server: x"),
    "of the connection": whole(BODY, b"Connection: x-hop, keep-alive", b"X-Hop: 1", b"Keep-Alive: timeout=9"),
    "chunked": chunked(BODY),
    "in two chunks": chunked(BODY[:20], BODY[20:], trailers=b"X-T: 1\r\n"),
    "after an interim one": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + whole(),
    "empty": whole(b""),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "created": whole(status=b"201 Created"),
    "no JSON": whole(b"Good day"),
    "no usage": whole(b'{"id":"x"}'),
    "usage that is none": whole(b'{"usage":{"prompt_tokens":-1,"completion_tokens":"3","total_tokens":1e99}}'),
    "usage twice": whole(b'{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2,"total_tokens":2}}'),
    "usage first": whole(b'{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"choices":[]}'),
    "text": whole(b"Good day", media=b"text/plain"),
    "no type": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "gzip": whole(gzip.compress(BODY, mtime=0), b"Content-Encoding: gzip"),
    "an unknown coding": whole(b"xyz", b"Content-Encoding: br"),
    "too long": whole(BODY + b" "),
    "too long, chunked": chunked(BODY, b" "),
    "more than it said": whole() + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "refused": whole(b'{"error":{"message":"no key-of-m"}}', status=b"401 Unauthorized"),
    "busy": whole(b"{}", b"Retry-After: 0", status=b"429 Too Many Requests"),
    "an error": whole(b"", status=b"500 Oops"),
    "moved": whole(b"", b"Location: http://x/", status=b"302 Found"),
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
    "bad field": b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
    "bad chunk": chunked(BODY).replace(b"\r\n0\r\n\r\n", b"\r\nx\r\n"),
}
"""Answers that end by themselves."""

CLOSED: Mapping[str, bytes] = {
    "no length": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY,
    "1.0": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY,
    "and closed": whole(BODY, b"Connection: close"),
    "shorter than it said": whole()[:-5],
    "within a chunk": chunked(BODY)[:-9],
    "within the head": whole()[:30],
    "nothing": b"",
}
"""The upstream closes the connection behind these."""

STREAMS: Mapping[str, bytes] = {
    "a stream": chunked(EVENTS, media=STREAM),
    "with a length": whole(EVENTS, media=STREAM),
    "with more behind": chunked(EVENTS, b": ping\n\n", media=STREAM),
    "an error in it": chunked(EVENTS[:150] + b'\n\ndata: {"error":{"message":"oops"}}\n\n', media=STREAM),
}


ANSWERS: Mapping[str, Said] = {
    **{name: [wire] for name, wire in WHOLE.items()},
    **{name: [wire, CLOSE] for name, wire in CLOSED.items()},
}


@attrs.frozen
class Came:
    """What came of some requests. ``got``: their replies."""

    got: list[Any]
    lines: list[Any]
    counted: list[str]
    received: list[tuple[str, bytes]]


def instance(name: str, priority: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "provider": "openai-compatible",
        "auth": {"header": {"Authorization": f"Bearer key-of-{name}"}},
        "override": {"endpoint": f"http://{name}/v1/chat/completions"},
        "weight": 1,
        "priority": priority,
        **fields,
    }


def lonely(**fields: Any) -> dict[str, Any]:
    model = {name: value for name, value in instance("m").items() if name not in ("name", "weight", "priority")}
    return {"uri": "/chat", "plugins": {"ai-proxy": {**model, **fields}}}


def hybrid(**fields: Any) -> dict[str, Any]:
    instances = [instance("m", 0), instance("n", 1)]
    config = {"instances": instances, "fallback_strategy": ["http_429", "http_5xx"], **fields}
    return {"uri": "/chat", "plugins": {"ai-proxy-multi": config}}


def ask(body: bytes = b'{"messages":[]}', *fields: bytes, target: bytes = b"/chat") -> bytes:
    said = [b"Host: h", b"Content-Type: application/json", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join([b"POST %b HTTP/1.1" % target, *said, b"", body])


def came_of(world: World, route: Mapping[str, Any], answers: Sequence[Said], read: Any, question: bytes) -> Came:
    world.put("r", route)
    got = []
    for answer in answers:
        world.answers = {"m": [answer], "n": [[whole(b'{"from":"n"}')]]}
        said = world.send(question)
        got.append(read(said) if b"Transfer-Encoding" in said else said)  # whose chunks are as they came
    return Came(got=got, lines=world.lines, counted=world.counted, received=world.received)


def cuts(data: bytes, step: int = 1) -> list[list[bytes]]:
    """In one piece, in two, and byte by byte."""
    in_two = [[data[:at], data[at:]] for at in range(1, len(data), step)]
    return [[data] if data else [], *in_two, [data[i : i + 1] for i in range(len(data))]]


Both = Callable[..., Came]


@pytest.fixture(scope="module")
def both(make_client: Any, read: Any) -> Both:
    """Checks that some answers come to the same as others without any shortcut."""

    def compare(
        route: Mapping[str, Any], answers: Sequence[Said], others: Sequence[Said], question: bytes = ask()
    ) -> Came:
        forget_lines()
        usual = came_of(World(make_client), route, answers, read, question)
        with without_shortcuts():
            full = came_of(World(make_client), route, others, read, question)
        assert usual == full
        return usual

    return compare


@pytest.mark.parametrize("route", [lonely(**NOT_LONG), hybrid(**NOT_LONG)], ids=["lonely", "hybrid"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_cut_anywhere(answer: Sequence[bytes], route: Mapping[str, Any], both: Both) -> None:
    """Comes to the same as in one read."""
    wire, *ending = answer
    pieces = [[*cut, *ending] for cut in cuts(wire)]
    both(route, pieces, [pieces[0]] * len(pieces))


@pytest.mark.parametrize("route", [lonely(), hybrid()], ids=["lonely", "hybrid"])
@pytest.mark.parametrize("wire", STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_cut_anywhere(wire: bytes, route: Mapping[str, Any], both: Both) -> None:
    """Comes to the same as in one read."""
    pieces = cuts(wire, 5)
    came = both(route, pieces, [pieces[0]] * len(pieces))
    assert {line["llm_total_tokens"] for line in came.lines} == {0 if b"oops" in wire else 10}


MESSAGE = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}'
COMPLETION = json.dumps(openai.completion()).encode()


@pytest.mark.parametrize("body", [COMPLETION, b"{}", b"nonsense"], ids=["right", "empty", "wrong"])
def test_a_converted_answer_cut_anywhere(body: bytes, both: Both) -> None:
    route, pieces = {**lonely(), "uri": "/v1/messages"}, cuts(whole(body))
    came = both(route, pieces, [pieces[0]] * len(pieces), ask(MESSAGE, target=b"/v1/messages"))
    assert (b'"type":"message"' in came.got[0]) is (body == COMPLETION)


def test_answers_are_taken_at_once(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nothing would be tested here."""
    taken: list[bool] = []
    at_once = Answer._at_once

    def seen(answer: Answer) -> Any:
        reply = at_once(answer)
        taken.append(reply is not None)
        return reply

    monkeypatch.setattr(Answer, "_at_once", seen)
    both(lonely(), [[whole()], [whole()[:-5], whole()[-5:]]], [[whole()]] * 2)
    assert taken == [True, False]


# Heads that come again, while routes change.

SMALL = {**lonely(), "vars": [["http_content_length", "==", "15"]]}
NOTED = {**lonely(max_req_body_size=20), "vars": [["http_x_note", "==", "a"]], "priority": 9}

STEPS: Mapping[str, bytes | tuple[str, Mapping[str, Any] | None]] = {
    "ask": ask(),
    "ask more": ask(b'{"messages":[],"x":1}'),
    "ask for another model": ask(b'{"messages":[],"model":"x"}'),
    "ask noted": ask(b'{"messages":[]}', b"X-Note: a"),
    "ask more, noted": ask(b'{"messages":[],"x":1}', b"X-Note: a"),
    "ask elsewhere": ask(target=b"/other"),
    "ask with a key": ask(b'{"messages":[]}', b"Authorization: Bearer mine"),
    "ask with fields": ask(b'{"messages":[]}', b"Connection: x-hop", b"X-Hop: 1", b"X-Keep: 1", b"User-Agent: u"),
    "ask for nothing": ask(b""),
    "ask nonsense": ask(b"nonsense"),
    "ask twice": ask() + ask(b'{"messages":[],"x":1}'),
    "get": b"GET /chat HTTP/1.1\r\nHost: h\r\n\r\n",
    "put one": ("r", lonely()),
    "put another": ("r", lonely(options={"model": "z"}, auth={"header": {"X-Key": "k"}})),
    "put two models": ("r", hybrid()),
    "put one for notes": ("n", NOTED),
    "put one for lengths": ("s", {**SMALL, "priority": 5}),
    "delete": ("r", None),
    "delete that for notes": ("n", None),
    "delete that for lengths": ("s", None),
}


def done(world: World, steps: Sequence[str]) -> Came:
    world.put("r", lonely())
    got = []
    for step in steps:
        what = STEPS[step]
        if isinstance(what, bytes):
            world.answers = {name: [[whole()]] * 2 for name in ("m", "n")}
            got.append(world.send(what))
        else:
            world.put(*what)
    return Came(got=got, lines=world.lines, counted=world.counted, received=world.received)


def same(make_client: Any, steps: Sequence[str]) -> Came:
    forget_lines()
    cold, warm = done(World(make_client), steps), done(World(make_client), steps)
    with without_shortcuts():
        full = done(World(make_client), steps)
    assert cold == full, steps
    assert warm == full, steps
    return full


def test_whatever_happens_between_two_that_are_alike(make_client: Any) -> None:
    asks = [name for name, what in STEPS.items() if isinstance(what, bytes)]
    for first, between in itertools.product(asks, STEPS):
        same(make_client, [first, between, first])


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.sampled_from([*STEPS]), max_size=12))
def test_anything_in_any_order(steps: list[str], make_client: Any) -> None:
    same(make_client, steps)


def test_routes_are_chosen_afresh_where_they_have_to_be(make_client: Any) -> None:
    """Or nothing would be tested here."""
    steps = ["put one for lengths", "delete", "ask", "ask more", "ask", "put one for notes", "ask noted", "ask noted"]
    came = same(make_client, steps)
    assert [line["route_id"] for line in came.lines] == ["s", None, "s", "n", "n"]


ENDINGS: Mapping[str, Said] = {
    "complete": [b"0\r\n\r\n"],
    "cut": [CLOSE],
    "bad": [b"x\r\n"],
    "odd": [b"2;x\r\n\n\n\r\n0\r\n\r\n"],
}
OPENING = chunked(media=STREAM).removesuffix(b"0\r\n\r\n")
TOLD = [*openai.stream(["a", "b", "c", "d"], with_usage=True), b": ping\n\n"]
CHUNKS = [b"%x\r\n%b\r\n" % (len(event), event) for event in TOLD]
STREAMING = ask(b'{"messages":[],"stream":true}')


def as_it_came(said: bytes) -> bytes:
    return said


@pytest.mark.parametrize("route", [lonely(), hybrid(), lonely(**NOT_LONG)], ids=["lonely", "hybrid", "counted"])
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_events_that_come_one_at_a_time(ending: Said, route: Mapping[str, Any], make_client: Any) -> None:
    """Byte for byte what goes out, chunks and all, is what goes out the long way."""
    first, second, *others = CHUNKS
    begun = [[OPENING, first, second], [OPENING + first, second], [OPENING, first + second]]
    answers = [[*beginning, *others, *ending] for beginning in begun]
    usual = came_of(World(make_client), route, answers, as_it_came, STREAMING)
    with without_shortcuts():
        full = came_of(World(make_client), route, answers, as_it_came, STREAMING)
    assert usual == full


def test_events_that_come_one_at_a_time_go_a_shorter_way(make_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = Relay.write
    monkeypatch.setattr(Relay, "write", lambda relay, data: (written.append(data), write(relay, data)))
    came_of(World(make_client), lonely(), [[OPENING, *CHUNKS, b"0\r\n\r\n"]], as_it_came, STREAMING)
    assert len(written) < len(CHUNKS) - 2
