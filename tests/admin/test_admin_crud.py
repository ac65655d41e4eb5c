"""Every verb on every URL: statuses, shapes, ids, times, groups."""

from __future__ import annotations

from typing import Any

import pytest

TIMES = {"create_time": 1_700_000_000, "update_time": 1_700_000_000}


def test_put_creates_then_replaces(face: Any) -> None:
    created = face.ask("PUT", "/routes/r1", {"uri": "/a", "name": "first"})
    assert created.status == 201
    assert created.json == {"key": "/apisix/routes/r1", "value": {"id": "r1", "uri": "/a", "name": "first", **TIMES}}
    face.clock.advance(10)
    replaced = face.ask("PUT", "/routes/r1", {"uri": "/b", "create_time": 1, "update_time": "never"})
    assert replaced.status == 200
    assert replaced.json["value"] == {"id": "r1", "uri": "/b", **TIMES, "update_time": 1_700_000_010}
    got = face.ask("GET", "/routes/r1")
    assert got.status == 200
    assert got.json == {**replaced.json, "createdIndex": 1, "modifiedIndex": 2}
    assert got.headers["etag"] == replaced.headers["etag"] == '"2"'


def test_put_to_the_collection_takes_the_id_from_the_body(face: Any) -> None:
    assert face.ask("PUT", "/routes", {"id": "seed", "paths": ["/a"]}).status == 201
    assert face.ask("PUT", "/routes?gateway_group_id=default", {"id": "seed", "paths": ["/b"]}).status == 200
    assert face.ask("GET", "/routes/seed").json["value"]["paths"] == ["/b"]


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "/routes", {"uri": "/a"}, "id: required, in the URL or in the body"),
        ("PUT", "/routes/a", {"id": "b", "uri": "/a"}, "id: is not the one of the URL"),
        ("PUT", "/routes/a b", {"uri": "/a"}, "id: expected"),
        ("PUT", f"/routes/{'x' * 65}", {"uri": "/a"}, "id: expected"),
        ("PUT", "/routes", {"id": "", "uri": "/a"}, "id: expected"),
        ("PUT", "/routes", {"id": ["a"], "uri": "/a"}, "id: expected"),
        ("PUT", "/routes", {"id": True, "uri": "/a"}, "id: expected"),
        ("POST", "/routes", {"id": "a", "uri": "/a"}, "id: not with POST"),
        ("PATCH", "/services/s", {"id": "other"}, "id: is not the one of the URL"),
        ("PATCH", "/services/s/id", "other", "id: is not the one of the URL"),
    ],
)
def test_wrong_ids(face: Any, method: str, path: str, body: Any, message: str) -> None:
    face.ask("PUT", "/services/s", {})
    refused = face.ask(method, path, body)
    assert refused.status == 400
    assert refused.error.startswith(message)


def test_an_integer_id_is_text(face: Any) -> None:
    face.ask("PUT", "/services", {"id": 7})
    assert face.ask("PUT", "/routes/1", {"id": 1, "uri": "/a", "service_id": 7}).status == 201
    assert face.ask("GET", "/routes/1").json["value"]["service_id"] == "7"


def test_post_generates_an_id_that_is_free(face: Any) -> None:
    face.ask("PUT", "/routes/00000000000000000002", {"uri": "/taken"})
    created = face.ask("POST", "/routes", {"uri": "/a", "id": None})
    assert created.status == 201
    assert created.json["key"] == "/apisix/routes/00000000000000000003"
    assert face.ask("POST", "/routes", {"uri": "/a"}).json["value"]["id"] == "00000000000000000004"
    assert face.ask("GET", "/routes").json["total"] == 3


def test_delete(face: Any) -> None:
    face.ask("PUT", "/services/s", {})
    assert face.ask("DELETE", "/services/s").json == {"deleted": "1", "key": "/apisix/services/s"}
    for method in ("GET", "DELETE", "PATCH"):
        missing = face.ask(method, "/services/s", {} if method == "PATCH" else None)
        assert (missing.status, missing.json) == (404, {"message": "Key not found"})


def test_patch_merges_deeply(face: Any) -> None:
    face.ask("PUT", "/routes/r", {"uri": "/a", "desc": "d", "labels": {"a": "1", "b": "2"}, "methods": ["GET", "PUT"]})
    face.clock.advance(5)
    patched = face.ask("PATCH", "/routes/r", {"desc": None, "labels": {"b": None, "c": "3"}, "methods": ["POST"]})
    assert patched.status == 200
    assert patched.json["value"] == {
        "id": "r",
        "uri": "/a",
        "labels": {"a": "1", "c": "3"},
        "methods": ["POST"],
        **TIMES,
        "update_time": 1_700_000_005,
    }


def test_patch_that_makes_it_invalid_changes_nothing(face: Any) -> None:
    face.ask("PUT", "/routes/r", {"uri": "/a"})
    assert face.ask("PATCH", "/routes/r", {"uri": None}).error == "uri: required: one of uri, uris, paths"
    assert face.ask("PATCH", "/routes/r", [1]).status == 400
    assert face.ask("GET", "/routes/r").json["modifiedIndex"] == 1


