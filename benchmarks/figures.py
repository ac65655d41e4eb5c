"""What was measured: per figure and contender, a value a round; the best of them, and how far they spread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Figure:
    """Something measured. ``best_is_most``: of several rounds, instead of the least. ``compared``: with nginx."""

    name: str
    unit: str
    digits: int = 1
    best_is_most: bool = False
    compared: bool = True

    def best(self, values: Iterable[float]) -> float:
        return max(values) if self.best_is_most else min(values)


@attrs.define
class Results:
    """Values by figure and contender, in the order they came."""

    values: dict[Figure, dict[str, list[float]]] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)
    machine: Mapping[str, str] = attrs.field(factory=dict)

    def add(self, figure: Figure, contender: str, value: float) -> None:
        """Keep the value of one more round."""
        self.values.setdefault(figure, {}).setdefault(contender, []).append(value)

    def note(self, text: str) -> None:
        """Something that a reader of the figures has to know."""
        if text not in self.notes:
            self.notes.append(text)

    def best(self, figure: Figure, contender: str) -> float | None:
        """The value of the round that was disturbed least."""
        values = self.values.get(figure, {}).get(contender)
        return figure.best(values) if values else None

    def add_difference(self, figure: Figure, base: str, name: str) -> None:
        """A figure that is what others have more than the best round of ``base``."""
        least = self.best(figure, base)
        if least is None:
            return
        for contender, values in self.values[figure].items():
            if contender not in (base, "direct"):
                for value in values:
                    self.add(attrs.evolve(figure, name=name), contender, value - least)

    def contenders(self) -> list[str]:
        """All that have a value."""
        return list(dict.fromkeys(name for each in self.values.values() for name in each))

    def table(self) -> str:
        """The figures as text, a row each; the ratio of each contender to nginx in brackets."""
        names = self.contenders()
        width = max(len(f"{figure.name}, {figure.unit}") for figure in self.values) + 2
        head = f"{'best of rounds (spread) [ratio to nginx]':<{width}}" + "".join(f"{name:>26}" for name in names)
        rows = [
            f"{f'{figure.name}, {figure.unit}':<{width}}" + "".join(f"{self.cell(figure, n):>26}" for n in names)
            for figure in self.values
        ]
        return "\n".join([head, *rows, *(f"! {note}" for note in self.notes)])

    def cell(self, figure: Figure, contender: str) -> str:
        """A figure of a contender: ``61.2 (+8%) [3.1x]``; the spread is from the best to the worst round."""
        values = self.values[figure].get(contender)
        if not values:
            return "-"
        best = figure.best(values)
        text = f"{best:,.{figure.digits}f} {spread(values, best)}"
        plain = self.best(figure, "nginx")
        return text if not plain or contender == "nginx" or not figure.compared else f"{text} [{best / plain:.2f}x]"

    def as_json(self) -> dict[str, Any]:
        """All values of all rounds."""
        return {
            "machine": dict(self.machine),
            "figures": [
                {**attrs.asdict(figure), "rounds": rounds, "best": {n: figure.best(v) for n, v in rounds.items()}}
                for figure, rounds in self.values.items()
            ],
            "notes": self.notes,
        }


def spread(values: Sequence[float], best: float) -> str:
    """How far the round that was disturbed most is from the best, signed."""
    worst = max(values, key=lambda value: abs(value - best))
    if not best:
        return "(=)"
    return f"({(worst - best) / abs(best) * 100:+.0f}%)"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values is; not a number if there are none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
