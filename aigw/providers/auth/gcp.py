"""Google Cloud service accounts: the account's key, the signed assertion, and the token that it is exchanged for.

https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests: a JWT signed with RS256
(RFC 7515, RFC 7518 section 3.3) is posted to the account's ``token_uri`` (RFC 7523 section 2.1) and answered with an
access token that lives an hour. Nothing here shows the key: no repr, no error.
"""

from __future__ import annotations

import functools
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME = 3600
"""Seconds that an assertion is good for: the most that Google takes. Tokens live as long unless they say otherwise."""

_MOST_BYTES = 64 * 1024
_SMALLEST_KEY = 2048

_is_token = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch
"""What may stand behind ``Bearer`` (RFC 6750 section 2.1)."""
_is_error_code = re.compile(r"[A-Za-z0-9_.\-]{1,64}").fullmatch


class BadServiceAccount(ValueError):
    """The JSON of a service account can't be used; the message names the member and never quotes its value."""


class BadTokenReply(ValueError):
    """What a token endpoint answered is no token."""


@attrs.frozen(kw_only=True)
class ServiceAccount:
    """Who signs. Two are equal if they are the same account with the same key, so that it can be the key of a cache.

    ``key_digest``: SHA-256 of the key's text.
    """

    client_email: str
    token_uri: str
    private_key_id: str
    project_id: str
    key_digest: bytes = attrs.field(repr=False)
    private_key: RSAPrivateKey = attrs.field(repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Token:
    """An access token. ``lifetime``: seconds from the moment of the reply on."""

    value: str = attrs.field(repr=False)
    lifetime: int


def parse_service_account(text: str) -> ServiceAccount:
    """Read the JSON key file of a service account, as Google Cloud gives it out.

    :raises BadServiceAccount: naming what is wrong with it.
    """
    document = _document(text)
    if document.get("type", "service_account") != "service_account":
        raise BadServiceAccount('the service account JSON is of another type: expected "type": "service_account"')
    pem = _string(document, "private_key")
    return ServiceAccount(
        client_email=_string(document, "client_email"),
        token_uri=_token_uri(_string(document, "token_uri", TOKEN_URI)),
        private_key_id=_string(document, "private_key_id", ""),
        project_id=_string(document, "project_id", ""),
        key_digest=sha256(pem.encode("utf-8", "surrogatepass")).digest(),
        private_key=_private_key(pem),
    )


def assertion_of(account: ServiceAccount, now: int) -> bytes:
    """The signed JWT that asks for a token. ``now``: Unix time in seconds."""
    header = {"alg": "RS256", "typ": "JWT"}
    if account.private_key_id:
        header["kid"] = account.private_key_id
    claims = {
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + LIFETIME,
    }
    return jws(account.private_key, msgspec.json.encode(header), msgspec.json.encode(claims))


def jws(key: RSAPrivateKey, header: bytes, payload: bytes) -> bytes:
    """A JSON Web Signature with RS256, in its compact form (RFC 7515 section 7.1)."""
    signed = _part(header) + b"." + _part(payload)
    return signed + b"." + _part(key.sign(signed, PKCS1v15(), SHA256()))


def token_request(account: ServiceAccount, now: int) -> bytes:
    """The body (``application/x-www-form-urlencoded``) to be posted to the account's ``token_uri``."""
    return urlencode({"grant_type": GRANT_TYPE, "assertion": assertion_of(account, now)}).encode("ascii")


def parse_token(raw: bytes) -> Token:
    """Read the body of a reply with status 200 (RFC 6749 section 5.1).

    :raises BadTokenReply: if there is no token in it that could stand in a header.
    """
    reply = _reply(raw)
    value, kind, lifetime = (reply.get(name) for name in ("access_token", "token_type", "expires_in"))
    if not isinstance(value, str) or not _is_token(value):
        raise BadTokenReply("it holds no usable access_token")
    if kind is not None and not (isinstance(kind, str) and kind.lower() == "bearer"):
        raise BadTokenReply("its token_type is not Bearer")
    if lifetime is None:
        lifetime = LIFETIME
    if type(lifetime) not in (int, float) or not 0 < lifetime <= 10 * 24 * LIFETIME:
        raise BadTokenReply("its expires_in is no number of seconds")
    return Token(value=value, lifetime=int(lifetime))


def refusal_of(raw: bytes) -> str:
    """The error code in the body of any other reply (RFC 6749 section 5.2), such as ``invalid_grant``; else ""."""
    try:
        code = _reply(raw).get("error")
    except BadTokenReply:
        return ""
    return code if isinstance(code, str) and _is_error_code(code) else ""


def _document(text: str) -> dict[str, Any]:
    if len(text) > _MOST_BYTES:
        raise BadServiceAccount(f"the service account JSON is longer than {_MOST_BYTES} characters")
    document = _decoded(text)
    if not isinstance(document, dict):
        raise BadServiceAccount("the service account JSON is no JSON object")
    return document


def _reply(raw: bytes) -> dict[str, Any]:
    reply = _decoded(raw)
    if not isinstance(reply, dict):
        raise BadTokenReply("it is no JSON object")
    return reply


def _decoded(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _string(document: dict[str, Any], name: str, default: str | None = None) -> str:
    value = document.get(name, default)
    if value is None:
        raise BadServiceAccount(f"the service account JSON has no {name}")
    if not isinstance(value, str) or (default is None and not value):
        raise BadServiceAccount(f"the service account JSON's {name} is no text")
    return value


@functools.lru_cache(maxsize=256)  # a configuration is read several times, and to check a key takes 30 ms
def _private_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode("ascii"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadServiceAccount(
            "the service account JSON's private_key can't be read: expected an unencrypted PEM (are its line breaks "
            "still written as \\n?)"
        ) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _SMALLEST_KEY:
        raise BadServiceAccount(f"the service account JSON's private_key is no RSA key of {_SMALLEST_KEY} bits or more")
    return key


def _token_uri(uri: str) -> str:
    """An address that the assertion may be sent to: encrypted, or not leaving this machine."""
    try:
        parts = urlsplit(uri)
        sound = parts.port != 0 and "@" not in parts.netloc and not parts.fragment and uri.isascii()
    except ValueError:
        raise BadServiceAccount("the service account JSON's token_uri is no URL") from None
    if not sound or not parts.hostname or any(c <= " " or c == "\x7f" for c in uri):
        raise BadServiceAccount("the service account JSON's token_uri is no URL that could be called")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise BadServiceAccount("the service account JSON's token_uri must begin with https://")
    return uri


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _part(data: bytes) -> bytes:
    """Base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=")
