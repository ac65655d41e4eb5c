"""Secrets: masked in every read, kept when their token comes back, encrypted at rest, never in an error."""

from __future__ import annotations

from typing import Any

import pytest

FIRST, SECOND = "Bearer sk-first-secret", "Bearer sk-second-secret"


def model(secret: str, **more: Any) -> dict[str, Any]:
    return {"uri": "/a", "plugins": {"fake-model": {"auth": {"header": {"Authorization": secret}}, **more}}}


def multi(*instances: tuple[str, str]) -> dict[str, Any]:
    items = [{"name": name, "auth": {"header": {"Authorization": secret}}} for name, secret in instances]
    return {"uri": "/a", "plugins": {"fake-multi": {"instances": items}}}


def stored(face: Any, id: str = "r") -> Any:
    return face.registry.snapshot("default").get("routes", id).document["plugins"]


def header(plugins: Any, *where: Any) -> Any:
    for step in where:
        plugins = plugins[step]
    return plugins["auth"]["header"]["Authorization"]


def test_no_reply_shows_a_secret(face: Any) -> None:
    replies = [
        face.ask("PUT", "/routes/r", model(FIRST)),
        face.ask("GET", "/routes/r"),
        face.ask("GET", "/routes"),
        face.ask("GET", "/routes/r/plugins/fake-model/auth"),
        face.ask("GET", "/routes/r/plugins/fake-model/auth/header/Authorization"),
        face.ask("PATCH", "/routes/r", {"desc": "d"}),
        face.ask("PATCH", "/routes/r/plugins/fake-model/model", "m"),
        face.ask("POST", "/routes", model(SECOND)),
    ]
    for reply in replies:
        assert reply.status < 300
        assert b"sk-" not in reply.content
    token = face.sealer.mask(FIRST)
    assert token.startswith("Bearer ****")
    assert replies[4].json["value"] == token
    assert header(replies[0].json["value"]["plugins"], "fake-model") == token
    assert header(stored(face), "fake-model") == FIRST


def test_what_is_read_can_be_written_back(face: Any) -> None:
    for document in (model(FIRST), multi(("a", FIRST), ("b", SECOND))):
        face.ask("PUT", "/routes/r", document)
        before = stored(face)
        value = face.ask("GET", "/routes/r").json["value"]
        assert face.ask("PUT", "/routes/r", value).status == 200
        assert stored(face) == before
        assert face.ask("PATCH", "/routes/r", value).status == 200
        assert stored(face) == before


def test_a_new_secret_replaces_the_old_one(face: Any) -> None:
    face.ask("PUT", "/routes/r", model(FIRST))
    face.ask("PUT", "/routes/r", model(SECOND))
    assert header(stored(face), "fake-model") == SECOND


def test_a_patch_of_one_field_keeps_the_secret(face: Any) -> None:
    face.ask("PUT", "/routes/r", model(FIRST))
    face.ask("PATCH", "/routes/r", {"plugins": {"fake-model": {"model": "m"}}})
    assert header(stored(face), "fake-model") == FIRST
    face.ask("PATCH", "/routes/r/plugins/fake-model", {"auth": {"header": {"Authorization": face.sealer.mask(FIRST)}}})
    assert header(stored(face), "fake-model") == FIRST
    assert "model" not in stored(face)["fake-model"]


def test_reordered_and_renamed_instances_keep_their_secrets(face: Any) -> None:
    face.ask("PUT", "/routes/r", multi(("a", FIRST), ("b", SECOND)))
    a, b = face.sealer.mask(FIRST), face.sealer.mask(SECOND)
    for instances, kept in (
        ([("b", b), ("a", a)], [SECOND, FIRST]),
        ([("new", "Bearer x"), ("a", a), ("b", b)], ["Bearer x", FIRST, SECOND]),
        ([("b", b), ("renamed", a)], [SECOND, FIRST]),
        ([("copy", b), ("b", b)], [SECOND, SECOND]),
    ):
        assert face.ask("PUT", "/routes/r", multi(*instances)).status == 200
        assert [header(i) for i in stored(face)["fake-multi"]["instances"]] == kept


def test_a_token_moves_to_another_plugin(face: Any) -> None:
    face.ask("PUT", "/routes/r", model(FIRST))
    face.ask("PUT", "/routes/r", multi(("a", face.sealer.mask(FIRST))))
    assert header(stored(face), "fake-multi", "instances", 0) == FIRST


