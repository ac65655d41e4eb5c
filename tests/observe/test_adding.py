"""Metrics of several processes, added up: counters that never go down, gauges that go away with their process."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aigw.observe.adding import Growing, Growth, Sum
from aigw.observe.metrics import Metrics
from aigw.ports import CallLabels

LABELS = CallLabels("r", "s", "", "vllm", "ai_chat", "m", "m")


def counted(metrics: Metrics, name: str) -> Mapping[tuple[str, ...], list[float]]:
    (family,) = [f for f in metrics.added_up if f.name == name]
    return family.rows


@pytest.fixture
def whole() -> Metrics:
    return Metrics(build={})


def test_what_grew_is_told_once(whole: Metrics) -> None:
    member, total = Metrics(build={}), Sum(whole)
    growing = Growing(member)
    for _ in range(3):
        member.fell_back("r", "vllm", "http_5xx")
    told = list(growing.since_last())
    assert Growth("aigw_fallbacks_total", ("r", "vllm", "http_5xx"), [3]) in told
    assert list(growing.since_last()) == []
    total.add(1, told)
    member.fell_back("r", "vllm", "http_5xx")
    total.add(1, growing.since_last())
    assert counted(whole, "aigw_fallbacks_total") == {("r", "vllm", "http_5xx"): [4]}


def test_a_process_that_is_gone_leaves_its_counts_and_takes_its_gauges(whole: Metrics) -> None:
    total, members = Sum(whole), [Metrics(build={}), Metrics(build={})]
    for number, member in enumerate(members):
        growing = Growing(member)
        member.active(+1, LABELS)
        member.fell_back("r", "vllm", "http_5xx")
        total.add(number, growing.since_last())
        member.active(+1, LABELS)
        total.add(number, growing.since_last())
    assert counted(whole, "apisix_llm_active_connections")[LABELS] == [4]
    total.forget(0)
    total.forget(0)
    assert counted(whole, "apisix_llm_active_connections")[LABELS] == [2]
    assert counted(whole, "aigw_fallbacks_total")[("r", "vllm", "http_5xx")] == [2]
    total.add(0, Growing(Metrics(build={})).since_last())
    assert counted(whole, "apisix_llm_active_connections")[LABELS] == [2]


def test_histograms_add_up(whole: Metrics) -> None:
    member, total = Metrics(build={}), Sum(whole)
    (family,) = [f for f in member.added_up if f.name == "aigw_gateway_overhead_seconds"]
    for seconds in (0.00001, 0.5, 2.0):
        family.observe(family.row(()), seconds)
    for number in (1, 2):
        total.add(number, Growing(member).since_last())
    row = counted(whole, "aigw_gateway_overhead_seconds")[()]
    assert row[0] == pytest.approx(5.00002)
    assert sum(row[1:]) == 6


def test_label_sets_stay_bounded_however_many_processes_tell() -> None:
    whole = Metrics(build={}, label_sets=20)
    total = Sum(whole)
    for number in range(10):
        member = Metrics(build={}, label_sets=20)
        for i in range(15):
            member.fell_back(f"r{number}-{i}", "vllm", "http_5xx")
        total.add(number, Growing(member).since_last())
    rows = counted(whole, "aigw_fallbacks_total")
    assert len(rows) <= 21
    assert sum(row[0] for row in rows.values()) == 150


@pytest.mark.parametrize(
    "growth",
    [
        Growth("nonsense", (), [1]),
        Growth("aigw_circuit_open", ("r", "i"), [1]),
        Growth("aigw_fallbacks_total", ("r",), [1]),
        Growth("aigw_fallbacks_total", ("r", "i", "x"), [1, 2]),
        Growth("aigw_fallbacks_total", ("r", "i", "x"), []),
    ],
)
def test_what_fits_no_metric_is_refused(whole: Metrics, growth: Growth) -> None:
    with pytest.raises(ValueError, match="no series of these metrics"):
        Sum(whole).add(1, [growth])
