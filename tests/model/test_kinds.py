"""Routes and services: what spans their fields, and what they mean."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.model.kinds import KINDS
from aigw.model.route import Route
from aigw.model.schema import Invalid, check, decode
from aigw.model.service import Service

WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "uri: required: one of uri, uris, paths"),
    ({"uri": None}, "uri: required: one of uri, uris, paths"),
    ({"uri": "/a", "uris": ["/b"]}, "uris: means the same as uri; give one of them"),
    ({"uri": "/a", "paths": ["/b"]}, "paths: means the same as uri; give one of them"),
    ({"uris": ["/a"], "paths": ["/b"]}, "paths: means the same as uris; give one of them"),
    ({"uri": "/a", "host": "a", "hosts": ["b"]}, "hosts: means the same as host; give one of them"),
    (
        {"uri": "/a", "remote_addr": "::1", "remote_addrs": ["::1"]},
        "remote_addrs: means the same as remote_addr; give one of them",
    ),
    ({"uri": "/a/*/b"}, 'uri: "/a/*/b": a * may only stand at the end'),
    ({"uris": ["/a", "/*/b"]}, 'uris[1]: "/*/b": a * may only stand at the end'),
    ({"paths": ["/:a/:a"]}, 'paths[0]: "/:a/:a": there are two parameters called a'),
    ({"uri": "/a", "remote_addr": "here"}, 'remote_addr: expected an IP address or CIDR, got "here"'),
    ({"uri": "/a", "remote_addrs": ["::1", "x:"]}, 'remote_addrs[1]: expected an IP address or CIDR, got "x:"'),
    ({"uri": "/a", "vars": [["arg_a", "~~", "["]]}, "vars[0][2]: not a regular expression"),
    ({"uri": "/a", "vars": ["x"]}, "vars: expected an array of conditions"),
    ({"uri": "/a", "methods": ["get"]}, "methods[0]: expected one of CONNECT, DELETE, GET"),
    ({"uri": "/a", "methods": []}, "methods: expected a non-empty array"),
    ({"uris": []}, "uris: expected an array of 1 to 64 items"),
    ({"paths": ["/x"] * 65}, "paths: expected an array of 1 to 64 items"),
    ({"uri": "/a", "status": 2}, "status: expected one of 0, 1, got 2"),
    ({"uri": "/a", "labels": {"env": ""}}, "labels.env: expected a string of 1 to 256 characters"),
    ({"uri": "/a", "plugins": {"ai-proxy": []}}, "plugins.ai-proxy: expected an object"),
    ({"uri": "/a", "priority": 1.0}, "priority: expected an integer, got 1.0"),
    ({"uri": "/a", "desc": "x" * 257}, "desc: expected a string of 0 to 256 characters"),
]


@pytest.mark.parametrize(("document", "complaint"), WRONG)
def test_a_route_that_is_wrong(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode(document, Route)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("document", "patterns"),
    [
        ({"uri": "/a"}, ("/a",)),
        ({"uris": ["/a", "/b/*"]}, ("/a", "/b/*")),
        ({"paths": ["/a/:id"]}, ("/a/:id",)),
        ({"uri": None, "paths": ["/a"]}, ("/a",)),
    ],
)
def test_paths_in_whichever_field(document: dict[str, Any], patterns: tuple[str, ...]) -> None:
    assert decode(document, Route).patterns == patterns


def test_hosts_and_addresses_in_whichever_field() -> None:
    one = Route(uri="/a", host="API.Example", remote_addr="::1")
    assert (one.host_patterns, one.networks) == (("api.example",), ("::1",))
    several = Route(uri="/a", hosts=["A", "*.B"], remote_addrs=["10.0.0.0/8"])
    assert (several.host_patterns, several.networks) == (("a", "*.b"), ("10.0.0.0/8",))
    none = Route(uri="/a")
    assert (none.host_patterns, none.networks) == ((), ())


@pytest.mark.parametrize("number", [10**30, -(10**30), 0])
def test_any_priority(number: int) -> None:
    assert decode({"uri": "/a", "priority": number}, Route).priority == number


def test_a_service() -> None:
    service = decode({"name": "s", "hosts": ["a"], "status": 0, "plugins": {"x": {"y": 1}}}, Service)
    assert (service.hosts, service.status, service.plugins) == (["a"], 0, {"x": {"y": 1}})
    assert [str(c) for c in check({"hosts": []}, Service).complaints] == [
        "hosts: expected a non-empty array, got an array"
    ]


def test_every_kind_says_what_it_refers_to() -> None:
    assert list(KINDS) == [kind.name for kind in KINDS.values()]
    for kind in KINDS.values():
        fields = set(kind.type.__annotations__)
        assert set(kind.references) <= fields
        assert set(kind.references.values()) <= set(KINDS)
        assert set(kind.uri_fields) <= fields


def test_what_may_hold_secrets_is_not_in_a_repr() -> None:
    plugins = {"ai-proxy": {"auth": {"header": {"Authorization": "Bearer sk-secret"}}}}
    assert "sk-secret" not in repr(Route(uri="/a", plugins=plugins))
    assert "sk-secret" not in repr(Service(plugins=plugins))
