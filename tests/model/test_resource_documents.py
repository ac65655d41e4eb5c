"""From a document to a resource: the kind's class, then each plugin's."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.model.resource import at, decode_resource, examine
from aigw.model.schema import Invalid
from aigw.plugins import CONFIGS
from aigw.providers import PROVIDERS

AI_PROXY = {
    "provider": "openai-compatible",
    "auth": {"header": {"Authorization": "Bearer sk-secret"}, "query": {"key": "sk-other"}},
    "override": {"endpoint": "http://vllm:8000/v1/chat/completions"},
}


def route(**plugins: Any) -> dict[str, Any]:
    return {"uri": "/a", "plugins": {name.replace("_", "-"): config for name, config in plugins.items()}}


def test_a_resource_keeps_what_was_written_beside_what_it_means() -> None:
    document = route(ai_proxy={**AI_PROXY, "unheard_of": 1})
    resource = decode_resource("routes", "r", document, CONFIGS, created_index=3, modified_index=4, expires_at=5.0)
    assert resource.document is document
    assert resource.key == ("routes", "r")
    assert resource.value.uri == "/a"
    assert resource.plugins["ai-proxy"].override.endpoint == "http://vllm:8000/v1/chat/completions"
    assert (resource.created_index, resource.modified_index, resource.expires_at) == (3, 4, 5.0)


COMPLAINTS: list[tuple[Any, list[str]]] = [
    ([], ["expected an object"]),
    ({"uri": "/a", "plugins": []}, ["plugins: expected an object"]),
    ({"uri": "/a", "plugins": {"ai-proxy": 1}}, ["plugins.ai-proxy: expected an object"]),
    (route(ai_prxy={}), ["plugins.ai-prxy: unknown plugin, did you mean ai-proxy?"]),
    (route(zzz={}), ["plugins.zzz: unknown plugin"]),
    (
        {**route(ai_proxy={"auth": {}}, proxy_buffering={"disable_proxy_buffering": "yes"}), "priority": "high"},
        [
            'priority: expected an integer, got "high"',
            f"plugins.ai-proxy.provider: required: one of {', '.join(sorted(PROVIDERS))}",
            'plugins.proxy-buffering.disable_proxy_buffering: expected true or false, got "yes"',
        ],
    ),
    (
        route(ai_proxy_multi={"instances": [{"name": "a", "weight": 1, **AI_PROXY}, {"name": "b", "weight": "1"}]}),
        [
            f"plugins.ai-proxy-multi.instances[1].provider: required: one of {', '.join(sorted(PROVIDERS))}",
            "plugins.ai-proxy-multi.instances[1].auth: required: an object",
            'plugins.ai-proxy-multi.instances[1].weight: expected an integer >= 0 and <= 1000000, got "1"',
        ],
    ),
]


@pytest.mark.parametrize(("document", "complaints"), COMPLAINTS, ids=[str(i) for i in range(len(COMPLAINTS))])
def test_complaints_of_the_whole_document(document: Any, complaints: list[str]) -> None:
    assert list(map(str, examine("routes", document, CONFIGS).complaints)) == complaints
    with pytest.raises(Invalid) as caught:
        decode_resource("routes", "r", document, CONFIGS)
    assert list(map(str, caught.value.complaints)) == complaints


def test_what_a_plugins_class_complains_of_itself() -> None:
    with pytest.raises(Invalid, match=r"^plugins\.ai-proxy\.override\.endpoint: required for provider"):
        decode_resource("routes", "r", route(ai_proxy={"provider": "openai-compatible", "auth": {}}), CONFIGS)


def test_unknown_fields_and_secrets_carry_their_whole_path() -> None:
    findings = examine("routes", {**route(ai_proxy={**AI_PROXY, "optons": {}}), "urii": "/b"}, CONFIGS)
    assert list(map(str, findings.unknown)) == [
        "urii: unknown, did you mean uri?",
        "plugins.ai-proxy.optons: unknown, did you mean options?",
    ]
    assert findings.secrets == [
        ("plugins", "ai-proxy", "auth", "header", "Authorization"),
        ("plugins", "ai-proxy", "auth", "query", "key"),
    ]


def test_secrets_of_services_are_found_too() -> None:
    assert len(examine("services", {"plugins": {"ai-proxy": AI_PROXY}}, CONFIGS).secrets) == 2


def test_at() -> None:
    document = {"a": [{"b": 1}], "c": None}
    assert at(document, ()) is document
    assert at(document, ("a", 0, "b")) == 1
    for path in [("x",), ("a", 1), ("a", "0"), ("a", 0, "b", "c"), ("c", "d")]:
        with pytest.raises(LookupError):
            at(document, path)


def test_no_secret_is_in_the_repr_of_a_resource() -> None:
    resource = decode_resource("routes", "r", route(ai_proxy=AI_PROXY), CONFIGS)
    assert "sk-" not in repr(resource)
    assert "sk-" not in repr(resource.plugins)
