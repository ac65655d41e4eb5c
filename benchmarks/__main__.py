"""Compare aigw with nginx and others: CPU, latency, memory.

Needs the Debian packages nginx and wrk, and two cores: the contender gets one, load and upstreams the other. Nothing is
installed, everything is on loopback, and everything that is started is stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import scenarios, upstream
from benchmarks.contenders import CONTENDERS, Place, Running
from benchmarks.figures import Results
from benchmarks.processes import NotStarted
from benchmarks.scenarios import Scenario

_PACKAGES = {"nginx": "nginx", "wrk": "wrk"}


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute: aigw and nginx, three scenarios")
    parser.add_argument("--only", metavar="NAME,...", help=f"which contenders, of {', '.join(CONTENDERS)}")
    parser.add_argument("--rounds", type=int, help="how often each scenario is run (default: 5; quick: 3)")
    parser.add_argument("--routes", type=int, default=1000, help="how many routes aigw has (default: 1000)")
    parser.add_argument("--aigw-arg", action="append", default=[], help="an argument for twistd aigw; repeatable")
    parser.add_argument("--cores", metavar="CONTENDER,LOAD", help="which cores (default: the last, the first)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    return parser.parse_args(argv)


def _cores(given: str | None) -> tuple[int, int]:
    allowed = sorted(os.sched_getaffinity(0))
    contender, load = (int(core) for core in given.split(",")) if given else (allowed[-1], allowed[0])
    return contender, load


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _place(options: argparse.Namespace) -> Iterator[Place]:
    """Start the upstreams in a directory of our own."""
    contender, load = _cores(options.cores)
    os.sched_setaffinity(0, {load})
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aigw-benchmark-")))
        user = "user root;" if os.geteuid() == 0 else ""
        chat, chat_port = upstream.start_chat(directory, user=user, core=load)
        stack.callback(chat.stop)
        streams, stream_port = upstream.start_streams(directory, core=load)
        stack.callback(streams.stop)
        yield Place(
            core=contender,
            directory=directory,
            chat_port=chat_port,
            stream_port=stream_port,
            aigw_args=options.aigw_arg,
            routes=options.routes,
        )


def _start(names: Sequence[str], place: Place, stack: contextlib.ExitStack) -> dict[str, Running]:
    """Start the contenders; whoever can't be started is left out, with a word."""
    running = {}
    for name in names:
        started = time.monotonic()
        try:
            running[name] = CONTENDERS[name](place)
        except NotStarted as error:
            _say(f"{name}: left out: {error}")
            continue
        stack.callback(running[name].stop)
        _say(f"{name}: started in {time.monotonic() - started:.1f} s")
    return running


def _run(running: Mapping[str, Running], plan: Sequence[Scenario], rounds: int, results: Results, place: Place) -> None:
    """Round after round, scenario after scenario, the contenders one after another."""
    for number in range(rounds):
        for scenario in plan:
            _say(f"round {number + 1} of {rounds}: {scenario.name}")
            for name, contender in running.items():
                scenario.run(name, contender, results, place.directory)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status is 1 if something is missing or somebody was left out."""
    options = _options(argv)
    missing = [package for program, package in _PACKAGES.items() if not shutil.which(program)]
    if missing:
        _say(f"missing: apt-get install {' '.join(missing)}")
        return 1
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = options.only.split(",") if options.only else ["nginx", "aigw"]
    results = Results()
    with _place(options) as place, contextlib.ExitStack() as stack:
        running = _start(names, place, stack)
        _run(running, scenarios.QUICK, options.rounds or 3, results, place)
    print(results.table())
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
