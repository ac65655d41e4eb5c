"""From a Reply to bytes: framing, backpressure, every way to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aigw.errors import GatewayError, UpstreamCutShort, UpstreamReset
from aigw.exchange import Outcome, Reply

BROKE = UpstreamReset("the upstream went away")
EVENT = b"data: {error}\n\n"


class Upper:
    """A stage: upper case, and a goodbye."""

    def feed(self, data: bytes) -> list[bytes]:
        return [data.upper()]

    def close(self) -> list[bytes]:
        return [b"bye"]


class Lines:
    """A stage that lets whole lines out."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line + b"\n" for line in lines]

    def close(self) -> list[bytes]:
        return [self.rest] if self.rest else []


class Failing:
    """A stage that fails, on feed or on close."""

    def __init__(self, error: Exception, *, on_close: bool = False) -> None:
        self.error = error
        self.on_close = on_close

    def feed(self, data: bytes) -> list[bytes]:
        if self.on_close:
            return [data]
        raise self.error

    def close(self) -> list[bytes]:
        raise self.error


class Stream:
    """A reply under way: its source, its client, what its aftermath was told."""

    def __init__(self, gateway: Any, source: Any, *, request: bytes = b"", capacity: int | None = None, **reply: Any):
        self.gateway, self.source = gateway, source
        self.told: list[tuple[Outcome, GatewayError | None]] = []
        made = Reply(status=200, source=source, **reply).afterwards(lambda *told: self.told.append(told))
        gateway.reply_with(made)
        self.client = gateway.connect(capacity=capacity)
        self.client.send(request or b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n")

    @property
    def chunks(self) -> list[bytes]:
        """Writes, without head and chunk sizes."""
        return [w.partition(b"\r\n\r\n")[2] if w.startswith(b"HTTP/") else w for w in self.client.transport.writes]

    @property
    def seen(self) -> Any:
        (seen,) = self.gateway.seen
        return seen


@pytest.fixture
def stream(gateway: Any, make_source: Any) -> Callable[..., Stream]:
    """``stream(*chunks_at_once, **options)``."""

    def make(*at_once: bytes, **options: Any) -> Stream:
        return Stream(gateway, make_source(*at_once), **options)

    return make


class TestFraming:
    def test_of_unknown_length_it_is_chunked(self, stream: Any) -> None:
        s = stream()
        for data in (b"hello", b"x" * 300):
            s.source.write(data)
        s.source.finish()
        assert s.chunks == [b"", b"5\r\nhello\r\n", b"12c\r\n" + b"x" * 300 + b"\r\n", b"0\r\n\r\n"]
        assert (s.client.reply.complete, s.client.closed) == (True, False)
        assert s.told == [(Outcome.DONE, None)]
        assert (s.seen.status, s.seen.outcome, s.seen.sent) == (200, Outcome.DONE, 305)

    def test_of_known_length(self, stream: Any) -> None:
        s = stream(length=5)
        s.source.write(b"hel")
        s.source.write(b"lo")
        s.source.finish()
        assert s.chunks == [b"", b"hel", b"lo"]
        assert s.client.reply.headers["content-length"] == "5"
        assert (s.client.reply.complete, s.client.closed) == (True, False)

    def test_stages_make_the_length_unknown(self, stream: Any) -> None:
        s = stream(length=5, stages=[Upper()])
        s.source.write(b"hello")
        s.source.finish()
        assert s.client.reply.body == b"HELLObye"
        assert "content-length" not in s.client.reply.headers

    def test_http_1_0_ends_with_the_connection(self, stream: Any) -> None:
        s = stream(request=b"GET / HTTP/1.0\r\n\r\n")
        s.source.write(b"hello")
        assert not s.client.closed
        s.source.finish()
        reply = s.client.reply
        assert (reply.body, reply.headers["connection"], s.client.closed) == (b"hello", "close", True)
        assert "transfer-encoding" not in reply.headers

    @pytest.mark.parametrize("length", [None, 7])
    def test_head_gets_no_body_and_the_source_is_not_wanted(
        self, gateway: Any, stream: Any, read: Any, length: Any
    ) -> None:
        s = stream(length=length, request=b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        (reply,) = read(s.client.got, head_only=True)
        assert (reply.status, reply.headers.get("content-length")) == (200, length and str(length))
        assert "transfer-encoding" not in reply.headers
        assert s.source.calls == ["abort"]
        assert s.told == [(Outcome.DONE, None)]
        assert not s.client.closed

    def test_head_of_a_complete_body(self, gateway: Any, read: Any) -> None:
        client = gateway.connect().get(method=b"HEAD")
        (reply,) = read(client.got, head_only=True)
        assert reply.headers["content-length"] == str(len(b"HEAD / "))

    @pytest.mark.parametrize("status", [204, 304])
    def test_statuses_without_a_body(self, gateway: Any, make_source: Any, status: int) -> None:
        source = make_source()
        gateway.reply_with(Reply(status=status, source=source, length=3))
        client = gateway.connect().get().get()
        assert [(r.status, r.headers.get("content-length")) for r in client.replies] == [(status, None)] * 2
        assert source.calls == ["abort"] * 2

    def test_an_empty_stream(self, stream: Any) -> None:
        s = stream()
        s.source.finish()
        assert (s.client.reply.body, s.client.reply.complete) == (b"", True)

    def test_an_unknown_status_has_no_reason(self, gateway: Any) -> None:
        gateway.reply_with(Reply(status=599))
        assert gateway.connect().get().got.startswith(b"HTTP/1.1 599 \r\n")

    @pytest.mark.parametrize("status", [0, 101, 600, -1])
    def test_a_status_that_is_none_becomes_502(self, gateway: Any, make_source: Any, status: int) -> None:
        source = make_source()
        gateway.reply_with(Reply(status=status, source=source))
        assert gateway.connect().get().reply.status == 502
        assert source.calls == ["abort"]


class TestPromptness:
    def test_the_head_goes_out_with_what_is_there_at_once(self, stream: Any) -> None:
        s = stream(b"hello")
        assert s.chunks == [b"5\r\nhello\r\n"]

    def test_it_does_not_wait_for_a_body(self, stream: Any) -> None:
        s = stream()
        assert len(s.client.transport.writes) == 1
        assert s.gateway.exchanges[0].timeline.first_byte == 0

    def test_one_delivery_is_one_write(self, stream: Any) -> None:
        s = stream(stages=[Lines()])
        s.source.write(b"a\nb\nc")
        assert s.chunks == [b"", b"4\r\na\nb\n\r\n"]

    def test_what_a_stage_holds_back_goes_out_with_the_end(self, stream: Any) -> None:
        s = stream(stages=[Lines(), Upper()])
        s.source.write(b"a\nb")
        s.source.finish()
        assert s.chunks == [b"", b"2\r\nA\n\r\n", b"4\r\nBbye\r\n0\r\n\r\n"]

    def test_nothing_is_written_for_what_a_stage_swallows(self, stream: Any) -> None:
        s = stream(b"a", stages=[Lines()])
        assert len(s.client.transport.writes) == 1
        s.source.write(b"b")
        assert len(s.client.transport.writes) == 1

    def test_stages_see_a_complete_body_too(self, gateway: Any) -> None:
        gateway.reply_with(Reply(status=200, body=b"hello").through(Upper()))
        client = gateway.connect().get()
        assert (client.reply.body, len(client.transport.writes)) == (b"HELLObye", 1)

    def test_when_things_happened(self, gateway: Any, stream: Any) -> None:
        gateway.clock.advance(5)
        s = stream()
        gateway.clock.advance(2)
        s.source.finish()
        timeline = gateway.exchanges[0].timeline
        assert (timeline.started, timeline.first_byte, timeline.finished) == (5, 5, 7)


class TestBackpressure:
    def test_a_slow_client_pauses_the_source(self, stream: Any) -> None:
        s = stream(capacity=500)
        s.source.write(b"x" * 400)
        assert s.source.calls == ["start", "pause"]
        s.client.transport.taken()
        assert s.source.calls == ["start", "pause", "resume"]

    def test_it_may_be_paused_at_once(self, stream: Any) -> None:
        s = stream(b"x" * 1000, capacity=500)
        assert s.source.calls[:2] == ["start", "pause"]
        assert "resume" not in s.source.calls

    def test_it_is_over_when_the_client_took_it(self, stream: Any) -> None:
        s = stream(capacity=500)
        s.source.write(b"x" * 1000)
        s.source.finish()
        assert not s.told
        s.client.transport.taken()
        assert s.told == [(Outcome.DONE, None)]
        assert s.client.reply.complete

    def test_a_long_body_goes_out_in_pieces(self, make_gateway: Any) -> None:
        gateway = make_gateway(write_size=1000)
        gateway.reply_with(Reply(status=200, body=bytes(range(256)) * 16))
        client = gateway.connect(capacity=1500).get()
        sizes = [len(w) for w in client.transport.writes]
        while not gateway.seen:
            client.transport.taken()
            sizes.append(len(client.got) - sum(sizes))
        assert max(sizes) < 2100
        assert client.reply.body == bytes(range(256)) * 16
        assert client.reply.headers["content-length"] == "4096"

    def test_a_client_that_reads_nothing_gets_no_second_answer(self, gateway: Any) -> None:
        gateway.reply_with(Reply(status=200, body=b"x" * 1000))
        client = gateway.connect(capacity=500).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        assert (len(client.replies), len(gateway.seen)) == (1, 0)
        client.transport.taken()
        assert (len(client.replies), len(gateway.seen)) == (2, 1)

    def test_it_may_leave_then(self, gateway: Any) -> None:
        gateway.reply_with(Reply(status=200, body=b"x" * 1000))
        gateway.connect(capacity=500).get().leave()
        assert [s.outcome for s in gateway.seen] == [Outcome.CLIENT_LEFT]

    def test_a_client_that_takes_nothing_is_cut_off(self, make_gateway: Any, make_source: Any) -> None:
        s = Stream(make_gateway(send_timeout=30), make_source(), capacity=500)
        s.source.write(b"x" * 1000)
        s.gateway.advance(20)
        s.client.transport.taken()
        s.source.write(b"x" * 1000)
        s.gateway.advance(29)
        assert not s.told
        s.gateway.advance(2)
        assert s.client.transport.aborted
        assert s.told == [(Outcome.CLIENT_LEFT, None)]
        assert s.source.calls[-1] == "abort"
        assert s.client.transport.lost

    def test_more_writes_while_it_is_paused_do_not_grant_more_time(self, make_gateway: Any, make_source: Any) -> None:
        s = Stream(make_gateway(send_timeout=30), make_source(), capacity=500)
        for _ in range(7):
            s.source.write(b"x" * 1000)
            s.gateway.advance(5)
        assert s.client.transport.aborted


class TestClientGone:
    def test_while_streaming(self, stream: Any) -> None:
        s = stream(b"hello")
        s.client.leave()
        assert s.source.calls == ["start", "abort"]
        assert s.told == [(Outcome.CLIENT_LEFT, None)]
        assert (s.seen.status, s.seen.outcome, s.seen.sent) == (200, Outcome.CLIENT_LEFT, 5)

    def test_while_paused(self, stream: Any) -> None:
        s = stream(b"x" * 1000, capacity=500)
        s.client.leave()
        assert s.source.calls[-1] == "abort"
        assert s.told == [(Outcome.CLIENT_LEFT, None)]

    def test_what_a_source_still_says_is_not_heard(self, stream: Any) -> None:
        s = stream()
        sink = s.source.sink
        s.client.leave()
        sink.write(b"hello")
        sink.finished()
        sink.broke(BROKE)
        sink.pauseProducing()
        sink.resumeProducing()
        assert "pause" not in s.source.calls
        assert s.told == [(Outcome.CLIENT_LEFT, None)]
        assert len(s.client.transport.writes) == 1


class TestBroken:
    def test_before_a_byte_was_out_the_client_gets_a_proper_error(self, gateway: Any, make_source: Any) -> None:
        source = make_source()
        source.start = lambda sink: sink.broke(BROKE)
        s = Stream(gateway, source, headers=[(b"Content-Type", b"text/event-stream")], error_event=lambda e: EVENT)
        reply = s.client.reply
        assert (reply.status, reply.headers["content-type"], reply.complete) == (502, "application/json", True)
        assert not s.client.closed
        assert s.told == [(Outcome.UPSTREAM_BROKE, BROKE)]
        assert (s.seen.status, s.seen.outcome, s.seen.error) == (502, Outcome.UPSTREAM_BROKE, BROKE)

    def test_in_the_middle_the_client_is_told_and_the_connection_closed_without_an_end(self, stream: Any) -> None:
        s = stream(b"data: 1\n\n", error_event=lambda e: EVENT)
        s.source.break_(BROKE)
        assert (s.client.reply.body, s.client.reply.complete) == (b"data: 1\n\n" + EVENT, False)
        assert (s.client.transport.disconnecting, s.client.transport.aborted) == (True, False)
        assert s.told == [(Outcome.UPSTREAM_BROKE, BROKE)]
        assert (s.seen.status, s.seen.error, s.seen.sent) == (200, BROKE, 9 + len(EVENT))
        assert s.source.calls == ["start"]

    def test_without_an_error_event_it_is_only_cut(self, stream: Any) -> None:
        s = stream(b"hello")
        s.source.break_(BROKE)
        assert (s.client.reply.body, s.client.reply.complete, s.client.closed) == (b"hello", False, True)

    def test_an_error_event_never_fills_up_a_known_length(self, stream: Any) -> None:
        s = stream(b"hello", length=5 + len(EVENT), error_event=lambda e: EVENT)
        s.source.break_(BROKE)
        assert (s.client.reply.body, s.client.reply.complete, s.client.closed) == (b"hello", False, True)

    def test_http_1_0_is_reset_for_it_would_see_no_difference(self, stream: Any) -> None:
        s = stream(b"hello", request=b"GET / HTTP/1.0\r\n\r\n")
        s.source.break_(BROKE)
        assert s.client.transport.aborted

    def test_pipelined_requests_behind_it_are_not_served(self, stream: Any) -> None:
        s = stream(b"hello")
        s.client.get(b"/2")
        s.source.break_(BROKE)
        assert len(s.gateway.exchanges) == 1

    def test_less_than_was_told(self, stream: Any) -> None:
        s = stream(b"hell", length=5)
        s.source.finish()
        assert (s.client.reply.complete, s.client.closed) == (False, True)
        ((outcome, error),) = s.told
        assert (outcome, type(error)) == (Outcome.UPSTREAM_BROKE, UpstreamCutShort)

    def test_nothing_where_something_was_told(self, stream: Any) -> None:
        s = stream(length=5)
        s.source.finish()
        assert (s.client.reply.complete, s.client.closed) == (False, True)

    def test_more_than_was_told(self, stream: Any) -> None:
        s = stream(length=5)
        s.source.write(b"hello, you")
        assert s.source.calls == ["start", "abort"]
        assert (s.client.reply.body, s.client.closed) == (b"", True)
        assert s.told[0][0] is Outcome.UPSTREAM_BROKE

    @pytest.mark.parametrize("on_close", [False, True])
    def test_a_stage_that_raises_is_a_broken_upstream(self, stream: Any, on_close: bool) -> None:
        s = stream(stages=[Failing(BROKE, on_close=on_close)], error_event=lambda e: EVENT)
        s.source.write(b"hello")
        if on_close:
            s.source.finish()
        assert s.client.reply.body.endswith(EVENT)
        assert (s.client.reply.complete, s.client.closed) == (False, True)
        assert s.told == [(Outcome.UPSTREAM_BROKE, BROKE)]
        assert ("abort" in s.source.calls) is not on_close

    def test_a_stage_that_raises_before_a_byte_was_out(self, stream: Any) -> None:
        s = stream(b"hello", stages=[Failing(BROKE)])
        assert (s.client.reply.status, s.client.reply.complete) == (502, True)
        assert "abort" in s.source.calls

    def test_an_answer_to_head_has_no_body_even_then(self, gateway: Any, read: Any) -> None:
        gateway.reply_with(Reply(status=0))
        (reply,) = read(gateway.connect().get(method=b"HEAD").got, head_only=True)
        assert (reply.status, int(reply.headers["content-length"]) > 0) == (502, True)

    def test_a_client_that_leaves_while_it_is_told_of_the_failure(self, stream: Any) -> None:
        s = stream(b"hello", error_event=lambda e: EVENT)
        s.client.channel.write = lambda data: s.client.leave()
        s.source.break_(BROKE)
        assert s.told == [(Outcome.CLIENT_LEFT, None)]

    def test_a_bug_in_a_stage_is_logged_and_not_told(self, stream: Any, expected_failures: list[str]) -> None:
        expected_failures.append("RuntimeError: secret")
        s = stream(b"hello", stages=[Failing(RuntimeError("secret"))])
        assert s.client.reply.status == 500
        assert b"secret" not in s.client.got

    def test_a_bug_in_an_error_event(self, stream: Any, expected_failures: list[str]) -> None:
        expected_failures.append("<lambda>")
        s = stream(b"hello", error_event=lambda e: 1 // 0)
        s.source.break_(BROKE)
        assert (s.client.reply.body, s.client.reply.complete, s.client.closed) == (b"hello", False, True)

    def test_a_stage_that_raises_on_a_complete_body(self, gateway: Any) -> None:
        gateway.reply_with(Reply(status=200, body=b"hello").through(Failing(BROKE)))
        assert gateway.connect().get().reply.status == 502

    def test_a_source_that_cannot_start(self, gateway: Any, make_source: Any, expected_failures: list[str]) -> None:
        expected_failures.append("failed")
        source = make_source()
        source.start = lambda sink: 1 // 0
        s = Stream(gateway, source)
        assert s.client.reply.status == 500
        assert s.told[0][0] is Outcome.UPSTREAM_BROKE


class TestAftermaths:
    def test_they_are_called_once_and_in_order_whatever_they_do(
        self, gateway: Any, expected_failures: list[str]
    ) -> None:
        expected_failures.append("fail")
        called: list[str] = []

        def fail(outcome: Outcome, error: GatewayError | None) -> None:
            called.append("fail")
            raise RuntimeError("fail")

        reply = Reply(status=200, aftermaths=[lambda o, e: called.append("a"), fail, lambda o, e: called.append("b")])
        gateway.reply_with(reply)
        client = gateway.connect().get()
        assert called == ["a", "fail", "b"]
        assert len(gateway.seen) == 1
        client.leave()
        assert len(called) == 3

    def test_they_come_before_the_observers(self, gateway: Any) -> None:
        def aftermath(outcome: Outcome, error: GatewayError | None) -> None:
            assert not gateway.seen
            assert gateway.exchanges[0].timeline.finished == 0

        gateway.reply_with(Reply(status=200).afterwards(aftermath))
        gateway.connect().get()
        assert len(gateway.seen) == 1
