"""From a Snapshot to Handlers: found, compiled once, touched only by changes that are about them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from aigw.errors import BadRequest, MethodNotAllowed, NotServing
from aigw.model.resource import decode_resource
from aigw.model.snapshot import Snapshot
from aigw.pipeline import Matched
from aigw.plugins import CATALOGUE, CONFIGS
from aigw.received import ReceivedHeaders
from aigw.remembered import LONGEST, MOST
from aigw.testing import exchange_of
from aigw.testing.gateway import MemoryGateway

HOST = {b"Host": [b"Api.Example:9080"]}


def model(name: str = "m", **fields: Any) -> dict[str, Any]:
    return {
        "provider": "openai-compatible",
        "auth": {},
        "override": {"endpoint": f"http://{name}/v1/chat/completions"},
        **fields,
    }


def find(gateway: MemoryGateway, target: bytes = b"/a", headers: dict[bytes, list[bytes]] = HOST) -> Matched | None:
    return gateway.assembly.find(b"POST", target, Headers(headers), "192.0.2.1", "http")


def found(gateway: MemoryGateway, target: bytes = b"/a") -> Matched:
    match = find(gateway, target)
    assert match is not None
    return match


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway()


def change(gateway: MemoryGateway, put: list[tuple[str, dict[str, Any]]], delete: list[tuple[str, str]]) -> None:
    """Several changes at once, as a declarative write makes them."""
    resources = [decode_resource(kind, document["id"], document, CONFIGS) for kind, document in put]
    before = gateway.registry.snapshot("default")
    after = before.changed(before.revision + 1, resources, delete)
    gateway.registry.replace("default", after, frozenset([*(r.key for r in resources), *delete]))


def test_finds_nothing_where_nothing_is(gateway: MemoryGateway) -> None:
    assert find(gateway) is None


def test_what_is_found(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model(max_req_body_size=77)}, uri="/chat/:who")
    match = found(gateway, b"/chat/J%C3%BCrgen?x=1")
    assert match.resource.id == "r"
    assert (match.path, match.host, match.params) == ("/chat/J\u00fcrgen", "api.example", {"who": "J\u00fcrgen"})
    assert match.max_body == 77


def test_what_is_there_already_is_found() -> None:
    before = MemoryGateway()
    before.put({"ai-proxy": model()}, uri="/a")
    again = type(before.assembly)(group="default", registry=before.registry, catalogue=CATALOGUE, parts=before.parts)
    assert again.find(b"POST", b"/a", Headers(HOST), "192.0.2.1", "http") is not None


@pytest.mark.parametrize(
    ("target", "headers"),
    [(b"no path", HOST), (b"/a%zz", HOST), (b"/a\0", HOST), (b"/a", {b"Host": [b"a b"]}), (b"/a#b", HOST)],
)
def test_what_can_not_be_understood_is_a_bad_request(
    gateway: MemoryGateway, target: bytes, headers: dict[bytes, list[bytes]]
) -> None:
    gateway.put({"ai-proxy": model()})
    with pytest.raises(BadRequest):
        find(gateway, target, headers)


def test_routes_are_matched_by_headers_address_and_method(gateway: MemoryGateway) -> None:
    gateway.put(
        {"ai-proxy": model()},
        uri="/a",
        vars=[["http_x_tenant", "==", "a, b"]],
        remote_addr="192.0.2.0/24",
        methods=["POST"],
        host="*.example",
    )
    headers = {**HOST, b"X-Tenant": [b"a", b"b"]}
    assert find(gateway, b"/a", headers) is not None
    assert find(gateway, b"/a", HOST) is None
    assert gateway.assembly.find(b"GET", b"/a", Headers(headers), "192.0.2.1", "http") is None
    assert gateway.assembly.find(b"POST", b"/a", Headers(headers), "198.51.100.1", "http") is None


# What method, path and host alone decided is remembered, by those.

ROUTES: list[dict[str, Any]] = [
    {"uri": "/a"},
    {"uri": "/*"},
    {"uri": "/a/:b"},
    {"uri": "/a", "methods": ["POST"]},
    {"uri": "/a", "host": "h"},
    {"uri": "/a", "hosts": ["*.h"], "priority": 2},
    {"uri": "/a", "remote_addr": "192.0.2.1"},
    {"uri": "/a/*", "vars": [["http_x", "==", "1"]]},
    {"uri": "/a", "vars": [["arg_q", "==", "1"]]},
    {"uri": "/a/:b", "vars": [["cookie_c", "==", "1"]]},
    {"uri": "/a", "vars": [["scheme", "==", "https"]], "priority": 1},
    {"uri": "/a", "vars": [["request_uri", "~~", "q=2"]]},
    {"uri": "/*", "vars": [["content_length", "==", "7"]], "priority": 3},
]
ASKED = st.tuples(
    st.sampled_from([b"GET", b"POST"]),
    st.sampled_from([b"/a", b"/%61", b"/a?q=1", b"/a?q=2", b"/a/b", b"/a/c", b"/A", b"/a/../a", b"/b"]),
    st.sampled_from([b"h", b"H:80", b"a.h", b"b", b""]),
    st.sampled_from([[], [(b"x", b"1")], [(b"cookie", b"c=1")], [(b"content-length", b"7")]]),
    st.sampled_from(["192.0.2.1", "192.0.2.2"]),
    st.sampled_from(["http", "https"]),
)


def what(match: Matched | None) -> Any:
    if match is None:
        return None
    return match.resource.id, match.resource.value, dict(match.params), match.path, match.host, match.max_body


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "delete"]), st.sampled_from(ROUTES), st.sampled_from("abc"))
        | st.lists(ASKED, max_size=6),
        max_size=8,
    )
)
def test_what_is_found_does_not_depend_on_what_was_asked_before(steps: list[Any]) -> None:
    gateway = MemoryGateway()
    for n, id in enumerate("abc"):
        gateway.put({"ai-proxy": model(max_req_body_size=n + 1)}, id=id, **ROUTES[n])
    for step in steps:
        if isinstance(step, list):
            afresh = type(gateway.assembly)(
                group="default", registry=gateway.registry, catalogue=CATALOGUE, parts=gateway.parts
            )
            for method, target, host, fields, address, scheme in step * 2:
                headers = ReceivedHeaders([(b"host", host), *fields])
                afresh._found.clear()
                expected = what(
                    afresh.find(method, target, Headers({b"host": [host], **_lists(fields)}), address, scheme)
                )
                assert what(gateway.assembly.find(method, target, headers, address, scheme)) == expected
                assert what(gateway.assembly.find(method, target, headers, address, scheme)) == expected
            continue
        kind, document, id = step
        if kind == "put":
            change(gateway, [("routes", {"id": id, "plugins": {"ai-proxy": model()}, **document})], [])
        elif gateway.registry.snapshot("default").get("routes", id) is not None:
            change(gateway, [], [("routes", id)])


def _lists(fields: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    return {name: [value] for name, value in fields}


@pytest.mark.parametrize(("document", "plain"), [(d, "vars" not in d and "remote_addr" not in d) for d in ROUTES])
def test_a_route_that_looks_at_anything_else_is_looked_for_each_time(document: dict[str, Any], plain: bool) -> None:
    gateway = MemoryGateway()
    gateway.put({"ai-proxy": model()}, id="last", uri="/*")
    gateway.put({"ai-proxy": model()}, id="first", **{"priority": 9, **document})
    headers = Headers({b"host": [b"a.h"]})
    target = b"/a/b" if document["uri"].startswith("/a/") else b"/a"
    assert gateway.assembly.find(b"POST", target, headers, "192.0.2.9", "http") is not None
    assert bool(gateway.assembly._found) is plain


def test_what_is_remembered_is_bounded_and_without_the_query(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model()}, uri="/*")
    for n in range(MOST + 10):
        assert found(gateway, b"/%d?key=s" % n).path == f"/{n}"
        assert len(gateway.assembly._found) <= MOST
    assert not any(b"key" in part for asked in gateway.assembly._found for part in asked)
    before = {*gateway.assembly._found}
    assert found(gateway, b"/" + b"a" * LONGEST).path == "/" + "a" * LONGEST
    assert {*gateway.assembly._found} == before


# Compiled once, when the first request comes.


def test_a_route_is_compiled_at_its_first_request_and_kept(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model()}, uri="/a")
    assert gateway.models.profiles == []
    assert found(gateway).handler is found(gateway).handler
    assert len(gateway.models.profiles) == 1


def test_a_change_compiles_only_what_it_is_about(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model()}, id="a", uri="/a")
    gateway.put({"ai-proxy": model()}, id="b", uri="/b")
    a, b = found(gateway, b"/a").handler, found(gateway, b"/b").handler
    gateway.put({"ai-proxy": model("other")}, id="b", uri="/b")
    assert found(gateway, b"/a").handler is a
    assert found(gateway, b"/b").handler is not b


def test_another_group_is_none_of_its_business(gateway: MemoryGateway) -> None:
    resource = decode_resource("routes", "a", {"id": "a", "uri": "/a"}, CONFIGS)
    gateway.registry.replace("other", Snapshot().changed(1, put=[resource]), frozenset([resource.key]))
    assert find(gateway) is None


def test_a_request_keeps_the_route_that_it_started_with(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model("old")}, uri="/*")
    early = gateway.ask()
    gateway.put({"ai-proxy": model("new")}, uri="/*")
    late = gateway.ask()
    assert [asked.url for asked in gateway.asked] == [f"http://{name}/v1/chat/completions" for name in ("old", "new")]
    for asked in gateway.asked:
        asked.answer()
    assert (early.status, late.status) == (200, 200)


def test_a_deleted_route_takes_nothing_more(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model()}, uri="/a")
    handler = found(gateway).handler
    change(gateway, [], [("routes", "r"), ("routes", "never-was")])
    assert find(gateway) is None
    assert handler is not None


def test_a_route_that_is_off_takes_nothing(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model()}, uri="/a", status=0)
    assert find(gateway) is None


# What is under a route.


def test_a_services_plugins_are_under_its_routes_one_by_one_and_whole(gateway: MemoryGateway) -> None:
    service = {
        "ai-proxy": model("service", options={"model": "s"}),
        "proxy-buffering": {"disable_proxy_buffering": True},
    }
    gateway.put(service, kind="services", id="s")
    gateway.put({}, id="a", uri="/a", service_id="s")
    gateway.put({"ai-proxy": model("route")}, id="b", uri="/b", service_id="s")
    assert [gateway.ask(path=path).exchange.buffering for path in ("/a", "/b")] == [False, False]
    assert [(asked.url, asked.json.get("model")) for asked in gateway.asked] == [
        ("http://service/v1/chat/completions", "s"),
        ("http://route/v1/chat/completions", None),
    ]
    assert {labels.service_id for labels in gateway.meter.begun} == {"s"}
    assert {labels.route_id for labels in gateway.meter.begun} == {"a", "b"}


def test_a_change_of_a_service_reaches_its_routes_and_no_others(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model("before")}, kind="services", id="s")
    gateway.put({}, id="a", uri="/a", service_id="s")
    gateway.put({"ai-proxy": model()}, id="b", uri="/b")
    b = found(gateway, b"/b").handler
    gateway.put({"ai-proxy": model("after")}, kind="services", id="s")
    gateway.ask(path="/a")
    assert gateway.models.last.url.startswith("http://after/")
    assert found(gateway, b"/b").handler is b


def test_a_service_gives_its_hosts_and_switches_its_routes_off(gateway: MemoryGateway) -> None:
    gateway.put({}, kind="services", id="s", hosts=["API.example"])
    gateway.put({}, id="a", uri="/a", service_id="s")
    assert find(gateway) is not None
    assert find(gateway, headers={b"Host": [b"other.example"]}) is None
    gateway.put({}, kind="services", id="s", status=0)
    assert find(gateway) is None
    gateway.put({}, kind="services", id="s", status=1)
    assert find(gateway, headers={b"Host": [b"other.example"]}) is not None


def test_a_route_that_changes_its_service(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model("one")}, kind="services", id="one")
    gateway.put({"ai-proxy": model("two")}, kind="services", id="two")
    gateway.put({}, uri="/a", service_id="one")
    gateway.put({}, uri="/a", service_id="two")
    handler = found(gateway).handler
    gateway.put({"ai-proxy": model("one-changed")}, kind="services", id="one")
    assert found(gateway).handler is handler
    gateway.put({"ai-proxy": model("two-changed")}, kind="services", id="two")
    assert found(gateway).handler is not handler


def test_routes_and_services_of_one_change_belong_together(gateway: MemoryGateway) -> None:
    documents: list[tuple[str, dict[str, Any]]] = [
        ("routes", {"id": "a", "uri": "/a", "service_id": "s"}),
        ("services", {"id": "s", "plugins": {"ai-proxy": model("s")}}),
    ]
    change(gateway, documents, [])
    gateway.ask(path="/a")
    assert gateway.models.last.url.startswith("http://s/")
    change(gateway, [("services", {"id": "s", "plugins": {"ai-proxy": model("t")}})], [("routes", "a")])
    assert find(gateway) is None


def test_a_service_that_is_gone_leaves_its_routes_their_own(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model("service")}, kind="services", id="s")
    gateway.put({}, uri="/a", service_id="s")
    change(gateway, [], [("services", "s")])
    assert isinstance(gateway.ask(path="/a").error, NotServing)


def test_a_route_that_goes_leaves_its_siblings_their_service(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model("one")}, kind="services", id="s")
    for id in "ab":
        gateway.put({}, id=id, uri=f"/{id}", service_id="s")
    change(gateway, [], [("routes", "a")])
    gateway.put({"ai-proxy": model("two")}, kind="services", id="s")
    gateway.ask(path="/b")
    assert gateway.models.last.url.startswith("http://two/")


def test_services_that_nobody_has_any_more_are_forgotten(gateway: MemoryGateway) -> None:
    for n in range(5):
        gateway.put({}, uri="/a", service_id=f"s{n}")
    change(gateway, [], [("routes", "r")])
    assert gateway.assembly._routes_of_service == {}


@pytest.mark.parametrize(
    ("plugins", "limit"),
    [
        ({}, None),
        ({"proxy-buffering": {}}, None),
        ({"ai-proxy": model()}, 64 * 1024 * 1024),
        ({"ai-proxy": model(max_req_body_size=5)}, 5),
    ],
)
def test_the_limit_of_a_body_is_the_plugins(gateway: MemoryGateway, plugins: dict[str, Any], limit: int | None) -> None:
    gateway.put(plugins, uri="/a")
    assert found(gateway).max_body == limit


def test_a_route_with_nothing_behind_it_says_so(gateway: MemoryGateway) -> None:
    gateway.put({}, id="a", uri="/a")
    gateway.put({"proxy-buffering": {}}, id="b", uri="/b")
    for path in ("/a", "/b"):
        assert isinstance(gateway.ask(path=path).error, NotServing)


def test_plugins_stand_in_the_order_of_their_priorities(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model(), "proxy-buffering": {"disable_proxy_buffering": True}}, uri="/a")
    assert gateway.ask(path="/a").exchange.buffering is False


# What outlives a change.


def multi(**fields: Any) -> dict[str, Any]:
    instances = [{"name": "a", "weight": 1, **model("a")}, {"name": "b", "weight": 1, "priority": 1, **model("b")}]
    return {"ai-proxy-multi": {"instances": instances, "fallback_strategy": ["http_5xx"], **fields}}


def break_first(gateway: MemoryGateway) -> None:
    """Have the first instance's circuit open."""
    for _ in range(5):
        gateway.ask()
        gateway.models.last.answer(500)
        gateway.models.last.answer()


@pytest.mark.parametrize("changes", [1, 2, 3])
def test_health_outlives_changes_of_its_route(gateway: MemoryGateway, changes: int) -> None:
    gateway.put(multi())
    break_first(gateway)
    for n in range(changes):
        gateway.put(multi(max_retries=n + 1))
    gateway.ask()
    assert gateway.models.last.url.startswith("http://b/")


def test_turns_outlive_a_change_of_their_route(gateway: MemoryGateway) -> None:
    instances = [{"name": name, "weight": 1, **model(name)} for name in "ab"]
    gateway.put({"ai-proxy-multi": {"instances": instances}})
    gateway.ask()
    gateway.put({"ai-proxy-multi": {"instances": instances, "max_retries": 1}})
    gateway.ask()
    assert [asked.url[7] for asked in gateway.asked] == ["a", "b"]


def test_a_get_meets_the_handler_and_is_told(gateway: MemoryGateway) -> None:
    gateway.put({"ai-proxy": model()})
    client = gateway.send(exchange_of(b"", method=b"GET"))
    assert isinstance(client.error, MethodNotAllowed)
    assert client.error.headers == ((b"Allow", b"POST"),)
