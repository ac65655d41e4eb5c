"""Requests that are signed, or carry a token that has to be got first: what vendors believe, and who learns what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from aigw.errors import InstanceUnusable, UpstreamError, UpstreamTimeout
from aigw.exchange import Outcome
from aigw.testing.gateway import MemoryGateway
from aigw.testing.vendors import Account, Bedrock, DeepSeek, ServiceAccount, Vendor, VertexAI, attend
from aigw.testing.vendors.scenario import BREAKS, BROKEN

EPOCH = 1_700_000_000.0
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
GEMINI = {"model": "google/gemini", "messages": [{"role": "user", "content": "Hello"}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude"
SECRETS = ("AKIDEXAMPLEOFAFAKE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token")

Behind = Callable[..., Any]


def bedrock(token: str | None = None, **fields: Any) -> Bedrock:
    return Bedrock(Account(token=token), now=lambda: EPOCH, **fields)


def vertex(clock: Clock | None = None, **fields: Any) -> VertexAI:
    account = ServiceAccount(token_uri="https://vertex-ai/token")
    return VertexAI(account, now=lambda: EPOCH + (clock.seconds() if clock else 0), **fields)


# AWS.


@pytest.mark.parametrize("token", [None, "a-session-token"])
@pytest.mark.parametrize("streams", [False, True])
def test_what_is_sent_is_what_was_signed(behind: Behind, token: str | None, streams: bool) -> None:
    vendor = bedrock(token)
    route = behind(vendor)
    client = route.ask({**CHAT, "stream": streams})
    assert (client.status, client.outcome, vendor.complaints) == (200, Outcome.DONE, [])
    asked = route.gateway.models.last
    assert asked.url.endswith("/model/m/converse-stream" if streams else "/model/m/converse")
    assert asked.header("x-amz-security-token") == ([] if token is None else [token])
    assert asked.header("x-amz-date") == ["20231114T221320Z"]


def test_an_arn_is_signed_as_it_goes_over_the_wire(behind: Behind) -> None:
    vendor = bedrock()
    client = behind(vendor).ask(CONVERSE, f"/model/{ARN}/converse")
    assert (client.status, vendor.complaints) == (200, [])
    assert vendor.received[0].target == f"/model/{ARN}/converse"


def test_a_clients_own_signature_stays_behind(behind: Behind) -> None:
    vendor = bedrock()
    client = behind(vendor).ask(
        CONVERSE,
        "/model/m/converse",
        authorization="AWS4-HMAC-SHA256 Credential=mine, SignedHeaders=host, Signature=0",
        x_amz_date="20200101T000000Z",
        x_amz_security_token="mine",
        x_amz_content_sha256="UNSIGNED-PAYLOAD",
        x_amz_user_agent="aws-sdk  and   more",
        amz_sdk_request="attempt=1",
    )
    assert (client.status, vendor.complaints) == (200, [])
    sent = vendor.received[0].headers
    assert "x-amz-content-sha256" not in sent
    assert "x-amz-security-token" not in sent
    assert "amz-sdk-request" in sent
    assert "x-amz-user-agent" in sent["authorization"]


def test_whatever_an_operator_has_in_the_place_of_the_signature_stays_behind(behind: Behind) -> None:
    vendor = bedrock()
    auth = {**vendor.as_model("")["auth"], "header": {"authorization": "Bearer not-this-one", "X-Tenant": "t"}}
    client = behind((vendor, {"auth": auth})).ask(CHAT)
    assert (client.status, vendor.complaints) == (200, [])
    assert vendor.received[0].headers["x-tenant"] == "t"


def test_a_bedrock_api_key_needs_no_signature() -> None:
    route = MemoryGateway()
    auth = {"header": {"Authorization": "Bearer bedrock-api-key-1"}}
    route.put({"ai-proxy": {"provider": "bedrock", "auth": auth, "provider_conf": {"region": "eu-west-3"}}})
    route.ask(CHAT)
    assert route.models.last.url == "https://bedrock-runtime.eu-west-3.amazonaws.com/model/m/converse"
    assert route.models.last.header("authorization") == ["Bearer bedrock-api-key-1"]
    assert route.models.last.header("x-amz-date") == []


def test_each_request_has_a_signature_of_its_own(behind: Behind) -> None:
    route = behind(bedrock())
    for text in ("a", "b"):
        route.ask({**CHAT, "messages": [{"role": "user", "content": text}]})
    first, second = (asked.header("authorization") for asked in route.gateway.asked)
    assert first != second


@pytest.mark.parametrize("dialect", ["chat", "converse"])
def test_an_error_that_quotes_aws_credentials_is_told_without_them(behind: Behind, dialect: str) -> None:
    route = behind(bedrock("a-session-token"))
    client = route.gateway.ask(
        *{"chat": (CHAT, "/v1/chat/completions"), "converse": (CONVERSE, "/model/m/converse")}[dialect]
    )
    quoted = {"message": f"{' and '.join(SECRETS)} are not believed"}
    route.gateway.models.last.answer(403, quoted)
    assert client.status == 403
    assert b"**** and **** and **** are not believed" in client.body


def test_a_region_that_is_not_the_signatures_is_refused_and_told(behind: Behind) -> None:
    client = behind((bedrock(), {"provider_conf": {"region": "eu-west-1"}})).ask(CHAT)
    assert client.status == 403
    error = json.loads(client.body)["error"]
    assert "valid region" in error["message"]
    assert all(secret.encode() not in client.body for secret in SECRETS)


def test_no_aws_credential_is_in_a_repr(behind: Behind) -> None:
    route = behind(bedrock("a-session-token"))
    (resource,) = route.gateway.registry.snapshot("default").of("routes").values()
    assert not any(secret in repr(resource.value) for secret in SECRETS)


def test_a_missing_variable_makes_the_instance_unusable() -> None:
    route = MemoryGateway(environ={"ID": "AKID"})
    auth = {"aws": {"access_key_id": "$env://ID", "secret_access_key": "$env://SECRET"}}
    route.put({"ai-proxy": {"provider": "bedrock", "auth": auth, "provider_conf": {"region": "x"}}})
    client = route.ask(CHAT)
    assert isinstance(client.error, InstanceUnusable)
    assert "environment variable SECRET is not set" in client.error.message
    assert route.asked == []


# Google Cloud.


def test_one_token_for_all_requests_until_shortly_before_its_end(behind: Behind) -> None:
    clock = Clock()
    vendor = vertex(clock)
    route = behind(vendor, clock=clock)
    for _ in range(3):
        assert route.ask(GEMINI).status == 200
    assert vendor.tokens.exchanges == 1
    clock.advance(3599 - 60)
    assert route.ask(GEMINI).status == 200
    assert vendor.tokens.exchanges == 2
    assert vendor.complaints == []


@pytest.mark.parametrize(("lease", "after"), [({"max_ttl": 100}, 100), ({"expire_early_secs": 3000}, 599)])
def test_how_long_a_token_is_used_may_be_said(behind: Behind, lease: dict[str, int], after: float) -> None:
    clock = Clock()
    vendor = vertex(clock)
    auth = {"gcp": {**vendor.as_model("https://vertex-ai")["auth"]["gcp"], **lease}}
    route = behind((vendor, {"auth": auth}), clock=clock)
    exchanges = []
    for wait in (0, after - 1, 1):
        clock.advance(wait)
        route.ask(GEMINI)
        exchanges.append(vendor.tokens.exchanges)
    assert exchanges == [1, 1, 2]


def test_one_exchange_however_many_wait(behind: Behind) -> None:
    vendor = vertex()
    route = behind(vendor)
    clients = [route.gateway.ask(GEMINI) for _ in range(3)]
    assert len(route.gateway.asked) == 1
    clients[1].leave()
    route.settle()
    assert [client.status for client in clients] == [200, None, 200]
    assert len(route.gateway.asked) == 3
    assert route.gateway.meter.under_way == 0
    assert route.gateway.timers == []


def test_a_client_that_leaves_before_the_token_is_there_asks_for_nothing(behind: Behind) -> None:
    route = behind(vertex())
    client = route.gateway.ask(GEMINI)
    client.leave()
    route.settle()
    assert route.hosts() == ["vertex-ai"]
    assert client.attempts == [("vertex-ai", None, "client_left")]
    assert route.gateway.meter.under_way == 0


def test_a_failed_exchange_is_a_502(behind: Behind) -> None:
    vendor = vertex()
    vendor.tokens.fails = 500
    route = behind(vendor)
    client = route.ask(GEMINI)
    assert isinstance(client.error, UpstreamError)
    assert (client.status, client.error.code) == (502, "upstream_error")
    assert "private" not in str(client.error)
    vendor.tokens.fails = 0
    assert route.ask(GEMINI).status == 200


def test_a_failed_exchange_falls_back(behind: Behind) -> None:
    vendor = vertex()
    vendor.tokens.fails = 400
    route = behind(vendor, DeepSeek())
    client = route.ask(GEMINI)
    assert client.status == 200
    assert client.attempts == [("vertex-ai", None, "upstream_error"), ("deepseek", 200, None)]


def test_an_exchange_that_takes_too_long_is_a_504(behind: Behind) -> None:
    clock = Clock()
    route = behind(vertex(), clock=clock, timeout=2000)
    client = route.gateway.ask(GEMINI)
    clock.advance(2)
    assert isinstance(client.error, UpstreamTimeout)
    assert route.gateway.meter.under_way == 0
    clock.advance(20)
    assert route.gateway.timers == []


def test_a_token_that_was_revoked_is_forgotten(behind: Behind) -> None:
    vendor = vertex()
    route = behind(vendor)
    route.ask(GEMINI)
    vendor.tokens.expire()
    assert route.ask(GEMINI).status == 401
    assert route.ask(GEMINI).status == 200
    assert vendor.tokens.exchanges == 2


def test_a_clients_own_token_stays_behind(behind: Behind) -> None:
    vendor = vertex()
    assert behind(vendor).ask(GEMINI, authorization="Bearer mine").status == 200
    assert vendor.received[1].headers["authorization"].startswith("Bearer ya29.")


def test_embeddings_have_the_token_too(behind: Behind) -> None:
    vendor = vertex()
    client = behind(vendor).ask({"model": "gemini-embedding-001", "input": "to embed"}, "/v1/embeddings")
    assert (client.status, vendor.complaints) == (200, [])
    assert json.loads(client.body)["data"][0]["embedding"] == [8.0, 0.0, 8.0, 0.0]
    assert client.exchange.usage.prompt_tokens == 2


@pytest.mark.parametrize("where", ["whole", "held", "streamed", "converted"])
def test_an_error_that_quotes_a_token_is_told_without_it(behind: Behind, where: str) -> None:
    vendor = vertex()
    route = behind(vendor, *([DeepSeek()] if where == "held" else []), fallback_strategy=["http_5xx"])
    route.ask(GEMINI)
    body, path = {**GEMINI, "stream": where in ("held", "streamed")}, "/v1/chat/completions"
    if where == "converted":
        body, path = {**body, "max_tokens": 5}, "/v1/messages"
    client = route.gateway.ask(body, path)
    asked = route.gateway.models.last
    (token,) = asked.header("authorization")
    quoted = {"error": {"message": f"{token} is not good"}}
    if where in ("whole", "converted"):
        asked.answer(400, quoted)
        assert client.status == 400
        told = client.body.decode()
    else:
        response = asked.stream()
        if where == "streamed":
            response.send(b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n')
        response.send(b"data: " + json.dumps(quoted).encode() + b"\n\n")
        response.end()
        if where == "held":
            route.gateway.models.last.fail(UpstreamError("no"))
            assert client.attempts[0][2] == "upstream_bad_reply"
        told = f"{client.body.decode()} {client.error}"
    assert token.removeprefix("Bearer ") not in told
    assert ("**** is not good" in told) is (where != "held")


# Where the service account comes from.


def account_document() -> str:
    return json.dumps(ServiceAccount(token_uri="https://vertex-ai/token").document(), indent=2)


def gcp_route(environ: dict[str, str], gcp: dict[str, Any]) -> MemoryGateway:
    route = MemoryGateway(environ=environ)
    conf = {"project_id": "fake-project", "region": "us-central1"}
    route.put({"ai-proxy": {"provider": "vertex-ai", "auth": {"gcp": gcp}, "provider_conf": conf}})
    return route


@pytest.mark.parametrize(
    ("environ", "gcp"),
    [
        ({"GCP_SERVICE_ACCOUNT": account_document()}, {}),
        ({"MINE": account_document()}, {"service_account_json": "$env://MINE"}),
        ({"ALL": json.dumps({"google": account_document()})}, {"service_account_json": "$env://ALL/google"}),
        ({}, {"service_account_json": account_document()}),
    ],
)
def test_a_service_account_as_google_gives_it_out(environ: dict[str, str], gcp: dict[str, Any]) -> None:
    route = gcp_route(environ, gcp)
    vendor: Vendor = vertex()
    client = route.ask(GEMINI)
    assert route.models.last.url == "https://vertex-ai/token"
    attend(vendor, route.models.last)
    attend(vendor, route.models.last)
    assert (client.status, vendor.complaints) == (200, [])


@pytest.mark.parametrize(
    ("environ", "gcp", "why"),
    [
        ({}, {}, "environment variable GCP_SERVICE_ACCOUNT is not set"),
        ({"GCP_SERVICE_ACCOUNT": "sk-what"}, {}, "the service account JSON is no JSON object"),
        ({"X": '{"client_email":"sk-what"}'}, {"service_account_json": "$env://X"}, "JSON has no private_key"),
    ],
)
def test_a_service_account_that_is_none(environ: dict[str, str], gcp: dict[str, Any], why: str) -> None:
    client = gcp_route(environ, gcp).ask(GEMINI)
    assert isinstance(client.error, InstanceUnusable)
    assert why in client.error.message
    assert "sk-what" not in client.error.message


# Usage of signed streams, and their failures.


def test_a_bedrock_stream_that_breaks_is_told_in_the_clients_dialect(behind: Behind) -> None:
    vendor = bedrock(scenario=BREAKS)
    client = behind(vendor).ask({**CHAT, "stream": True})
    assert client.outcome is Outcome.UPSTREAM_BROKE
    *_, error = client.body.strip().split(b"\n\n")
    assert "internalServerException" in json.loads(error.removeprefix(b"data: "))["error"]["message"]
    assert b"[DONE]" not in client.body


def test_bedrocks_exceptions_fall_back(behind: Behind) -> None:
    client = behind(bedrock(scenario=BROKEN), DeepSeek()).ask(CHAT)
    assert client.attempts == [("bedrock", 500, None), ("deepseek", 200, None)]
