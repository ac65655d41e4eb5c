"""Azure OpenAI: what ``provider_conf`` makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.model.schema import Invalid, decode
from aigw.providers import PROVIDERS
from aigw.providers.azure_openai import AzureConf

AZURE = PROVIDERS["azure-openai"]


def test_a_resource_and_its_deployment() -> None:
    conf = decode({"resource": "team-1", "deployment": "gpt-4.1_mini"}, AzureConf)
    where = "/openai/deployments/gpt-4.1_mini/"
    assert AZURE.base_of(conf) == "https://team-1.openai.azure.com"
    assert AZURE.path_of("openai-chat", conf=conf) == f"{where}chat/completions?api-version=2024-10-21"
    assert AZURE.path_of("openai-embeddings", conf=conf) == f"{where}embeddings?api-version=2024-10-21"
    assert AZURE.path_of("openai-responses", conf=conf) is None


def test_a_deployment_behind_another_host() -> None:
    conf = decode({"deployment": "d", "api_version": "2025-04-01-preview"}, AzureConf)
    assert AZURE.base_of(conf) is None
    path = AZURE.path_of("openai-chat", conf=conf)
    assert path == "/openai/deployments/d/chat/completions?api-version=2025-04-01-preview"


@pytest.mark.parametrize("conf", [None, AzureConf()])
def test_the_endpoint_has_to_say_it_all(conf: AzureConf | None) -> None:
    assert AZURE.base_of(conf) is None
    assert AZURE.path_of("openai-chat", conf=conf) is None
    assert AZURE.speaks("openai-chat", conf)


@pytest.mark.parametrize(
    "conf",
    [
        {"resource": "team"},
        {"resource": "team.evil", "deployment": "d"},
        {"resource": "", "deployment": "d"},
        {"deployment": "a/b"},
        {"deployment": "d", "api_version": "1&x=y"},
        {"deployment": "d", "api_version": ""},
    ],
)
def test_what_can_not_be_a_part_of_a_url(conf: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        decode(conf, AzureConf)
