"""Service accounts of Google Cloud: their JSON, the assertion, the reply. The key is that of RFC 7515 appendix A.2."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from aigw.providers.auth.gcp import (
    BadServiceAccount,
    BadTokenReply,
    Token,
    assertion_of,
    jws,
    parse_service_account,
    parse_token,
    refusal_of,
    token_request,
)

_P = (
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDc"
    "mnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc"
)
_Q = (
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-"
    "TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"
)
_D = (
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pW"
    "J1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2Qv"
    "Xt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRu"
    "OopznQ"
)
RFC_HEADER = b'{"alg":"RS256"}'
RFC_PAYLOAD = b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
RFC_SIGNATURE = (
    b"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
    b"1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
    b"zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    b"Ge77Rw"
)
NOW = 1_700_000_000


def number(text: str) -> int:
    return int.from_bytes(unpadded(text), "big")


def unpadded(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))


def pem(key: Any, encryption: Any = None) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return text.decode()


def rsa_key() -> rsa.RSAPrivateKey:
    p, q, d, e = number(_P), number(_Q), number(_D), 65537
    public = rsa.RSAPublicNumbers(e, p * q)
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    ).private_key()


KEY = rsa_key()
PEM = pem(KEY)
ACCOUNT: dict[str, Any] = {
    "type": "service_account",
    "project_id": "project-1",
    "private_key_id": "abc123",
    "private_key": PEM,
    "client_email": "gateway@project-1.iam.gserviceaccount.com",
    "client_id": "1",
    "token_uri": "https://oauth2.googleapis.com/token",
}


def account_json(**fields: Any) -> str:
    return json.dumps({name: value for name, value in {**ACCOUNT, **fields}.items() if value is not ...})


def test_the_signature_of_the_rfc() -> None:
    signed = jws(KEY, RFC_HEADER, RFC_PAYLOAD)
    assert signed.rpartition(b".")[2] == RFC_SIGNATURE


def test_an_account() -> None:
    account = parse_service_account(account_json())
    assert (account.client_email, account.private_key_id, account.project_id, account.token_uri) == (
        "gateway@project-1.iam.gserviceaccount.com",
        "abc123",
        "project-1",
        "https://oauth2.googleapis.com/token",
    )
    assert account.private_key.private_numbers() == KEY.private_numbers()


def test_the_assertion() -> None:
    header, claims, signature = assertion_of(parse_service_account(account_json()), NOW).split(b".")
    assert json.loads(unpadded(header)) == {"alg": "RS256", "typ": "JWT", "kid": "abc123"}
    assert json.loads(unpadded(claims)) == {
        "iss": "gateway@project-1.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": NOW,
        "exp": NOW + 3600,
    }
    KEY.public_key().verify(unpadded(signature), header + b"." + claims, PKCS1v15(), SHA256())


def test_the_header_of_googles_example() -> None:
    bare = parse_service_account(account_json(private_key_id=...))
    assert assertion_of(bare, NOW).startswith(b"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.")


def test_the_request() -> None:
    account = parse_service_account(account_json())
    assert parse_qs(token_request(account, NOW).decode()) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "assertion": [assertion_of(account, NOW).decode()],
    }


def test_accounts_are_keys_of_a_cache() -> None:
    one, other = parse_service_account(account_json()), parse_service_account(account_json())
    assert one == other
    assert hash(one) == hash(other)
    assert one != parse_service_account(account_json(client_email="b@x"))
    assert one != parse_service_account(account_json(private_key=PEM + "\n"))


NO_KEY = "the service account JSON's private_key can't be read"
NO_URL = "the service account JSON's token_uri"

WRONG: list[tuple[str, str]] = [
    ("", "the service account JSON is no JSON object"),
    ("[]", "the service account JSON is no JSON object"),
    ("[" * 5000, "the service account JSON is no JSON object"),
    ('"\ud800"', "the service account JSON is no JSON object"),
    ("{" + " " * 65536 + "}", "the service account JSON is longer than"),
    ("{}", "the service account JSON has no private_key"),
    (account_json(type="authorized_user"), "the service account JSON is of another type"),
    (account_json(client_email=...), "the service account JSON has no client_email"),
    (account_json(client_email=""), "the service account JSON's client_email is no text"),
    (account_json(client_email=5), "the service account JSON's client_email is no text"),
    (account_json(private_key_id=["x"]), "the service account JSON's private_key_id is no text"),
    (account_json(private_key=["x"]), "the service account JSON's private_key is no text"),
    (account_json(private_key="\u00e9" + PEM), NO_KEY),
    (account_json(private_key=PEM.replace("\n", "\\n")), NO_KEY),
    (account_json(private_key=PEM[:700]), NO_KEY),
    (account_json(private_key=pem(KEY, BestAvailableEncryption(b"secret"))), NO_KEY),
    (account_json(private_key=pem(ec.generate_private_key(ec.SECP256R1()))), "the service account JSON's private_key"),
    (account_json(token_uri="http://oauth2.googleapis.com/token"), NO_URL + " must begin with https://"),
    (account_json(token_uri="http://127.0.0.1.evil.test/token"), NO_URL + " must begin with https://"),
    (account_json(token_uri="ftp://h/x"), NO_URL + " must begin with https://"),
    (account_json(token_uri="oauth2.googleapis.com"), NO_URL),
    (account_json(token_uri="https://user:pw@h/token"), NO_URL),
    (account_json(token_uri="https://h:0/token"), NO_URL),
    (account_json(token_uri="https://h:99999/token"), NO_URL),
    (account_json(token_uri="https://h/a b"), NO_URL),
    (account_json(token_uri="https://h/\u00e9"), NO_URL),
    (account_json(token_uri="https://[::1/token"), NO_URL),
    (account_json(token_uri="https://h/#x"), NO_URL),
    (account_json(token_uri="https:///token"), NO_URL),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_named_and_the_key_never_shown(text: str, message: str) -> None:
    with pytest.raises(BadServiceAccount) as caught:
        parse_service_account(text)
    assert str(caught.value).startswith(message)
    assert "MII" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:8099/t", "http://[::1]:1/t", "http://localhost:1/t", "https://h.test:8443/t?a=b"]
)
def test_addresses_that_an_assertion_may_go_to(uri: str) -> None:
    assert parse_service_account(account_json(token_uri=uri)).token_uri == uri


def test_the_usual_address() -> None:
    account = parse_service_account(account_json(token_uri=..., type=..., project_id=...))
    assert (account.token_uri, account.project_id) == ("https://oauth2.googleapis.com/token", "")


def test_nothing_shows_the_key_or_a_token() -> None:
    shown = repr(parse_service_account(account_json())) + repr(Token(value="ya29.secret", lifetime=5))
    assert "MII" not in shown
    assert "PrivateKey" not in shown
    assert "ya29" not in shown
    assert "key_digest" not in shown


REPLIES: list[tuple[dict[str, Any], Token]] = [
    ({"access_token": "ya29.c-_~+/x==", "token_type": "Bearer", "expires_in": 3599}, Token(value="", lifetime=3599)),
    ({"access_token": "ya29.c-_~+/x==", "token_type": "bearer", "expires_in": 1.9}, Token(value="", lifetime=1)),
    ({"access_token": "ya29.c-_~+/x=="}, Token(value="", lifetime=3600)),
]


@pytest.mark.parametrize(("reply", "token"), REPLIES)
def test_replies(reply: dict[str, Any], token: Token) -> None:
    parsed = parse_token(json.dumps(reply).encode())
    assert (parsed.value, parsed.lifetime) == (reply["access_token"], token.lifetime)


BAD_REPLIES: list[bytes] = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b"\xff",
    b'{"access_token":""}',
    b'{"access_token":5}',
    b'{"access_token":"a b"}',
    b'{"access_token":"a\\r\\nX-Evil: 1"}',
    b'{"access_token":"a\\n"}',
    b'{"access_token":"\\u00e9"}',
    b'{"access_token":"a","token_type":"mac"}',
    b'{"access_token":"a","token_type":5}',
    b'{"access_token":"a","expires_in":0}',
    b'{"access_token":"a","expires_in":-5}',
    b'{"access_token":"a","expires_in":"3600"}',
    b'{"access_token":"a","expires_in":true}',
    b'{"access_token":"a","expires_in":1e300}',
    b'{"id_token":"a"}',
]


@pytest.mark.parametrize("raw", BAD_REPLIES)
def test_what_is_no_token(raw: bytes) -> None:
    with pytest.raises(BadTokenReply):
        parse_token(raw)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}', "invalid_grant"),
        (b'{"error":{"code":403}}', ""),
        (b'{"error":"a\\r\\nb"}', ""),
        (b'{"error":"' + b"a" * 65 + b'"}', ""),
        (b"<html>", ""),
        (b"{}", ""),
    ],
)
def test_refusals(raw: bytes, code: str) -> None:
    assert refusal_of(raw) == code
