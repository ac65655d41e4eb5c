"""The credentials that instances sign with or exchange: write-only like all secrets, and looked at when they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from aigw.plugins import CATALOGUE
from aigw.stores.memory import MemoryStore
from aigw.stores.sealing import is_mask
from aigw.testing.vendors import ServiceAccount

ACCOUNT = json.dumps(ServiceAccount().document(), indent=2)
AWS = {"access_key_id": "AKID-of-a-test", "secret_access_key": "wJalr-of-a-test", "session_token": "a-token-of-a-test"}
GCP = {"service_account_json": ACCOUNT, "max_ttl": 600}
HIDDEN = ("PRIVATE KEY", "client_email", *AWS.values())
BEDROCK = {"provider": "bedrock", "auth": {"aws": AWS}, "provider_conf": {"region": "us-east-1"}}
VERTEX = {"provider": "vertex-ai", "auth": {"gcp": GCP}, "provider_conf": {"project_id": "p"}}


def one(model: dict[str, Any]) -> dict[str, Any]:
    return {"uri": "/a", "plugins": {"ai-proxy": model}}


def both() -> dict[str, Any]:
    instances = [{**BEDROCK, "name": "b", "weight": 1}, {**VERTEX, "name": "v", "weight": 1}]
    return {"uri": "/a", "plugins": {"ai-proxy-multi": {"instances": instances}}}


@pytest.fixture
def real(make_face: Callable[..., Any]) -> Any:
    """An admin face with the plugins that there are."""
    return make_face(MemoryStore(), plugins=tuple(CATALOGUE.values()))


def stored(face: Any) -> Any:
    return face.registry.snapshot("default").get("routes", "r").document["plugins"]


@pytest.mark.parametrize("document", [one(BEDROCK), one(VERTEX), both()])
def test_no_reply_shows_them(real: Any, document: dict[str, Any]) -> None:
    plugin = next(iter(document["plugins"]))
    replies = [
        real.ask("PUT", "/routes/r", document),
        real.ask("GET", "/routes/r"),
        real.ask("GET", "/routes"),
        real.ask("GET", f"/routes/r/plugins/{plugin}"),
        real.ask("PATCH", "/routes/r", {"desc": "d"}),
    ]
    for reply in replies:
        assert reply.status in (200, 201)
        assert not any(text.encode() in reply.content for text in HIDDEN)
    assert stored(real) == document["plugins"]
    real.store.close()
    kept = b"".join(record.value for record in real.store.open().records)
    assert not any(text.encode() in kept for text in HIDDEN)


def test_only_what_is_secret_is_masked(real: Any) -> None:
    real.ask("PUT", "/routes/r", both())
    aws, gcp = real.ask("GET", "/routes/r").json["value"]["plugins"]["ai-proxy-multi"]["instances"]
    assert {name: is_mask(value) for name, value in aws["auth"]["aws"].items()} == dict.fromkeys(AWS, True)
    assert is_mask(gcp["auth"]["gcp"]["service_account_json"])
    assert gcp["auth"]["gcp"]["max_ttl"] == 600


@pytest.mark.parametrize("document", [one(BEDROCK), one(VERTEX), both()])
def test_what_is_read_can_be_written_back_and_validated(real: Any, document: dict[str, Any]) -> None:
    real.ask("PUT", "/routes/r", document)
    value = real.ask("GET", "/routes/r").json["value"]
    assert real.ask("PUT", "/routes/r", value).status == 200
    assert real.ask("PATCH", "/routes/r", value).status == 200
    assert stored(real) == document["plugins"]
    assert real.ask("POST", "/schema/validate/routes", value).status == 200


def test_a_mask_of_nothing_that_is_stored_is_refused(real: Any) -> None:
    wrong = {**VERTEX, "auth": {"gcp": {"service_account_json": "****0123"}}}
    reply = real.ask("PUT", "/routes/r", one(wrong))
    assert reply.status == 400
    assert "auth.gcp.service_account_json: is a masked secret that matches nothing stored" in reply.error


REFERENCES = {"gcp": {"service_account_json": "$env://GCP_SERVICE_ACCOUNT"}}


def test_references_are_shown_and_stay(real: Any) -> None:
    real.ask("PUT", "/routes/r", one({**VERTEX, "auth": REFERENCES}))
    assert real.ask("GET", "/routes/r").json["value"]["plugins"]["ai-proxy"]["auth"] == REFERENCES


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    (
        {**VERTEX, "auth": {"gcp": {"service_account_json": "sk-not-json"}}},
        "plugins.ai-proxy.auth.gcp.service_account_json: the service account JSON is no JSON object",
    ),
    (
        {**VERTEX, "auth": {"gcp": {"service_account_json": '{"client_email":"sk-x","private_key":"sk-key"}'}}},
        "plugins.ai-proxy.auth.gcp.service_account_json: the service account JSON's private_key can't be read",
    ),
    (
        {**VERTEX, "auth": {"gcp": {"service_account_json": ACCOUNT.replace("https://oauth2", "http://sk-x")}}},
        "plugins.ai-proxy.auth.gcp.service_account_json: the service account JSON's token_uri must begin with https",
    ),
    (
        {**BEDROCK, "auth": {"aws": {"access_key_id": "sk-x"}}},
        "plugins.ai-proxy.auth.aws.secret_access_key: required",
    ),
    ({**BEDROCK, "provider_conf": {}}, "plugins.ai-proxy.provider_conf.region: required"),
    ({**VERTEX, "auth": {"aws": AWS}}, "plugins.ai-proxy.auth.aws: means nothing to provider vertex-ai"),
]


@pytest.mark.parametrize(("model", "complaint"), UNUSABLE)
def test_what_can_not_be_used_is_refused_without_a_word_of_it(
    real: Any, model: dict[str, Any], complaint: str, events: list[dict[str, Any]]
) -> None:
    reply = real.ask("PUT", "/routes/r", one(model))
    assert reply.status == 400
    assert complaint in reply.error
    for told in (reply.error, repr(events)):
        assert not any(text in told for text in ("sk-", *HIDDEN[2:], "BEGIN"))
