"""The router: the documented order, against all routes sorted by it and tried one by one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.model.route import Route
from aigw.routing.router import Entry, Facts, Router, entry_of

_POST = frozenset({"POST"})


def _entry(id: str, *patterns: str, **fields: Any) -> Entry:
    return Entry(id=id, patterns=patterns or ("/a",), **fields)


def _winner(router: Router, path: str = "/a", **facts: Any) -> str | None:
    match = router.match(Facts(path=path, **facts))
    return match and match.entry.id


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (_entry("z", "/a"), _entry("a", "/a*", priority=9)),
        (_entry("z", "/:x"), _entry("a", "/*", priority=9)),
        (_entry("z", "/:x", priority=1), _entry("a", "/:y", hosts=("h.x",), methods=_POST)),
        (_entry("z", priority=1), _entry("a", hosts=("h.x",))),
        (_entry("z", hosts=("h.x",)), _entry("a", hosts=("*.x",), methods=_POST)),
        (_entry("z", hosts=("*h.x",)), _entry("a", hosts=("*.x",), methods=_POST)),
        (_entry("z", hosts=("*.x",)), _entry("a", methods=_POST)),
        (_entry("z", hosts=("*.x",), priority=1), _entry("a", hosts=("h.x",))),
        (_entry("z", methods=_POST), _entry("a", vars=[["uri", "/a"]])),
        (_entry("z", vars=[["uri", "/a"]]), _entry("a", networks=("10.0.0.0/8",))),
        (_entry("z", networks=("10.0.0.0/8",)), _entry("a")),
        (_entry("a"), _entry("b")),
    ],
)
def test_order(better: Entry, worse: Entry) -> None:
    facts = Facts(path="/a", host="h.x", method="POST", remote_addr="10.0.0.1")
    for router in (Router.of([better, worse]), Router().put(better).put(worse), Router().put(worse).put(better)):
        match = router.match(facts)
        assert match is not None
        assert match.entry is better
        fallback = router.remove(better.id).match(facts)
        assert fallback is not None
        assert fallback.entry is worse


def test_priority_comes_before_host_for_each_route_of_a_host() -> None:
    router = Router.of(
        [
            _entry("first", hosts=("h.x",), priority=2, methods=_POST),
            _entry("third", hosts=("h.x",), priority=0),
            _entry("second", priority=1),
        ]
    )
    assert _winner(router, host="h.x", method="POST") == "first"
    assert _winner(router, host="h.x", method="GET") == "second"
    assert _winner(router.remove("second"), host="h.x", method="GET") == "third"


def test_a_request_goes_on_to_the_next_pattern() -> None:
    router = Router.of(
        [
            _entry("exact", "/a/b", methods=_POST),
            _entry("deep", "/a/*", hosts=("only.x",)),
            _entry("param", "/:any/b", networks=("10.0.0.0/8",)),
            _entry("rest", "/*"),
        ]
    )
    assert _winner(router, "/a/b", method="POST") == "exact"
    assert _winner(router, "/a/b", method="GET", host="only.x") == "deep"
    assert _winner(router, "/a/b", method="GET", remote_addr="10.1.1.1") == "param"
    assert _winner(router, "/a/b", method="GET") == "rest"


def test_parameters() -> None:
    router = Router.of([_entry("u", "/users/:id/keys/:key"), _entry("any", "/users/*")])
    match = router.match(Facts(path="/users/7/keys/k%"))
    assert match is not None
    assert match.params == {"id": "7", "key": "k%"}
    match = router.match(Facts(path="/users/7/keys/"))
    assert match is not None
    assert (match.entry.id, dict(match.params)) == ("any", {})


def test_patterns_that_differ_in_names_only_are_one() -> None:
    router = Router.of([_entry("a", "/u/:id", methods=_POST), _entry("b", "/u/:name", "/u/:other")])
    match = router.match(Facts(path="/u/7", method="GET"))
    assert match is not None
    assert match.params == {"name": "7"}
    assert _winner(router.remove("b"), "/u/7", method="GET") is None


def test_disabled_takes_nothing() -> None:
    router = Router().put(_entry("a", enabled=False))
    assert _winner(router) is None
    assert len(router) == 1
    assert _winner(router.put(_entry("a"))) == "a"
    assert _winner(router.put(_entry("a")).put(_entry("a", enabled=False))) is None


@pytest.mark.parametrize(
    ("pattern", "host", "taken"),
    [
        ("x.org", "x.org", True),
        ("X.org", "x.org", True),
        ("x.org", "a.x.org", False),
        ("*.x.org", "a.x.org", True),
        ("*.x.org", "b.a.x.org", True),
        ("*.x.org", "x.org", False),
        ("*.X.org", "a.x.org", True),
        ("*x.org", "x.org", True),
        ("*x.org", "ax.org", True),
        ("*", "x.org", True),
        ("*", "", True),
        ("x.org", "", False),
        ("[::1]", "[::1]", True),
        ("::1", "[::1]", True),
    ],
)
def test_hosts(pattern: str, host: str, taken: bool) -> None:
    assert _winner(Router().put(_entry("a", hosts=(pattern,))), host=host) == ("a" if taken else None)


def test_thousands_of_hosts_on_one_pattern() -> None:
    entries = [_entry(f"r{i}", "/v1/*", hosts=(f"t{i}.x", f"*.t{i}.x")) for i in range(3000)]
    router = Router.of([*entries, _entry("any", "/v1/*")])
    assert _winner(router, "/v1/chat", host="t77.x") == "r77"
    assert _winner(router, "/v1/chat", host="a.t78.x") == "r78"
    assert _winner(router, "/v1/chat", host="x") == "any"
    match = router.match(Facts(path="/v1/chat", host="a.t79.x"))
    assert match is not None
    assert match.entry is entries[79]
    assert _winner(router.remove("r79"), "/v1/chat", host="a.t79.x") == "any"


def test_many_routes_for_any_host_on_one_pattern() -> None:
    entries = [_entry(f"r{i}", priority=i % 7, vars=[["arg_k", f"{i}"]]) for i in range(200)]
    router = Router.of(entries)
    for entry in entries[::3]:
        router = router.remove(entry.id)
    winners = [_winner(router, target=b"/a?k=%d" % i) for i in range(200)]
    assert winners == [None if i % 3 == 0 else f"r{i}" for i in range(200)]


def test_put_replaces_and_leaves_the_old_router() -> None:
    old = Router.of([_entry("a", "/a", hosts=("x",)), _entry("b", "/b")])
    new = old.put(_entry("a", "/c"))
    assert (_winner(old, "/a", host="x"), _winner(old, "/c")) == ("a", None)
    assert (_winner(new, "/a", host="x"), _winner(new, "/c"), _winner(new, "/b")) == (None, "a", "b")
    assert (len(old), len(new), len(new.remove("a"))) == (2, 2, 1)
    assert new.get("a") == _entry("a", "/c")
    assert new.get("c") is None
    assert old.remove("c") is old


@pytest.mark.parametrize(
    "bad",
    [_entry("a", "/b", "/*/b"), _entry("a", vars=[["x", "?", 1]]), _entry("a", networks=("x",))],
)
def test_what_cannot_be_understood_is_refused(bad: Entry) -> None:
    router = Router().put(_entry("a"))
    with pytest.raises(ValueError, match=r"end$|^vars|^remote_addrs"):
        router.put(bad)
    with pytest.raises(ValueError, match=r"end$|^vars|^remote_addrs"):
        Router.of([bad])
    assert _winner(router) == "a"


def test_an_empty_router_takes_nothing() -> None:
    assert Router().match(Facts(path="/")) is None
    assert len(Router()) == 0


def test_entry_of_a_route() -> None:
    target = object()
    route = Route(
        paths=["/a", "/b/*"],
        methods=["POST", "GET"],
        host="H.x",
        remote_addr="10.0.0.1",
        vars=[["arg_a", "==", "1"]],
        priority=3,
        status=0,
    )
    entry = entry_of("r", route, ("service.x",), target)
    assert entry == Entry(
        id="r",
        patterns=("/a", "/b/*"),
        hosts=("h.x",),
        methods=frozenset({"GET", "POST"}),
        networks=("10.0.0.1",),
        vars=[["arg_a", "==", "1"]],
        priority=3,
        enabled=False,
        target=target,
    )
    assert entry_of("r", attrs.evolve(route, host=None), ("service.x",), target).hosts == ("service.x",)
    plain = entry_of("r", Route(uri="/"), (), None)
    assert plain == Entry(id="r", patterns=("/",))


_PATTERNS = ["/", "/a", "/a*", "/a/*", "/a/b", "/:x", "/:y", "/:x/b", "/a/:y", "/:x/*", "/*"]
_HOSTS = ["x", "a.x", "b.a.x", "*.x", "*.a.x", "*x", "*"]
_entries = st.builds(
    Entry,
    id=st.sampled_from("abcdefgh"),
    patterns=st.lists(st.sampled_from(_PATTERNS), min_size=1, max_size=3).map(tuple),
    hosts=st.lists(st.sampled_from(_HOSTS), max_size=2).map(tuple),
    methods=st.sampled_from([frozenset(), _POST, frozenset({"GET", "POST"})]),
    networks=st.sampled_from([(), ("10.0.0.0/8",), ("::1", "10.0.0.1")]),
    vars=st.sampled_from([(), [["arg_k", "==", "v"]], [["arg_k", "!", "==", "v"]]]),
    priority=st.integers(0, 2),
    enabled=st.booleans() | st.just(True),
)
_requests = st.builds(
    Facts,
    path=st.sampled_from(["/", "/a", "/ab", "/a/", "/a/b", "/a/b/c", "/b/b", "//b"]),
    host=st.sampled_from(["", "x", "a.x", "b.a.x", "ax", "y"]),
    method=st.sampled_from(["GET", "POST"]),
    remote_addr=st.sampled_from(["10.0.0.1", "10.2.2.2", "::1", "11.1.1.1"]),
    target=st.sampled_from([b"/?k=v", b"/"]),
)


def _specificity(pattern: str) -> str:
    return re.sub(r"[^\0*]", "a", re.sub(r":\w+", "\0", pattern)).replace("\0", "b").replace("*", "c")


def _host_rank(pattern: str | None, host: str) -> float | None:
    if pattern is None:
        return 1
    if pattern == host:
        return -1000
    return -len(pattern) if pattern.startswith("*") and host.endswith(pattern[1:]) else None


def _accepts(entry: Entry, facts: Facts) -> bool:
    inside = {"10.0.0.1": {"10.0.0.0/8", "10.0.0.1"}, "10.2.2.2": {"10.0.0.0/8"}, "::1": {"::1"}, "11.1.1.1": set()}
    has_v = facts.target == b"/?k=v"
    return (
        (not entry.methods or facts.method in entry.methods)
        and (not entry.networks or bool(inside[facts.remote_addr] & set(entry.networks)))
        and (not entry.vars or has_v == (len(entry.vars[0]) == 3))
    )


def _naively(entries: Iterable[Entry], facts: Facts) -> list[Entry]:
    """All entries that take a request, sorted by the documented order."""
    found: list[tuple[Any, Entry]] = []
    for entry in entries:
        for pattern in entry.patterns:
            regex = re.sub(r":\w+", "[^/]+", pattern).replace("*", ".*")
            if not entry.enabled or not re.fullmatch(regex, facts.path) or not _accepts(entry, facts):
                continue
            for host in entry.hosts or [None]:
                rank = _host_rank(host, facts.host)
                if rank is not None:
                    tie = (not entry.methods, not entry.vars, not entry.networks, entry.id)
                    found.append(((_specificity(pattern), -entry.priority, rank, tie), entry))
    return [entry for _, entry in sorted(found, key=lambda item: item[0])]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans() | st.just(True), _entries), max_size=14),
    st.lists(_requests, min_size=1, max_size=6),
)
def test_is_the_sorted_list_tried_one_by_one(changes: list[tuple[bool, Entry]], requests: list[Facts]) -> None:
    router = Router()
    model: dict[str, Entry] = {}
    for put, entry in changes:
        if put:
            router = router.put(entry)
            model[entry.id] = entry
        else:
            router = router.remove(entry.id)
            model.pop(entry.id, None)
    assert len(router) == len(model)
    for facts in requests:
        naive = _naively(model.values(), facts)
        for built in (router, Router.of(model.values())):
            match = built.match(facts)
            assert (match and match.entry) == (naive[0] if naive else None)


@settings(deadline=None)
@given(st.lists(_entries, max_size=8), _requests)
def test_explain_tells_of_every_other_route_on_the_path(entries: list[Entry], facts: Facts) -> None:
    model = {entry.id: entry for entry in entries}
    router = Router.of(entries)
    match = router.match(facts)
    told = [id for id, _ in router.explain(facts)]
    here = {
        entry.id
        for entry in model.values()
        if any(re.fullmatch(re.sub(r":\w+", "[^/]+", p).replace("*", ".*"), facts.path) for p in entry.patterns)
    }
    assert len(told) == len(set(told))
    assert {*told} == here - ({match.entry.id} if match else set())
