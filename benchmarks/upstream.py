"""The upstream of every contender: nginx for whole answers, a bare epoll loop for streams.

A stream is asked for inside the body, so that it gets through any gateway: ``events=N pace=MS`` anywhere in it. Each
event is 293 bytes, its own HTTP chunk, and carries the moment it was sent; pace 0 sends all at once. The loop is
single-threaded Python on the core of the load, and far from busy at the paces that are measured.
"""

from __future__ import annotations

import contextlib
import heapq
import re
import select
import socket
import sys
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import Process

EVENT_BYTES = 293
MARK = b"~"
STAMP_DIGITS = 18

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"x-request-id: req_0123456789abcdef\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_BEFORE = (
    b'data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx","object":"chat.completion.chunk","created":1718000000,'
    b'"model":"gpt-4o-mini","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":"~'
)
_AFTER = b'"},"logprobs":null,"finish_reason":null}]}\n\n'
_PADDING = EVENT_BYTES - len(_BEFORE) - STAMP_DIGITS - len(_AFTER)
_USAGE = (
    b'data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx","object":"chat.completion.chunk","created":1718000000,'
    b'"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}\n\n'
)
_ASKED = re.compile(rb"events=(\d+) pace=(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(now: int) -> bytes:
    return _chunk(_BEFORE + b"%018d" % now + b" " * _PADDING + _AFTER)


_END = _chunk(_USAGE) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def stream() -> tuple[bytes, bytes, bytes]:
    """The pieces of a streamed reply: its head, an event, its end."""
    return _HEAD, _event(time.monotonic_ns()), _END


def _answer(size: int) -> bytes:
    """A whole chat completion of ``size`` bytes."""
    text = (
        b'{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx","object":"chat.completion","created":1718000000,'
        b'"model":"gpt-4o-mini","system_fingerprint":"fp_0123456789","choices":[{"index":0,"message":'
        b'{"role":"assistant","content":"%b","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}'
    )
    return text % (b"x" * (size - len(text) + 2))


ANSWER = _answer(600)
MODELS = b'{"object":"list","data":[{"id":"gpt-4o-mini","object":"model","created":1718000000,"owned_by":"benchmark"}]}'

_NGINX = """
daemon off; worker_processes 1; pid {directory}/upstream.pid; error_log stderr; {user}
events {{ worker_connections 16384; }}
http {{
    access_log off; keepalive_timeout 1h; keepalive_requests 1000000000;
    client_body_temp_path {directory}/upstream-body; client_max_body_size 1m; default_type application/json;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            add_header x-request-id req_0123456789abcdef;
            add_header openai-processing-ms 12;
            return 200 '{answer}';
        }}
        location = /v1/models {{ return 200 '{models}'; }}
    }}
}}
"""


def start_chat(directory: Path, *, user: str, core: int) -> tuple[Process, int]:
    """nginx that answers anything with 600 bytes of chat completion, and its port."""
    (port,) = processes.free_ports(1)
    config = directory / "upstream.conf"
    answers = {"answer": ANSWER.decode(), "models": MODELS.decode()}
    config.write_text(_NGINX.format(directory=directory, port=port, user=user, **answers))
    argv: list[str | Path] = ["nginx", "-c", config, "-p", directory, "-e", "stderr"]
    process = processes.start(argv, name="upstream-chat", core=core, directory=directory)
    processes.wait_until(lambda: processes.listening(port), process, seconds=10)
    return process, port


def start_streams(directory: Path, *, core: int) -> tuple[Process, int]:
    """The epoll loop, and its port."""
    (port,) = processes.free_ports(1)
    root = Path(__file__).parent.parent
    argv = [sys.executable, "-m", "benchmarks.upstream", str(port)]
    environ = {"PYTHONPATH": str(root)}
    process = processes.start(argv, name="upstream-streams", core=core, directory=directory, environ=environ)
    processes.wait_until(lambda: processes.listening(port), process, seconds=10)
    return process, port


class _Connection:
    """One client: what came in, what has yet to go out, and how much of a stream remains."""

    __slots__ = ("left", "out", "pace", "received", "sent", "sock", "waiting")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.out = b""
        self.sent = 0
        self.waiting = False
        self.left = 0
        self.pace = 0


class Upstream:
    """The epoll loop."""

    def __init__(self, port: int) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(8192)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, _Connection] = {}
        self._due: list[tuple[int, int, _Connection]] = []
        self._serial = 0
        self._cached: dict[int, bytes] = {}
        self._stopped = False

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Serve until `stop`. select() waits for the epoll descriptor, as its time-out has microseconds."""
        poll, descriptor = self._epoll.poll, [self._epoll.fileno()]
        while not self._stopped:
            wait = max(0.0, (self._due[0][0] - time.monotonic_ns()) / 1e9) if self._due else None
            if select.select(descriptor, (), (), wait)[0]:
                for fd, events in poll(0):
                    self._happened(fd, events)
            self._send_due()
        self._listener.close()
        for connection in list(self._connections.values()):
            self._close(connection)
        self._epoll.close()

    def stop(self) -> None:
        """End `run`, from another thread: a connection wakes it."""
        address = ("127.0.0.1", self.port)
        self._stopped = True
        with contextlib.suppress(ConnectionError):
            socket.create_connection(address, timeout=5).close()

    def _happened(self, fd: int, events: int) -> None:
        connection = self._connections.get(fd)
        if connection is None:
            self._accept()
            return
        try:
            if events & select.EPOLLOUT:
                self._flush(connection)
            if events & ~select.EPOLLOUT:
                self._receive(connection)
        except OSError:
            self._close(connection)

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listener.accept()[0]
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = _Connection(sock)
            self._epoll.register(sock, select.EPOLLIN)

    def _close(self, connection: _Connection) -> None:
        self._connections.pop(connection.sock.fileno(), None)
        connection.left = 0
        connection.sock.close()

    def _receive(self, connection: _Connection) -> None:
        data = connection.sock.recv(65536)
        if not data:
            self._close(connection)
            return
        connection.received += data
        head, found, body = connection.received.partition(b"\r\n\r\n")
        if found and _complete(head, body):
            connection.received = b""
            self._answer(connection, body)

    def _answer(self, connection: _Connection, body: bytes) -> None:
        asked = _ASKED.search(body)
        if asked is None:
            self._send(connection, _LISTING)
            return
        count, pace = int(asked[1]), int(asked[2])
        if not pace:
            if count not in self._cached:
                self._cached[count] = _event(time.monotonic_ns()) * count + _END
            self._send(connection, _HEAD + self._cached[count])
            return
        connection.left, connection.pace = count, pace * 1_000_000
        self._send(connection, _HEAD)
        self._advance(connection, time.monotonic_ns())

    def _send_due(self) -> None:
        now = time.monotonic_ns()
        due = self._due
        while due and due[0][0] <= now:
            when, _, connection = heapq.heappop(due)
            if connection.left:
                try:
                    self._advance(connection, when)
                except OSError:
                    self._close(connection)

    def _advance(self, connection: _Connection, when: int) -> None:
        """Send the next event, due at ``when`` (monotonic nanoseconds), and plan the one after it."""
        connection.left -= 1
        event = _event(time.monotonic_ns())
        self._send(connection, event if connection.left else event + _END)
        if connection.left:
            self._serial += 1
            heapq.heappush(self._due, (when + connection.pace, self._serial, connection))

    def _send(self, connection: _Connection, data: bytes) -> None:
        connection.out = connection.out[connection.sent :] + data if connection.out else data
        connection.sent = 0
        if not connection.waiting:
            self._flush(connection)

    def _flush(self, connection: _Connection) -> None:
        out = connection.out
        with contextlib.suppress(BlockingIOError):
            connection.sent += connection.sock.send(memoryview(out)[connection.sent :])
        waiting = connection.sent < len(out)
        if not waiting:
            connection.out, connection.sent = b"", 0
        if waiting is not connection.waiting:
            connection.waiting = waiting
            self._epoll.modify(connection.sock, select.EPOLLIN | select.EPOLLOUT * waiting)


_LISTING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(MODELS), MODELS)


def _complete(head: bytes, body: bytes) -> bool:
    """Whether all of a request is there."""
    length = _LENGTH.search(head)
    if length:
        return len(body) >= int(length[1])
    return b"chunked" not in head.lower() or body.endswith(b"0\r\n\r\n")


if __name__ == "__main__":
    Upstream(int(sys.argv[1])).run()
