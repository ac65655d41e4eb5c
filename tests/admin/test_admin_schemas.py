"""What may be configured, as the admin API tells it."""

from __future__ import annotations

from typing import Any

import pytest


def test_plugins_by_priority(face: Any) -> None:
    assert face.ask("GET", "/plugins/list").json == ["fake-multi", "fake-model"]


@pytest.mark.parametrize("path", ["/schema/plugins/fake-multi", "/plugins/fake-multi"])
def test_the_schema_of_a_plugin(face: Any, path: str) -> None:
    schema = face.ask("GET", path)
    assert schema.status == 200
    assert "minItems" in str(schema.json)


@pytest.mark.parametrize("path", ["/schema/route", "/schema/routes"])
def test_the_schema_of_a_kind(face: Any, path: str) -> None:
    assert '"remote_addrs"' in face.ask("GET", path).content.decode()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/schema/plugins/fake-modle", "unknown plugin, did you mean fake-model?"),
        ("/plugins/none-at-all", "unknown plugin"),
        ("/schema/rout", "unknown kind of resource, did you mean routes?"),
    ],
)
def test_unknown(face: Any, path: str, message: str) -> None:
    got = face.ask("GET", path)
    assert (got.status, got.error) == (404, message)


@pytest.mark.parametrize(
    ("kind", "document", "status", "body"),
    [
        ("routes", {"uri": "/a"}, 200, {}),
        ("route", {"id": "r", "uri": "/a", "service_id": "anything"}, 200, {}),
        ("services", {"nme": "s"}, 200, {"warnings": ["nme: unknown, did you mean name?"]}),
        ("routes", {}, 400, {"error_msg": "uri: required: one of uri, uris, paths"}),
        ("routes", {"uri": "/a", "status": 3}, 400, {"error_msg": "status: expected one of 0, 1, got 3"}),
        ("routes", [], 400, {"error_msg": "invalid JSON: the body must be an object"}),
        ("other", {}, 404, {"error_msg": "unknown kind of resource"}),
    ],
)
def test_validate(face: Any, kind: str, document: Any, status: int, body: Any) -> None:
    got = face.ask("POST", f"/schema/validate/{kind}", document)
    assert (got.status, got.json) == (status, body)
    assert face.ask("GET", "/routes").json["total"] == 0
