"""Metrics of several processes added up in one: each sends what has grown since it was last asked.

Increments are added to the receiver's own series, so what a process counted stays when the process is gone, and no
counter ever goes down. Of gauges, what a process had told goes away with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from aigw.observe.metrics import Metrics
from aigw.observe.series import Labels, Row


class Growth(NamedTuple):
    """What was added to one series of ``family`` since it was last told; ``row``: as `aigw.observe.series.Row` is."""

    family: str
    labels: Labels
    row: Sequence[int | float]


class Growing:
    """Says what has grown in ``metrics``: a comparison of each series with what was told of it, and no work between."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = metrics.added_up
        self._told: dict[str, dict[Labels, Row]] = {family.name: {} for family in self._families}

    def since_last(self) -> Iterator[Growth]:
        """What was not told yet; read it to its end, and it counts as told."""
        for family in self._families:
            told = self._told[family.name]
            for labels, row in family.rows.items():
                before = told.get(labels)
                if row != before:
                    told[labels] = row.copy()
                    yield Growth(family.name, labels, _difference(row, before))


class Sum:
    """Adds what the processes tell to ``metrics``. ``member``: any name for a process."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = {family.name: family for family in metrics.added_up}
        self._gauges: dict[int, dict[tuple[str, Labels], float]] = {}

    def add(self, member: int, growths: Iterable[Growth]) -> None:
        """A process tells.

        :raises ValueError: if it is no growth of these metrics; what came before it is added.
        """
        for growth in growths:
            family = self._families.get(growth.family)
            if family is None or not family.fits(growth.labels, growth.row):
                raise ValueError(f"no series of these metrics: {growth.family[:100]}")
            _grow(family.row(growth.labels), growth.row)
            if family.kind == "gauge":
                held = self._gauges.setdefault(member, {})
                key = (growth.family, growth.labels)
                held[key] = held.get(key, 0) + growth.row[0]

    def forget(self, member: int) -> None:
        """A process is gone, and with it what it had under way."""
        for (name, labels), value in self._gauges.pop(member, {}).items():
            self._families[name].row(labels)[0] -= value


def _difference(row: Row, before: Row | None) -> Row:
    return row.copy() if before is None else [a - b for a, b in zip(row, before, strict=True)]


def _grow(row: Row, by: Sequence[float]) -> None:
    for i, value in enumerate(by):
        if value:
            row[i] += value
