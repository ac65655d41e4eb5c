"""Load of streams: a bare epoll loop that keeps so many streams open, and counts and times their events.

It runs in the process of the benchmark, on the core of the load, and its own CPU is told apart from the contender's.
A stream that ended is followed by another on the same connection, if the contender keeps it.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

import attrs

from benchmarks.chat_load import Target
from benchmarks.upstream import MARK, STAMP_DIGITS

BODY_BYTES = 400
_TAIL = 64


@attrs.frozen(kw_only=True)
class Streams:
    """How many at once, of how many events each, how far apart (milliseconds; 0: all events at once)."""

    number: int
    events: int
    pace: int


@attrs.frozen(kw_only=True)
class StreamFigures:
    """What happened within the measured seconds.

    ``first``: microseconds from a request to its first event, each. ``delays``: microseconds from the upstream's send
    to our receive, of the last event of every read. ``gap``: seconds, the longest silence of any stream.
    ``cost``: by how much what ``sample`` tells has grown. ``own_cpu``: seconds of CPU of this load generator.
    """

    seconds: float
    events: int
    errors: int
    first: list[float]
    delays: list[float]
    gap: float
    cost: float
    own_cpu: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


class _Stream:
    """A connection with the stream that it carries now."""

    __slots__ = ("asked", "body", "count", "heard", "sock", "tail")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ask()

    def ask(self) -> None:
        self.asked = self.heard = time.monotonic_ns()
        self.body = False
        self.count = 0
        self.tail = b""


class _Load:
    """The loop."""

    def __init__(self, target: Target, streams: Streams) -> None:
        self._address = ("127.0.0.1", target.port)
        self._streams = streams
        self._request = _request(target, streams)
        self._epoll = select.epoll()
        self._open: dict[int, _Stream] = {}
        self.clear()

    def clear(self) -> None:
        """Forget what was counted."""
        self.events = self.errors = 0
        self.first: list[float] = []
        self.delays: list[float] = []
        self.gap = 0

    @property
    def silent(self) -> int:
        """Streams that asked a second ago or more and had no event since."""
        late = time.monotonic_ns() - 1_000_000_000
        return sum(stream.asked < late and not stream.count for stream in self._open.values())

    def open_all(self, seconds: float) -> None:
        """Open the streams one after another, spread over ``seconds``, so that their events are not in step."""
        started = time.monotonic()
        for opened in range(self._streams.number):
            self.run(started + seconds * opened / self._streams.number)
            self._connect()

    def _connect(self) -> None:
        sock = socket.create_connection(self._address, timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(self._request)
        sock.setblocking(False)
        self._open[sock.fileno()] = _Stream(sock)
        self._epoll.register(sock, select.EPOLLIN)

    def run(self, until: float) -> None:
        """Receive up to a moment of the monotonic clock."""
        poll, readable = self._epoll.poll, self._readable
        while (left := until - time.monotonic()) > 0:
            for fd, _ in poll(left):
                readable(self._open[fd])

    def _readable(self, stream: _Stream) -> None:
        try:
            data = stream.sock.recv(262_144)
        except OSError:
            data = b""
        now = time.monotonic_ns()
        if not data:
            self._ended(stream, kept=False)
            return
        if not stream.body:
            data = self._head(stream, data)
        self._count(stream, data, now)
        stream.tail = (stream.tail + data[-_TAIL:])[-_TAIL:] if stream.body else stream.tail
        if stream.tail.endswith(b"0\r\n\r\n") and b"[DONE]" in stream.tail:
            self._ended(stream, kept=True)

    def _head(self, stream: _Stream, data: bytes) -> bytes:
        """The part of the data that is body; what there is of an incomplete head is kept in the tail."""
        head, found, body = (stream.tail + data).partition(b"\r\n\r\n")
        if not found:
            stream.tail = head
            return b""
        if not head.startswith(b"HTTP/1.1 200"):
            self.errors += 1
        stream.body, stream.tail = True, b""
        return body

    def _count(self, stream: _Stream, data: bytes, now: int) -> None:
        count = data.count(MARK)
        if not count:
            return
        if not stream.count:
            self.first.append((now - stream.asked) / 1e3)
        self.gap = max(self.gap, now - stream.heard)
        stream.heard = now
        stream.count += count
        self.events += count
        at = data.rfind(MARK) + 1
        stamp = data[at : at + STAMP_DIGITS]
        if len(stamp) == STAMP_DIGITS and stamp.isdigit():
            self.delays.append((now - int(stamp)) / 1e3)

    def _ended(self, stream: _Stream, *, kept: bool) -> None:
        """Ask again. A stream that lost events is an error."""
        if stream.count != self._streams.events:
            self.errors += 1
        if kept:
            stream.ask()
            stream.sock.sendall(self._request)
            return
        self._drop(stream)
        self._connect()

    def _drop(self, stream: _Stream) -> None:
        self._epoll.unregister(stream.sock)
        del self._open[stream.sock.fileno()]
        stream.sock.close()

    def close(self) -> None:
        """Leave in the middle, as clients do."""
        for stream in list(self._open.values()):
            self._drop(stream)
        self._epoll.close()


def load(
    target: Target,
    streams: Streams,
    *,
    ramp: float,
    warm: float,
    seconds: float,
    sample: Callable[[], float],
) -> StreamFigures:
    """Open all streams within ``ramp`` seconds, leave them ``warm`` seconds, then measure for some.

    ``sample`` is called at both ends of the measured time.
    """
    loop = _Load(target, streams)
    try:
        loop.open_all(ramp)
        loop.run(time.monotonic() + warm)
        loop.clear()
        before, own, started = sample(), time.process_time(), time.monotonic()
        loop.run(started + seconds)
        ended, cost, own = time.monotonic(), sample() - before, time.process_time() - own
        return StreamFigures(
            seconds=ended - started,
            events=loop.events,
            errors=loop.errors + loop.silent,
            first=loop.first,
            delays=loop.delays,
            gap=loop.gap / 1e9,
            cost=cost,
            own_cpu=own,
        )
    finally:
        loop.close()


def _request(target: Target, streams: Streams) -> bytes:
    text = f"events={streams.events} pace={streams.pace}"
    body = target.body(text, size=BODY_BYTES, stream=True)
    headers = {"Host": f"127.0.0.1:{target.port}", **target.all_headers(), "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode() + body
