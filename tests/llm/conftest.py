"""Routes with several models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aigw.testing.gateway import MemoryGateway


def several(*instances: str | dict[str, Any], environ: dict[str, str] | None = None, **fields: Any) -> MemoryGateway:
    """A gateway with one route to these models (named, or described in part), one after another unless that is said."""
    gateway = MemoryGateway(environ=environ)
    described = []
    for priority, instance in enumerate(instances):
        said = {"name": instance} if isinstance(instance, str) else instance
        described.append(
            {
                "provider": "openai-compatible",
                "auth": {"header": {"Authorization": f"Bearer key-of-{said['name']}"}},
                "override": {"endpoint": f"http://{said['name']}/v1/chat/completions"},
                "weight": 1,
                "priority": priority,
                **said,
            }
        )
    gateway.put({"ai-proxy-multi": {"fallback_strategy": ["http_429", "http_5xx"], "instances": described, **fields}})
    return gateway


@pytest.fixture
def several_models() -> Callable[..., MemoryGateway]:
    return several
