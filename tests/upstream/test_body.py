"""The body of a response: held, watched, decoded, bounded, under deadlines."""

from __future__ import annotations

import gzip
import zlib

import pytest
from twisted.internet.defer import Deferred
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


class Transport:
    """What deliverBody gives a protocol as its transport; remembers what was asked of it."""

    def __init__(self) -> None:
        self.reading = True
        self.aborted = False

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def abortConnection(self) -> None:
        self.aborted = True


class Collector:
    """A sink that remembers."""

    def __init__(self, body: UpstreamBody | None = None, pause_at: int | None = None) -> None:
        self.pieces: list[bytes] = []
        self.end: GatewayError | str | None = None
        self._body, self._pause_at = body, pause_at

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def write(self, data: bytes) -> None:
        self.pieces.append(data)
        if self._body is not None and len(self.pieces) == self._pause_at:
            self._body.pause()

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
    body = UpstreamBody(clock, idle=idle, deadline=deadline, max_bytes=max_bytes, encoding=encoding)
    body.makeConnection(transport)  # type: ignore[arg-type]
    return body, transport, clock


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
    assert not transport.reading
    sink = Collector()
    body.start(sink)
    assert transport.reading
    body.connectionLost(DONE)
    assert (sink.data, sink.end) == (b"early", "finished")


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
    assert not transport.reading
    assert not body.complete
    sink = Collector()
    body.start(sink)
    body.dataReceived(b"c")
    body.connectionLost(DONE)
    assert (sink.pieces, sink.end) == ([b"ab", b"c"], "finished")


def test_watch_ends_past_its_limit() -> None:
    body, transport, _ = body_of()
    watched = outcome(body.watch(never, 3))
    body.dataReceived(b"abc")
    assert watched == []
    body.dataReceived(b"d")
    assert watched == [None]
    assert body.held() == b"abcd"
    assert not transport.reading


def test_watch_ends_with_the_body() -> None:
    body, _, _ = body_of()
    watched = outcome(body.watch(never, 100))
    body.dataReceived(b"all")
    body.connectionLost(Failure(PotentialDataLoss()))
    assert watched == [None]
    assert body.complete
    assert body.held() == b"all"


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
    assert clock.getDelayedCalls() == []


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
    assert clock.getDelayedCalls() == []


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
    sink = Collector(body, pause_at=2)
    body.ends_when(lambda: b"[DONE]" in sink.data)
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
    assert clock.getDelayedCalls() == []


def test_nobody_waits_long_for_the_rest() -> None:
    body, transport, clock = body_of(idle=5)
    sink = Collector()
    body.ends_when(lambda: True)
    body.start(sink)
    body.dataReceived(b"all")
    clock.advance(5)
    assert sink.end == "finished"
    assert transport.aborted


def test_a_sink_that_aborts_is_not_told_that_it_has_enough() -> None:
    body, transport, _ = body_of()

    class Leaving(Collector):
        def write(self, data: bytes) -> None:
            body.abort()

    sink = Leaving()
    body.ends_when(lambda: True)
    body.start(sink)
    body.dataReceived(b"all")
    assert (sink.end, transport.aborted) == (None, True)
