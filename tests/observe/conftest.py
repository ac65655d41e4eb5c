"""A finished request, ready to be observed."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.http_headers import Headers

from aigw.exchange import Attempt, Exchange, Timeline, Usage
from aigw.model.route import Route
from aigw.model.snapshot import Resource


def resource(route: Route, id: str = "vllm-route", index: int = 1) -> Resource:
    return Resource(kind="routes", id=id, document={}, value=route, plugins={}, created_index=1, modified_index=index)


def exchange(**changes: Any) -> Exchange:
    fields: dict[str, Any] = {
        "id": "req-1",
        "method": b"POST",
        "target": b"/v1/chat/completions?api_key=sk-in-query",
        "path": "/v1/chat/completions",
        "headers": Headers({b"User-Agent": [b"curl/8.5"], b"Authorization": [b"Bearer sk-in-header"]}),
        "body": b'{"messages": "sk-in-body"}',
        "host": "gw.example",
        "remote_addr": "192.0.2.7",
        "scheme": "http",
        "route": resource(Route(uri="/v1/chat/completions", host="GW.example", service_id="llm")),
        "params": {},
        "timeline": Timeline(
            started=100.0,
            upstream_started=100.002,
            upstream_head=100.1,
            first_token=100.252,
            first_byte=100.2525,
            finished=101.502,
        ),
        "request_type": "ai_stream",
        "request_model": "gpt-3",
        "model": "llama-4",
        "attempts": [Attempt(instance="vllm", status=200, duration_ms=1500.04)],
        "usage": Usage(prompt_tokens=8, completion_tokens=300, total_tokens=308),
    }
    return Exchange(**{**fields, **changes})


@pytest.fixture(scope="session")
def make_exchange() -> Any:
    return exchange


@pytest.fixture(scope="session")
def make_resource() -> Any:
    return resource
