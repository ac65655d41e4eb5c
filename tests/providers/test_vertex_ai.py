"""Vertex AI and Anthropic: what ``provider_conf`` makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.model.schema import Invalid, decode
from aigw.providers import PROVIDERS
from aigw.providers.anthropic import AnthropicConf
from aigw.providers.vertex_ai import VertexConf

VERTEX, ANTHROPIC = PROVIDERS["vertex-ai"], PROVIDERS["anthropic"]

HOSTS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "https://aiplatform.googleapis.com", "global"),
    ({"region": "global"}, "https://aiplatform.googleapis.com", "global"),
    ({"region": "us-central1"}, "https://us-central1-aiplatform.googleapis.com", "us-central1"),
    ({"region": "eu"}, "https://aiplatform.eu.rep.googleapis.com", "eu"),
]


@pytest.mark.parametrize(("conf", "base", "region"), HOSTS)
def test_hosts_and_paths(conf: dict[str, Any], base: str, region: str) -> None:
    typed = decode({"project_id": "example.com:p-1", **conf}, VertexConf)
    where = f"/v1/projects/example.com:p-1/locations/{region}"
    assert VERTEX.base_of(typed) == base
    assert VERTEX.path_of("openai-chat", conf=typed) == f"{where}/endpoints/openapi/chat/completions"
    assert VERTEX.path_of("vertex-predict", conf=typed, model="m@1/x") == (
        f"{where}/publishers/google/models/m%401%2Fx:predict"
    )
    assert VERTEX.names_model("vertex-predict")
    assert not VERTEX.names_model("openai-chat")


@pytest.mark.parametrize(
    "conf",
    [
        {},
        {"project_id": ""},
        {"project_id": "p/../q"},
        {"project_id": "p", "region": "eu.evil.test/"},
        {"project_id": "p", "region": "EU"},
        {"project_id": "p", "region": ""},
        {"project_id": "p\n"},
    ],
)
def test_what_can_not_be_a_part_of_a_url(conf: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        decode(conf, VertexConf)


def test_anthropics_layer_for_chat_clients_is_used_unless_it_is_native() -> None:
    usual, native = decode({}, AnthropicConf), decode({"native": True}, AnthropicConf)
    assert [ANTHROPIC.rather_converts("openai-chat", conf) for conf in (None, usual, native)] == [False, False, True]
    assert ANTHROPIC.speaks("openai-chat", native)
    assert [ANTHROPIC.speaks("anthropic-messages", conf) for conf in (None, usual, native)] == [True, True, True]
    assert not ANTHROPIC.speaks("openai-responses", usual)


def test_anthropic_is_told_a_version() -> None:
    assert ANTHROPIC.headers == {"anthropic-version": "2023-06-01"}
