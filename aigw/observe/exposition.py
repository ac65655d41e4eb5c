"""A registry as text for Prometheus, in small pieces: a scrape of any size leaves the reactor free between them.

Plain text is the first choice, because it is what APISIX answers: there a counter may be called ``apisix_http_status``
and a bound ``le="1000"``, as existing dashboards expect. OpenMetrics goes to those who accept nothing else; it wants
``_total`` at the end of a counter's name, so counters with an APISIX name are of unknown type there, and
``le="1000.0"``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"

LINES_AT_ONCE = 256
"""About a millisecond of work and 60 KB of text."""

_TEXT_KINDS = frozenset({"counter", "gauge", "histogram", "summary"})


def negotiate(accept: bytes) -> bytes:
    """The content type to answer an ``Accept`` header with: `TEXT`, or `OPENMETRICS`."""
    ranges = {part.split(b";")[0].strip().lower() for part in accept.split(b",")}
    if b"application/openmetrics-text" in ranges and not ranges & {b"text/plain", b"text/*", b"*/*"}:
        return OPENMETRICS
    return TEXT


def expose(registry: CollectorRegistry, content_type: bytes) -> Iterator[bytes]:
    """The registry in a format of `negotiate`, piece by piece."""
    lines = _openmetrics(registry) if content_type == OPENMETRICS else _text(registry)
    while piece := "".join(islice(lines, LINES_AT_ONCE)):
        yield piece.encode()


def _text(registry: CollectorRegistry) -> Iterator[str]:
    for metric in registry.collect():
        kind = metric.type if metric.type in _TEXT_KINDS else "untyped"
        first, samples = _peek(metric)
        if first is not None:
            yield from _header(first.name if kind == "counter" else metric.name, kind, metric)
            yield from map(_line, samples)


def _openmetrics(registry: CollectorRegistry) -> Iterator[str]:
    for metric in registry.collect():
        first, samples = _peek(metric)
        if first is not None:
            unnamed = metric.type == "counter" and first.name == metric.name
            yield from _header(metric.name, "unknown" if unnamed else metric.type, metric)
            yield from map(_line, map(_with_canonical_bound, samples))
    yield "# EOF\n"


def _peek(metric: Metric) -> tuple[Sample | None, Iterator[Sample]]:
    """The first sample, and all of them."""
    samples = iter(metric.samples)
    first = next(samples, None)
    return first, chain(() if first is None else (first,), samples)


def _header(name: str, kind: str, metric: Metric) -> Iterator[str]:
    yield f"# HELP {name} {_escaped(metric.documentation)}\n"
    yield f"# TYPE {name} {kind}\n"


def _line(sample: Sample) -> str:
    if not sample.labels:
        return f"{sample.name} {_number(sample.value)}\n"
    labels = ",".join([f'{name}="{_quoted(value)}"' for name, value in sample.labels.items()])
    return f"{sample.name}{{{labels}}} {_number(sample.value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', r"\"")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else _go_float(value)


def _with_canonical_bound(sample: Sample) -> Sample:
    le = sample.labels.get("le")
    return sample if le is None else sample._replace(labels={**sample.labels, "le": _go_float(float(le))})


def _go_float(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # it has no annotations
