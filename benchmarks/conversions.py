"""What converting between dialects costs, in CPU: an event of a stream, a request, an answer; each pair there is.

Run: ``python -m benchmarks.conversions``. All values of all rounds: ``--json FILE``.

A converter is fed as the gateway feeds it, with what the provider's watch has let pass; the watch is not measured here
(``python -m benchmarks.dialects`` does). Each figure is the least of several rounds, which is the one that the
machine's other work disturbed least. 1 ms for 1,000 events is 1 microsecond an event.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from aigw.dialects.converters.converter import Converter
from benchmarks import machine
from benchmarks.conversion_samples import MODEL, REQUESTS, Provider, Stream, provider
from benchmarks.figures import Figure, Results

NOW = 1_790_000_000
READ = 16_384

ONE = Figure(name="an event a read", unit="ms for 1,000 events", digits=2, compared=False)
MANY = Figure(name="16 KiB a read", unit="ms for 1,000 events", digits=2, compared=False)
REQUEST = Figure(name="a request", unit="us", digits=1, compared=False)
ANSWER = Figure(name="an answer", unit="us", digits=1, compared=False)
FIGURES = (ONE, MANY, REQUEST, ANSWER)


def measure(results: Results, *, rounds: int, events: int, times: int) -> None:
    """All pairs of the catalogue that there are samples for; the others are noted."""
    runs = [run for converter in CONVERTERS.values() for run in _runs(converter, results, events, times)]
    gc.collect()
    gc.freeze()
    try:
        for _ in range(rounds):
            for figure, name, once, scale in runs:
                results.add(figure, name, _cpu(once) * scale)
    finally:
        gc.unfreeze()


Run = tuple[Figure, str, Callable[[], object], float]
"""What is measured, of which pair, by doing what; seconds times the last are the figure's unit."""


def _runs(converter: Converter, results: Results, events: int, times: int) -> Iterator[Run]:
    pair = f"{converter.client} -> {converter.provider}"
    raw, sent = REQUESTS.get(converter.client), provider(converter.provider)
    if raw is None or sent is None:
        results.note(f"{pair}: no sample")
        return
    request = Body.parse(raw)
    for stream in sent.streams:
        converted = _converted(converter, request, stream, events)
        yield ONE, f"{pair}: {stream.kind}", converted(len(stream.event)), 1e6 / events
        yield MANY, f"{pair}: {stream.kind}", converted(READ), 1e6 / events
    yield REQUEST, pair, _repeated(lambda: converter.request(Body.parse(raw), MODEL).raw_bytes, times), 1e6 / times
    yield ANSWER, pair, _repeated(_answered(converter, request, sent), times), 1e6 / times


def _converted(
    converter: Converter, request: Body, stream: Stream, events: int
) -> Callable[[int], Callable[[], object]]:
    """For the size of a read: what converts a whole stream that comes in such reads."""
    middle = stream.event * events

    def in_reads(size: int) -> Callable[[], object]:
        reads = [stream.begin, *(middle[i : i + size] for i in range(0, len(middle), size)), stream.end]

        def run() -> None:
            stage = converter.stream(request, NOW)
            pieces = [piece for data in reads for piece in stage.feed(data)] + stage.close()
            if len(pieces) < len(reads) - 2:
                raise RuntimeError(f"{converter.client} -> {converter.provider}: events got lost")

        return run

    return in_reads


def _answered(converter: Converter, request: Body, sent: Provider) -> Callable[[], object]:
    return lambda: converter.answer(request, sent.answer, NOW)


def _repeated(once: Callable[[], object], times: int) -> Callable[[], object]:
    def run() -> None:
        for _ in range(times):
            once()

    return run


def _cpu(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def table(results: Results) -> str:
    """A row each pair (and kind of stream), a column each figure."""
    names = results.contenders()
    width = max(map(len, names), default=0) + 2
    titles = [f"{figure.name}, {figure.unit}" for figure in FIGURES]
    head = " " * width + "".join(f"{title:>{len(title) + 3}}" for title in titles)
    rows = [name.ljust(width) + _row(results, name, titles) for name in names]
    return "\n".join([head, *rows, *(f"! {note}" for note in results.notes)])


def _row(results: Results, name: str, titles: list[str]) -> str:
    cells = (results.cell(figure, name) if figure in results.values else "-" for figure in FIGURES)
    return "".join(f"{cell:>{len(title) + 3}}" for cell, title in zip(cells, titles, strict=True))


def main() -> None:
    """Print what is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--events", type=int, default=5_000, help="of each stream")
    parser.add_argument("--times", type=int, default=500, help="that a request and an answer are converted, a round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    options = parser.parse_args()
    described = machine.describe((0, 0))
    results = Results(machine={name: described[name] for name in ("date", "commit", "cpu", "kernel", "python")})
    measure(results, rounds=options.rounds, events=options.events, times=options.times)
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")


if __name__ == "__main__":
    main()
