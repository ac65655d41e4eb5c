"""Where a request goes: the URL of an instance for each dialect, and the headers that go along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode, urlsplit

from twisted.web.http_headers import Headers

from aigw.exchange import HeaderList
from aigw.providers.provider import Provider

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Meant for one connection only (RFC 9110 section 7.6.1)."""

CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key"})
NOT_FORWARDED = HOP_BY_HOP | {b"host", b"content-length", b"accept-encoding", b"cookie", b"expect"}
NOT_RELAYED = HOP_BY_HOP | {
    b"content-length",
    b"set-cookie",
    b"server",
    b"date",
    b"alt-svc",
    b"strict-transport-security",
}
"""Of the upstream's own connection, or (its cookies) of a session that all clients of the gateway would share."""


def url_of(endpoint: str | None, provider: Provider, dialect: str, path: str, query: Mapping[str, str]) -> bytes | None:
    """The URL for a dialect; None if the provider does not speak it.

    An ``endpoint`` with a path is used as it is; without, the provider's path follows, or (for what is passed through)
    ``path``, the client's own.
    """
    base = endpoint or provider.base or ""
    parts = urlsplit(base)
    if parts.path in ("", "/"):
        suffix = provider.paths.get(dialect) if dialect != "passthrough" else quote(path, safe="/:@!$&'()*+,;=-._~")
        if suffix is None:
            return None
        parts = parts._replace(path=suffix)
    if query:
        parts = parts._replace(query="&".join(filter(None, [parts.query, urlencode(query)])))
    return parts.geturl().encode("ascii")


def outgoing_headers(client: Headers, own: HeaderList, own_names: frozenset[bytes], with_credentials: bool) -> Headers:
    """What goes to the upstream: the client's headers less those of its connection and its credentials, then ours.

    ``own``: the instance's ``auth.header``; ``own_names``: their lower-case names. ``with_credentials``: the client
    brings its own key.
    """
    connection = client.getRawHeaders(b"connection")
    named = frozenset() if connection is None else _tokens(connection)
    headers = Headers()
    for name, values in client.getAllRawHeaders():
        lower = name.lower()
        if lower in NOT_FORWARDED or lower in own_names or lower in named:
            continue
        if lower in CREDENTIALS and not with_credentials:
            continue
        headers.setRawHeaders(name, values)
    for name, value in own:
        headers.addRawHeader(name, value)
    return headers


def relayed_headers(upstream: Headers, decoded: bool) -> HeaderList:
    """What of the upstream's headers reaches the client; ``decoded``: its Content-Encoding was undone."""
    connection = upstream.getRawHeaders(b"connection")
    dropped = NOT_RELAYED if connection is None else NOT_RELAYED | _tokens(connection)
    if decoded:
        dropped = dropped | {b"content-encoding"}
    return [
        (name, value) for name, values in upstream.getAllRawHeaders() if name.lower() not in dropped for value in values
    ]


def _tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """The header names that ``Connection`` lists."""
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))
