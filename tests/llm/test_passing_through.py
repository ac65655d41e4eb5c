"""What is no JSON in a dialect: lists of models, files, audio, batches, on their way through a route."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from aigw.errors import GatewayError, InvalidJSON, MethodNotAllowed, UnsupportedMediaType, UpstreamUnreachable
from aigw.exchange import Exchange, Outcome
from aigw.received import ReceivedHeaders
from aigw.testing import exchange_of
from aigw.testing.gateway import MemoryGateway
from aigw.testing.vendors import Anthropic, DeepSeek, OpenAI
from aigw.upstream.clients import Clients
from aigw.upstream.testing import Network

Behind = Callable[..., Any]
FORM = "multipart/form-data; boundary=b"


def request(method: str, target: str, body: bytes = b"", media_type: str | None = None, **headers: str) -> Exchange:
    exchange = exchange_of(body, method=method.encode(), target=target.encode(), path=target.partition("?")[0])
    fields = {name.replace("_", "-"): [value] for name, value in headers.items()}
    exchange.headers = Headers(fields if media_type is None else {**fields, "content-type": [media_type]})
    return exchange


def form(**fields: bytes) -> bytes:
    lines = []
    for name, content in fields.items():
        filename = b'; filename="a.wav"' if name == "file" else b""
        lines += [b"--b", b'Content-Disposition: form-data; name="%b"%b' % (name.encode(), filename), b"", content]
    return b"\r\n".join([*lines, b"--b--", b""])


def to_openai(**fields: Any) -> MemoryGateway:
    gateway = MemoryGateway()
    auth = {"header": {"Authorization": "Bearer ours"}}
    gateway.put({"ai-proxy": {"provider": "openai", "auth": auth, **fields}})
    return gateway


def test_a_list_of_models(behind: Behind) -> None:
    route = behind(OpenAI())
    client = route.send(request("GET", "/llm/v1/models?limit=5&after=a%2Fb", authorization="Bearer mine"))
    assert (client.status, json.loads(client.body)["data"][0]["id"]) == (200, "gpt-fake")
    asked = route.gateway.models.last
    assert (asked.method, asked.url) == ("GET", "https://openai/v1/models?limit=5&after=a%2Fb")
    assert not asked.has_body
    assert asked.header("content-type") == []
    assert client.outcome is Outcome.DONE
    assert client.exchange.model == ""


def test_files_come_and_go(behind: Behind) -> None:
    vendor = OpenAI()
    route = behind(vendor)
    content = bytes(range(256)) * 10
    upload = route.send(request("POST", "/v1/files", form(purpose=b"batch", file=content), FORM))
    assert upload.status == 200
    at = f"/v1/files/{json.loads(upload.body)['id']}"
    assert json.loads(route.send(request("GET", at)).body)["bytes"] == len(content)
    download = route.send(request("GET", f"{at}/content"))
    assert download.body == content
    assert download.headers["content-type"] == "application/octet-stream"
    assert "filename" in download.headers["content-disposition"]
    assert json.loads(route.send(request("DELETE", at)).body)["deleted"] is True
    assert route.send(request("GET", at)).status == 404
    assert not route.gateway.models.last.has_body


def test_audio_in_and_out(behind: Behind) -> None:
    vendor = OpenAI()
    route = behind(vendor)
    heard = route.send(request("POST", "/v1/audio/transcriptions", form(model=b"w", file=b"\xff\x00sound"), FORM))
    assert json.loads(heard.body)["text"] == "a.wav: 7 bytes"
    spoken = route.ask({"model": "tts", "input": "Hello", "voice": "alloy"}, "/v1/audio/speech")
    assert spoken.body == b"\xff\xfb\x00Hello\x00\xff"
    assert spoken.headers["content-type"] == "audio/mpeg"
    assert vendor.complaints == []


def test_what_an_answer_tells_of_tokens_counts_whatever_was_asked(behind: Behind) -> None:
    client = behind(OpenAI()).send(
        request("POST", "/v1/images/edits", form(model=b"i", prompt=b"p", image=b"\x89PNG"), FORM)
    )
    assert (client.status, client.exchange.usage.total_tokens) == (200, 30)


@pytest.mark.parametrize("media_type", ["application/json", None])
def test_a_post_without_a_body_is_passed_on(media_type: str | None) -> None:
    gateway = to_openai()
    client = gateway.send(request("POST", "/v1/batches/b/cancel", b"", media_type))
    asked = gateway.models.last
    assert (asked.method, asked.url) == ("POST", "https://api.openai.com/v1/batches/b/cancel")
    assert (asked.has_body, asked.data) == (True, b"")
    assert asked.header("content-type") == ([] if media_type is None else [media_type])
    asked.answer()
    assert client.status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/chat"])
def test_where_json_is_meant_a_body_is_needed(path: str) -> None:
    client = to_openai().send(request("POST", path, b"", "application/json"))
    assert isinstance(client.error, InvalidJSON)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/responses/r?stream=true"),
        ("PUT", "/v1/x"),
        ("PATCH", "/v1/x"),
        ("OPTIONS", "/v1/x"),
        ("HEAD", "/v1/x"),
    ],
)
def test_all_methods_are_passed_on(method: str, target: str) -> None:
    gateway = to_openai()
    client = gateway.send(request(method, target, b"x" if method in ("PUT", "PATCH") else b""))
    asked = gateway.models.last
    assert (asked.method, asked.url) == (method, f"https://api.openai.com{target}")
    assert asked.has_body == (method in ("PUT", "PATCH"))
    assert asked.header("authorization") == ["Bearer ours"]
    asked.begin(204).end()
    assert (client.status, client.outcome) == (204, Outcome.DONE)


def test_a_stream_that_is_looked_at_again_passes_as_it_comes() -> None:
    gateway = to_openai()
    client = gateway.send(request("GET", "/v1/responses/r?stream=true"))
    response = gateway.models.last.stream(b"event: a\n")
    assert client.body == b"event: a\n"
    response.end()
    assert client.outcome is Outcome.DONE


@pytest.mark.parametrize("bodies", [(b"{}", b"", b"{}"), (b"", b"{}", b"")])
def test_no_content_type_is_invented_for_what_may_be_anything(bodies: tuple[bytes, ...]) -> None:
    """Not even where the same head came before with a body that has one: only its length differs."""
    gateway = to_openai()
    headers = ReceivedHeaders([])
    for body in bodies:
        exchange = request("POST", "/v1/x", body)
        exchange.headers = headers
        gateway.send(exchange)
        assert gateway.models.last.header("content-type") == (["application/json"] if body else [])


def test_the_credentials_query_wins_over_the_clients() -> None:
    gateway = to_openai(auth={"query": {"key": "ours"}})
    gateway.send(request("GET", "/v1/models?key=mine&a=b&k%65y=too"))
    assert gateway.models.last.url == "https://api.openai.com/v1/models?a=b&key=ours"


PREFIXES = [
    ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai/models"),
    ("openrouter", "https://openrouter.ai/api/v1/models"),
    ("deepseek", "https://api.deepseek.com/models"),
    ("aimlapi", "https://api.aimlapi.com/models"),
    ("anthropic", "https://api.anthropic.com/v1/models"),
    ("openai", "https://api.openai.com/v1/models"),
]


@pytest.mark.parametrize(("provider", "url"), PREFIXES)
def test_each_vendor_has_its_prefix(provider: str, url: str) -> None:
    gateway = to_openai(provider=provider)
    gateway.send(request("GET", "/any/v1/models"))
    assert gateway.models.last.url == url


def test_a_vendors_own_headers_go_along(behind: Behind) -> None:
    vendor = Anthropic()
    client = behind(vendor).send(request("GET", "/v1/models"))
    assert (client.status, vendor.complaints) == (200, [])
    assert vendor.received[0].headers["anthropic-version"]


REFUSED: list[tuple[str, str, str | None, type[GatewayError], int]] = [
    ("GET", "/v1/models", None, MethodNotAllowed, 405),
    ("DELETE", "/v1/files/f", None, MethodNotAllowed, 405),
    ("HEAD", "/v1/models", None, MethodNotAllowed, 405),
    ("POST", "/v1/audio/transcriptions", FORM, UnsupportedMediaType, 400),
    ("POST", "/v1/batches/b/cancel", "application/json", InvalidJSON, 400),
]


@pytest.mark.parametrize(("method", "target", "media_type", "error", "status"), REFUSED)
def test_where_every_endpoint_has_a_path_nothing_else_is_passed_on(
    method: str, target: str, media_type: str | None, error: type[GatewayError], status: int
) -> None:
    gateway = to_openai(override={"endpoint": "http://h/v1/chat/completions"})
    client = gateway.send(request(method, target, b"", media_type))
    assert type(client.error) is error
    assert client.status == status
    assert gateway.asked == []


@pytest.mark.parametrize(("method", "target"), [("GET", "/models"), ("GET", "/v1"), ("POST", "/files")])
def test_what_is_not_below_v1_is_not_passed_on(method: str, target: str) -> None:
    client = to_openai().send(request(method, target, b"x", FORM))
    assert isinstance(client.error, MethodNotAllowed | UnsupportedMediaType)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/model/m/converse"]
)
def test_what_has_to_be_json_is_refused_as_anything_else(path: str) -> None:
    client = to_openai().send(request("POST", path, b"x", FORM))
    assert isinstance(client.error, UnsupportedMediaType)


def test_an_instance_with_a_path_of_its_own_is_passed_over(behind: Behind) -> None:
    chat = {"override": {"endpoint": "https://deepseek/chat/completions"}}
    route = behind((DeepSeek(), chat), OpenAI())
    assert route.send(request("GET", "/v1/models")).status == 200
    assert route.hosts() == ["openai"]
    assert route.ask({"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}).status == 200
    assert route.hosts() == ["openai", "deepseek"]


def test_a_failure_goes_on_to_another_instance(behind: Behind) -> None:
    route = behind(OpenAI(), OpenAI())
    upload = request("POST", "/v1/files", form(purpose=b"batch", file=b"x"), FORM)
    client = route.gateway.send(upload)
    route.gateway.models.last.fail(UpstreamUnreachable("refused"))
    assert [(asked.method, asked.data) for asked in route.gateway.asked] == [("POST", upload.body)] * 2
    assert [name for name, _, _ in client.attempts] == ["openai", "openai-2"]


def test_an_error_that_quotes_the_key_is_told_without_it() -> None:
    gateway = to_openai(auth={"header": {"Authorization": "Bearer sk-0123456789"}})
    client = gateway.send(request("GET", "/v1/files"))
    gateway.models.last.answer(401, {"error": "sk-0123456789 is wrong"})
    assert client.body == b'{"error": "**** is wrong"}'


# Down to the bytes.


def wired() -> tuple[MemoryGateway, Network]:
    clock = Clock()
    network = Network(clock)
    gateway = MemoryGateway(clock=clock, clients=Clients(clock, network))
    gateway.put({"ai-proxy": {"provider": "openai", "auth": {}, "override": {"endpoint": "http://h"}}})
    return gateway, network


@pytest.mark.parametrize(
    ("method", "body", "lines"),
    [
        ("GET", b"", []),
        ("DELETE", b"", []),
        ("POST", b"", [b"Content-Length: 0"]),
        ("GET", b"x", [b"Content-Length: 1"]),
    ],
)
def test_a_length_is_sent_where_there_is_a_body(method: str, body: bytes, lines: list[bytes]) -> None:
    gateway, network = wired()
    client = gateway.send(request(method, "/v1/x", body))
    line = network.accept()
    head, _, sent = line.take().partition(b"\r\n\r\n")
    assert [field for field in head.split(b"\r\n") if not field.startswith((method.encode(), b"Host"))] == lines
    assert sent == body
    line.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
    assert (client.status, client.body, client.outcome) == (200, b"ok", Outcome.DONE)


@pytest.mark.parametrize("media_type", [b"application/json", b"audio/mpeg", b"text/event-stream"])
def test_the_answer_to_head_has_no_body_and_keeps_its_length(media_type: bytes) -> None:
    gateway, network = wired()
    client = gateway.send(request("HEAD", "/v1/models"))
    line = network.accept()
    assert line.take().startswith(b"HEAD /v1/models HTTP/1.1\r\n")
    line.say(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: 500\r\n\r\n" % media_type)
    assert (client.status, client.body, client.outcome) == (200, b"", Outcome.DONE)
    assert client.reply is not None
    assert not line.aborted
