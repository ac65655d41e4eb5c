"""A service account of Google's, made up on the spot, and who exchanges its signed assertions for access tokens.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest: RS256, an hour at most; RFC 7523.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aigw.testing.requests import Received
from aigw.testing.vendors.vendor import Answer, whole

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "https://oauth2.googleapis.com/token"
LIFETIME = 3599
"""Seconds that a token is good for."""
SKEW = 300
"""Seconds that an assertion may come from the future."""


@functools.cache
def private_key() -> rsa.RSAPrivateKey:
    """The same while the process lives, as making one takes its time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@attrs.frozen(kw_only=True)
class ServiceAccount:
    """``token_uri``: where its assertions are exchanged, which they have to name."""

    project: str = "fake-project"
    key_id: str = "0123456789abcdef"
    token_uri: str = AUDIENCE

    @property
    def email(self) -> str:
        """Who it is."""
        return f"fake@{self.project}.iam.gserviceaccount.com"

    def document(self, token_uri: str | None = None) -> dict[str, str]:
        """The JSON that Google gives to whoever makes a service account. ``token_uri``: of a fake that is served."""
        pem = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": self.key_id,
            "private_key": pem.decode(),
            "client_email": self.email,
            "client_id": "100000000000000000000",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri or self.token_uri,
            "universe_domain": "googleapis.com",
        }


class TokenIssuer:
    """``exchanges``: how many assertions came. ``lifetime``: of the tokens issued from now on.

    ``fails``: a status with which exchanges fail (0 = they don't).
    """

    def __init__(self, account: ServiceAccount, now: Callable[[], float]) -> None:
        self.account = account
        self.exchanges = 0
        self.lifetime = LIFETIME
        self.fails = 0
        self._now = now
        self._ends: dict[str, float] = {}

    def takes(self, authorization: str) -> bool:
        """Is this ``Bearer`` with a token that is good?"""
        return self._ends.get(authorization.removeprefix("Bearer "), 0.0) > self._now()

    def expire(self) -> None:
        """No token issued so far is good any more."""
        self._ends.clear()

    def issue(self) -> str:
        """A token that is good from now on."""
        token = f"ya29.fake-{len(self._ends) + 1}-{self.exchanges}"
        self._ends[token] = self._now() + self.lifetime
        return token

    def exchange(self, request: Received) -> Answer:
        """An access token; or 400, and what is wrong with the assertion."""
        self.exchanges += 1
        if self.fails:
            return _failed("internal_failure", "told to fail", self.fails)
        if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            return _failed("invalid_request", "Bad Request")
        form = {name: values[0] for name, values in parse_qs(request.body.decode("latin-1")).items()}
        if form.get("grant_type") != JWT_BEARER:
            return _failed("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        complaint = self._complaint(form.get("assertion", ""), request)
        if complaint:
            return _failed("invalid_grant", complaint)
        return whole({"access_token": self.issue(), "expires_in": self.lifetime, "token_type": "Bearer"})

    def _complaint(self, assertion: str, request: Received) -> str | None:
        try:
            signed, _, signature = assertion.rpartition(".")
            header, claims = (json.loads(_unpacked(part)) for part in signed.split("."))
            private_key().public_key().verify(_unpacked(signature), signed.encode(), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return "Invalid JWT Signature."
        except (ValueError, TypeError):
            return "Bad Request"
        if header.get("alg") != "RS256" or header.get("kid", self.account.key_id) != self.account.key_id:
            return "Invalid JWT Signature."
        return self._complaint_about(claims, request)

    def _complaint_about(self, claims: dict[str, Any], request: Received) -> str | None:
        now = self._now()
        begins, ends = claims.get("iat", 0), claims.get("exp", 0)
        if claims.get("iss") != self.account.email:
            return "Invalid grant: account not found"
        if claims.get("aud") not in (self.account.token_uri, f"http://{request.headers.get('host')}/token"):
            return f"Invalid JWT: Failed audience check. The right audience is {self.account.token_uri}"
        if not (begins <= now + SKEW and now < ends and ends - begins <= 3600):
            return (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim."
            )
        return (
            None
            if SCOPE in str(claims.get("scope", "")).split()
            else "Invalid OAuth scope or ID token audience provided."
        )


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _failed(error: str, description: str, status: int = 400) -> Answer:
    return whole({"error": error, "error_description": description}, status)
