"""What each contender goes through, and which figures come of it."""

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
            results.add(Figure(name=f"{self.name}: core busy", unit="%", digits=0), contender, cpu / took * 100)
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
        busy = Figure(name=f"{name}: core busy", unit="%", digits=0)
        results.add(busy, contender, got.cost / got.seconds * 100)
    own = Figure(name=f"{name}: CPU of the load", unit="s/100k events", digits=3)
    results.add(own, contender, got.own_cpu / got.events * 1e5)


Scenario = Chat | Unpaced | Paced

QUICK: Sequence[Scenario] = (
    Chat(connections=16, seconds=1),
    Unpaced(seconds=1),
    Paced(seconds=1.5),
)
