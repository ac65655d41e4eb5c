from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, Summary, generate_latest
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from aigw.observe.exposition import LINES_AT_ONCE, OPENMETRICS, TEXT, expose, negotiate
from aigw.observe.series import Family

parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics_parser.text_string_to_metric_families


class Families:
    """A collector of some families."""

    def __init__(self, *families: Family) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return (f.metric() for f in self._families)


def registry_of(*families: Family) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Families(*families))
    return registry


def shown(registry: CollectorRegistry, content_type: bytes) -> str:
    return b"".join(expose(registry, content_type)).decode()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (b"", TEXT),
        (b"*/*", TEXT),
        (b"text/plain", TEXT),
        (b"text/html", TEXT),
        (b"application/openmetrics-text", OPENMETRICS),
        (b"Application/OpenMetrics-Text; version=1.0.0; q=0.9", OPENMETRICS),
        # What Prometheus sends.
        (
            b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            b"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
            b"text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            TEXT,
        ),
        (b",;,application/openmetrics-text;version=\xff,;;", OPENMETRICS),
    ],
)
def test_text_is_preferred(accept: bytes, content_type: bytes) -> None:
    assert negotiate(accept) == content_type


def test_counters_keep_their_names_where_the_format_allows() -> None:
    old = Family("apisix_http_status", "Codes", "counter", ("code",))
    new = Family("aigw_fallbacks_total", "Fallbacks", "counter", ("reason",))
    old.row(("200",))[0] += 1
    new.row(("http_429",))[0] += 2.5
    registry = registry_of(old, new)
    assert shown(registry, TEXT) == (
        "# HELP apisix_http_status Codes\n"
        "# TYPE apisix_http_status counter\n"
        'apisix_http_status{code="200"} 1\n'
        "# HELP aigw_fallbacks_total Fallbacks\n"
        "# TYPE aigw_fallbacks_total counter\n"
        'aigw_fallbacks_total{reason="http_429"} 2.5\n'
    )
    assert shown(registry, OPENMETRICS) == (
        "# HELP apisix_http_status Codes\n"
        "# TYPE apisix_http_status unknown\n"
        'apisix_http_status{code="200"} 1\n'
        "# HELP aigw_fallbacks Fallbacks\n"
        "# TYPE aigw_fallbacks counter\n"
        'aigw_fallbacks_total{reason="http_429"} 2.5\n'
        "# EOF\n"
    )


def test_bounds_are_written_as_each_format_wants_them() -> None:
    family = Family("h", "H", "histogram", bounds=(0.00005, 1, 2.5, 1_000_000))
    family.observe(family.row(()), 2)
    bounds = {
        content_type: [
            line.split('"')[1] for line in shown(registry_of(family), content_type).splitlines() if '"' in line
        ]
        for content_type in (TEXT, OPENMETRICS)
    }
    assert bounds[TEXT] == ["5e-05", "1", "2.5", "1000000", "+Inf"]
    assert bounds[OPENMETRICS] == ["5e-05", "1.0", "2.5", "1e+06", "+Inf"]
    assert next(iter(parse_openmetrics(shown(registry_of(family), OPENMETRICS)))).type == "histogram"


def test_what_was_never_observed_is_not_shown() -> None:
    family = Family("h", "H", "histogram", bounds=(1,))
    family.row(())
    assert shown(registry_of(family), TEXT) == ""


def test_other_peoples_metrics_mean_the_same_as_in_their_own_exposition() -> None:
    registry = CollectorRegistry()
    Counter("c", 'with "quotes", a \\ and\na line', ["l"], registry=registry).labels('v"\\\n').inc(2)
    Gauge("g", "Gauge", registry=registry).set(float("nan"))
    Gauge("i", "Infinite", registry=registry).set(float("-inf"))
    Histogram("h", "Histogram", registry=registry).observe(0.3)
    Summary("s", "Summary", registry=registry).observe(0.3)

    def told(text: str) -> list[tuple[str, dict[str, str], str]]:
        return [
            (s.name, s.labels, str(s.value))
            for m in parse_text(text)
            for s in m.samples
            if not s.name.endswith("_created")
        ]

    assert told(shown(registry, TEXT)) == told(generate_latest(registry).decode())
    assert [m.name for m in parse_openmetrics(shown(registry, OPENMETRICS))] == ["c", "g", "i", "h", "s"]


def test_a_big_scrape_comes_in_small_pieces_and_survives_changes_between_them() -> None:
    family = Family("g", "Gauge", "gauge", ("n",), limit=10_000)
    for n in range(2000):
        family.row((str(n),))[0] = n
    pieces = expose(registry_of(family), TEXT)
    seen = [next(pieces)]
    family.row(("late",))
    seen.extend(pieces)
    assert max(piece.count(b"\n") for piece in seen) <= LINES_AT_ONCE
    [metric] = parse_text(b"".join(seen).decode())
    assert [s.value for s in metric.samples] == list(range(2000))


def test_a_histogram_is_not_torn_by_what_is_observed_while_it_is_shown() -> None:
    family = Family("h", "H", "histogram", bounds=tuple(range(1, 2 * LINES_AT_ONCE)))
    row = family.row(())
    family.observe(row, 1)
    pieces = expose(registry_of(family), TEXT)
    seen = [next(pieces)]
    family.observe(row, 1)
    seen.extend(pieces)
    [metric] = parse_text(b"".join(seen).decode())
    assert {s.value for s in metric.samples} == {1}
