"""Why a route does not take a request, in words."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.routing.router import Entry, Facts, Router

_FACTS = Facts(path="/a/b", host="h.x", method="GET", remote_addr="10.0.0.1", target=b"/a/b?k=v")


def _entry(id: str, *patterns: str, **fields: Any) -> Entry:
    return Entry(id=id, patterns=patterns or ("/a/b",), **fields)


@pytest.mark.parametrize(
    ("loser", "reason"),
    [
        (_entry("a", hosts=("y", "*.h.x")), 'hosts: "h.x" is none of y, *.h.x'),
        (_entry("a", methods=frozenset({"PUT", "POST"})), "methods: GET is none of POST, PUT"),
        (
            _entry("a", networks=tuple(f"10.0.1.{n}" for n in range(9))),
            'remote_addrs: "10.0.0.1" is in none of 10.0.1.0, 10.0.1.1, 10.0.1.2, 10.0.1.3, 10.0.1.4, ...',
        ),
        (_entry("a", vars=[["arg_k", "==", "v"], ["http_key", "==", "s3cret"]]), "vars[1]: does not hold"),
        (_entry("a", vars=["OR", ["arg_k", "==", "w"], ["uri", "/"]]), "vars: does not hold"),
        (_entry("a", enabled=False), "status: 0 disables it"),
        (_entry("a", "/a/*", priority=9), "uri: /a/b of w is more specific than /a/*"),
        (_entry("a", priority=-1), "priority: -1 is less than 0 of w"),
        (_entry("x"), "id: w comes first"),
    ],
)
def test_reasons(loser: Entry, reason: str) -> None:
    router = Router.of([loser, _entry("w")])
    match = router.match(_FACTS)
    assert match is not None
    assert match.entry.id == "w"
    assert router.explain(_FACTS) == [("a" if loser.id == "a" else "x", reason)]


def test_reasons_among_hosts_and_conditions() -> None:
    router = Router.of([_entry("w", hosts=("h.x",)), _entry("a", hosts=("*.x",)), _entry("b")])
    assert router.explain(_FACTS) == [
        ("a", "hosts: those of w are more specific"),
        ("b", "hosts: those of w are more specific"),
    ]
    router = Router.of([_entry("w", vars=[["arg_k", "v"]]), _entry("a")])
    assert router.explain(_FACTS) == [("a", "conditions: w comes first by them")]


def test_no_more_than_the_limit() -> None:
    router = Router.of(_entry(f"r{i}", "/*", hosts=(f"t{i}.x",)) for i in range(500))
    assert len(router.explain(_FACTS)) == 100
    assert len(router.explain(_FACTS, limit=7)) == 7


def test_only_routes_on_the_path_are_told_of() -> None:
    assert Router.of([_entry("a", "/b"), _entry("b", "/b", enabled=False)]).explain(_FACTS) == []
