"""How an instance's requests are authenticated where a header or a query parameter is not enough."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from aigw.llm.config import AwsAuth, GcpAuth
from aigw.model.references import Unresolved, resolve
from aigw.providers import bedrock
from aigw.providers.auth import sigv4
from aigw.providers.auth.gcp import BadServiceAccount, parse_service_account
from aigw.upstream.gcp_tokens import GcpTokens, Lease
from aigw.upstream.headers import HeaderBlock

ACCOUNT_VARIABLE = "GCP_SERVICE_ACCOUNT"
"""Where the service account is, if ``auth.gcp`` does not say (as in APISIX)."""


class Signer(Protocol):
    """Adds what proves who asks. ``names``: of the fields that it adds, in lower case; a client's own stay behind.

    ``identity``: what makes two signers the same account; holds no secret that is not digested.
    """

    @property
    def names(self) -> frozenset[bytes]: ...

    @property
    def identity(self) -> Hashable: ...

    def sign(self, method: str, url: bytes, headers: HeaderBlock, data: bytes) -> HeaderBlock | Deferred[HeaderBlock]:
        """The headers with what is added; a Deferred if somebody has to be asked for it."""

    def refused(self, headers: HeaderBlock) -> None:
        """The upstream did not believe it (401)."""

    def secrets(self, headers: HeaderBlock | None) -> list[str]:
        """What must not reach a client: of the instance at all (None), or in these headers besides."""


class AwsSigner:
    """Signature Version 4."""

    names: frozenset[bytes] = sigv4.ADDED | {b"x-amz-content-sha256"}

    def __init__(self, auth: AwsAuth, region: str, environ: Mapping[str, str], now: Callable[[], float]) -> None:
        """:raises Unresolved: if a reference leads nowhere."""
        self._credentials = sigv4.Credentials(
            access_key_id=resolve(auth.access_key_id, environ),
            secret_access_key=resolve(auth.secret_access_key, environ),
            session_token=None if auth.session_token is None else resolve(auth.session_token, environ),
        )
        self._region = region
        self._now = now
        self.identity: Hashable = (self._credentials.access_key_id, region)

    def sign(self, method: str, url: bytes, headers: HeaderBlock, data: bytes) -> HeaderBlock:
        """The signature covers the body, so each request has its own."""
        return headers.plus(
            sigv4.sign(
                method,
                url,
                sigv4.to_sign(headers.fields),
                data,
                self._credentials,
                region=self._region,
                service=bedrock.SERVICE,
                now=self._now(),
            )
        )

    def refused(self, headers: HeaderBlock) -> None:
        """Another signature would not help."""

    def secrets(self, headers: HeaderBlock | None) -> list[str]:
        """All of the credentials, whatever was signed: an error may quote them."""
        credentials = self._credentials
        known = [credentials.access_key_id, credentials.secret_access_key, credentials.session_token or ""]
        return known if headers is None else []


class GcpSigner:
    """An access token of a service account."""

    names: frozenset[bytes] = frozenset({b"authorization"})

    def __init__(self, auth: GcpAuth, environ: Mapping[str, str], tokens: GcpTokens) -> None:
        """:raises Unresolved: if there is no usable service account."""
        written = auth.service_account_json
        text = resolve(f"$env://{ACCOUNT_VARIABLE}" if written is None else written, environ, lines=True)
        try:
            self._account = parse_service_account(text)
        except BadServiceAccount as e:
            raise Unresolved(str(e)) from None
        self._lease = Lease(expire_early=auth.expire_early_secs, max_ttl=auth.max_ttl)
        self._tokens = tokens
        self.identity: Hashable = (self._account.client_email, self._account.private_key_id)

    def sign(self, method: str, url: bytes, headers: HeaderBlock, data: bytes) -> HeaderBlock | Deferred[HeaderBlock]:
        """The token that is here, or the next one when it comes."""
        here = self._tokens.cached(self._account, self._lease)
        if here is not None:
            return _with_token(here, headers)
        return self._tokens.token(self._account, self._lease).addCallback(_with_token, headers)

    def refused(self, headers: HeaderBlock) -> None:
        """The token was revoked before its time."""
        for secret in self.secrets(headers):
            self._tokens.forget(self._account, secret)

    def secrets(self, headers: HeaderBlock | None) -> list[str]:
        """The token."""
        fields = () if headers is None else headers.fields
        return [value.decode().removeprefix("Bearer ") for name, value in fields if name == b"Authorization"]


def signer_of(
    auth: Any, conf: Any, environ: Mapping[str, str], now: Callable[[], float], tokens: Callable[[], GcpTokens]
) -> Signer | None:
    """What signs for an instance (see `aigw.llm.config.Auth`), or None: its headers and its query do.

    ``tokens``: gives the process's tokens, when they are needed.

    :raises Unresolved: if the credentials can't be used; the message names them and holds no secret.
    """
    if auth.aws is not None:
        return AwsSigner(auth.aws, conf.region, environ, now)
    if auth.gcp is not None:
        return GcpSigner(auth.gcp, environ, tokens())
    return None


def _with_token(token: str, headers: HeaderBlock) -> HeaderBlock:
    return headers.plus([(b"Authorization", b"Bearer " + token.encode("ascii"))])
