"""How matching grows with the number of routes: one request, one admin write, a start, memory, a collection.

Run it as a script. Each layout of routes is a row per size; times are the best of several rounds, pauses the worst.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from aigw.routing.router import Entry, Facts, Router

SIZES = (10, 100, 1_000, 10_000, 100_000)
_ROUNDS = 5
_SAMPLE = 1_000
_WRITES = 200

Layout = Callable[[int], tuple[Entry, Facts]]
"""Number -> a route, and a request that it takes."""


def _exact(i: int) -> tuple[Entry, Facts]:
    path = f"/tenants/{i}/v1/chat/completions"
    return Entry(id=f"r{i}", patterns=(path,), methods=_POST), Facts(path=path, method="POST", host="gw.example.org")


def _prefix(i: int) -> tuple[Entry, Facts]:
    facts = Facts(path=f"/tenants/{i}/v1/chat/completions", method="POST", host="gw.example.org")
    return Entry(id=f"r{i}", patterns=(f"/tenants/{i}/*",), methods=_POST), facts


def _parameter(i: int) -> tuple[Entry, Facts]:
    facts = Facts(path=f"/t{i}/users/{i}/chat", method="POST", host="gw.example.org")
    return Entry(id=f"r{i}", patterns=(f"/t{i}/users/:id/chat",), methods=_POST), facts


def _host(i: int) -> tuple[Entry, Facts]:
    facts = Facts(path="/v1/chat/completions", method="POST", host=f"tenant-{i}.example.org")
    return Entry(id=f"r{i}", patterns=("/v1/*",), hosts=(f"tenant-{i}.example.org",), methods=_POST), facts


_POST = frozenset({"POST"})
LAYOUTS: Mapping[str, Layout] = {"exact": _exact, "prefix": _prefix, "parameter": _parameter, "host": _host}


@attrs.frozen(kw_only=True)
class Figures:
    """What was measured of one layout at one size.

    ``match_ns``, ``miss_ns``: a request that a route takes, one that none does. ``put_us``, ``remove_us``: mean;
    ``write_max_us``: the slowest of both. ``tracked``: objects that the garbage collector looks at, per route.
    ``gc_ms``: a full collection's pause that they cause; ``frozen_gc_ms``: the whole pause after ``gc.freeze()``.
    """

    layout: str
    routes: int
    match_ns: float
    miss_ns: float
    put_us: float
    remove_us: float
    write_max_us: float
    build_s: float
    bytes_each: float
    tracked: float
    gc_ms: float
    frozen_gc_ms: float


def measure(layout: str, routes: int) -> Figures:
    """Build a Router of ``routes`` routes and measure it."""
    make = LAYOUTS[layout]
    gc.collect()
    before, gc_before = len(gc.get_objects()), _seconds(gc.collect)
    entries = [make(i)[0] for i in range(routes)]
    build_s, router = _timed(lambda: Router.of(entries))
    gc.collect()
    gc_s = max(_seconds(gc.collect) for _ in range(3))
    frozen_s = _frozen_collection()
    tracked = len(gc.get_objects()) - before
    samples = [make(i)[1] for i in range(0, routes, max(1, routes // _SAMPLE))]
    misses = [attrs.evolve(facts, path=f"{facts.path}/{i}", method="GET") for i, facts in enumerate(samples)]
    puts, removes = _writes(router, make, routes)
    return Figures(
        layout=layout,
        routes=routes,
        match_ns=_best(router, samples),
        miss_ns=_best(router, misses),
        put_us=sum(puts) / len(puts) * 1e6,
        remove_us=sum(removes) / len(removes) * 1e6,
        write_max_us=max(puts + removes) * 1e6,
        build_s=build_s,
        bytes_each=_memory(make, routes),
        tracked=tracked / routes,
        gc_ms=max(0.0, gc_s - gc_before) * 1e3,
        frozen_gc_ms=frozen_s * 1e3,
    )


def _frozen_collection() -> float:
    """Seconds of a full collection when all that there is has been taken out of its sight."""
    gc.freeze()
    seconds = max(_seconds(gc.collect) for _ in range(3))
    gc.unfreeze()
    return seconds


def _best(router: Router, requests: Sequence[Facts]) -> float:
    """Nanoseconds a match, in the best round."""
    match = router.match
    rounds = max(_ROUNDS, 2 * _SAMPLE // len(requests))

    def one_round() -> None:
        for facts in requests:
            match(facts)

    return min(_seconds(one_round) for _ in range(rounds)) / len(requests) * 1e9


def _writes(router: Router, make: Layout, routes: int) -> tuple[list[float], list[float]]:
    """Seconds of each put of a new route, and of each removal of an old one."""
    puts, removes = [], []
    for n in range(_WRITES):
        entry = make(routes + n)[0]
        puts.append(_seconds(lambda entry=entry: router.put(entry)))  # type: ignore[misc]
        victim = f"r{n * 7919 % routes}"
        removes.append(_seconds(lambda victim=victim: router.remove(victim)))  # type: ignore[misc]
    return puts, removes


def _memory(make: Layout, routes: int) -> float:
    """Bytes a route costs, its Entry included."""
    tracemalloc.start()
    router = Router.of(make(i)[0] for i in range(routes))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / len(router)


def _timed(act: Callable[[], Router]) -> tuple[float, Router]:
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _rows(layouts: Sequence[str], sizes: Sequence[int]) -> Iterator[Figures]:
    for layout in layouts:
        for size in sizes:
            yield measure(layout, size)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layout", action="append", choices=list(LAYOUTS), help="one of them (default: all)")
    parser.add_argument("--size", action="append", type=int, help="number of routes (default: 10 to 100000)")
    options = parser.parse_args(argv)
    names = [field.name for field in attrs.fields(Figures)]
    print("".join(f"{name:>14}" for name in names))
    for figures in _rows(options.layout or list(LAYOUTS), options.size or SIZES):
        values = attrs.astuple(figures)
        print("".join(f"{v:>14.2f}" if isinstance(v, float) else f"{v:>14}" for v in values), flush=True)


if __name__ == "__main__":
    main()
