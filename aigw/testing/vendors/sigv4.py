"""Signature Version 4, from the side that checks it: written after AWS's description, and independent of the gateway's.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and
.../reference_sigv-troubleshooting.html (how far clocks may differ)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, unquote, urlsplit

import attrs

from aigw.testing.requests import Received
from aigw.testing.vendors.vendor import Refused

SKEW = 300.0
"""Seconds that clocks may differ."""
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


@attrs.frozen(kw_only=True)
class Account:
    """Whose signatures are taken, and where. ``token``: of a session; None = keys that last."""

    access_key: str = "AKIDEXAMPLEOFAFAKE"
    secret_key: str = attrs.field(default="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", repr=False)
    token: str | None = None
    region: str = "us-east-1"


def verify(request: Received, account: Account, service: str, now: Callable[[], float]) -> None:
    """Recompute the signature.

    :raises Refused: in AWS's words, with the name of the exception as its code, if it is not that of the account.
    """
    given = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if given is None:
        raise Refused(403, "Missing Authentication Token", code="MissingAuthenticationTokenException")
    access_key, day, region, asked_service, signed, signature = given.groups()
    if access_key != account.access_key:
        raise _forbidden("The security token included in the request is invalid.", "UnrecognizedClientException")
    if request.headers.get("x-amz-security-token") != account.token:
        raise _forbidden("The security token included in the request is invalid.", "UnrecognizedClientException")
    if region != account.region:
        raise _forbidden(f"Credential should be scoped to a valid region, not '{region}'. ")
    if asked_service != service:
        raise _forbidden(f"Credential should be scoped to correct service: '{service}'. ")
    date = request.headers.get("x-amz-date", "")
    _check_time(date, day, now())
    _check_headers(request, signed.split(";"))
    key = _key(account.secret_key, day, region, service)
    text = "\n".join(
        ["AWS4-HMAC-SHA256", date, f"{day}/{region}/{service}/aws4_request", _hash(_canonical(request, signed))]
    )
    if not hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), signature):
        raise _forbidden(_MISMATCH)


def _canonical(request: Received, signed: str) -> bytes:
    """The canonical request: of every service but S3 the path is encoded once more than it is sent."""
    parts = urlsplit(request.target)
    path = "/".join(quote(segment, safe="-_.~") for segment in parts.path.split("/"))
    headers = [f"{name}:{re.sub(' +', ' ', request.headers.get(name, '').strip())}" for name in signed.split(";")]
    lines = [request.method, path, _canonical_query(parts.query), *headers, "", signed]
    return "\n".join([*lines, hashlib.sha256(request.body).hexdigest()]).encode()


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return "&".join(
        f"{name}={value}" for name, value in sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    )


def _encoded(text: str) -> str:
    return quote(unquote(text.replace("+", "%20")), safe="-_.~")


def _check_time(date: str, day: str, now: float) -> None:
    try:
        then = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _forbidden("Date must be in ISO-8601 'basic format'.", "IncompleteSignatureException") from None
    if not date.startswith(day):
        raise _forbidden("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
    if abs(now - then) > SKEW:
        early, late = "expired", "not yet current"
        raise _forbidden(f"Signature {early if then < now else late}: {date}")


def _check_headers(request: Received, signed: list[str]) -> None:
    """The host, and all that is Amazon's, has to be signed; names are sorted."""
    needed = {"host", *(name for name in request.headers if name.startswith("x-amz-"))}
    if signed != sorted(signed) or not needed <= set(signed):
        unsigned = ", ".join(sorted(needed - set(signed)))
        raise _forbidden(f"Some headers are not signed, or not in order: {unsigned}")


def _key(secret: str, *scope: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _forbidden(message: str, code: str = "InvalidSignatureException") -> Refused:
    return Refused(403, message, code=code)
