"""Draw the comparison: ``python -m benchmarks.picture RESULTS.json PICTURE.png``. Needs matplotlib.

A panel a figure, a line a contender, on a logarithmic axis, as they differ by factors. A dot is the best round, the bar
behind it reaches to the worst.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PANELS = (
    ("chat, 16 conn: CPU", "A chat request: CPU, µs"),
    ("16 streams unpaced: CPU", "100,000 streamed events, unpaced: CPU, s"),
    ("64 streams at 20 ms: CPU", "100,000 streamed events, 64 streams, 20 ms apart: CPU, s"),
    ("chat, 1 conn: latency p50", "Latency of a chat, 1 connection: p50, µs"),
    ("64 streams at 20 ms: first event p50", "First event, 64 streams: p50, µs"),
    ("1000 open streams: memory of each", "Memory of an open stream, KB"),
)
_COLOURS = {"aigw": "#c0392b", "nginx": "#2c7a4b", "direct": "#7f8c8d"}
_OTHER = "#4a6fa5"


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw results, as ``--json`` writes them, into a file.

    :raises ImportError: if there is no matplotlib.
    """
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]

    mpl.use("Agg")
    from matplotlib import pyplot

    by_name = {figure["name"]: figure for figure in results["figures"]}
    panels = [(by_name[name], title) for name, title in PANELS if name in by_name]
    rows = (len(panels) + 1) // 2
    picture, axes = pyplot.subplots(rows, 2, figsize=(12, 2.9 * rows), squeeze=False)
    for each in axes.flat[len(panels) :]:
        each.set_visible(False)
    for (figure, title), each in zip(panels, axes.flat, strict=False):
        _panel(each, figure, title)
    about = results["machine"]
    picture.suptitle(
        f"One core of {about['cpu']}, all in one run; the best round, and how far the worst was; less is better"
    )
    picture.tight_layout()
    picture.savefig(path, dpi=100)


def _panel(axes: Any, figure: Mapping[str, Any], title: str) -> None:
    names = sorted(figure["best"], key=lambda name: -figure["best"][name])
    for row, name in enumerate(names):
        best, worst = figure["best"][name], max(figure["rounds"][name])
        colour = _COLOURS.get(name, _OTHER)
        axes.plot([best, worst], [row, row], color=colour, alpha=0.35, linewidth=4, solid_capstyle="butt")
        axes.plot([best], [row], "o", color=colour)
        axes.annotate(_short(best), (worst, row), textcoords="offset points", xytext=(8, -3), fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.12, y=0.1)
    axes.set_yticks(range(len(names)), names)
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(axis="x", labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main(argv: Sequence[str]) -> None:
    """Read one file, write the other."""
    source, target = argv
    draw(json.loads(Path(source).read_text()), Path(target))


if __name__ == "__main__":
    main(sys.argv[1:])
