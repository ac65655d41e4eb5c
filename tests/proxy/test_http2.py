"""HTTP/2: the same face over streams, spoken to by h2's own client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from twisted.internet.defer import Deferred

from aigw.errors import UpstreamReset
from aigw.exchange import Exchange, Outcome, Reply
from aigw.proxy.frames import FrameLengths


@attrs.define
class Stream:
    """What the client has of one."""

    status: int | None = None
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: ErrorCodes | int | None = None


class H2Client:
    """A client that reads as it is told to."""

    def __init__(self, gateway: Any, *, window: int | None = None, capacity: int | None = None) -> None:
        self.gateway = gateway
        self.client = gateway.connect(tls="h2", capacity=capacity)
        self.client.channel.handshakeCompleted()
        self.transport = self.client.transport
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        if window is not None:
            self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.streams: dict[int, Stream] = {}
        self.goaway = False
        self.acknowledge = True
        self._read = 0
        self.exchange()

    def request(
        self, target: str = "/", body: bytes | None = None, *, method: str = "", end: bool = True, **more: str
    ) -> Stream:
        id = self.h2.get_next_available_stream_id()
        head = {":method": method or ("GET" if body is None else "POST"), ":scheme": "https", ":path": target}
        fields = [*head.items(), (":authority", "gateway"), *((n.replace("_", "-"), v) for n, v in more.items())]
        self.h2.send_headers(id, fields, end_stream=end and body is None)
        if body is not None:
            self.h2.send_data(id, body, end_stream=end)
        self.streams[id] = Stream()
        self.exchange()
        return self.streams[id]

    def exchange(self) -> None:
        """Both sides until nothing moves."""
        for _ in range(200):
            sent = self.h2.data_to_send()
            if sent:
                self.client.send(sent)
            self.gateway.clock.advance(0)
            received, self._read = self.client.got[self._read :], len(self.client.got)
            for event in self.h2.receive_data(received) if received else ():
                self._take(event)
            if not sent and not received:
                return
        raise AssertionError("it does not settle")

    def _take(self, event: Any) -> None:
        stream = self.streams.get(getattr(event, "stream_id", None) or 0, Stream())
        if isinstance(event, ResponseReceived):
            stream.headers = dict(event.headers)  # type: ignore[arg-type]
            stream.status = int(stream.headers[":status"])
        elif isinstance(event, DataReceived):
            stream.body += event.data
            if self.acknowledge:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            stream.ended = True
        elif isinstance(event, StreamReset):
            stream.reset = event.error_code
        elif isinstance(event, ConnectionTerminated):
            self.goaway = True


@pytest.fixture
def client(gateway: Any) -> Iterator[H2Client]:
    """A client of the plain gateway."""
    client = H2Client(gateway)
    yield client
    client.client.leave()
    assert gateway.site.in_flight == 0


def test_a_request(gateway: Any, client: H2Client) -> None:
    stream = client.request("/a?b", b"hello", authorization="s", x_request_id="mine")
    assert (stream.status, stream.body, stream.ended) == (200, b"POST /a?b hello", True)
    assert stream.headers["content-length"] == "15"
    assert stream.headers["x-request-id"] == "mine"
    assert "connection" not in stream.headers
    (exchange,) = gateway.exchanges
    assert (exchange.scheme, exchange.remote_addr) == ("https", "192.168.1.1")
    assert exchange.headers.getRawHeaders(b"host") == [b"gateway"]
    assert gateway.seen[0].outcome is Outcome.DONE


def test_requests_side_by_side(gateway: Any, client: H2Client) -> None:
    answers: dict[bytes, Deferred[Reply]] = {}

    def handler(exchange: Exchange) -> Deferred[Reply]:
        return answers.setdefault(exchange.target, Deferred())

    gateway.handler = handler
    first, second = client.request("/1"), client.request("/2")
    answers[b"/2"].callback(Reply(status=200, body=b"2"))
    client.exchange()
    assert (first.status, second.body) == (None, b"2")
    answers[b"/1"].callback(Reply(status=200, body=b"1"))
    client.exchange()
    assert first.body == b"1"


def test_a_stream(gateway: Any, client: H2Client, make_source: Any) -> None:
    source = make_source(b"a")
    gateway.reply_with(Reply(status=200, source=source))
    stream = client.request()
    assert (stream.status, stream.body, stream.ended) == (200, b"a", False)
    source.write(b"b")
    client.exchange()
    assert stream.body == b"ab"
    source.finish()
    client.exchange()
    assert stream.ended


def test_head_and_no_content(gateway: Any, client: H2Client, make_source: Any) -> None:
    assert client.request(method="HEAD").headers["content-length"] == str(len("HEAD / "))
    gateway.reply_with(Reply(status=204))
    stream = client.request()
    assert (stream.status, stream.ended, stream.body) == (204, True, b"")


def test_a_client_that_resets_its_stream_has_left(gateway: Any, client: H2Client, make_source: Any) -> None:
    source = make_source(b"a")
    gateway.reply_with(Reply(status=200, source=source))
    client.request()
    client.h2.reset_stream(1)
    client.exchange()
    assert source.calls[-1] == "abort"
    assert [s.outcome for s in gateway.seen] == [Outcome.CLIENT_LEFT]
    gateway.reply_with(Reply(status=200, body=b"still here"))
    assert client.request().body == b"still here"


def test_a_broken_stream_ends_with_its_error_event_and_a_reset(
    gateway: Any, client: H2Client, make_source: Any
) -> None:
    source = make_source(b"a")
    gateway.reply_with(Reply(status=200, source=source, error_event=lambda e: b"error"))
    stream = client.request()
    source.break_(UpstreamReset("gone"))
    client.exchange()
    gateway.clock.advance(0.1)
    client.exchange()
    assert (stream.body, stream.ended, stream.reset) == (b"aerror", False, ErrorCodes.INTERNAL_ERROR)
    assert [s.outcome for s in gateway.seen] == [Outcome.UPSTREAM_BROKE]
    gateway.reply_with(Reply(status=200))
    assert client.request().status == 200


@pytest.mark.parametrize(("target", "status"), [("/none", 404), ("/bad", 400), ("*", 400)])
def test_what_has_no_route(gateway: Any, client: H2Client, target: str, status: int) -> None:
    assert client.request(target, b"body").status == status
    assert client.request("/").status == 200


def test_an_absolute_path_is_refused(gateway: Any, client: H2Client) -> None:
    assert client.request("http://elsewhere/").status == 400
    assert [s.status for s in gateway.seen] == [400]


class TestBodyLimit:
    def test_by_its_length(self, gateway: Any, client: H2Client) -> None:
        stream = client.request("/tiny", b"123", end=False, content_length="11")
        assert (stream.status, stream.ended) == (413, True)
        client.h2.send_data(1, b"12345678", end_stream=True)
        client.exchange()
        assert client.request().status == 200
        assert not gateway.exchanges[0].body

    def test_by_what_comes(self, gateway: Any, client: H2Client) -> None:
        stream = client.request("/tiny", b"12345678901", end=False)
        assert (stream.status, stream.ended) == (413, True)
        client.h2.send_data(1, b"more", end_stream=False)
        client.exchange()
        assert stream.reset is ErrorCodes.NO_ERROR
        assert client.request().status == 200

    def test_a_client_that_gives_up_then(self, gateway: Any, client: H2Client) -> None:
        client.request("/tiny", b"12345678901", end=False)
        client.h2.reset_stream(1)
        client.exchange()
        assert client.request().status == 200


def test_a_body_that_stalls_hurts_only_its_stream(make_gateway: Any) -> None:
    gateway = make_gateway(body_idle_timeout=10, idle_timeout=15)
    client = H2Client(gateway)
    stalled = client.request("/", b"12", end=False)
    gateway.advance(5)
    fine = client.request("/")
    gateway.advance(6)
    client.exchange()
    assert (stalled.status, fine.status) == (408, 200)
    assert not client.transport.disconnecting


def test_a_slow_answer_does_not_end_the_connection(gateway: Any, client: H2Client) -> None:
    answer: Deferred[Reply] = Deferred()
    gateway.handler = lambda exchange: answer
    stream = client.request()
    gateway.advance(1000)
    answer.callback(Reply(status=200, body=b"at last"))
    client.exchange()
    assert stream.body == b"at last"


def test_an_idle_connection_is_closed(make_gateway: Any) -> None:
    gateway = make_gateway(idle_timeout=10)
    client = H2Client(gateway)
    client.request()
    gateway.advance(11)
    client.exchange()
    assert client.goaway
    assert client.transport.lost


class TestBackpressure:
    def test_a_full_window_pauses_the_source(self, gateway: Any, make_source: Any) -> None:
        source = make_source()
        gateway.reply_with(Reply(status=200, source=source))
        client = H2Client(gateway, window=1000)
        client.acknowledge = False
        stream = client.request()
        source.write(b"x" * 1500)
        client.exchange()
        assert (source.calls, len(stream.body)) == (["start", "pause"], 1000)
        client.h2.increment_flow_control_window(2000, 1)
        client.exchange()
        assert (source.calls, len(stream.body)) == (["start", "pause", "resume"], 1500)
        client.client.leave()

    def test_a_full_transport_pauses_the_source_whatever_the_window(self, gateway: Any, make_source: Any) -> None:
        source = make_source()
        gateway.reply_with(Reply(status=200, source=source))
        client = H2Client(gateway, window=2**31 - 1, capacity=10_000)
        client.h2.increment_flow_control_window(2**30)
        client.request()
        source.write(b"x" * 40_000)
        client.exchange()
        assert source.calls[:2] == ["start", "pause"]
        client.h2.increment_flow_control_window(1000)
        client.exchange()
        source.write(b"y")
        assert source.calls[-1] == "pause"
        for _ in range(10):
            client.transport.taken()
            client.exchange()
        assert source.calls[-1] == "resume"
        client.client.leave()

    def test_a_stream_that_is_not_read_is_cut_off(self, make_gateway: Any, make_source: Any) -> None:
        gateway, source = make_gateway(send_timeout=10), make_source()
        gateway.reply_with(Reply(status=200, source=source))
        client = H2Client(gateway, window=10)
        client.acknowledge = False
        stream = client.request()
        source.write(b"x" * 20)
        client.exchange()
        gateway.advance(11)
        client.exchange()
        assert (source.calls[-1], stream.reset) == ("abort", ErrorCodes.CANCEL)
        assert [s.outcome for s in gateway.seen] == [Outcome.CLIENT_LEFT]

    def test_a_complete_answer_that_is_not_read_does_not_stay_for_ever(self, make_gateway: Any) -> None:
        gateway = make_gateway(send_timeout=10)
        client = H2Client(gateway, window=0)
        stream = client.request()
        gateway.advance(11)
        client.exchange()
        assert stream.reset is ErrorCodes.CANCEL
        assert not client.client.channel._http2.streams


class TestWindow:
    """A client whose window is full is waited for, without a turn of the reactor being spent on it."""

    @pytest.fixture
    def starved(self, gateway: Any, make_source: Any) -> tuple[H2Client, Stream, Any]:
        """A stream that has broken, and whose error event waits for a window."""
        source = make_source()
        gateway.reply_with(Reply(status=200, source=source, error_event=lambda e: b"the error"))
        client = H2Client(gateway, window=3)
        client.acknowledge = False
        stream = client.request()
        source.write(b"a")
        source.break_(UpstreamReset("gone"))
        client.exchange()
        return client, stream, source

    def test_the_error_event_is_waited_for(self, gateway: Any, starved: tuple[H2Client, Stream, Any]) -> None:
        client, stream, _ = starved
        gateway.advance(2)
        assert (stream.body, stream.reset) == (b"ath", None)
        client.h2.increment_flow_control_window(100, 1)
        client.exchange()
        gateway.advance(1)
        client.exchange()
        assert (stream.body, stream.reset) == (b"athe error", ErrorCodes.INTERNAL_ERROR)

    def test_not_for_ever(self, gateway: Any, starved: tuple[H2Client, Stream, Any]) -> None:
        client, stream, _ = starved
        gateway.advance(61)
        client.exchange()
        assert stream.reset is ErrorCodes.INTERNAL_ERROR

    def test_the_client_may_leave_meanwhile(self, gateway: Any, starved: tuple[H2Client, Stream, Any]) -> None:
        client, _, _ = starved
        client.h2.reset_stream(1)
        client.exchange()
        gateway.advance(1)
        gateway.reply_with(Reply(status=200))
        assert client.request().status == 200

    def test_a_window_may_grow_by_settings(self, gateway: Any) -> None:
        client = H2Client(gateway, window=0)
        stream = client.request("/a")
        assert (stream.status, stream.body) == (200, b"")
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        client.exchange()
        assert (stream.body, stream.ended) == (b"GET /a ", True)

    def test_one_that_waits_keeps_nobody_from_going_on(self, gateway: Any) -> None:
        client = H2Client(gateway, window=0)
        waiting, other = client.request("/a"), client.request("/b")
        client.h2.increment_flow_control_window(100, 3)
        client.exchange()
        assert (waiting.body, other.body) == (b"", b"GET /b ")


class TestDrain:
    def test_idle(self, gateway: Any, client: H2Client) -> None:
        gateway.site.drain(10)
        client.exchange()
        assert client.goaway
        assert client.transport.lost

    def test_in_flight_is_finished_and_new_is_refused(self, gateway: Any, client: H2Client) -> None:
        answer: Deferred[Reply] = Deferred()
        gateway.handler = lambda exchange: answer
        stream = client.request()
        gateway.site.drain(100)
        refused = client.request("/", b"x")
        assert refused.reset is ErrorCodes.REFUSED_STREAM
        answer.callback(Reply(status=200, body=b"done"))
        client.exchange()
        assert (stream.body, stream.ended) == (b"done", True)
        assert client.goaway
        assert client.transport.lost

    def test_a_client_that_does_not_close(self, gateway: Any) -> None:
        client = H2Client(gateway, capacity=0)
        gateway.site.drain(600)
        gateway.advance(10)
        assert client.transport.aborted


def test_frame_lengths_are_seen_wherever_the_frames_are_cut() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    good = preface + b"".join(size.to_bytes(3, "big") + b"\0" * (6 + size) for size in (0, 5, 100, 0))
    bad = good + (101).to_bytes(3, "big") + b"\0" * 6
    for cut in range(len(bad)):
        lengths = FrameLengths(100)
        assert not lengths.find_oversized(bad[:cut])
        assert lengths.find_oversized(bad[cut:])


def test_after_the_end_nothing_is_heard(gateway: Any, client: H2Client) -> None:
    client.client.send(b"nonsense" * 10)
    client.client.send(b"nonsense" * 10)
    assert client.transport.disconnecting


def test_nonsense_ends_the_connection(gateway: Any, client: H2Client) -> None:
    client.client.send(b"nonsense" * 10)
    gateway.advance(10)
    assert client.transport.lost


def test_what_the_libraries_do_not_catch_ends_the_connection(
    gateway: Any, client: H2Client, expected_failures: list[str]
) -> None:
    expected_failures.append("HTTP/2 from")
    for id in range(1, 4001, 2):
        client.h2.prioritize(id, weight=1)
    client.exchange()
    assert client.transport.lost


def test_http_1_over_tls(gateway: Any) -> None:
    client = gateway.connect(tls="http/1.1")
    client.channel.handshakeCompleted()
    assert client.get().reply.status == 200


def test_both_are_offered(gateway: Any) -> None:
    assert gateway.site.acceptableProtocols() == [b"h2", b"http/1.1"]
