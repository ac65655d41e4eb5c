"""Time series as plain dicts of lists: cheap to count in, turned into Prometheus samples only when somebody asks.

Label values may come from clients, so the number of label sets is bounded: see `LabelSets`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Literal, TypeVar, cast

from prometheus_client import Metric
from prometheus_client.samples import Sample

from aigw.observe.text import printable

Labels = tuple[str, ...]
Row = list[float]
"""A counter or gauge: ``[value]``. A histogram: ``[sum, observations per bucket..., those above the last bound]``."""

T = TypeVar("T")

OTHER = "other"
LABEL_BYTES = 128
CLIENT_CHOSEN = frozenset({"request_llm_model", "llm_model"})
STRUCTURAL = frozenset({"type", "code"})


class LabelSets(Generic[T]):
    """Label values -> what is kept for them, for about ``limit`` different sets of values.

    The last quarter of the room is for sets whose client-chosen values are blurred to ``other``: somebody who invents
    model names can blur the models, not the routes and instances. When even that is full, all values but the
    `STRUCTURAL` ones (which are few) become ``other``. Nothing is ever forgotten, so counters never go down.
    """

    def __init__(self, names: Labels, limit: int, new: Callable[[Labels], T]) -> None:
        self.known: dict[Labels, T] = {}
        self._names = names
        self._limit = limit
        self._new = new

    def get(self, labels: Labels) -> T:
        """What is kept for these values, or for those they are blurred to."""
        # Values that need taming are never keys here, so this finds only what has been tamed or needed no taming.
        found = self.known.get(labels)
        return found if found is not None else self._admit(tuple(printable(v, LABEL_BYTES) for v in labels))

    def _admit(self, labels: Labels) -> T:
        if labels not in self.known and len(self.known) >= self._limit * 3 // 4:
            labels = self._blurred(labels, lambda name: name in CLIENT_CHOSEN)
        if labels not in self.known and len(self.known) >= self._limit:
            labels = self._blurred(labels, lambda name: name not in STRUCTURAL)
        if labels not in self.known:
            self.known[labels] = self._new(labels)
        return self.known[labels]

    def _blurred(self, labels: Labels, hide: Callable[[str], bool]) -> Labels:
        return tuple(OTHER if v and hide(name) else v for name, v in zip(self._names, labels, strict=True))


class Family:
    """All series of one metric. ``bounds``: upper bounds of a histogram's buckets, ascending, without infinity."""

    def __init__(
        self,
        name: str,
        help: str,
        kind: Literal["counter", "gauge", "histogram"],
        labels: Labels = (),
        *,
        bounds: tuple[float, ...] = (),
        limit: int = 1000,
    ) -> None:
        self.name = name
        self.kind = kind
        self._help = help
        self._labels = labels
        self._bounds = bounds
        self._les = (*(f"{bound:.15g}" for bound in bounds), "+Inf")
        self._sets: LabelSets[Row] = LabelSets(labels, limit, self._new_row)

    @property
    def rows(self) -> dict[Labels, Row]:
        """The live state: plain values, which can be sent to another process and added up there."""
        return self._sets.known

    def fits(self, labels: Labels, row: Sequence[float]) -> bool:
        """Could this be a series of this metric?"""
        return len(labels) == len(self._labels) and len(row) == len(self._new_row(labels))

    def row(self, labels: Labels) -> Row:
        """The row of these label values; callers may keep it and change it in place."""
        return self._sets.get(labels)

    def observe(self, row: Row, value: float) -> None:
        """Count ``value`` in a row of this histogram."""
        row[0] += value
        row[1 + bisect_left(self._bounds, value)] += 1

    def metric(self) -> Metric:
        """The family for one scrape. Its samples are made as they are read, and can be read once.

        A scrape of thousands of series then needs neither their memory at once nor the reactor for their time.
        """
        metric = Metric(self.name.removesuffix("_total"), self._help, self.kind)
        metric.samples = cast("list[Sample]", self._samples())
        return metric

    def _new_row(self, labels: Labels) -> Row:
        return [0] * (len(self._bounds) + 2 if self.kind == "histogram" else 1)

    def _samples(self) -> Iterator[Sample]:
        render = self._histogram if self.kind == "histogram" else self._value
        for values, row in list(self.rows.items()):
            yield from render(dict(zip(self._labels, values, strict=True)), row)

    def _value(self, labels: dict[str, str], row: Row) -> Iterator[Sample]:
        yield Sample(self.name, labels, row[0])

    def _histogram(self, labels: dict[str, str], row: Row) -> Iterator[Sample]:
        total, *counts = row  # a copy: what is observed while this is read must not tear the histogram
        if not any(counts):
            return
        seen: float = 0
        for le, count in zip(self._les, counts, strict=True):
            seen += count
            yield Sample(self.name + "_bucket", {**labels, "le": le}, seen)
        yield Sample(self.name + "_count", labels, seen)
        yield Sample(self.name + "_sum", labels, total)
