"""Kinds of requests that were counted before are remembered: it changes no figure, and has bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.exchange import Attempt, Exchange, Outcome, Usage
from aigw.model.route import Route
from aigw.observe.metrics import Metrics

MakeExchange = Callable[..., Exchange]

few = st.sampled_from
ROUTES = [None, Route(uri="/a"), Route(uri="/a", service_id="s"), Route(uris=["/b", "/c"])]
REQUESTS = st.fixed_dictionaries(
    {
        "route": few(range(len(ROUTES))),
        "consumer": few(["", "jack"]),
        "attempts": st.lists(st.builds(Attempt, instance=few("ab"), status=few([None, 200, 500])), max_size=2),
        "request_type": few(["", "ai_chat", "ai_stream"]),
        "request_model": few(["", "m", "n", "o", "m\n", "m?", "x" * 200]),
        "model": few(["", "m", "other"]),
        "usage": st.builds(Usage, prompt_tokens=few([-1, 0, 1, 10**400]), completion_tokens=few([0, 2**31])),
    }
)


def rows(metrics: Metrics) -> list[Any]:
    return [family.rows for family in metrics.added_up]


@given(st.lists(st.tuples(REQUESTS, few([200, 500, 999]), few(Outcome)), max_size=30))
def test_no_figure_changes(
    make_exchange: MakeExchange, make_resource: Any, requests: list[tuple[dict[str, Any], int, Outcome]]
) -> None:
    remembering, forgetting = Metrics(build={}, label_sets=8), Metrics(build={}, label_sets=8)
    for fields, status, outcome in requests:
        route = ROUTES[fields["route"]]
        made = make_resource(route, index=fields["route"]) if route is not None else None
        exchange = make_exchange(**{**fields, "route": made})
        remembering(exchange, status, outcome, None, 0)
        forgetting._kinds.clear()
        forgetting(exchange, status, outcome, None, 0)
    assert rows(remembering) == rows(forgetting)


def test_kinds_are_bounded(make_exchange: MakeExchange, make_resource: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(build={})
    monkeypatch.setattr("aigw.observe.metrics.MOST_KINDS", 3)
    for n in range(10):
        route = make_resource(Route(uri=f"/{n}"), f"r{n}")
        metrics(make_exchange(route=route), 200, Outcome.DONE, None, 0)
        assert len(metrics._kinds) <= 3


@pytest.mark.parametrize("field", ["request_model", "model"])
def test_long_models_are_not_remembered(make_exchange: MakeExchange, field: str) -> None:
    metrics = Metrics(build={})
    for _ in range(2):
        metrics(make_exchange(**{field: "m" * 100_000}), 200, Outcome.DONE, None, 0)
    assert not metrics._kinds
    (family,) = [family for family in metrics.added_up if family.name == "apisix_http_status"]
    assert [(row, "m" * 128 in labels) for labels, row in family.rows.items()] == [([2], True)]
