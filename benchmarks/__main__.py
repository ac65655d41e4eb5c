"""Compare aigw with nginx and others: CPU, latency, memory.

Needs the Debian packages nginx and wrk, and two cores: the contender gets one, load and upstreams the other. Nothing is
installed, everything is on loopback, and everything that is started is stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks import machine, picture, processes, scenarios, upstream
from benchmarks.contenders import CONTENDERS, Place, Running, Start
from benchmarks.figures import Results
from benchmarks.gateway import Arguments
from benchmarks.machine import Meanwhile
from benchmarks.peers import PEERS
from benchmarks.processes import NotStarted
from benchmarks.scenarios import Memory, Plan, Scenario

_PACKAGES = {"nginx": "nginx", "wrk": "wrk"}
_EVERYONE: Mapping[str, Start] = {**CONTENDERS, **PEERS}


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="half a minute: aigw and nginx, three scenarios")
    add("--peers", action="store_true", help=f"also: {', '.join(PEERS)}; they are installed in --peer-dir")
    add("--peer-dir", type=Path, metavar="DIR", help="where peers are kept (default: a directory of this run)")
    add("--only", metavar="NAME,...", help=f"which contenders, of {', '.join(_EVERYONE)}")
    add("--rounds", type=int, help="how often each scenario is run (default: 5; quick: 3)")
    add(
        "--open-streams",
        metavar="N,...",
        default="1000",
        help="memory is measured with so many (default: 1000; 0: not)",
    )
    add("--routes", type=int, default=1000, help="how many routes aigw has (default: 1000)")
    Arguments.add_to(parser)
    add("--cores", metavar="CONTENDER,LOAD", help="which cores (default: the last, the first)")
    add("--nice", type=int, default=0, help="of all processes; below 0, as root, others on the machine disturb less")
    add("--json", type=Path, metavar="FILE", help="write all values there")
    add("--picture", type=Path, metavar="FILE", help="draw them there (needs matplotlib)")
    return parser.parse_args(argv)


def _complaint(options: argparse.Namespace) -> str | None:
    """Why it can't be done, if so."""
    missing = [package for program, package in _PACKAGES.items() if not shutil.which(program)]
    if missing:
        return f"missing: apt-get install {' '.join(missing)}"
    unknown = sorted(set(_names(options)) - set(_EVERYONE))
    if unknown:
        return f"unknown: {', '.join(unknown)}; there are {', '.join(_EVERYONE)}"
    if options.picture and not importlib.util.find_spec("matplotlib"):
        return "--picture needs matplotlib: pip install matplotlib, or leave it, and draw --json FILE elsewhere"
    return None


def _names(options: argparse.Namespace) -> list[str]:
    if options.only:
        return list(options.only.split(","))
    if options.quick:
        return ["nginx", "aigw"]
    return list(_EVERYONE if options.peers else CONTENDERS)


def _cores(given: str | None) -> tuple[int, int]:
    """The contender's core, and the load's."""
    allowed = sorted(os.sched_getaffinity(0))
    contender, load = (int(core) for core in given.split(",")) if given else (allowed[-1], allowed[0])
    return contender, load


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _place(options: argparse.Namespace, cores: tuple[int, int]) -> Iterator[Place]:
    """Start the upstreams, in a directory of our own."""
    contender, load = cores
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
            user=user,
            arguments=Arguments.given(options),
            routes=options.routes,
            peer_directory=(options.peer_dir or directory / "peers").absolute(),
        )


def _start(names: Sequence[str], place: Place, stack: contextlib.ExitStack) -> dict[str, Running]:
    """Start the contenders; whoever can't be started is left out, with a word."""
    running = {}
    for name in names:
        started = time.monotonic()
        try:
            running[name] = _EVERYONE[name](place)
        except NotStarted as error:
            _say(f"{name}: left out: {error}")
            continue
        stack.callback(running[name].stop)
        _say(f"{name}: started in {time.monotonic() - started:.1f} s")
    return running


def _run(names: Sequence[str], plan: Plan, results: Results, place: Place) -> list[str]:
    """Round after round, scenario after scenario, the contenders one after another. Gives who could be started."""
    with contextlib.ExitStack() as stack:
        running = _start(names, place, stack)
        for contender in running.values():
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                scenarios.warm(contender, plan.warm, place.directory)
        for number in range(plan.rounds):
            for scenario in plan.scenarios:
                _say(f"round {number + 1} of {plan.rounds}: {scenario.name}")
                for name, contender in running.items():
                    contender.settle()
                    _run_one(name, contender, scenario, results, place)
    return list(running)


def _run_one(name: str, running: Running, scenario: Scenario, results: Results, place: Place) -> None:
    """A contender that can't be asked is no reason to lose what others did."""
    try:
        scenario.run(name, running, results, place.directory)
    except (OSError, subprocess.SubprocessError) as error:
        results.note(f"{name}: {scenario.name}: {error}")


def _run_memory(names: Sequence[str], scenario: Memory, rounds: int, results: Results, place: Place) -> None:
    """The same, but everyone is started for each round."""
    for number in range(rounds):
        _say(f"round {number + 1} of {rounds}: {scenario.name}")
        for name in names:
            with contextlib.ExitStack() as stack:
                for running in _start([name], place, stack).values():
                    _run_one(name, running, scenario, results, place)


@contextlib.contextmanager
def _niceness(nice: int) -> Iterator[None]:
    """For us and our session, until we are done."""
    if nice:
        processes.be_nice(nice)
    try:
        yield
    finally:
        if nice:
            processes.be_nice(0)


def _plan(options: argparse.Namespace) -> Plan:
    plan = scenarios.QUICK if options.quick else scenarios.FULL
    return attrs.evolve(plan, rounds=options.rounds or plan.rounds)


def _measure(options: argparse.Namespace, cores: tuple[int, int]) -> Results:
    results = Results(machine=machine.describe(cores))
    plan = _plan(options)
    with _place(options, cores) as place:
        before = Meanwhile.now()
        names = _run(_names(options), plan, results, place)
        opens = [] if options.quick else [int(number) for number in options.open_streams.split(",")]
        for number in filter(None, opens):
            contenders = [name for name in names if name != "direct"]
            _run_memory(contenders, Memory(streams=number), min(plan.rounds, 3), results, place)
        others = Meanwhile.now().others_since(before)
    scenarios.add_differences(results)
    if others > 0.05:
        results.note(f"others kept {others:.2f} cores of this machine busy meanwhile")
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run it. The exit status is 1 if it can't be done."""
    options = _options(argv)
    complaint = _complaint(options)
    if complaint:
        _say(complaint)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    processes.open_many_files()
    with _niceness(options.nice):
        results = _measure(options, _cores(options.cores))
    print(results.table())
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    if options.picture:
        picture.draw(results.as_json(), options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
