"""How tests of fake vendors ask them, without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from aigw.testing.requests import Received
from aigw.testing.vendors import KEY, Answer, Vendor

JSON = {"content-type": "application/json"}


def received(target: str, body: Any = None, headers: Mapping[str, str] | None = None, method: str = "POST") -> Received:
    """A request. ``body``: bytes as they are, anything else as JSON."""
    fields = {"host": "vendor.example", **JSON, "authorization": f"Bearer {KEY}", **(headers or {})}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Received(head="\r\n".join(lines).encode(), body=content)


@pytest.fixture
def asked() -> Callable[..., Answer]:
    """Asks a vendor: (vendor, target, body, headers, method)."""

    def ask(vendor: Vendor, *request: Any, **fields: Any) -> Answer:
        return vendor.answer(received(*request, **fields))

    return ask
