"""The page that users come from works as it says: its own commands, run by a shell, against models on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aigw.testing import chat
from aigw.testing.process import ADMIN_KEY, GatewayProcess
from aigw.testing.thread import ServedUpstream

SEED = Path(__file__).resolve().parents[3] / "shared" / "seed-openai-compatible.txt"
CURL = re.compile(r"^curl .*?^}'$", re.DOTALL | re.MULTILINE)
ROUTES = ["custom-llm-route", "vllm-route", "together-ai-route", "hybrid-route"]
KEYS = {"TOGETHER_API_KEY": "together-key-of-the-seed-page", "OPENAI_API_KEY": "openai-key-of-the-seed-page"}

pytestmark = [
    pytest.mark.skipif(not SEED.exists(), reason="the seed page is not beside this tree"),
    pytest.mark.ways,
]


def commands() -> dict[str, str]:
    """The page's curl commands: route id -> command, and "chat" -> the one that validates."""
    found = CURL.findall(SEED.read_text())
    ids = [re.search(r'"id": "([^"]+)"', command) for command in found]
    return {match[1] if match else "chat": command for match, command in zip(ids, found, strict=True)}


def here(command: str, gateway: GatewayProcess, self_hosted: ServedUpstream, cloud: ServedUpstream) -> str:
    """The command for these hosts. The page leaves OpenAI's address to the provider; here it has to be said."""
    replacements = {
        "http://127.0.0.1:7080": gateway.url("admin"),
        "http://127.0.0.1:9080": gateway.url("proxy"),
        "https://your-llm-endpoint.example.com": self_hosted.url,
        "http://vllm-server:8000": self_hosted.url,
        "https://api.together.xyz": self_hosted.url,
        '"options": { "model": "gpt-4o-mini" },': f"""
            "options": {{ "model": "gpt-4o-mini" }}, "override": {{ "endpoint": "{cloud.url}" }},""",
    }
    for old, new in replacements.items():
        command = command.replace(old, new)
    return command


def with_service_id_quoted(command: str) -> str:
    """As the page itself quotes its other variables."""
    return command.replace('"$SERVICE_ID"', '''"'"$SERVICE_ID"'"''')


def run(command: str) -> tuple[int, Any]:
    """Status and body of what curl gets."""
    environ = {**os.environ, **KEYS, "ADMIN_API_KEY": ADMIN_KEY, "SERVICE_ID": "seed-service"}
    script = command + " --silent --show-error --write-out '\\n%{http_code}'"
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, timeout=30, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.fixture
def page(
    gateway: GatewayProcess, upstream: ServedUpstream, upstreams: Callable[[], ServedUpstream]
) -> Callable[[str], tuple[int, Any]]:
    """Types one of the page's commands. ``upstream`` is what it calls self-hosted, Together or your own."""
    cloud = upstreams()
    upstream.does(chat("from the self-hosted one"))
    cloud.does(chat("from the cloud"))
    assert gateway.admin("PUT", "/services/seed-service", {"name": "seed"}).status in (200, 201)

    def type_in(name: str, path: str = "/custom-llm") -> tuple[int, Any]:
        command = here(commands()[name], gateway, upstream, cloud).replace("/custom-llm", path)
        return run(with_service_id_quoted(command) if name != "chat" else command)

    return type_in


def test_the_page_has_what_is_tested_here() -> None:
    assert [*commands()] == [*ROUTES, "chat"]


@pytest.mark.parametrize(
    ("name", "path", "model", "key"),
    [
        ("custom-llm-route", "/custom-llm", "your-model-name", "your-api-key"),
        ("vllm-route", "/vllm", "meta-llama/Llama-3.1-8B-Instruct", "placeholder"),
        (
            "together-ai-route",
            "/together-ai",
            "meta-llama/Llama-3.1-70B-Instruct-Turbo",
            KEYS["TOGETHER_API_KEY"],
        ),
        ("hybrid-route", "/hybrid", "meta-llama/Llama-3.1-8B-Instruct", "placeholder"),
    ],
)
def test_a_route_of_the_page(name: str, path: str, model: str, key: str, page: Any, upstream: ServedUpstream) -> None:
    status, told = page(name, path)
    assert status in (200, 201), told
    assert told["key"] == f"/apisix/routes/{name}"
    assert told["value"]["paths"] == [path]
    status, answered = page("chat", path)
    assert (status, answered["choices"][0]["message"]["content"]) == (200, "from the self-hosted one")
    (asked,) = upstream.received
    assert (asked.target, asked.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {key}")
    assert asked.json() == {"messages": [{"role": "user", "content": "Hello, how are you?"}], "model": model}


def test_the_hybrid_route_falls_back(page: Any, upstream: ServedUpstream) -> None:
    status, told = page("hybrid-route", "/hybrid")
    assert status in (200, 201)
    assert told["effective_order"] == ["self-hosted", "cloud-fallback"]
    assert not told.get("warnings")
    upstream.stop()
    assert page("chat", "/hybrid")[1]["choices"][0]["message"]["content"] == "from the cloud"
    upstream.start()
    assert page("chat", "/hybrid")[1]["choices"][0]["message"]["content"] == "from the self-hosted one"


def test_the_page_as_it_is_printed(gateway: GatewayProcess, upstream: ServedUpstream) -> None:
    """Its single quotes keep the shell from filling in the service id; the answer says so, and what works."""
    status, told = run(here(commands()["custom-llm-route"], gateway, upstream, upstream))
    assert status == 400
    assert "service_id" in told["error_msg"]
    assert "$SERVICE_ID" in told["error_msg"]
    assert """'"$SERVICE_ID"'""" in told["error_msg"]
