"""The routes of the demo, and what it prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

from aigw.demo.routes import demo_routes, demo_text
from aigw.model.resource import decode_resource, examine
from aigw.plugins import CONFIGS
from aigw.testing.exchange import exchange_of
from aigw.testing.gateway import MemoryGateway


def test_its_routes_are_valid_and_say_what_they_are() -> None:
    for document in demo_routes(1234):
        findings = examine("routes", document, CONFIGS)
        assert (findings.complaints, findings.unknown) == ([], [])
        assert "demo" in decode_resource("routes", document["id"], document, CONFIGS).value.desc


def test_they_do_what_they_say() -> None:
    gateway = MemoryGateway()
    for document in demo_routes(1234):
        gateway.put(**document)
    for path in ("/demo", "/llm/v1/chat/completions"):
        client = gateway.ask(path=path)
        assert gateway.models.last.url == "http://127.0.0.1:1234/v1/chat/completions"
        gateway.models.last.answer()
        assert client.status == 200
    gateway.send(exchange_of(b"", method=b"GET", path="/llm/v1/models", target=b"/llm/v1/models"))
    assert gateway.models.last.url == "http://127.0.0.1:1234/v1/models"
    client = gateway.ask(path="/demo-hybrid")
    gateway.models.last.answer(503)
    gateway.models.last.answer()
    assert client.attempts == [("a", 503, None), ("b", 200, None)]
    assert [asked.json["model"] for asked in gateway.asked[-2:]] == ["echo-a", "echo-b"]


def test_what_it_prints_can_be_copied() -> None:
    text = demo_text("http://127.0.0.1:9080", "http://127.0.0.1:7080", Path("/data/admin.key"))
    assert "demo" in text
    bodies = re.findall(r"-d '(.*)'$", text, re.MULTILINE)
    assert [json.loads(body).get("stream", False) for body in bodies] == [False, True, False, False, False]
    assert re.findall(r"curl (?:-\w+ )?(http\S+)", text) == [
        "http://127.0.0.1:9080/demo",
        "http://127.0.0.1:9080/demo",
        "http://127.0.0.1:9080/llm/v1/messages",
        "http://127.0.0.1:9080/llm/v1/responses",
        "http://127.0.0.1:9080/demo-hybrid",
        "http://127.0.0.1:7080/apisix/admin/routes",
    ]
    assert '-H "X-API-KEY: $(cat /data/admin.key)"' in text
