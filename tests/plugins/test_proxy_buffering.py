"""The one switch of proxy-buffering."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.model.schema import check
from aigw.plugins.proxy_buffering import ProxyBufferingConfig
from aigw.testing import openai
from aigw.testing.gateway import MemoryGateway

MODEL = {"provider": "openai", "auth": {}}


@pytest.mark.parametrize(
    ("config", "buffering"),
    [({}, True), ({"disable_proxy_buffering": False}, True), ({"disable_proxy_buffering": True}, False)],
)
def test_what_it_tells_the_handler_inside(config: dict[str, Any], buffering: bool) -> None:
    gateway = MemoryGateway()
    gateway.put({"proxy-buffering": config, "ai-proxy": MODEL})
    client = gateway.ask()
    assert client.exchange.buffering is buffering
    gateway.models.last.begin(200, "application/json").send(b"{")
    assert client.waits() is buffering


@pytest.mark.parametrize(
    "plugins", [{}, {"proxy-buffering": {}}, {"proxy-buffering": {"disable_proxy_buffering": True}}]
)
def test_an_event_stream_is_never_held_back(plugins: dict[str, Any]) -> None:
    gateway = MemoryGateway()
    gateway.put({**plugins, "ai-proxy": MODEL})
    client = gateway.ask({"messages": [], "stream": True})
    event = openai.event(openai.chunk({"content": "Hi"}))
    gateway.models.last.stream(event)
    assert client.pieces == [event]


def test_a_service_may_have_it_for_its_routes() -> None:
    gateway = MemoryGateway()
    gateway.put({"proxy-buffering": {"disable_proxy_buffering": True}}, kind="services", id="s")
    gateway.put({"ai-proxy": MODEL}, service_id="s")
    assert gateway.ask().exchange.buffering is False


def test_what_is_wrong() -> None:
    complaints = check({"disable_proxy_buffering": 1}, ProxyBufferingConfig).complaints
    assert [str(c) for c in complaints] == ["disable_proxy_buffering: expected true or false, got 1"]
