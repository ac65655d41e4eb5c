"""How reasoning is told, and what comes back to which vendor."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.dialects.reasoning import NONE, reasoning_in
from aigw.model.schema import decode
from aigw.providers import PROVIDERS
from aigw.providers.openai_compatible import CompatibleConf


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"reasoning_content": "a", "reasoning": "b"}, ("reasoning_content", "a")),
        ({"reasoning_content": "", "reasoning": "b"}, ("reasoning", "b")),
        ({"content": [{"type": "thinking", "thinking": "a"}]}, ("reasoning_content", "a")),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "x"}]}, 5]},
            ("reasoning_content", "a"),
        ),
        ({"content": "a", "reasoning": 5}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_where_it_is_told(part: dict[str, Any], found: tuple[str, str]) -> None:
    assert reasoning_in(part) == found


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name not in ("deepseek", "openrouter")])
def test_most_vendors_take_none_back(provider: str) -> None:
    assert PROVIDERS[provider].reasoning_of(None) == NONE
    assert NONE.field("reasoning") is None


@pytest.mark.parametrize(
    ("conf", "came_in", "goes_in"),
    [
        ({}, "reasoning", "reasoning"),
        ({}, "", "reasoning_content"),
        ({"reasoning_fields": ["reasoning"]}, "reasoning_content", "reasoning"),
        ({"reasoning_fields": []}, "reasoning", None),
    ],
)
def test_a_compatible_server_takes_back_what_its_operator_says(
    conf: dict[str, Any], came_in: str, goes_in: str | None
) -> None:
    provider = PROVIDERS["openai-compatible"]
    assert provider.reasoning_of(decode(conf, CompatibleConf)).field(came_in) == goes_in
