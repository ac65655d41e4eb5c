"""Routes with several models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from twisted.internet.task import Clock

from aigw.exchange import Exchange
from aigw.testing.gateway import Client, MemoryGateway
from aigw.testing.vendors import Vendor, attend


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


class Behind:
    """A route to vendors that answer at once, each with what is special about its instance, one after another.

    Each is called by the name of its provider (``anthropic``, ``anthropic-2`` ...), and is at that host. ``answered``:
    how many requests so far.
    """

    def __init__(self, *vendors: Vendor | tuple[Vendor, dict[str, Any]], clock: Clock | None = None, **fields: Any):
        self.gateway = MemoryGateway(clock=clock)
        self.vendors: dict[str, Vendor] = {}
        instances = []
        for priority, given in enumerate(vendors):
            vendor, special = given if isinstance(given, tuple) else (given, {})
            name = vendor.provider if vendor.provider not in self.vendors else f"{vendor.provider}-{priority + 1}"
            self.vendors[name] = vendor
            instances.append(
                {**vendor.as_model(f"https://{name}"), "name": name, "weight": 1, "priority": priority, **special}
            )
        strategy = ["http_429", "http_5xx"]
        plugin = {"fallback_strategy": strategy, "instances": instances, **fields}
        self.gateway.put({"ai-proxy-multi": plugin})
        self.answered = 0

    def ask(self, body: Any = None, path: str = "/v1/chat/completions", **headers: str) -> Client:
        """Send a request, and have it answered."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._settled(self.gateway.ask(body, path, headers=said))

    def send(self, exchange: Exchange) -> Client:
        """The same with any request."""
        return self._settled(self.gateway.send(exchange))

    def hosts(self) -> list[str]:
        """Who was asked."""
        return [urlsplit(asked.url).netloc for asked in self.gateway.asked]

    def settle(self) -> None:
        """Have all answered that have been asked."""
        while self.answered < len(self.gateway.asked):
            asked = self.gateway.asked[self.answered]
            self.answered += 1
            attend(self.vendors[urlsplit(asked.url).netloc], asked)

    def _settled(self, client: Client) -> Client:
        self.settle()
        return client


@pytest.fixture
def behind() -> type[Behind]:
    return Behind
