"""Whether memory grows: the gateway's resident memory while it answers a million requests.

Run: ``python -m benchmarks.soak``. One request in two hundred opens a stream instead, which its client leaves half-way.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from pathlib import Path

from benchmarks import chat_load, contenders, processes, stream_load, upstream
from benchmarks.contenders import Place
from benchmarks.gateway import Arguments
from benchmarks.stream_load import Streams

_SECONDS = 10
_SHARE = 200


def soak(requests: int, arguments: Arguments) -> None:
    """Print a line for every ten seconds of load, until so many requests were answered."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aigw-benchmark-")))
        user = "user root;" if os.geteuid() == 0 else ""
        chat, chat_port = upstream.start_chat(directory, user=user, core=cores[0])
        stack.callback(chat.stop)
        streams, stream_port = upstream.start_streams(directory, core=cores[0])
        stack.callback(streams.stop)
        place = Place(
            core=cores[-1],
            directory=directory,
            chat_port=chat_port,
            stream_port=stream_port,
            arguments=arguments,
            peer_directory=directory,
        )
        running = contenders.start_aigw(place)
        stack.callback(running.stop)
        print(f"{'requests':>10}{'failed':>8}{'RSS, MB':>9}{'CPU, us/request':>17}")
        print(f"{0:>10,}{0:>8}{running.rss_bytes() / 1e6:>9.1f}")
        done = failed = 0
        while done < requests:
            before = running.cpu_seconds()
            got = chat_load.load(running.chat, connections=64, seconds=_SECONDS, directory=directory)
            cost = (running.cpu_seconds() - before) / max(1, got.requests) * 1e6
            left = Streams(number=max(1, got.requests // _SHARE), events=1000, pace=100)
            stream_load.load(running.stream, left, ramp=0.5, warm=0.2, seconds=0.2, sample=running.cpu_seconds)
            running.settle()
            done, failed = done + got.requests, failed + got.errors
            print(f"{done:>10,}{failed:>8}{running.rss_bytes() / 1e6:>9.1f}{cost:>17.1f}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    Arguments.add_to(parser)
    options = parser.parse_args()
    processes.open_many_files()
    soak(options.requests, Arguments.given(options))


if __name__ == "__main__":
    main()
