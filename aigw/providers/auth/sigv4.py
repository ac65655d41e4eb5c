"""AWS Signature Version 4: what a request must carry so that AWS believes who sent it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. A signature covers the
method, the path, the query, some headers and the body, and holds for a few minutes around ``now``. The path is what
goes over the wire, percent-encoded once more here, as all services but S3 have it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote_from_bytes, unquote_to_bytes

import attrs

Fields = list[tuple[bytes, bytes]]

ADDED = frozenset({b"authorization", b"x-amz-date", b"x-amz-security-token"})
"""Lower-case names of what `sign` adds; a client's own must not go along (nor its ``x-amz-content-sha256``)."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_URL = re.compile(rb"(https?)://([^/?#]*)([^?#]*)\??([^#]*)", re.IGNORECASE)
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
_UNRESERVED = "-._~"


@attrs.frozen(kw_only=True)
class Credentials:
    """An access key, and the session token that belongs to it if it is temporary. Nothing of it is in a repr."""

    access_key_id: str = attrs.field(repr=False)
    secret_access_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)


def to_sign(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Those of a request's header fields that have to be signed: its content type and all that are AWS's own.

    The rest is better not signed: whatever stands between may change it.
    """
    return [(name, value) for name, value in fields if _has_to_be_signed(name.lower())]


def sign(
    method: str,
    url: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    credentials: Credentials,
    *,
    region: str,
    service: str,
    now: float,
) -> Fields:
    """The header fields to add: ``X-Amz-Date``, ``X-Amz-Security-Token`` (if there is one) and ``Authorization``.

    ``url``: as it is sent. ``headers``: those that are signed besides ``Host``, which is taken from the URL; none of
    the ones added here. ``now``: Unix time in seconds.

    :raises ValueError: if that is no http or https URL; the message doesn't repeat it.
    """
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = [(b"X-Amz-Date", moment.encode())]
    if credentials.session_token is not None:
        added.append((b"X-Amz-Security-Token", credentials.session_token.encode()))
    names, request = _canonical_request(method, url, [*headers, *added], body)
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_be_signed = "\n".join((_ALGORITHM, moment, scope, sha256(request).hexdigest()))
    signature = hmac.new(_key(credentials, scope), to_be_signed.encode(), sha256).hexdigest()
    credential = f"{credentials.access_key_id}/{scope}"
    authorization = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return [*added, (b"Authorization", authorization.encode())]


def _has_to_be_signed(name: bytes) -> bool:
    return name == b"content-type" or name.startswith(b"x-amz-")


def _canonical_request(
    method: str, url: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> tuple[str, bytes]:
    """The names of the signed headers, and the text that stands for the request."""
    parts = _URL.match(url)
    if parts is None:
        raise ValueError("only requests to http and https URLs can be signed")
    scheme, authority, path, query = parts.groups()
    values: dict[bytes, list[bytes]] = {b"host": [authority.removesuffix(_DEFAULT_PORTS[scheme.lower()])]}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(b" ".join(value.split()))
    lines = [name + b":" + b",".join(values[name]) for name in sorted(values)]
    names = b";".join(sorted(values))
    digest = sha256(body).hexdigest().encode()
    text = b"\n".join((method.encode(), _path(path), _query(query), *lines, b"", names, digest))
    return names.decode("ascii"), text


def _path(path: bytes) -> bytes:
    """Without dot segments and empty ones (RFC 3986 section 5.2.4), then percent-encoded (once more)."""
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    end = b"/" if segments and path.endswith((b"/", b"/.", b"/..")) else b""
    return quote_from_bytes(b"/" + b"/".join(segments) + end, safe="/" + _UNRESERVED).encode()


def _query(query: bytes) -> bytes:
    """In order of names, then values, both percent-encoded in the one way that counts."""
    pairs = [pair.partition(b"=") for pair in query.split(b"&") if pair]
    return b"&".join(name + b"=" + value for name, value in sorted((_once(n), _once(v)) for n, _, v in pairs))


def _once(text: bytes) -> bytes:
    return quote_from_bytes(unquote_to_bytes(text), safe=_UNRESERVED).encode()


def _key(credentials: Credentials, scope: str) -> bytes:
    """The signing key of a day, a region and a service."""
    key = b"AWS4" + credentials.secret_access_key.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), sha256).digest()
    return key
