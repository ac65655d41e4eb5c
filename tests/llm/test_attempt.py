"""ai-proxy: one instance, one attempt, and what reaches either side."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from twisted.web.client import ResponseFailed

from aigw.errors import (
    InstanceUnusable,
    UnsupportedDialect,
    UpstreamBadReply,
    UpstreamCutShort,
    UpstreamReplyTooLarge,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from aigw.exchange import Outcome
from aigw.llm.answer import COLLECTED
from aigw.llm.attempt import MOST_DERIVED
from aigw.received import ReceivedHeaders
from aigw.testing import exchange_of, openai
from aigw.testing.gateway import MemoryGateway
from aigw.upstream.profile import Profile

KEY = "sk-0123456789"
USAGE_WANTED = b',"stream_options":{"include_usage":true}}'


def one(environ: dict[str, str] | None = None, beside: dict[str, Any] | None = None, **fields: Any) -> MemoryGateway:
    """A gateway with one route, to one model."""
    gateway = MemoryGateway(environ=environ)
    config = {
        "provider": "openai-compatible",
        "auth": {"header": {"Authorization": f"Bearer {KEY}"}},
        "override": {"endpoint": "http://model/v1/chat/completions"},
    }
    gateway.put({"ai-proxy": {**config, **fields}, **(beside or {})})
    return gateway


# What the model gets.


def test_the_request() -> None:
    gateway = one(options={"model": "llama"})
    gateway.ask(b'{"messages":[],"model":"gpt","top_p":1.0}', headers={"authorization": "Bearer client", "x-a": "b"})
    asked = gateway.models.last
    assert (asked.method, asked.url) == ("POST", "http://model/v1/chat/completions")
    assert asked.data == b'{"messages":[],"model":"llama","top_p":1.0}'
    assert asked.header("authorization") == [f"Bearer {KEY}"]
    assert (asked.header("x-a"), asked.header("content-type")) == (["b"], ["application/json"])


def test_a_request_without_a_content_type_gets_one() -> None:
    gateway = one()
    exchange = exchange_of()
    exchange.headers.removeHeader(b"content-type")
    gateway.send(exchange)
    assert gateway.models.last.header("content-type") == ["application/json"]
    assert not exchange.headers.hasHeader(b"content-type")


STREAMED: list[tuple[dict[str, Any], bytes, bytes]] = [
    ({}, b'{"messages":[],"stream":true}', b'{"messages":[],"stream":true' + USAGE_WANTED),
    ({}, b'{ "messages":[],"stream":false}', b'{ "messages":[],"stream":false}'),
    ({}, b'{"messages":[]}', b'{"messages":[]}'),
    (
        {},
        b'{"messages":[],"stream":true,"stream_options":{"x":1.0}}',
        b'{"messages":[],"stream":true,"stream_options":{"x":1.0,"include_usage":true}}',
    ),
    (
        {},
        b'{"messages":[],"stream":true,"stream_options":{"include_usage": true}}',
        b'{"messages":[],"stream":true,"stream_options":{"include_usage": true}}',
    ),
    ({"stream": True}, b'{"messages":[]}', b'{"messages":[],"stream_options":{"include_usage":true},"stream":true}'),
    ({"stream": False}, b'{"messages":[],"stream":true}', b'{"messages":[],"stream":false}'),
]


@pytest.mark.parametrize(("options", "body", "leaves"), STREAMED)
def test_the_usage_of_a_stream_is_asked_for(options: dict[str, Any], body: bytes, leaves: bytes) -> None:
    gateway = one(options=options)
    gateway.ask(body)
    assert gateway.models.last.data == leaves


def test_a_dialect_that_the_provider_lacks_is_refused_naming_what_it_has() -> None:
    gateway = one(provider="deepseek", override={})
    client = gateway.ask({"input": "x"}, "/v1/embeddings")
    assert isinstance(client.error, UnsupportedDialect)
    assert client.status == 400
    supported = "openai-responses, anthropic-messages, openai-chat"
    assert client.error.message == f"provider deepseek does not support openai-embeddings (supported: {supported})"
    assert gateway.asked == []
    assert gateway.meter.under_way == 0


def test_passthrough_goes_where_the_client_wanted() -> None:
    gateway = one(override={"endpoint": "http://model"})
    gateway.ask({"query": "x"}, "/llm/v1/rerank")
    assert gateway.models.last.url == "http://model/v1/rerank"


def test_the_clients_own_key_is_forwarded_where_the_route_has_none() -> None:
    gateway = one(auth={})
    gateway.ask(headers={"authorization": "Bearer client"})
    assert gateway.models.last.header("authorization") == ["Bearer client"]


def test_references_are_resolved() -> None:
    auth = {"header": {"Authorization": "Bearer $env://KEY"}, "query": {"k": "$env://JSON/sub"}}
    gateway = one({"KEY": KEY + "\n", "JSON": '{"sub": "v w"}'}, auth=auth)
    gateway.ask(headers={"authorization": "Bearer client"})
    assert gateway.models.last.header("authorization") == [f"Bearer {KEY}"]
    assert gateway.models.last.url.endswith("?k=v+w")


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "environment variable KEY is not set"),
        ({"KEY": "\udcff"}, "environment variable KEY holds characters that can't be sent"),
    ],
)
def test_a_reference_to_nothing_makes_the_instance_unusable(environ: dict[str, str], why: str) -> None:
    gateway = one(environ, auth={"header": {"Authorization": "Bearer $env://KEY"}})
    client = gateway.ask(headers={"authorization": "Bearer client"})
    assert isinstance(client.error, InstanceUnusable)
    assert (client.status, client.error.code) == (503, "instance_unusable")
    assert client.error.message == f"instance openai-compatible can't be called: {why}"
    assert client.attempts == [("openai-compatible", None, "instance_unusable")]
    assert gateway.asked == []
    assert gateway.meter.under_way == 0


PROFILES: list[tuple[dict[str, Any], Profile]] = [
    ({}, Profile()),
    ({"timeout": 5000}, Profile(connect_timeout=5.0)),
    ({"timeout": 5000, "deadlines": {"connect_ms": 700}}, Profile(connect_timeout=0.7)),
    ({"ssl_verify": False, "keepalive": False}, Profile(ssl_verify=False, keepalive=False)),
    ({"keepalive_timeout": 1000, "keepalive_pool": 2}, Profile(keepalive_timeout=1.0, keepalive_pool=2)),
]


@pytest.mark.parametrize(("fields", "profile"), PROFILES)
def test_how_connections_are_made(fields: dict[str, Any], profile: Profile) -> None:
    gateway = one(**fields)
    gateway.ask()
    assert gateway.models.profiles == [profile]


# What the client gets.


def test_a_complete_answer() -> None:
    gateway = one(options={"model": "llama"})
    client = gateway.ask({"messages": [], "model": "gpt"})
    gateway.clock.advance(0.5)
    gateway.models.last.answer(headers={"X-Request-Id": "u-1", "Set-Cookie": "a=b", "Server": "vllm"})
    assert client.reply is not None
    assert client.reply.source is None
    assert json.loads(client.body) == openai.completion()
    assert client.headers == {"content-type": "application/json", "x-request-id": "u-1"}
    assert client.outcome is Outcome.DONE
    exchange = client.exchange
    assert (exchange.usage.prompt_tokens, exchange.usage.completion_tokens) == (7, 3)
    assert (exchange.request_model, exchange.model, exchange.request_type) == ("gpt", "llama", "ai_chat")
    assert client.attempts == [("openai-compatible", 200, None)]
    assert exchange.attempts[0].duration_ms == 500.0


def test_a_timeline() -> None:
    gateway = one()
    gateway.clock.advance(100)
    client = gateway.ask()
    gateway.clock.advance(1)
    response = gateway.models.last.begin(200, "application/json")
    gateway.clock.advance(1)
    response.send(b"{}")
    gateway.clock.advance(1)
    response.end()
    timeline = client.exchange.timeline
    assert (timeline.started, timeline.upstream_started) == (100, 100)
    assert (timeline.upstream_head, timeline.first_token) == (101, 103)


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 418, 429, 500, 503, 599])
def test_an_instances_answer_reaches_the_client_whatever_its_status(status: int) -> None:
    gateway = one()
    client = gateway.ask()
    content = b'{"what": "ever"}'
    gateway.models.last.answer(status, content, {"Retry-After": "7", "Content-Type": "text/x; charset=y"})
    assert (client.status, client.body) == (status, content)
    assert client.headers["retry-after"] == "7"
    assert client.outcome is Outcome.DONE
    assert client.attempts == [("openai-compatible", status, None)]


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'{"usage": "none"}', b"\xff\xfe"])
def test_an_answer_is_relayed_whatever_it_is(body: bytes) -> None:
    gateway = one()
    client = gateway.ask()
    gateway.models.last.answer(200, body)
    assert (client.status, client.body) == (200, body)
    assert client.exchange.usage.prompt_tokens == 0


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308])
def test_a_redirect_is_a_bad_reply(status: int) -> None:
    gateway = one()
    client = gateway.ask()
    response = gateway.models.last.begin(status, headers={"Location": "http://elsewhere"})
    assert isinstance(client.error, UpstreamBadReply)
    assert client.status == 502
    assert response.aborted
    assert client.attempts == [("openai-compatible", status, "upstream_bad_reply")]
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("status", [600, 999, 100, 199])
def test_a_status_that_means_nothing_is_a_bad_reply(status: int) -> None:
    gateway = one()
    client = gateway.ask()
    response = gateway.models.last.begin(status)
    assert isinstance(client.error, UpstreamBadReply)
    assert response.aborted


@pytest.mark.parametrize(
    "error", [UpstreamUnreachable("no"), UpstreamReset("gone"), UpstreamTimeout("late"), UpstreamReplyTooLarge("big")]
)
def test_no_answer_is_told_as_what_it_is(error: Exception) -> None:
    gateway = one()
    client = gateway.ask()
    gateway.models.last.fail(error)
    assert client.error is error
    assert client.exchange.attempts[0].error == error.code  # type: ignore[attr-defined]
    assert gateway.meter.under_way == 0


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_an_answer_that_is_compressed_all_the_same_is_not_for_the_client(encoding: str) -> None:
    gateway = one()
    client = gateway.ask()
    content = json.dumps(openai.completion()).encode()
    gateway.models.last.answer(200, gzip.compress(content), {"Content-Encoding": encoding})
    assert client.body == content
    assert "content-encoding" not in client.headers
    assert client.exchange.usage.prompt_tokens == 7


def test_an_encoding_that_is_not_known_is_the_clients_business() -> None:
    gateway = one()
    client = gateway.ask()
    gateway.models.last.answer(200, b"\x8b\x00brotli", {"Content-Encoding": "br"})
    assert (client.body, client.headers["content-encoding"]) == (b"\x8b\x00brotli", "br")


def test_a_short_answer_waits_until_it_is_whole() -> None:
    gateway = one()
    client = gateway.ask()
    response = gateway.models.last.begin(200, "application/json; charset=utf-8", length=4)
    response.send(b"12")
    assert client.waits()
    response.send(b"34")
    response.end()
    assert client.reply is not None
    assert (client.body, client.reply.source) == (b"1234", None)


def test_an_answer_too_long_to_be_collected_is_relayed_and_its_usage_found() -> None:
    gateway = one()
    client = gateway.ask()
    content = json.dumps({"text": "x" * (COLLECTED + 10), "usage": openai.USAGE}).encode()
    response = gateway.models.last.begin(200, "application/json", length=len(content))
    response.send(content[: COLLECTED + 1])
    assert client.reply is not None
    assert client.reply.length == len(content)
    response.send(content[COLLECTED + 1 :])
    response.end()
    assert client.body == content
    assert client.exchange.usage.completion_tokens == 3
    assert client.outcome is Outcome.DONE


def test_the_length_of_what_is_decompressed_is_not_known() -> None:
    gateway = one()
    client = gateway.ask()
    content = gzip.compress(bytes(2 * COLLECTED))
    response = gateway.models.last.begin(200, "application/json", {"Content-Encoding": "gzip"}, len(content))
    response.send(content)
    response.end()
    assert client.reply is not None
    assert client.reply.length is None
    assert len(client.body) == 2 * COLLECTED


@pytest.mark.parametrize("media_type", ["text/plain", "audio/mpeg", "application/octet-stream", ""])
def test_what_is_no_json_is_relayed_as_it_comes(media_type: str) -> None:
    gateway = one()
    client = gateway.ask({"input": "say it", "voice": "x"}, "/v1/audio/speech")
    response = gateway.models.last.begin(200, media_type)
    response.send(b"some")
    response.send(b"thing")
    assert client.pieces == [b"some", b"thing"]
    response.end()
    assert client.outcome is Outcome.DONE


def test_a_client_is_told_how_long_a_file_is() -> None:
    gateway = one(override={"endpoint": "http://model"})
    client = gateway.ask({"input": "say it", "voice": "x"}, "/v1/audio/speech")
    gateway.models.last.begin(200, "audio/mpeg", length=9)
    assert client.reply is not None
    assert (client.reply.length, client.reply.stages) == (9, [])


def test_with_buffering_off_everything_is_relayed_chunk_by_chunk() -> None:
    gateway = one(beside={"proxy-buffering": {"disable_proxy_buffering": True}})
    client = gateway.ask()
    content = json.dumps(openai.completion()).encode()
    response = gateway.models.last.begin(200, "application/json", length=len(content))
    for n in range(0, len(content), 10):
        response.send(content[n : n + 10])
        assert client.body == content[: n + 10]
    response.end()
    assert client.reply is not None
    assert client.reply.length == len(content)
    assert client.exchange.usage.prompt_tokens == 7


def test_buffering_is_on_where_the_plugin_does_not_say_otherwise() -> None:
    gateway = one(beside={"proxy-buffering": {}})
    client = gateway.ask()
    gateway.models.last.begin(200, "application/json").send(b"{")
    assert client.waits()


# What must not reach the client.

TELLING: list[tuple[str, str]] = [
    (f'{{"error": "Incorrect API key provided: {KEY}"}}', '{"error": "Incorrect API key provided: ****"}'),
    (f'{{"error": "got Bearer {KEY}"}}', '{"error": "got ****"}'),
    (f"{KEY}{KEY}", "********"),
    ("nothing secret", "nothing secret"),
]


@pytest.mark.parametrize(("told", "shown"), TELLING)
@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_error_that_quotes_the_credentials_does_not_show_them(told: str, shown: str, status: int) -> None:
    gateway = one()
    client = gateway.ask()
    gateway.models.last.answer(status, told.encode())
    assert (client.status, client.body.decode()) == (status, shown)


def test_an_endless_error_does_not_show_them_either() -> None:
    gateway = one()
    client = gateway.ask()
    response = gateway.models.last.begin(500, "text/html")
    content = (b"x" * 1000 + KEY.encode()) * (COLLECTED // 1000)
    for n in range(0, len(content), 65521):
        response.send(content[n : n + 65521])
    response.end()
    assert KEY.encode() not in client.body
    assert client.body == content.replace(KEY.encode(), b"****")


def test_a_secret_in_the_query_is_one_too() -> None:
    gateway = one(auth={"query": {"key": KEY}})
    client = gateway.ask()
    gateway.models.last.answer(403, {"error": f"no such key: {KEY}"})
    assert KEY not in client.body.decode()


def test_an_error_in_a_stream_does_not_show_them() -> None:
    gateway = one()
    client = gateway.ask({"messages": [], "stream": True})
    word = openai.event(openai.chunk({"content": "Hi"}))
    gateway.models.last.stream(word, openai.event(openai.error(401, f"no more for {KEY}")))
    assert client.outcome is Outcome.UPSTREAM_BROKE
    assert client.body.startswith(word)
    assert b"no more for ****" in client.body
    assert KEY.encode() not in client.body
    assert client.broken is not None
    assert KEY not in client.broken.message


# Deadlines and limits.


def test_the_status_must_come_in_time() -> None:
    gateway = one(timeout=2000)
    client = gateway.ask()
    gateway.clock.advance(1.999)
    assert client.waits()
    gateway.clock.advance(0.001)
    assert isinstance(client.error, UpstreamTimeout)
    assert (client.status, client.error.message) == (504, "the upstream sent no status within 2 s")
    assert gateway.models.last.cancelled
    assert client.exchange.attempts[0].duration_ms == 2000.0
    assert gateway.meter.under_way == 0


DEADLINES: list[tuple[dict[str, Any], float]] = [
    # deadlines, after how many seconds a model that says nothing is given up
    ({"first_byte_ms": 300}, 0.3),
    ({"first_byte_ms": 5000, "attempt_ms": 400}, 0.4),
    ({"first_byte_ms": 5000, "total_ms": 500}, 0.5),
    ({"attempt_ms": 700, "total_ms": 600}, 0.6),
    ({"idle_ms": 100, "first_token_ms": 100, "hold_ms": 100}, 30.0),
    ({}, 30.0),
]


@pytest.mark.parametrize(("deadlines", "seconds"), DEADLINES)
def test_whichever_deadline_comes_first_ends_the_wait_for_a_status(deadlines: dict[str, int], seconds: float) -> None:
    gateway = one(deadlines=deadlines)
    client = gateway.ask()
    gateway.clock.advance(seconds - 0.001)
    assert client.waits()
    gateway.clock.advance(0.0011)
    assert isinstance(client.error, UpstreamTimeout)


@pytest.mark.parametrize(
    ("deadlines", "seconds"),
    [({"idle_ms": 400}, 0.4), ({"attempt_ms": 900}, 0.9), ({"total_ms": 800}, 0.8), ({}, 30.0)],
)
@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
def test_a_body_that_stalls_is_given_up(deadlines: dict[str, int], seconds: float, media_type: str) -> None:
    gateway = one(deadlines=deadlines)
    client = gateway.ask()
    response = gateway.models.last.begin(200, media_type)
    response.send(b"{")
    gateway.clock.advance(seconds + 0.001)
    assert response.aborted
    failure = client.error or client.broken
    assert isinstance(failure, UpstreamTimeout)
    assert gateway.meter.under_way == 0
    assert gateway.timers == []


def test_a_slow_error_is_given_up_as_well() -> None:
    gateway = one(timeout=1000)
    client = gateway.ask()
    gateway.models.last.begin(500, "application/json").send(b"{")
    gateway.clock.advance(1.1)
    assert isinstance(client.error, UpstreamTimeout)


def test_an_answer_that_is_cut_short_is_none() -> None:
    gateway = one()
    client = gateway.ask()
    response = gateway.models.last.begin(200, "application/json")
    response.send(b'{"choices"')
    response.end(ResponseFailed([]))
    assert isinstance(client.error, UpstreamCutShort)
    assert client.status == 502
    assert client.attempts == [("openai-compatible", 200, "upstream_cut_short")]


def test_an_answer_that_breaks_while_it_is_relayed() -> None:
    gateway = one()
    client = gateway.ask()
    response = gateway.models.last.begin(200, "text/plain")
    response.send(b"some")
    response.end(UpstreamReset("gone"))
    assert client.outcome is Outcome.UPSTREAM_BROKE
    assert client.body == b"some"
    assert isinstance(client.broken, UpstreamReset)
    assert gateway.meter.under_way == 0


def test_an_answer_has_a_limit() -> None:
    gateway = one(max_response_bytes=10)
    client = gateway.ask()
    response = gateway.models.last.begin(200, "application/json")
    response.send(b"0123456789")
    response.send(b"0")
    assert isinstance(client.error, UpstreamReplyTooLarge)
    assert response.aborted


# Labels.


def test_the_meter_is_told_what_was_called() -> None:
    gateway = one(options={"model": "llama"})
    client = gateway.ask({"messages": [], "model": "gpt", "stream": True})
    (labels,) = gateway.meter.begun
    assert labels._asdict() == {
        "route_id": "r",
        "service_id": "",
        "consumer": "",
        "node": "openai-compatible",
        "request_type": "ai_stream",
        "request_llm_model": "gpt",
        "llm_model": "llama",
    }
    assert gateway.meter.under_way == 1
    response = gateway.models.last.stream(*list(openai.stream())[:-1])
    assert gateway.meter.under_way == 1
    response.end()
    assert gateway.meter.under_way == 0
    assert client.outcome is Outcome.DONE


def test_what_is_kept_with_a_head_is_bounded(several_models: Any) -> None:
    """However many instances take turns with the requests of one connection."""
    gateway = several_models(*[{"name": f"m{n}", "priority": 1} for n in range(3 * MOST_DERIVED)])
    headers = ReceivedHeaders([(b"content-type", b"application/json")])
    for _ in range(3 * MOST_DERIVED):
        exchange = exchange_of()
        exchange.headers = headers
        gateway.send(exchange)
        assert gateway.models.last.header("content-type") == ["application/json"]
    assert len({asked.url for asked in gateway.asked}) == 3 * MOST_DERIVED
    assert 0 < len(headers.derived) <= MOST_DERIVED
