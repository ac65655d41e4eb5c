"""The watch and the holder, fed with chats that are cut at every offset."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.dialects import DIALECTS
from aigw.dialects.dialect import Dialect, Verdict, Watch
from aigw.dialects.openai_chat import read
from aigw.dialects.stream import EventHolder, StreamWatch
from aigw.dialects.usage import Usage
from aigw.errors import GatewayError, UpstreamCutShort, UpstreamError

CHAT, RESPONSES, PASSTHROUGH = (
    next(d for d in DIALECTS if d.name == name) for name in ("openai-chat", "openai-responses", "passthrough")
)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return data({"id": "c", "choices": choices, **more})


def data(value: Any) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
TOLD = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
ROLE = chunk({"role": "assistant", "content": ""}, usage=None)
HELLO = chunk({"content": "hello"}, usage=None)
STOP = chunk({}, "stop", usage=None)
USAGE = chunk(usage=COUNTS)
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"

FAILED = data({"error": {"message": "out of memory", "type": "server_error"}})
PIECES = [ROLE, HELLO, HELLO + HELLO, STOP, USAGE, DONE, PING, FAILED, HELLO[:9], HELLO[9:], b"\n"]


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    """The stream in one piece, in two of every kind, and byte by byte."""
    yield [stream]
    for i in range(1, len(stream)):
        yield [stream[:i], stream[i:]]
    yield [stream[i : i + 1] for i in range(len(stream))]


def watched(watch: Watch, pieces: list[bytes]) -> tuple[bytes, GatewayError | None]:
    """What leaves, and how it ended."""
    out = b""
    try:
        for piece in pieces:
            leaving = watch.feed(piece)
            assert len(leaving) <= 1
            assert b"" not in leaving
            out += b"".join(leaving)
        out += b"".join(watch.close())
    except GatewayError as e:
        return out, e
    return out, None


@attrs.frozen
class Case:
    """A stream whose client did not ask for usage, what is left out of it, how it ends, what usage it tells."""

    stream: bytes
    hidden: bytes = b""
    failure: type[GatewayError] | None = None
    told: Usage = attrs.field(factory=Usage)

    def leaving(self) -> bytes:
        assert not self.hidden or self.stream.count(self.hidden) == 1
        return self.stream.replace(self.hidden, b"") if self.hidden else self.stream


CUT, ERROR = UpstreamCutShort, UpstreamError
NOTICE = chunk(prompt_filter_results=[])
FINAL = chunk({"content": "x"}, "stop", usage=COUNTS)
EARLY = chunk({"content": "x"}, usage={"prompt_tokens": 3, "completion_tokens": 1})
QUOTES = chunk({"content": json.dumps({"usage": COUNTS, "error": {"message": "x"}, "finish_reason": "stop"})})
NULLS = chunk({"content": "x"}, error=None)
GARBAGE = b"data: {\n\ndata: [DONE\xff error\n\n"
ERROR_EVENT = b'event: error\ndata: {"message":"out of memory"}\n\n'
ERROR_FIELD = b'error: {"message":"out of memory"}\n\n'
ERROR_OBJECT = data({"object": "error", "message": "out of memory"})

STREAMS = {
    "usage": Case(ROLE + HELLO + STOP + USAGE + DONE, hidden=USAGE, told=TOLD),
    "no usage": Case(ROLE + HELLO + STOP + DONE),
    "usage in a chunk that says something stays": Case(FINAL + DONE, told=TOLD),
    "usage in every chunk: the last counts": Case(EARLY + USAGE + DONE, hidden=USAGE, told=TOLD),
    "no choices and no usage stays": Case(NOTICE + STOP + DONE),
    "done alone is an end": Case(HELLO + DONE),
    "a finish reason is an end, too": Case(HELLO + STOP),
    "usage after it is hidden": Case(HELLO + STOP + USAGE, hidden=USAGE, told=TOLD),
    "done without its blank line": Case(HELLO + DONE[:-1]),
    "done without a line end": Case(HELLO + DONE[:-2]),
    "blank lines at the end": Case(HELLO + STOP + b"\n\n\n"),
    "nothing after done": Case(HELLO + DONE + HELLO + PING, hidden=HELLO + PING),
    "half an event after done": Case(HELLO + DONE + b"data: x", hidden=b"data: x"),
    "the text [DONE] is no end": Case(chunk({"content": "data: [DONE]\n\n"}) + HELLO + DONE),
    "quoted fields are text": Case(QUOTES + HELLO, failure=CUT),
    "an error that is null is none": Case(NULLS + DONE),
    "pings pass": Case(PING + HELLO + PING + STOP + DONE),
    "garbage passes": Case(GARBAGE + HELLO + DONE),
    "half a surrogate pair": Case(chunk({"content": "\ud83d"}, "stop", usage=COUNTS) + DONE, told=TOLD),
    "no end": Case(ROLE + HELLO, failure=CUT),
    "usage but no end": Case(HELLO + USAGE, hidden=USAGE, failure=CUT, told=TOLD),
    "nothing": Case(b"", failure=CUT),
    "torn": Case(ROLE + HELLO[:-9], hidden=HELLO[:-9], failure=CUT),
    "torn after the finish": Case(STOP + USAGE[:-9], hidden=USAGE[:-9], failure=CUT),
    "torn behind the usage": Case(STOP + USAGE[:-2], hidden=USAGE[:-2], failure=CUT, told=TOLD),
    "error": Case(HELLO + FAILED + DONE, hidden=FAILED + DONE, failure=ERROR),
    "error at the end": Case(HELLO + FAILED, hidden=FAILED, failure=ERROR),
    "error without its blank line": Case(HELLO + FAILED[:-2], hidden=FAILED[:-2], failure=ERROR),
    "error after the finish": Case(HELLO + STOP + FAILED, hidden=FAILED, failure=ERROR),
    "error by name": Case(HELLO + ERROR_EVENT + DONE, hidden=ERROR_EVENT + DONE, failure=ERROR),
    "error as llama.cpp had it": Case(HELLO + ERROR_FIELD + DONE, hidden=ERROR_FIELD + DONE, failure=ERROR),
    "error object": Case(HELLO + ERROR_OBJECT, hidden=ERROR_OBJECT, failure=ERROR),
    "usage before the error": Case(HELLO + USAGE + FAILED, hidden=USAGE + FAILED, failure=ERROR, told=TOLD),
}

VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "LF": lambda stream: stream,
    "CRLF": lambda stream: stream.replace(b"\n", b"\r\n"),
    "CR": lambda stream: stream.replace(b"\n", b"\r"),
    "spaced": lambda stream: stream.replace(b'":', b'": ').replace(b',"', b', "'),
}


@pytest.mark.parametrize("variant", list(VARIANTS.values()), ids=list(VARIANTS))
@pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)
def test_a_chat_leaves_the_same_wherever_it_is_cut(case: Case, variant: Callable[[bytes], bytes]) -> None:
    stream, leaving = variant(case.stream), variant(case.leaving())
    for pieces in cuts(stream):
        usage = Usage()
        out, error = watched(CHAT.watch(usage, True), pieces)
        assert out == leaving
        assert type(error) is (case.failure or type(None))
        assert usage == case.told


@pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)
def test_a_client_that_asked_for_usage_sees_it(case: Case) -> None:
    usage = Usage()
    out, _ = watched(CHAT.watch(usage, False), [case.stream])
    assert out.count(USAGE) == case.stream.count(USAGE)
    assert usage == case.told


def test_the_error_keeps_the_upstreams_words() -> None:
    _, error = watched(CHAT.watch(Usage(), False), [HELLO, FAILED])
    assert error is not None
    assert error.message == "the upstream reported an error: out of memory"
    _, error = watched(CHAT.watch(Usage(), False), [data({"error": "x" * 9000})])
    assert error is not None
    assert len(error.message) < 600


@pytest.mark.parametrize("error", [True, 7, ["x"], {"code": 1}, {"message": {"a": 1}}, {"message": ""}])
def test_an_error_of_any_shape_is_one(error: Any) -> None:
    _, failure = watched(CHAT.watch(Usage(), False), [data({"error": error})])
    assert failure is not None
    assert failure.message == "the upstream reported an error: no details"


def test_a_failed_watch_stays_failed() -> None:
    watch = CHAT.watch(Usage(), False)
    assert watch.feed(HELLO + FAILED) == [HELLO]
    with pytest.raises(UpstreamError):
        watch.feed(DONE)
    with pytest.raises(UpstreamError):
        watch.close()


def test_usage_is_there_when_the_client_leaves_in_mid_stream() -> None:
    usage = Usage()
    watch = CHAT.watch(usage, True)
    watch.feed(chunk({"content": "x"}, usage=COUNTS))
    assert usage == TOLD


def test_what_is_not_touched_is_not_copied() -> None:
    watch = CHAT.watch(Usage(), True)
    assert watch.feed(HELLO)[0] is HELLO


def test_an_event_over_the_limit_passes_and_the_end_of_the_stream_is_taken_on_trust() -> None:
    long = chunk({"content": "x" * 100})
    for pieces in cuts(HELLO + long):
        watch = StreamWatch(read, [b"[DONE]"], Usage(), True, limit=60)
        out, error = watched(watch, pieces)
        assert out == HELLO + long
        assert error is None or len(pieces) < 3  # whole events are read, whatever their size


def test_an_event_over_the_limit_that_is_torn_is_cut_short() -> None:
    watch = StreamWatch(read, [b"[DONE]"], Usage(), True, limit=60)
    _, error = watched(watch, [b'data: {"choices":' + b" " * 100])
    assert isinstance(error, UpstreamCutShort)


# Holder: the events, the verdict, the message
BEGINNINGS: list[tuple[Dialect, bytes, Verdict, str]] = [
    (CHAT, PING + ROLE + HELLO, Verdict.REAL, ""),
    (CHAT, ROLE + PING + chunk({"content": None}) + chunk({"tool_calls": []}), Verdict.WAIT, ""),
    (CHAT, NOTICE + chunk(usage=None) + b"data:\n\n" + b"event: ping\ndata: {}\n\n", Verdict.WAIT, ""),
    (CHAT, b"data: [1]\n\ndata: what\n\ndata: 7\n\n" + data({"choices": 7}) + data({"choices": [7]}), Verdict.WAIT, ""),
    (CHAT, data({"choices": [{"delta": 7}, {"delta": None}, {}]}), Verdict.WAIT, ""),
    (CHAT, chunk({"content": " "}), Verdict.REAL, ""),
    (CHAT, chunk({"reasoning_content": "hm"}), Verdict.REAL, ""),
    (CHAT, chunk({"reasoning": "hm", "content": ""}), Verdict.REAL, ""),
    (CHAT, chunk({"refusal": "no"}), Verdict.REAL, ""),
    (CHAT, chunk({"audio": {"id": "a"}}), Verdict.REAL, ""),
    (CHAT, chunk({"role": "assistant", "tool_calls": [{"index": 0}]}), Verdict.REAL, ""),
    (CHAT, chunk({"content": "\ud83d"}), Verdict.REAL, ""),
    (CHAT, STOP, Verdict.REAL, ""),
    (CHAT, USAGE, Verdict.REAL, ""),
    (CHAT, DONE, Verdict.REAL, ""),
    (CHAT, FAILED, Verdict.FAILED, "out of memory"),
    (CHAT, PING + ROLE + FAILED + HELLO, Verdict.FAILED, "out of memory"),
    (CHAT, HELLO + FAILED, Verdict.REAL, ""),
    (CHAT, b'error: {"message":"too long"}\n\n', Verdict.FAILED, "too long"),
    (CHAT, b"event: error\ndata: overloaded\n\n", Verdict.FAILED, "no details"),
    (RESPONSES, data({"type": "response.created"}) + data({"type": "response.in_progress"}), Verdict.WAIT, ""),
    (RESPONSES, data({"type": "response.output_item.added"}) + data({"type": "keepalive"}), Verdict.WAIT, ""),
    (RESPONSES, data({"type": "response.output_text.delta", "delta": "h"}), Verdict.REAL, ""),
    (RESPONSES, data({"type": "response.output_text.delta", "delta": ""}), Verdict.WAIT, ""),
    (RESPONSES, data({"type": "response.completed", "response": {}}), Verdict.REAL, ""),
    (RESPONSES, data({"type": "response.failed", "response": {"error": {"message": "m"}}}), Verdict.FAILED, "m"),
    (RESPONSES, data({"type": "response.failed"}), Verdict.FAILED, "no details"),
    (RESPONSES, b'event: error\ndata: {"type":"error","message":"m"}\n\n', Verdict.FAILED, "m"),
    (RESPONSES, data({"type": "error", "message": "m", "code": None}), Verdict.FAILED, "m"),
    (PASSTHROUGH, b"x", Verdict.REAL, ""),
]


@pytest.mark.parametrize(("dialect", "stream", "verdict", "message"), BEGINNINGS)
def test_the_holder_judges_the_beginning_wherever_it_is_cut(
    dialect: Dialect, stream: bytes, verdict: Verdict, message: str
) -> None:
    for pieces in cuts(stream):
        holder = dialect.holder()
        verdicts = [holder.feed(piece) for piece in pieces]
        assert verdicts[-1] is verdict
        assert holder.message == message
        assert {Verdict.REAL, Verdict.FAILED} - set(verdicts)


def test_the_holder_waits_for_the_whole_event() -> None:
    for i in range(len(HELLO)):
        assert CHAT.holder().feed(HELLO[:i]) is Verdict.WAIT


def test_a_verdict_is_final() -> None:
    holder = CHAT.holder()
    assert holder.feed(HELLO) is Verdict.REAL
    assert holder.feed(FAILED) is Verdict.REAL
    assert holder.close() is Verdict.REAL


@pytest.mark.parametrize(
    ("dialect", "stream", "verdict"),
    [
        (CHAT, b"", Verdict.FAILED),
        (CHAT, ROLE, Verdict.FAILED),
        (CHAT, HELLO[:-9], Verdict.FAILED),
        (CHAT, DONE[:-2], Verdict.REAL),
        (CHAT, HELLO[:-1], Verdict.REAL),
        (PASSTHROUGH, b"", Verdict.REAL),
    ],
)
def test_the_end_is_a_verdict_too(dialect: Dialect, stream: bytes, verdict: Verdict) -> None:
    holder = dialect.holder()
    holder.feed(stream)
    assert holder.close() is verdict
    assert bool(holder.message) is (verdict is Verdict.FAILED)


def test_an_endless_first_event_is_taken_for_real() -> None:
    holder = EventHolder(read, limit=100)
    verdicts = [holder.feed(b"data: " + b"x" * 60) for _ in range(3)]
    assert verdicts == [Verdict.WAIT, Verdict.REAL, Verdict.REAL]


DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"error"}\n\n'
COMPLETED = (
    b'event: response.completed\ndata: {"type":"response.completed","response":'
    b'{"error":null,"usage":{"input_tokens":3,"output_tokens":2}}}\n\n'
)
RESPONSES_FAILED = b'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"message":"m"}}}\n\n'


@pytest.mark.parametrize(
    ("stream", "expected", "failure", "told"),
    [
        (DELTA + COMPLETED, DELTA + COMPLETED, None, TOLD),
        (DELTA + COMPLETED + DONE, DELTA + COMPLETED + DONE, None, TOLD),
        (DELTA + RESPONSES_FAILED, DELTA + RESPONSES_FAILED, None, Usage()),
        (DELTA, DELTA, UpstreamCutShort, Usage()),
        (DELTA + COMPLETED[:-9], DELTA, UpstreamCutShort, Usage()),
        (DELTA + b'event: error\ndata: {"type":"error","message":"m"}\n\n', DELTA, UpstreamError, Usage()),
    ],
)
def test_a_responses_stream_leaves_the_same_wherever_it_is_cut(
    stream: bytes, expected: bytes, failure: type[GatewayError] | None, told: Usage
) -> None:
    for pieces in cuts(stream):
        usage = Usage()
        out, error = watched(RESPONSES.watch(usage, True), pieces)
        assert (out, type(error), usage) == (expected, failure or type(None), told)


def test_passthrough_relays_what_comes_and_claims_nothing() -> None:
    for pieces in cuts(HELLO + FAILED):
        assert watched(PASSTHROUGH.watch(Usage(), True), pieces) == (HELLO + FAILED, None)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(dialect=st.sampled_from(DIALECTS), pieces=st.lists(st.sampled_from(PIECES)))
def test_what_passes_need_not_be_fed(dialect: Dialect, pieces: list[bytes]) -> None:
    """The watch that saw only the rest comes to the same."""
    usages = Usage(), Usage()
    every, rest = (dialect.watch(usage, hide_usage=True) for usage in usages)
    out: list[list[bytes]] = [[], []]
    ends: list[object] = [None, None]
    for i, watch in enumerate((every, rest)):
        try:
            for piece in pieces:
                passes = watch.passes(piece)
                fed = [piece] if passes and watch is rest else watch.feed(piece)
                assert not passes or fed == [piece]
                out[i] += fed
            out[i] += watch.close()
        except GatewayError as error:
            ends[i] = (type(error), error.message)
    assert (out[0], ends[0], usages[0], every.over) == (out[1], ends[1], usages[1], rest.over)