class Colliding:
    """A sealer whose tokens are all alike, as two of 65536 are."""

    def mask(self, secret: str) -> str:
        return "****0000"


def test_equal_tokens_follow_the_names(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(face.sealer), "mask", Colliding.mask)
    face.ask("PUT", "/routes/r", multi(("a", FIRST), ("b", SECOND)))
    face.ask("PUT", "/routes/r", multi(("b", "****0000"), ("a", "****0000")))
    assert [header(i) for i in stored(face)["fake-multi"]["instances"]] == [SECOND, FIRST]
    ambiguous = face.ask("PUT", "/routes/r", model("****0000"))
    assert ambiguous.status == 400
    assert "matches nothing stored" in ambiguous.error


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_token_of_nothing_is_refused(face: Any, method: str) -> None:
    refused = face.ask(method, "/routes/r" if method == "PUT" else "/routes", model("Bearer ****3f9c", model=5))
    assert refused.status == 400
    assert refused.error == (
        "plugins.fake-model.model: expected a string, got 5; plugins.fake-model.auth.header.Authorization: "
        "is a masked secret that matches nothing stored; send the secret itself"
    )


def test_a_token_of_another_object_is_refused(face: Any) -> None:
    face.ask("PUT", "/routes/r", model(FIRST))
    face.ask("PUT", "/routes/other", model(SECOND))
    assert face.ask("PUT", "/routes/other", model(face.sealer.mask(FIRST))).status == 400
    assert face.ask("PUT", "/routes/r?gateway_group_id=g", model(face.sealer.mask(FIRST))).status == 400


def test_a_token_anywhere_else_is_just_text(face: Any) -> None:
    face.ask("PUT", "/routes/r", {**model(FIRST), "desc": "Bearer ****3f9c"})
    assert face.ask("GET", "/routes/r").json["value"]["desc"] == "Bearer ****3f9c"


def test_references_are_no_secrets(face: Any) -> None:
    face.ask("PUT", "/routes/r", model("$env://OPENAI_KEY"))
    value = face.ask("GET", "/routes/r").json["value"]
    assert header(value["plugins"], "fake-model") == "$env://OPENAI_KEY"
    assert face.ask("PUT", "/routes/r", value).status == 200


def test_a_misspelt_secret_is_not_shown_either(face: Any) -> None:
    plugin = {"auth": {"headers": {"Authorization": FIRST}}, "more": {"accessKey": SECOND}, "color": "red"}
    document = {"uri": "/a", "plugins": {"fake-model": plugin}}
    written = face.ask("PUT", "/routes/r", document)
    assert written.status == 201
    assert b"sk-" not in written.content
    shown = written.json["value"]
    assert shown["plugins"]["fake-model"]["color"] == "red"
    face.ask("PUT", "/routes/r", shown)
    assert stored(face) == document["plugins"]


@pytest.mark.parametrize(
    "plugin",
    [
        {"auth": "sk-secret"},
        {"auth": ["sk-secret"]},
        {"auth": {"header": "sk-secret"}},
        {"auth": {"header": ["sk-secret"]}},
        {"auth": {"header": {"Authorization": ["sk-secret"]}}},
        {"auth": {"header": {"Authorization": {"x": "sk-secret"}}}},
        {"auth": {"header": {"Authorization": FIRST}}, "model": "nonsense"},
    ],
)
def test_no_error_quotes_a_secret(face: Any, plugin: Any) -> None:
    for reply in (
        face.ask("PUT", "/routes/r", {"uri": "/a", "plugins": {"fake-model": plugin}}),
        face.ask("POST", "/schema/validate/routes", {"uri": "/a", "plugins": {"fake-model": plugin}}),
    ):
        assert reply.status == 400
        assert b"sk-" not in reply.content
        assert "plugins.fake-model." in reply.error


def test_the_store_does_not_hold_it_in_the_clear(face: Any) -> None:
    face.ask("PUT", "/routes/r", model(FIRST))
    face.store.close()
    assert all(b"sk-" not in record.value for record in face.store.open().records)


def test_the_log_does_not_hold_it(face: Any, events: list[dict[str, Any]]) -> None:
    face.ask("PUT", "/routes/r", model(FIRST))
    face.ask("PUT", "/routes/r", model(FIRST, model="nonsense"))
    assert "sk-first" not in repr(events)
