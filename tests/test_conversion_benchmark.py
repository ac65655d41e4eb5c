"""That the benchmark of conversions runs, and that its samples are converted by every pair there is."""

from __future__ import annotations

import pytest

pytest.importorskip("benchmarks.conversions", reason="not in a checkout")

from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from benchmarks import conversions
from benchmarks.conversion_samples import REQUESTS, provider
from benchmarks.figures import Results


def test_every_pair_is_measured() -> None:
    results = Results()
    conversions.measure(results, rounds=1, events=20, times=1)
    pairs = {f"{client} -> {dialect}" for client, dialect in CONVERTERS}
    assert results.notes == []
    assert set(results.values[conversions.REQUEST]) == set(results.values[conversions.ANSWER]) == pairs
    assert all(name in conversions.table(results) for name in pairs)


@pytest.mark.parametrize("pair", [pair for pair, c in CONVERTERS.items() if provider(pair[1])], ids=" -> ".join)
def test_no_event_of_the_samples_is_lost(pair: tuple[str, str]) -> None:
    sent = provider(pair[1])
    assert sent is not None
    for stream in sent.streams:
        stage = CONVERTERS[pair].stream(Body.parse(REQUESTS[pair[0]]), conversions.NOW)
        assert stage.feed(stream.begin)
        assert all(stage.feed(stream.event) for _ in range(3))
        assert stage.feed(stream.end) or stage.close()