@pytest.mark.parametrize(
    ("sub", "body", "labels", "uris"),
    [
        ("labels/a", "9", {"a": "9", "b": "2"}, ["/x", "/y"]),
        ("labels", {"z": "1"}, {"z": "1"}, ["/x", "/y"]),
        ("labels/a", None, {"b": "2"}, ["/x", "/y"]),
        ("uris/1", "/new", {"a": "1", "b": "2"}, ["/x", "/new"]),
        ("uris/0", None, {"a": "1", "b": "2"}, ["/y"]),
        ("uris/", ["/only"], {"a": "1", "b": "2"}, ["/only"]),
    ],
)
def test_patch_of_a_sub_path_replaces_what_is_there(face: Any, sub: str, body: Any, labels: Any, uris: Any) -> None:
    face.ask("PUT", "/routes/r", {"uris": ["/x", "/y"], "labels": {"a": "1", "b": "2"}})
    patched = face.ask("PATCH", f"/routes/r/{sub}", b"null" if body is None else body)
    assert patched.status == 200
    assert patched.json["value"]["labels"] == labels
    assert patched.json["value"]["uris"] == uris


def test_patch_of_a_sub_path_makes_objects_on_the_way(face: Any) -> None:
    face.ask("PUT", "/routes/r", {"uri": "/x"})
    face.ask("PATCH", "/routes/r/plugins/fake-model", {"auth": {}})
    face.ask("PATCH", "/routes/r/plugins/fake-model/options/temperature", 0.5)
    options = face.ask("GET", "/routes/r").json["value"]["plugins"]["fake-model"]["options"]
    assert options == {"temperature": 0.5}


@pytest.mark.parametrize("sub", ["uris/2", "uris/-1", "uris/x", "uris/0/deeper", "name/deeper"])
def test_patch_of_an_impossible_sub_path(face: Any, sub: str) -> None:
    face.ask("PUT", "/routes/r", {"uris": ["/x"], "name": "n"})
    refused = face.ask("PATCH", f"/routes/r/{sub}", "v")
    assert (refused.status, refused.error) == (400, f"invalid sub-path: /{sub}")


def test_get_of_a_sub_path(face: Any) -> None:
    face.ask("PUT", "/routes/r", {"uris": ["/x", "/y"]})
    assert face.ask("GET", "/routes/r/uris/1").json["value"] == "/y"
    assert face.ask("GET", "/routes/r/uris/2").json == {"message": "Key not found"}
    assert face.ask("GET", "/routes/r/desc").status == 404


def test_head_is_get_without_a_body(face: Any) -> None:
    face.ask("PUT", "/services/s", {})
    get, head = face.ask("GET", "/services/s"), face.ask("HEAD", "/services/s")
    assert (head.status, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["etag"] == get.headers["etag"]
    assert face.ask("HEAD", "/services/none").status == 404


def test_gateway_groups_are_namespaces(face: Any) -> None:
    face.ask("PUT", "/services/s?gateway_group_id=blue", {"name": "blue"})
    assert face.ask("GET", "/services/s").status == 404
    assert face.ask("GET", "/services/s?gateway_group_id=blue").json["value"]["name"] == "blue"
    assert face.ask("PUT", "/routes/r", {"uri": "/", "service_id": "s"}).status == 400
    assert face.ask("PUT", "/routes/r?gateway_group_id=blue", {"uri": "/", "service_id": "s"}).status == 201
    refused = face.ask("GET", "/services?gateway_group_id=a%20b")
    assert refused.status == 400
    assert refused.error.startswith("gateway_group_id: expected")


def test_ttl(face: Any) -> None:
    face.ask("PUT", "/services/s?ttl=10", {})
    face.clock.advance(9)
    assert face.ask("GET", "/services/s").status == 200
    face.clock.advance(1.1)
    assert face.ask("GET", "/services/s").status == 404


def test_a_patch_keeps_the_ttl_and_a_put_ends_it(face: Any) -> None:
    for id in ("patched", "unlimited", "replaced"):
        face.ask("PUT", f"/services/{id}?ttl=10", {})
    face.ask("PATCH", "/services/patched", {"desc": "d"})
    face.ask("PATCH", "/services/unlimited?ttl=0", {"desc": "d"})
    face.ask("PUT", "/services/replaced", {})
    face.clock.advance(11)
    assert [i["value"]["id"] for i in face.ask("GET", "/services").json["list"]] == ["unlimited", "replaced"]


@pytest.mark.parametrize("ttl", ["", "-1", "1.5", "1e3", "x", "99999999999999999999", "٣"])
def test_wrong_ttl(face: Any, ttl: str) -> None:
    refused = face.ask("PUT", f"/services/s?ttl={ttl}", {})
    assert refused.status == 400
    assert refused.error.startswith("invalid argument ttl: should be a number")


def test_every_reply_forbids_caching_and_sniffing(face: Any) -> None:
    face.ask("PUT", "/services/s", {})
    for got in (
        face.ask("GET", "/services"),
        face.ask("GET", "/services/none"),
        face.ask("GET", "/nothing"),
        face.ask("GET", "/services/s", key=None),
        face.ask("POST", "/services/s"),
        face.ask("DELETE", "/services/s"),
    ):
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-type"] == "application/json"


def test_what_was_written_survives_a_restart(face: Any, make_face: Any) -> None:
    document: dict[str, Any] = {"uri": "/ä", "labels": {"big": "x"}, "vars": [[1, 1.5, 10**30, None, {"a": []}]]}
    face.ask("PUT", "/routes/r", document)
    face.store.close()
    again = make_face(face.store)
    assert again.ask("GET", "/routes/r").json == face.ask("GET", "/routes/r").json
