"""Results as the table of ``docs/performance.rst``: ``python -m benchmarks.report RESULTS.json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLUMNS = (
    ("chat, 16 conn: CPU", "CPU µs, a chat"),
    ("chat, 64 conn: rate", "chats/s, 64 conn."),
    ("chat, 1 conn: latency p50", "p50 µs, 1 conn."),
    ("16 streams unpaced: CPU", "CPU s, unpaced"),
    ("64 streams at 20 ms: CPU", "CPU s, 20 ms"),
    ("64 streams at 20 ms: first event p50", "1st event p50 µs"),
    ("memory: at rest", "KB at rest"),
    ("1000 open streams: memory of each", "KB a stream"),
)


def table(results: Mapping[str, Any]) -> str:
    """A contender a row, cheapest first; the best round of each, and the spread to the worst in per cent."""
    figures = {figure["name"]: figure for figure in results["figures"]}
    columns = [(figures[name], title) for name, title in COLUMNS if name in figures]
    names = dict.fromkeys(name for figure, _ in columns for name in figure["best"])
    first = columns[0][0]["best"]
    rows = [["", *(title for _, title in columns)]]
    for name in sorted(names, key=lambda name: first.get(name, 0.0)):
        rows.append([name, *(_cell(figure, name) for figure, _ in columns)])
    return _simple_table(rows)


def _cell(figure: Mapping[str, Any], name: str) -> str:
    if name not in figure["best"]:
        return "\\-"
    best = figure["best"][name]
    far = max(abs(value - best) for value in figure["rounds"][name])
    text = f"{best:,.0f}" if best >= 100 else f"{best:.3g}"
    return f"{text} ({far / best:.0%})" if best else text


def _simple_table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    line = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([line, lines[0], line, *lines[1:], line])


def main(argv: Sequence[str]) -> None:
    """Print it."""
    (source,) = argv
    results = json.loads(Path(source).read_text())
    for name, value in results["machine"].items():
        print(f"{name}: {value}")
    print(table(results))


if __name__ == "__main__":
    main(sys.argv[1:])
