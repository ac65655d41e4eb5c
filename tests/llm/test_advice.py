"""What is told of a valid configuration that may not mean what its author thinks."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.llm.advice import advise_on
from aigw.llm.config import Model
from aigw.model.schema import decode


@pytest.mark.parametrize(
    ("provider", "conf", "warnings"),
    [
        ("openai", {}, []),
        ("openai", {"region": "x"}, ["provider_conf.region: means nothing to provider openai"]),
        ("anthropic", {"native": True}, []),
        ("anthropic", {"nativ": True}, ["provider_conf.nativ: unknown, did you mean native?"]),
        ("bedrock", {"region": "us-east-1", "x": 1}, ["provider_conf.x: unknown"]),
    ],
)
def test_what_a_vendor_has_no_use_for(provider: str, conf: dict[str, Any], warnings: list[str]) -> None:
    model = decode({"provider": provider, "auth": {}, "provider_conf": conf}, Model)
    assert list(advise_on(model)) == warnings
