"""The body of a response: held, watched, decoded, bounded, under deadlines."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from aigw.errors import (
    GatewayError,
    UpstreamBadReply,
    UpstreamCutShort,
    UpstreamReplyTooLarge,
    UpstreamReset,
    UpstreamTimeout,
)
from aigw.upstream.body import UpstreamBody
from aigw.upstream.timeouts import Timeouts


class Transport:
    """What deliverBody gives a protocol as its transport; remembers what was asked of it."""

    def __init__(self) -> None:
        self.reading = True
        self.aborted = False
        self.under_way: list[Callable[[], None]] = []

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True
        for deliver in self.under_way[:]:
            self.under_way.clear()
            deliver()

    def abortConnection(self) -> None:
        self.aborted = True


class Collector:
    """A sink that remembers; ``body`` is paused at the piece of that number, and suffices with that text."""

    def __init__(
        self, body: UpstreamBody | None = None, pause_at: int | None = None, enough: bytes | None = None
    ) -> None:
        self.pieces: list[bytes] = []
        self.end: GatewayError | str | None = None
        self._body, self._pause_at, self._enough = body, pause_at, enough

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def write(self, data: bytes) -> None:
        self.pieces.append(data)
        if self._body is not None and len(self.pieces) == self._pause_at:
            self._body.pause()
        if self._body is not None and self._enough is not None and self._enough in self.data:
            self._body.suffice()

    def finished(self) -> None:
        assert self.end is None
        self.end = "finished"

    def broke(self, error: GatewayError) -> None:
        assert self.end is None
        self.end = error


DONE = Failure(ResponseDone())


def body_of(
    *,
    idle: float | None = None,
    deadline: float | None = None,
    max_bytes: int | None = None,
    encoding: bytes = b"",
) -> tuple[UpstreamBody, Transport, Clock]:
    clock, transport = Clock(), Transport()
    timeouts = Timeouts(clock)
    body = UpstreamBody(clock, idle=idle, deadline=deadline, max_bytes=max_bytes, encoding=encoding, timeouts=timeouts)
    body.makeConnection(transport)  # type: ignore[arg-type]
    return body, transport, clock


def timers(clock: Clock) -> list[IDelayedCall]:
    """What waits for its time, but for a `Timeouts` queue in which nobody waits."""
    return [call for call in clock.getDelayedCalls() if getattr(call.func, "__self__", call).waiting]  # type: ignore[attr-defined]


def outcome(deferred: Deferred[None]) -> list[object]:
    results: list[object] = []
    deferred.addBoth(results.append)
    return results


def never(data: bytes) -> bool:
    return False


def test_relays_every_arrival_and_the_end() -> None:
    body, _, _ = body_of()
    sink = Collector()
    body.start(sink)
    body.dataReceived(b"one")
    body.dataReceived(b"two")
    body.connectionLost(DONE)
    assert (sink.pieces, sink.end) == ([b"one", b"two"], "finished")


def test_what_arrived_before_the_start_is_not_lost_and_reading_stops_meanwhile() -> None:
    body, transport, _ = body_of()
    body.dataReceived(b"early")
    assert (body.early, transport.reading) == (b"early", True)
    body.dataReceived(b", too")
    assert (body.early, transport.reading) == (b"early", False)
    sink = Collector()
    body.start(sink)
    assert transport.reading
    body.connectionLost(DONE)
    assert (sink.data, sink.end) == (b"early, too", "finished")


def test_what_has_to_be_decoded_is_nothing_yet() -> None:
    body, transport, _ = body_of(encoding=b"gzip")
    body.dataReceived(gzip.compress(b"early"))
    assert (body.early, transport.reading) == (b"", False)


def test_watch_ends_when_the_judge_has_seen_enough_and_the_rest_follows_in_order() -> None:
    body, transport, _ = body_of()
    seen: list[bytes] = []

    def judge(data: bytes) -> bool:
        seen.append(data)
        return data == b"b"

    watched = outcome(body.watch(judge, 1000))
    body.dataReceived(b"a")
    assert watched == []
    body.dataReceived(b"b")
    assert watched == [None]
    assert seen == [b"a", b"b"]
    assert not body.complete
    body.dataReceived(b"c")
    assert transport.reading
    body.dataReceived(b"d")
    assert not transport.reading
    sink = Collector()
    body.start(sink)
    assert transport.reading
    body.dataReceived(b"e")
    body.connectionLost(DONE)
    assert (sink.pieces, sink.end) == ([b"ab", b"c", b"d", b"e"], "finished")


def test_watch_ends_past_its_limit() -> None:
    body, transport, _ = body_of()
    watched = outcome(body.watch(never, 3))
    body.dataReceived(b"abc")
    assert watched == []
    body.dataReceived(b"d")
    assert watched == [None]
    assert body.held() == b"abcd"
    body.dataReceived(b"e")
    body.dataReceived(b"f")
    assert not transport.reading


def test_watch_ends_with_the_body() -> None:
    body, _, _ = body_of()
    watched = outcome(body.watch(never, 100))
    body.dataReceived(b"all")
    body.connectionLost(Failure(PotentialDataLoss()))
    assert watched == [None]
    assert body.complete
    assert body.held() == b"all"


@pytest.mark.parametrize("encoding", [b"", b"gzip"])
def test_a_sink_that_starts_when_a_watch_ends_with_the_body_is_told_of_the_end(encoding: bytes) -> None:
    body, _, _ = body_of(encoding=encoding)
    sink = Collector()
    body.watch(never, 100).addCallback(lambda _: body.start(sink))
    body.dataReceived(gzip.compress(b"all") if encoding else b"all")
    body.connectionLost(DONE)
    assert (sink.data, sink.end) == (b"all", "finished")


def test_watch_fails_when_the_body_breaks_and_nobody_is_told_twice() -> None:
    body, _, _ = body_of()
    watched = outcome(body.watch(never, 100))
    body.dataReceived(b"half")
    body.connectionLost(Failure(UpstreamReset("gone")))
    assert isinstance(watched[0], Failure)
    assert watched[0].check(UpstreamReset)


def test_release_ends_a_watch_and_what_follows_is_relayed() -> None:
    body, _, _ = body_of()
    watched = outcome(body.watch(never, 100))
    body.dataReceived(b": ping\n\n")
    body.release()
    assert watched == [None]
    sink = Collector()
    body.start(sink)
    body.dataReceived(b"data")
    assert sink.data == b": ping\n\ndata"


def test_cancelling_a_watch_closes_the_connection() -> None:
    body, transport, _ = body_of()
    watching = body.watch(never, 100)
    watching.addErrback(lambda f: None)
    watching.cancel()
    assert transport.aborted


def test_a_break_is_told_after_what_came_before_it() -> None:
    body, _, _ = body_of()
    body.dataReceived(b"half")
    body.connectionLost(Failure(UpstreamReset("gone")))
    sink = Collector()
    body.start(sink)
    assert sink.data == b"half"
    assert isinstance(sink.end, UpstreamReset)


def test_an_unknown_end_is_a_cut() -> None:
    body, _, _ = body_of()
    sink = Collector()
    body.start(sink)
    body.connectionLost(Failure(RuntimeError("?")))
    assert isinstance(sink.end, UpstreamCutShort)


def test_pause_stops_reading_and_resume_goes_on() -> None:
    body, transport, _ = body_of()
    sink = Collector()
    body.start(sink)
    body.pause()
    assert not transport.reading
    body.dataReceived(b"was under way")
    assert sink.pieces == []
    body.resume()
    assert transport.reading
    assert sink.pieces == [b"was under way"]


def test_what_comes_at_once_with_a_resume_may_pause_again() -> None:
    body, transport, _ = body_of()
    sink = Collector(body, pause_at=2)
    body.start(sink)
    body.dataReceived(b"one")
    body.pause()
    transport.under_way.append(lambda: body.dataReceived(b"two"))
    body.resume()
    assert (sink.pieces, transport.reading) == ([b"one", b"two"], False)
    body.dataReceived(b"three")
    assert sink.pieces == [b"one", b"two"]
    body.resume()
    assert (sink.pieces, transport.reading) == ([b"one", b"two", b"three"], True)


def test_the_end_waits_for_a_paused_sink() -> None:
    body, _, _ = body_of()
    sink = Collector()
    body.start(sink)
    body.pause()
    body.dataReceived(b"rest")
    body.connectionLost(DONE)
    assert sink.end is None
    body.resume()
    assert (sink.data, sink.end) == (b"rest", "finished")


def test_abort_closes_and_tells_nobody() -> None:
    body, transport, clock = body_of(idle=1)
    sink = Collector()
    body.start(sink)
    body.abort()
    body.abort()
    assert transport.aborted
    assert sink.end is None
    assert timers(clock) == []


def test_idle_deadline_counts_from_the_last_arrival() -> None:
    body, transport, clock = body_of(idle=5)
    sink = Collector()
    body.start(sink)
    for _ in range(4):
        clock.advance(4)
        body.dataReceived(b".")
    assert sink.end is None
    clock.advance(4.9)
    assert sink.end is None
    clock.advance(0.2)
    assert isinstance(sink.end, UpstreamTimeout)
    assert transport.aborted


def test_idle_deadline_stands_still_while_the_client_is_slow() -> None:
    body, _, clock = body_of(idle=5)
    sink = Collector()
    body.start(sink)
    body.pause()
    for _ in range(10):
        clock.advance(4)
    assert sink.end is None
    body.resume()
    clock.advance(4.9)
    assert sink.end is None
    clock.advance(5)
    assert isinstance(sink.end, UpstreamTimeout)


def test_what_was_under_way_when_a_client_became_slow_does_not_start_the_idle_deadline() -> None:
    body, _, clock = body_of(idle=5)
    sink = Collector()
    body.start(sink)
    body.pause()
    body.dataReceived(b"was under way")
    for _ in range(10):
        clock.advance(4)
    assert sink.end is None


def test_the_idle_deadlines_of_bodies_are_one_timer() -> None:
    clock = Clock()
    timeouts = Timeouts(clock)
    bodies = [UpstreamBody(clock, idle=5, timeouts=timeouts) for _ in range(3)]
    for body in bodies:
        body.start(Collector())
    assert len(clock.getDelayedCalls()) == 1


def test_the_deadline_does_not_move_and_reaches_a_slow_client_too() -> None:
    body, _, clock = body_of(idle=5, deadline=7)
    sink = Collector()
    body.start(sink)
    clock.advance(4)
    body.dataReceived(b".")
    body.pause()
    clock.advance(3.1)
    assert isinstance(sink.end, UpstreamTimeout)


def test_no_timer_is_left_when_the_body_is_complete() -> None:
    body, _, clock = body_of(idle=5, deadline=7)
    body.start(Collector())
    body.connectionLost(DONE)
    assert timers(clock) == []


def test_too_long_a_body_is_cut() -> None:
    body, transport, _ = body_of(max_bytes=5)
    sink = Collector()
    body.start(sink)
    body.dataReceived(b"12345")
    body.dataReceived(b"6")
    assert sink.data == b"12345"
    assert isinstance(sink.end, UpstreamReplyTooLarge)
    assert transport.aborted


def test_a_short_rest_is_discarded_without_closing() -> None:
    body, transport, _ = body_of()
    body.discard(10)
    body.dataReceived(b"0123456789")
    assert not transport.aborted
    body.connectionLost(DONE)


def test_a_long_rest_is_not_waited_for() -> None:
    body, transport, _ = body_of()
    body.discard(10)
    body.dataReceived(b"0123456789a")
    assert transport.aborted


RAW = zlib.compressobj(wbits=-15)
PLAIN = b'{"a": "' + b"x" * 5000 + b'"}'
ENCODED = [
    (b"gzip", gzip.compress(PLAIN)),
    (b"x-gzip", gzip.compress(PLAIN)),
    (b"gzip", gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:])),
    (b"deflate", zlib.compress(PLAIN)),
    (b"deflate", RAW.compress(PLAIN) + RAW.flush()),
]


@pytest.mark.parametrize(("encoding", "data"), ENCODED)
def test_decodes_whatever_the_cuts(encoding: bytes, data: bytes) -> None:
    for cut in range(len(data) + 1):
        body, _, _ = body_of(encoding=encoding)
        sink = Collector()
        body.start(sink)
        for part in (data[:cut], data[cut:]):
            if part:
                body.dataReceived(part)
        body.connectionLost(DONE)
        assert sink.data == PLAIN
        assert sink.end == "finished"


def test_a_compressed_body_that_ends_early_is_cut_short() -> None:
    body, _, _ = body_of(encoding=b"gzip")
    sink = Collector()
    body.start(sink)
    body.dataReceived(gzip.compress(PLAIN)[:-9])
    body.connectionLost(DONE)
    assert isinstance(sink.end, UpstreamCutShort)


def test_damaged_compression_is_a_bad_reply() -> None:
    body, transport, _ = body_of(encoding=b"gzip")
    sink = Collector()
    body.start(sink)
    body.dataReceived(b"this is no gzip")
    assert isinstance(sink.end, UpstreamBadReply)
    assert transport.aborted


def test_an_empty_body_with_an_encoding_is_empty() -> None:
    body, _, _ = body_of(encoding=b"gzip")
    sink = Collector()
    body.start(sink)
    body.connectionLost(DONE)
    assert (sink.data, sink.end) == (b"", "finished")


def test_a_decompression_bomb_meets_back_pressure() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    body, transport, _ = body_of(encoding=b"gzip")
    sink = Collector(body, pause_at=1)
    body.start(sink)
    body.dataReceived(bomb)
    assert len(sink.data) <= 256 * 1024
    assert not transport.reading
    body.connectionLost(DONE)
    body.resume()
    assert len(sink.data) == 50_000_000
    assert sink.end == "finished"


def test_max_bytes_counts_what_comes_out_of_the_decompression() -> None:
    body, _, _ = body_of(encoding=b"gzip", max_bytes=1_000_000)
    sink = Collector()
    body.start(sink)
    body.dataReceived(gzip.compress(bytes(50_000_000)))
    assert len(sink.data) <= 1_000_000
    assert isinstance(sink.end, UpstreamReplyTooLarge)


@pytest.mark.parametrize("held", [False, True])
def test_the_sink_may_have_enough_before_the_body_ends(held: bool) -> None:
    body, transport, clock = body_of(idle=5)
    sink = Collector(body, pause_at=2, enough=b"[DONE]")
    if held:
        body.watch(never, 1000)
        body.dataReceived(b"one")
        body.dataReceived(b"[DONE]")
        body.release()
    body.start(sink)
    if not held:
        body.dataReceived(b"one")
        assert sink.end is None
        body.dataReceived(b"[DONE]")
    assert (sink.data, sink.end) == (b"one[DONE]", "finished")
    assert transport.reading
    body.dataReceived(b"a short rest")
    body.connectionLost(DONE)
    assert sink.data == b"one[DONE]"
    assert not transport.aborted
    assert timers(clock) == []


def test_nobody_waits_long_for_the_rest() -> None:
    body, transport, clock = body_of(idle=5)
    sink = Collector(body, enough=b"")
    body.start(sink)
    body.dataReceived(b"all")
    clock.advance(5)
    assert sink.end == "finished"
    assert transport.aborted


def test_a_sink_that_aborts_is_not_told_that_it_has_enough() -> None:
    body, transport, _ = body_of()

    class Leaving(Collector):
        def write(self, data: bytes) -> None:
            body.suffice()
            body.abort()

    sink = Leaving()
    body.start(sink)
    body.dataReceived(b"all")
    assert (sink.end, transport.aborted) == (None, True)


class Busy(Collector):
    """A sink that does something with its body at some of its pieces."""

    def __init__(self, body: UpstreamBody, at: dict[int, str]) -> None:
        super().__init__()
        self._it, self._at = body, at

    def write(self, data: bytes) -> None:
        super().write(data)
        for deed in self._at.get(len(self.pieces), "").split():
            do(self._it, self, deed)


def do(body: UpstreamBody, sink: Collector, deed: str) -> None:
    deeds = {
        "start": lambda: body.start(sink),
        "arrive": lambda: body.dataReceived(b"%d," % len(sink.pieces)),
        "pause": body.pause,
        "resume": body.resume,
        "suffice": body.suffice,
        "abort": body.abort,
        "fail": lambda: body.fail(UpstreamTimeout("late")),
        "end": lambda: body.connectionLost(DONE),
        "break": lambda: body.connectionLost(Failure(UpstreamReset("gone"))),
    }
    deeds[deed]()


DEEDS = st.sampled_from(["arrive", "arrive", "arrive", "pause", "resume", "abort", "fail", "end", "break"])
WITHIN = st.sampled_from(["pause", "resume", "pause resume", "suffice", "pause suffice", "abort", "arrive", "end"])


@given(before=st.integers(0, 3), deeds=st.lists(DEEDS, max_size=12), within=st.dictionaries(st.integers(1, 8), WITHIN))
def test_the_short_way_to_the_sink_leads_where_the_long_one_does(
    before: int, deeds: list[str], within: dict[int, str]
) -> None:
    """A body whose bytes are counted never takes it."""
    told = []
    for max_bytes in (None, 10**9):
        body, transport, clock = body_of(idle=5, max_bytes=max_bytes)
        sink = Busy(body, within)
        for deed in ["arrive"] * before + ["start", *deeds]:
            do(body, sink, deed)
        end = sink.end if isinstance(sink.end, str) else type(sink.end)
        told.append((sink.pieces, end, transport.reading, transport.aborted, bool(timers(clock))))
    assert told[0] == told[1]


class Forwarding(Collector):
    """A sink that sends chunks on as they came, as long as it likes."""

    def __init__(self, body: UpstreamBody | None = None) -> None:
        super().__init__()
        self.chunks: list[bytes] = []
        self.likes = True
        self.pauses = body

    def forward(self, chunk: bytes, data: bytes) -> bool:
        if self.likes:
            self.chunks.append(chunk)
            if self.pauses is not None:
                self.pauses.pause()
        return self.likes


class Chunked(Transport):
    """A transport that asks before it delivers."""

    def forward_to(self, forward: Callable[[bytes, bytes], bool]) -> None:
        self.forward = forward


def forwarding(sink: Forwarding | None = None, **options: Any) -> tuple[UpstreamBody, Chunked, Clock, Forwarding]:
    body, _, clock = body_of(**options)
    transport, sink = Chunked(), sink or Forwarding()
    body.makeConnection(transport)  # type: ignore[arg-type]
    body.start(sink)
    return body, transport, clock, sink


def test_a_chunk_goes_the_short_way() -> None:
    _, transport, _, sink = forwarding()
    assert transport.forward(b"2\r\nhi\r\n", b"hi")
    assert (sink.chunks, sink.pieces) == ([b"2\r\nhi\r\n"], [])


def test_what_the_sink_does_not_forward_is_not_taken() -> None:
    _, transport, _, sink = forwarding()
    sink.likes = False
    assert not transport.forward(b"2\r\nhi\r\n", b"hi")


def test_a_chunk_is_an_arrival() -> None:
    _, transport, clock, sink = forwarding(idle=5)
    for _ in range(4):
        clock.advance(3)
        assert transport.forward(b"2\r\nhi\r\n", b"hi")
    assert sink.end is None
    clock.advance(5)
    assert isinstance(sink.end, UpstreamTimeout)


def test_a_sink_that_pauses_as_it_forwards_has_all_the_time() -> None:
    body, transport, clock, sink = forwarding(idle=5)
    sink.pauses = body
    assert transport.forward(b"2\r\nhi\r\n", b"hi")
    assert not transport.reading
    assert not transport.forward(b"2\r\nho\r\n", b"ho")
    clock.advance(50)
    assert sink.end is None
    sink.pauses = None
    body.resume()
    assert transport.forward(b"2\r\nho\r\n", b"ho")


@pytest.mark.parametrize("options", [{"max_bytes": 100}, {"encoding": b"gzip"}])
def test_what_has_to_be_counted_or_decoded_does_not_go_the_short_way(options: dict[str, Any]) -> None:
    _, transport, _, sink = forwarding(**options)
    assert not transport.forward(b"2\r\nhi\r\n", b"hi")
    assert sink.chunks == []


def test_nothing_goes_the_short_way_after_the_end() -> None:
    body, transport, _, sink = forwarding()
    body.abort()
    assert not transport.forward(b"2\r\nhi\r\n", b"hi")
    assert sink.chunks == []
