"""What each contender goes through, and which figures come of it.

CPU is the contender's, of all its processes, user and system.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks import chat_load, stream_load
from benchmarks.contenders import Running
from benchmarks.figures import Figure, Results, percentile
from benchmarks.stream_load import StreamFigures, Streams


@attrs.frozen(kw_only=True)
class Chat:
    """Whole answers on so many connections at once."""

    connections: int
    seconds: int

    @property
    def name(self) -> str:
        return f"chat, {self.connections} conn"

    def run(self, contender: str, running: Running, results: Results, directory: Path) -> None:
        """One round."""
        before, started = running.cpu_seconds(), time.monotonic()
        got = chat_load.load(running.chat, connections=self.connections, seconds=self.seconds, directory=directory)
        cpu, took = running.cpu_seconds() - before, time.monotonic() - started
        if got.errors or not got.requests:
            results.note(f"{contender}: {self.name}: {got.errors} of {got.requests} requests failed")
        if running.processes and got.requests:
            results.add(Figure(name=f"{self.name}: CPU", unit="us/request"), contender, cpu / got.requests * 1e6)
            results.add(
                Figure(name=f"{self.name}: core busy", unit="%", digits=0, compared=False), contender, cpu / took * 100
            )
        rate = Figure(name=f"{self.name}: rate", unit="requests/s", digits=0, best_is_most=True)
        results.add(rate, contender, got.rate)
        results.add(Figure(name=f"{self.name}: latency p50", unit="us", digits=0), contender, got.p50)
        results.add(Figure(name=f"{self.name}: latency p99", unit="us", digits=0), contender, got.p99)


@attrs.frozen(kw_only=True)
class Unpaced:
    """Streams as fast as they go."""

    streams: int = 16
    events: int = 1000
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.streams} streams unpaced"

    def run(self, contender: str, running: Running, results: Results, directory: Path) -> None:
        """One round."""
        streams = Streams(number=self.streams, events=self.events, pace=0)
        got = stream_load.load(
            running.stream, streams, ramp=0.1, warm=0.2, seconds=self.seconds, sample=running.cpu_seconds
        )
        _add_cost(self.name, contender, running, results, got)
        rate = Figure(name=f"{self.name}: rate", unit="1000 events/s", digits=0, best_is_most=True)
        results.add(rate, contender, got.rate / 1e3)


@attrs.frozen(kw_only=True)
class Paced:
    """Streams with an event every ``pace`` milliseconds, out of step with each other."""

    streams: int = 64
    events: int = 75
    pace: int = 20
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.streams} streams at {self.pace} ms"

    def run(self, contender: str, running: Running, results: Results, directory: Path) -> None:
        """One round."""
        streams = Streams(number=self.streams, events=self.events, pace=self.pace)
        got = stream_load.load(
            running.stream,
            streams,
            ramp=self.events * self.pace / 1000,
            warm=0.1,
            seconds=self.seconds,
            sample=running.cpu_seconds,
        )
        _add_cost(self.name, contender, running, results, got)
        for what, values in (("first event", got.first), ("event delay", got.delays)):
            for label, share in (("p50", 0.5), ("p99", 0.99)):
                figure = Figure(name=f"{self.name}: {what} {label}", unit="us", digits=0)
                results.add(figure, contender, percentile(values, share))
        expected = self.streams / self.pace * 1e3
        if got.rate < 0.97 * expected:
            results.note(f"{contender}: {self.name}: only {got.rate:.0f} of {expected:.0f} events/s came")


def _add_cost(name: str, contender: str, running: Running, results: Results, got: StreamFigures) -> None:
    if got.errors or not got.events:
        results.note(f"{contender}: {name}: {got.errors} streams failed, {got.events} events came")
    if not got.events:
        return
    if running.processes:
        figure = Figure(name=f"{name}: CPU", unit="s/100k events", digits=3)
        results.add(figure, contender, got.cost / got.events * 1e5)
        busy = Figure(name=f"{name}: core busy", unit="%", digits=0, compared=False)
        results.add(busy, contender, got.cost / got.seconds * 100)
    own = Figure(name=f"{name}: CPU of the load", unit="s/100k events", digits=3, compared=False)
    results.add(own, contender, got.own_cpu / got.events * 1e5)


@attrs.frozen(kw_only=True)
class Memory:
    """Many streams open at once, seldom an event each, in a process that was started for it."""

    streams: int
    pace: int = 1000
    seconds: float = 3.0

    @property
    def name(self) -> str:
        return f"{self.streams} open streams"

    def run(self, contender: str, running: Running, results: Results, directory: Path) -> None:
        """One round. What a stream takes is told apart from what the first requests of all take."""
        kilobytes = Figure(name="memory: at rest", unit="KB", digits=0)
        results.add(kilobytes, contender, running.rss_bytes() / 1000)
        chat_load.load(running.chat, connections=64, seconds=1, directory=directory)
        few = Streams(number=64, events=5, pace=20)
        stream_load.load(running.stream, few, ramp=0.1, warm=0.1, seconds=0.3, sample=running.rss_bytes)
        running.settle()
        levels = [running.rss_bytes()]

        def sample() -> float:
            levels.append(running.rss_bytes())
            return levels[-1]

        streams = Streams(number=self.streams, events=60, pace=self.pace)
        ramp = max(self.streams / 1000, self.pace / 1000)
        got = stream_load.load(running.stream, streams, ramp=ramp, warm=1.0, seconds=self.seconds, sample=sample)
        each = Figure(name=f"{self.name}: memory of each", unit="KB")
        results.add(each, contender, (max(levels) - levels[0]) / self.streams / 1000)
        longest = Figure(name=f"{self.name}: longest silence", unit="s", digits=2)
        results.add(longest, contender, got.gap)
        if got.errors or got.rate < 0.97 * self.streams / self.pace * 1e3:
            results.note(f"{contender}: {self.name}: {got.errors} failed, {got.rate:.0f} events/s came")


def warm(running: Running, seconds: int, directory: Path) -> None:
    """Let a contender do once what it does only once: connections, compiled code, caches."""
    chat_load.load(running.chat, connections=16, seconds=seconds, directory=directory)
    streams = Streams(number=16, events=100, pace=5)
    stream_load.load(running.stream, streams, ramp=0.2, warm=0.1, seconds=seconds / 2, sample=running.cpu_seconds)


Scenario = Chat | Unpaced | Paced | Memory


@attrs.frozen(kw_only=True)
class Plan:
    """Which scenarios, how often, after how many seconds to warm up."""

    scenarios: Sequence[Scenario]
    rounds: int
    warm: int


QUICK = Plan(
    scenarios=(Chat(connections=16, seconds=1), Unpaced(seconds=1), Paced(seconds=1.5)),
    rounds=3,
    warm=1,
)
FULL = Plan(
    scenarios=(
        Chat(connections=1, seconds=2),
        Chat(connections=16, seconds=2),
        Chat(connections=64, seconds=2),
        Unpaced(seconds=2),
        Paced(seconds=3),
    ),
    rounds=5,
    warm=3,
)


def add_differences(results: Results) -> None:
    """What a contender adds to the latency of the bare upstream, and of nginx; and to the first event of a stream."""
    for figure in list(results.values):
        if figure.name.startswith("chat, 1 conn: latency"):
            results.add_difference(figure, "direct", f"{figure.name}, added")
            results.add_difference(figure, "nginx", f"{figure.name}, beyond nginx")
        elif "first event" in figure.name:
            results.add_difference(figure, "direct", f"{figure.name}, added")
