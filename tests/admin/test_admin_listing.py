"""Lists: order, filters, pages, and no long pause for big ones."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.admin.views import Views
from aigw.model.resource import decode_resource
from aigw.stores.sealing import Sealer


def ids(got: Any) -> list[str]:
    return [item["value"]["id"] for item in got.json["list"]]


@pytest.fixture
def full(face: Any) -> Any:
    for i in range(25):
        face.ask("PUT", f"/routes/r{(i * 7) % 25:02}", {"uri": f"/{i}"})
    return face


def test_empty(face: Any) -> None:
    assert face.ask("GET", "/routes").json == {"list": [], "total": 0}


def test_items(face: Any) -> None:
    face.ask("PUT", "/services/s", {})
    face.ask("PUT", "/services/s", {"name": "n"})
    got = face.ask("GET", "/services").json
    assert got["total"] == 1
    assert got["list"] == [face.ask("GET", "/services/s").json]


def test_the_one_created_first_comes_first(full: Any) -> None:
    order = [f"r{(i * 7) % 25:02}" for i in range(25)]
    assert ids(full.ask("GET", "/routes")) == order
    full.ask("PUT", "/routes/r00", {"uri": "/changed"})
    assert ids(full.ask("GET", "/routes")) == order
    full.ask("DELETE", "/routes/r00")
    full.ask("PUT", "/routes/r00", {"uri": "/again"})
    assert ids(full.ask("GET", "/routes")) == [*order[1:], "r00"]


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ("page=1&page_size=10", 0, 10),
        ("page=2&page_size=10", 10, 10),
        ("page=3&page_size=10", 20, 5),
        ("page=4&page_size=10", 0, 0),
        ("page=99999999&page_size=500", 0, 0),
        ("page=0&page_size=10", 0, 10),
        ("page_size=20", 0, 20),
        ("page=2", 10, 10),
        ("page=1&page_size=500", 0, 25),
        ("unknown=1", 0, 25),
    ],
)
def test_pages(full: Any, query: str, first: int, count: int) -> None:
    got = full.ask("GET", f"/routes?{query}")
    assert got.json["total"] == 25
    assert ids(got) == [f"r{(i * 7) % 25:02}" for i in range(first, first + count)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=1&page_size=9", "page_size must be between 10 and 500"),
        ("page_size=501", "page_size must be between 10 and 500"),
        ("page_size=ten", "invalid argument page_size: should be a number"),
        ("page=-1&page_size=10", "invalid argument page: should be a number"),
    ],
)
def test_wrong_pages(face: Any, query: str, message: str) -> None:
    refused = face.ask("GET", f"/routes?{query}")
    assert refused.status == 400
    assert refused.error.startswith(message)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=chat", ["a", "b"]),
        ("name=Chat", []),
        ("name=", ["a", "b", "c", "d"]),
        ("name=(", []),
        ("uri=/v1", ["a", "b", "c"]),
        ("uri=/v1/x", ["b"]),
        ("label=env", ["a", "b"]),
        ("label=env:prod", ["a"]),
        ("label=env:", []),
        ("label=a:b", ["d"]),
        ("label=none", []),
        ("name=chat&label=env:dev&uri=/v1", ["b"]),
    ],
)
def test_filters(face: Any, query: str, found: list[str]) -> None:
    face.ask("PUT", "/routes/a", {"uri": "/v1", "name": "chat one", "labels": {"env": "prod"}})
    face.ask("PUT", "/routes/b", {"uris": ["/y", "/v1/x"], "name": "two chat", "labels": {"env": "dev"}})
    face.ask("PUT", "/routes/c", {"paths": ["/v1"], "labels": None, "name": None})
    face.ask("PUT", "/routes/d", {"uri": "/other", "labels": {"a:b": "c"}})
    got = face.ask("GET", f"/routes?{query}")
    assert ids(got) == found
    assert got.json["total"] == len(found)


def test_a_kind_without_paths_has_none_to_filter_by(face: Any) -> None:
    face.ask("PUT", "/services/s", {})
    assert face.ask("GET", "/services?uri=/").json["total"] == 0


def test_a_long_list_gives_the_reactor_turns(face: Any) -> None:
    for i in range(120):
        face.ask("PUT", f"/services/s{i:03}", {})
    request = face.start("GET", "/services")
    assert len(face.clock.getDelayedCalls()) == 1
    face.ask("DELETE", "/services/s110")
    assert len(face.got(request).json["list"]) == 120


def test_views_live_as_long_as_their_resources() -> None:
    views = Views({}, Sealer(bytes(32)))
    resources = [decode_resource("services", f"s{i}", {"id": f"s{i}"}, {}) for i in range(4)]
    first = [views.read(resource)["value"] for resource in resources]
    assert [views.read(resource)["value"] is seen for resource, seen in zip(resources, first, strict=True)] == [
        True
    ] * 4
    assert len(views._encoded) == 4
    equal = decode_resource("services", "s0", {"id": "s0"}, {})
    assert equal == resources[0]
    assert views.read(equal)["value"] is not first[0]
    resources.clear()
    assert len(views._encoded) == 1
