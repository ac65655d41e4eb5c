"""Complaints, hints, references, warnings, and what the plugins advise."""

from __future__ import annotations

from typing import Any

import pytest

HINT = (
    """$SERVICE_ID looks like a shell variable that was not expanded (single quotes keep a shell from it);"""
    """ close the quotes around it: "service_id": "'"$SERVICE_ID"'\""""
)


def plugin(name: str, **config: Any) -> dict[str, Any]:
    return {"uri": "/a", "plugins": {name: config}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "uri: required: one of uri, uris, paths"),
        ({"uri": "/a", "paths": ["/b"]}, "paths: means the same as uri; give one of them"),
        ({"uri": "/a", "priority": "high"}, 'priority: expected an integer, got "high"'),
        ({"uri": "/a", "status": 2, "name": 3}, "name: expected a string of 1 to 100 characters, got 3; status: expec"),
        (plugin("fake-modl"), "plugins.fake-modl: unknown plugin, did you mean fake-model?"),
        (plugin("fake-model"), "plugins.fake-model.auth: required: an object"),
        (plugin("fake-model", auth={}, model="nonsense"), "plugins.fake-model.model: there is no such model"),
        (
            plugin("fake-multi", instances=[{"name": "a"}, {"name": "b", "weight": "1"}]),
            'plugins.fake-multi.instances[1].weight: expected an integer >= 0, got "1"',
        ),
        ({"uri": "/a", "service_id": "none"}, "service_id: refers to /apisix/services/none, which does not exist"),
        (
            {"uri": "/a", "priority": "x", "service_id": "none"},
            'priority: expected an integer, got "x"; service_id: refers to /apisix/services/none, which',
        ),
        ({"uri": "/a", "service_id": "$SERVICE_ID"}, f"service_id: {HINT}"),
        ({"uri": "/a", "service_id": "${SERVICE_ID}"}, "service_id: ${SERVICE_ID} looks like a shell variable"),
        ({"uri": "$MY_PATH"}, "uri: $MY_PATH looks like a shell variable that was not expanded"),
        ({"uri": "/a", "remote_addr": "$ADDRESS"}, "remote_addr: $ADDRESS looks like a shell variable"),
        ({"uris": ["/a", "$X"]}, "uris[1]: $X looks like a shell variable that was not expanded"),
        ({"uri": "/a", "id": "$ID"}, "id: $ID looks like a shell variable that was not expanded"),
        ({"uri": "/a", "priority": "$P"}, "priority: $P looks like a shell variable that was not expanded"),
    ],
)
def test_complaints_name_the_field(face: Any, document: Any, message: str) -> None:
    path = "/routes" if "id" in document else "/routes/r"
    refused = face.ask("PUT", path, document)
    assert refused.status == 400
    assert refused.error.startswith(message)
    assert face.ask("GET", "/routes").json["total"] == 0


def test_the_hint_comes_alone(face: Any) -> None:
    assert face.ask("PUT", "/routes/r", {"uri": "/a", "service_id": "$SERVICE_ID"}).error == f"service_id: {HINT}"


def test_not_more_complaints_than_anybody_reads(face: Any) -> None:
    refused = face.ask("PUT", "/routes/r", {"uris": ["x"] * 60, "name": 1})
    assert refused.error.count(";") == 50
    assert refused.error.endswith("; and 11 more")


def test_unknown_fields_are_accepted_with_a_warning(face: Any) -> None:
    written = face.ask(
        "PUT",
        "/routes/r",
        {**plugin("fake-multi", instances=[{"name": "a"}, {"name": "b"}], fallback_stratgy="x"), "zz": 1},
    )
    assert written.status == 201
    assert written.json["warnings"] == [
        "zz: unknown",
        "plugins.fake-multi.fallback_stratgy: unknown, did you mean fallback_strategy?",
    ]
    assert face.ask("GET", "/routes/r").json["value"]["zz"] == 1


def test_no_warnings_no_field(face: Any) -> None:
    assert set(face.ask("PUT", "/services/s", {}).json) == {"key", "value"}


def test_what_plugins_advise(face: Any) -> None:
    written = face.ask("PUT", "/routes/r", plugin("fake-multi", instances=[{"name": "a", "weight": 0}]))
    assert written.json["warnings"] == [
        "plugins.fake-multi.instances[0].weight: 0 is never tried",
        "plugins.fake-multi: are these all",
    ]
    written = face.ask("PATCH", "/routes/r", plugin("fake-multi", instances=[{"name": "a"}, {"name": "b"}]))
    assert written.json["effective_order"] == ["b", "a"]
    assert "warnings" not in written.json


@pytest.mark.parametrize("secret", ["Bearer $OPENAI_API_KEY", "$KEY", "Bearer ${KEY}"])
def test_an_unexpanded_secret_is_a_warning_that_does_not_quote_it(face: Any, secret: str) -> None:
    written = face.ask("PUT", "/routes/r", plugin("fake-model", auth={"header": {"Authorization": secret}}))
    assert written.status == 201
    (warning,) = written.json["warnings"]
    assert warning.startswith("plugins.fake-model.auth.header.Authorization: seems to hold a shell variable")
    assert secret not in warning


@pytest.mark.parametrize("secret", ["Bearer x$y", "$env://KEY", "pa$$WORD", "Bearer $ecret"])
def test_what_is_no_shell_variable(face: Any, secret: str) -> None:
    written = face.ask("PUT", "/routes/r", plugin("fake-model", auth={"header": {"Authorization": secret}}))
    assert "warnings" not in written.json


def test_what_is_in_use_stays(face: Any) -> None:
    face.ask("PUT", "/services/s", {})
    for i in range(12):
        face.ask("PUT", f"/routes/r{i:02}", {"uri": "/a", "service_id": "s"})
    refused = face.ask("DELETE", "/services/s")
    assert refused.status == 400
    assert refused.error.startswith(
        "can not delete /apisix/services/s: in use by /apisix/routes/r00, /apisix/routes/r01,"
    )
    assert "/apisix/routes/r09 and 2 more (?force=true deletes it anyway)" in refused.error
    assert face.ask("DELETE", "/services/s?force=false").status == 400
    assert face.ask("DELETE", "/services/s?force=true").status == 200
    assert face.ask("PATCH", "/routes/r01", {"desc": "d"}).error.startswith("service_id: refers to")


def test_what_nothing_refers_to_goes(face: Any) -> None:
    face.ask("PUT", "/services/s", {})
    face.ask("PUT", "/routes/s", {"uri": "/a", "service_id": "s"})
    assert face.ask("DELETE", "/routes/s").status == 200
    assert face.ask("DELETE", "/services/s").status == 200


def test_patches_do_not_pile_up(face: Any) -> None:
    face.ask("PUT", "/routes/r", plugin("fake-model", auth={}))
    deep: Any = 1
    for _ in range(40):
        deep = {"a": deep}
    assert face.ask("PATCH", "/routes/r/plugins/fake-model/options", deep).status == 200
    path = "a/" * 40
    refused = face.ask("PATCH", f"/routes/r/plugins/fake-model/options/{path}", deep)
    assert (refused.status, refused.error) == (400, "invalid JSON: nested over 64 levels deep")
    assert face.ask("PATCH", "/routes/r/" + "a/" * 70, 1).error == "invalid sub-path: it is too long"
    for name in ("x", "y", "z"):
        last = face.ask("PATCH", f"/routes/r/plugins/fake-model/options/{name}", "x" * 1_200_000)
    assert (last.status, last.error) == (400, "the whole object would be over the limit of 3145728 bytes")
