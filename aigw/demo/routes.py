"""The demo's configuration and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def demo_routes(port: int) -> list[dict[str, Any]]:
    """Two routes to the echo model on a loopback port: a plain one, and one that shows fallback."""
    endpoint = f"http://127.0.0.1:{port}"

    def instance(name: str, priority: int) -> dict[str, Any]:
        return {
            "name": name,
            "provider": "openai-compatible",
            "auth": {"header": {"Authorization": "Bearer placeholder"}},
            "options": {"model": f"echo-{name}"},
            "override": {"endpoint": endpoint},
            "provider_conf": {"dialects": ["openai-chat"]},
            "weight": 1,
            "priority": priority,
        }

    plain = {key: value for key, value in instance("a", 0).items() if key not in ("name", "weight", "priority")}
    hybrid = {
        "fallback_strategy": ["http_429", "http_5xx"],
        "instances": [instance("a", 1), instance("b", 2)],
    }
    return [
        {"id": "demo", "desc": "demo: an echo model", "uris": ["/demo", "/llm/*"], "plugins": {"ai-proxy": plain}},
        {
            "id": "demo-hybrid",
            "desc": "demo: echo-a, and echo-b when it fails",
            "uri": "/demo-hybrid",
            "plugins": {"ai-proxy-multi": hybrid},
        },
    ]


def demo_text(proxy: str, admin: str, key_file: Path) -> str:
    """What to try. ``proxy``, ``admin``: base URLs."""
    chat = """-H 'Content-Type: application/json' -d '{"messages": [{"role": "user", "content": "Hello"}]"""
    return f"""\
This is a demo: an echo model answers, and nothing is kept after it ends. Try

an answer:
  curl {proxy}/demo {chat}}}'
a stream:
  curl -N {proxy}/demo {chat}, "stream": true}}'
the same for a client of Anthropic's, and for one of OpenAI's Responses API:
  curl {proxy}/llm/v1/messages {chat}, "max_tokens": 99}}'
  curl {proxy}/llm/v1/responses -H 'Content-Type: application/json' -d '{{"input": "Hello"}}'
a fallback (echo-a is asked for a 503, so echo-b answers):
  curl -i {proxy}/demo-hybrid -H 'X-Echo: model=echo-a, status=503' {chat}}}'
the routes, with the admin API:
  curl {admin}/apisix/admin/routes -H "X-API-KEY: $(cat {key_file})"
"""
