"""That the benchmarks run; what they measure is not looked at here. They are no part of what is installed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from twisted.internet.task import Clock

pytest.importorskip("benchmarks.figures", reason="not in a checkout")

from benchmarks import plugins, processes, stream_load, upstream
from benchmarks.chat_load import Target
from benchmarks.figures import Figure, Results, percentile
from benchmarks.stream_load import Streams

COST = Figure(name="cost", unit="us")


def test_best_spread_and_ratio() -> None:
    results = Results()
    for contender, values in {"nginx": [10.0, 12.0], "aigw": [25.0, 20.0], "direct": [4.0, 5.0]}.items():
        for value in values:
            results.add(COST, contender, value)
    assert results.cell(COST, "aigw") == "20.0 (+25%) [2.00x]"
    assert results.cell(COST, "nginx") == "10.0 (+20%)"
    results.add_difference(COST, "nginx", "beyond nginx")
    assert results.best(Figure(name="beyond nginx", unit="us"), "aigw") == 10.0
    assert results.as_json()["figures"][0]["best"] == {"nginx": 10.0, "aigw": 20.0, "direct": 4.0}


def test_most_is_best_of_a_rate() -> None:
    rate = Figure(name="rate", unit="1/s", best_is_most=True)
    assert rate.best([1.0, 3.0, 2.0]) == 3.0


def test_percentiles() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 3.0, 4.0]


@pytest.mark.parametrize("pace", [0, 1])
def test_the_load_gets_every_event_that_the_upstream_sends(pace: int) -> None:
    server = upstream.Upstream(0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    streams = Streams(number=3, events=20, pace=pace)
    target = Target(port=server.port)
    got = stream_load.load(target, streams, ramp=0, warm=0, seconds=0.2, sample=lambda: 0.0)
    server.stop()
    thread.join(timeout=5)
    assert got.errors == 0
    assert got.events > 20
    assert len(got.first) >= 1
    assert min(got.delays) >= 0


def test_a_chat_has_the_size_that_was_asked_for() -> None:
    assert len(Target(port=1).body("Hello", size=400, stream=False)) == 400
    assert len(upstream.ANSWER) == 600
    event = upstream.stream()[1]
    assert len(event) == upstream.EVENT_BYTES + len(b"125\r\n\r\n")


def test_a_process_is_measured_and_stopped(tmp_path: Path) -> None:
    (port,) = processes.free_ports(1)
    process = processes.start(["sleep", "60"], name="sleep", core=0, directory=tmp_path)
    assert processes.rss_bytes([process.pid]) > 0
    assert processes.cpu_seconds([process.pid]) > 0
    assert not processes.listening(port)
    process.stop()
    assert processes.tree([process.pid]) == [process.pid]
    assert processes.cpu_seconds([process.pid]) == 0


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(processes.NotStarted, match="no-such-program"):
        processes.start(["no-such-program"], name="no-such-program", core=0, directory=tmp_path)


def test_each_layer_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "ROUTES", 10)
    told: dict[str, float] = {}
    clock = Clock()
    plugins.measure(
        lambda what, cost: told.update({what: cost}),
        plugins.Time(clock=clock, turn=lambda: clock.advance(0)),
        rounds=1,
        requests=3,
    )
    assert any("ai-proxy-multi" in what for what in told)
    assert any("event" in what for what in told)
