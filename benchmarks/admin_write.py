"""What one write to the admin API takes, and does to streams, against the number of routes.

Run: ``python -m benchmarks.admin_write``.

The gateway is on one core, everything else on another. Streams flow all the time; a write replaces one of the routes.
A stream's pause is how much later than usual an event came: from the upstream's send to our receive.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from benchmarks import gateway, processes, stream_load, upstream
from benchmarks.chat_load import Target
from benchmarks.figures import percentile
from benchmarks.gateway import Admin, Arguments
from benchmarks.processes import Process
from benchmarks.stream_load import StreamFigures, Streams

SIZES = (10, 100, 1_000, 10_000)
LARGE = 100_000
STREAMS = Streams(number=16, events=500, pace=10)
EVERY = 0.02
"""Seconds between two writes."""

_HEAD = (
    f"{'routes':>8}{'write, ms: p50':>16}{'p99':>8}{'max':>8}{'CPU, ms':>9}"
    f"{'idle: event p99, ms':>21}{'max':>7}{'writing: p99':>14}{'max':>7}{'RSS, MB':>9}"
)


class _Writer(threading.Thread):
    """Replaces routes until it is stopped."""

    def __init__(self, admin: int, stream_port: int, routes: int) -> None:
        super().__init__(daemon=True)
        self.took: list[float] = []
        self._admin = admin
        self._stream_port = stream_port
        self._routes = routes
        self._stopped = threading.Event()

    def run(self) -> None:
        """Write."""
        routes = list(islice(_routes(self._routes, self._stream_port), min(self._routes, 500)))
        with Admin(self._admin) as admin:
            for number in range(sys.maxsize):
                if self._stopped.wait(EVERY):
                    return
                started = time.perf_counter()
                admin.put_route({**routes[number % len(routes)], "desc": f"write {number}"})
                self.took.append(time.perf_counter() - started)

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self.join(timeout=60)


def _routes(count: int, stream_port: int) -> Iterator[gateway.Route]:
    return gateway.routes(count, chat_port=stream_port, stream_port=stream_port)


def _flow(port: int, process: Process, seconds: float) -> StreamFigures:
    target = Target(port=port, path="/streams/0/v1/chat/completions")
    return stream_load.load(
        target, STREAMS, ramp=0.2, warm=0.3, seconds=seconds, sample=lambda: processes.cpu_seconds([process.pid])
    )


def _row(size: int, port: int, admin: int, stream_port: int, process: Process, seconds: float) -> str:
    idle = _flow(port, process, seconds)
    writer = _Writer(admin, stream_port, size)
    writer.start()
    try:
        busy = _flow(port, process, seconds)
    finally:
        writer.stop()
    took = writer.took
    if idle.errors or busy.errors or not took:
        raise RuntimeError(f"{idle.errors + busy.errors} streams failed, {len(took)} writes were made")
    writes = len(took) * seconds / (seconds + 0.5)
    cells = [
        f"{size:>8}{percentile(took, 0.5) * 1e3:>16.2f}{percentile(took, 0.99) * 1e3:>8.2f}{max(took) * 1e3:>8.2f}",
        f"{(busy.cost - idle.cost) / writes * 1e3:>9.2f}",
        f"{percentile(idle.delays, 0.99) / 1e3:>21.2f}{max(idle.delays) / 1e3:>7.2f}",
        f"{percentile(busy.delays, 0.99) / 1e3:>14.2f}{max(busy.delays) / 1e3:>7.2f}",
        f"{processes.rss_bytes([process.pid]) / 1e6:>9.0f}",
    ]
    return "".join(cells)


def _fill(admin: int, stream_port: int, start: int, stop: int) -> None:
    with Admin(admin) as connection:
        connection.put_routes(islice(_routes(stop, stream_port), start, stop))


def measure(sizes: Sequence[int], *, seconds: float, arguments: Arguments) -> None:
    """Print a row for each number of routes."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    sys.setswitchinterval(0.0005)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aigw-benchmark-")))
        streams, stream_port = upstream.start_streams(directory, core=cores[0])
        stack.callback(streams.stop)
        (port,) = processes.free_ports(1)
        process, admin = gateway.launch(directory, port=port, core=cores[-1], arguments=arguments)
        stack.callback(process.stop)
        print(_HEAD)
        before = 0
        for size in sizes:
            _fill(admin, stream_port, before, size)
            print(_row(size, port, admin, stream_port, process, seconds), flush=True)
            before = size


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admin_write", description=__doc__)
    parser.add_argument("--large", action="store_true", help=f"also {LARGE} routes, which takes minutes")
    parser.add_argument("--seconds", type=float, default=3.0, help="without writes, and with them, for each size")
    Arguments.add_to(parser)
    options = parser.parse_args()
    sizes = (*SIZES, LARGE) if options.large else SIZES
    measure(sizes, seconds=options.seconds, arguments=Arguments.given(options))


if __name__ == "__main__":
    main()
