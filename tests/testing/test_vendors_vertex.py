"""The fake of Vertex AI: tokens for assertions, until they expire, and embeddings by ``:predict``."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.internet.task import Clock

from aigw.testing.vendors import Answer, ServiceAccount, VertexAI
from aigw.testing.vendors.service_account import AUDIENCE, JWT_BEARER, SCOPE

Asked = Callable[..., Answer]
PLACE = "/v1/projects/fake-project/locations/us-central1"
CHAT = f"{PLACE}/endpoints/openapi/chat/completions"
PREDICT = f"{PLACE}/publishers/google/models/text-embedding-fake:predict"
FORM = {"content-type": "application/x-www-form-urlencoded"}
NOW = 1_700_000_000
CLAIMS = {
    "iss": "fake@fake-project.iam.gserviceaccount.com",
    "scope": SCOPE,
    "aud": AUDIENCE,
    "iat": NOW,
    "exp": NOW + 3600,
}
HELLO = {"model": "google/gemini-fake", "messages": [{"role": "user", "content": "Good day"}]}


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest.fixture
def vendor(clock: Clock) -> VertexAI:
    return VertexAI(now=clock.seconds)


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assertion(claims: Any, header: Any = None) -> str:
    key = load_pem_private_key(ServiceAccount().document()["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    parts = [header or {"alg": "RS256", "typ": "JWT", "kid": "0123456789abcdef"}, claims]
    text = ".".join(packed(json.dumps(part).encode()) for part in parts)
    return f"{text}.{packed(key.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


def exchange(vendor: VertexAI, asked: Asked, signed: str, grant_type: str = JWT_BEARER) -> Any:
    body = urlencode({"grant_type": grant_type, "assertion": signed}).encode()
    answer = asked(vendor, "/token", body, FORM)
    return {"status": answer.status, **json.loads(answer.body)}


def test_a_token_until_it_expires(vendor: VertexAI, asked: Asked, clock: Clock) -> None:
    told = exchange(vendor, asked, assertion(CLAIMS))
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 3599)
    bearer = {"authorization": f"Bearer {told['access_token']}"}
    assert asked(vendor, CHAT, HELLO, bearer).status == 200
    clock.advance(3599)
    late = asked(vendor, CHAT, HELLO, bearer)
    assert (late.status, json.loads(late.body)[0]["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert exchange(vendor, asked, assertion({**CLAIMS, "iat": NOW + 3599, "exp": NOW + 7000}))["access_token"]
    assert vendor.tokens.exchanges == 2


@pytest.mark.parametrize(
    ("signed", "error", "words"),
    [
        (assertion(CLAIMS)[:-4] + "AAAA", "invalid_grant", "Invalid JWT Signature."),
        (assertion(CLAIMS, {"alg": "HS256"}), "invalid_grant", "Invalid JWT Signature."),
        (assertion(CLAIMS, {"alg": "RS256", "kid": "other"}), "invalid_grant", "Invalid JWT Signature."),
        (assertion({**CLAIMS, "iss": "other"}), "invalid_grant", "account not found"),
        (assertion({**CLAIMS, "aud": "other"}), "invalid_grant", "Failed audience check"),
        (assertion({**CLAIMS, "exp": NOW + 3601}), "invalid_grant", "reasonable timeframe"),
        (assertion({**CLAIMS, "exp": NOW}), "invalid_grant", "reasonable timeframe"),
        (assertion({**CLAIMS, "iat": NOW + 301}), "invalid_grant", "reasonable timeframe"),
        (assertion({**CLAIMS, "scope": "other"}), "invalid_grant", "scope"),
        ("nonsense", "invalid_grant", "Bad Request"),
        ("", "invalid_grant", "Bad Request"),
    ],
)
def test_a_wrong_assertion(signed: str, error: str, words: str, vendor: VertexAI, asked: Asked) -> None:
    told = exchange(vendor, asked, signed)
    assert (told["status"], told["error"]) == (400, error)
    assert words in told["error_description"]


def test_exchanges_can_fail(vendor: VertexAI, asked: Asked) -> None:
    assert exchange(vendor, asked, assertion(CLAIMS), "password")["error"] == "unsupported_grant_type"
    assert asked(vendor, "/token", b"{}").status == 400
    vendor.tokens.fails = 503
    assert exchange(vendor, asked, assertion(CLAIMS))["status"] == 503
    assert vendor.tokens.exchanges == 3


def test_the_audience_may_be_the_fake_itself(vendor: VertexAI, asked: Asked) -> None:
    assert "access_token" in exchange(vendor, asked, assertion({**CLAIMS, "aud": "http://vendor.example/token"}))


def test_predict(vendor: VertexAI, asked: Asked) -> None:
    bearer = {"authorization": f"Bearer {vendor.tokens.issue()}"}
    body = {"instances": [{"content": "one"}, {"content": "one two"}], "parameters": {"outputDimensionality": 3}}
    told = json.loads(asked(vendor, PREDICT, body, bearer).body)
    assert told["predictions"][1] == {
        "embeddings": {"statistics": {"truncated": False, "token_count": 2}, "values": [7.0, 1.0, 7.0]}
    }
    refused = asked(vendor, PREDICT, {"input": "one"}, bearer)
    assert (refused.status, json.loads(refused.body)["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        (CHAT.replace("fake-project", "other"), HELLO, 403),
        (CHAT.replace("us-central1", "global"), HELLO, 403),
        (CHAT, {**HELLO, "model": "gemini-fake"}, 400),
        (CHAT, {**HELLO, "model": 1}, 400),
        (CHAT, [], 400),
    ],
)
def test_where_and_which(target: str, body: Any, status: int, vendor: VertexAI, asked: Asked) -> None:
    bearer = {"authorization": f"Bearer {vendor.tokens.issue()}"}
    assert asked(vendor, target, body, bearer).status == status
