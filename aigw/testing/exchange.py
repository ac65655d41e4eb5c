"""An `Exchange` for tests of plugins, with what a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.web.http_headers import Headers

from aigw.exchange import Exchange, Timeline


def exchange_of(body: Any = None, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Exchange:
    """A POST of ``body`` (bytes as they are, anything else as JSON; by default one short message)."""
    if body is None:
        body = {"messages": [{"role": "user", "content": "Hello"}]}
    said = {
        "id": "request-1",
        "method": b"POST",
        "target": b"/chat",
        "path": "/chat",
        "headers": Headers({"content-type": ["application/json"], **{n: [v] for n, v in (headers or {}).items()}}),
        "body": body if isinstance(body, bytes) else msgspec.json.encode(body),
        "host": "gateway.example",
        "remote_addr": "192.0.2.1",
        "scheme": "http",
        "route": None,
        "params": {},
        "timeline": Timeline(started=0.0),
    }
    return Exchange(**{**said, **fields})
