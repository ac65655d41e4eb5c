"""Where a request goes: the URL of an instance for each dialect, and the headers that go along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode, urlsplit

from twisted.web.http_headers import Headers

from aigw.exchange import HeaderList
from aigw.providers.provider import Provider
from aigw.upstream.headers import HeaderBlock

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


def outgoing_headers(
    client: Headers, own: HeaderBlock, own_names: frozenset[bytes], with_credentials: bool
) -> HeaderBlock:
    """What goes to the upstream: the client's headers less those of its connection and its credentials, and ours; and
    a Content-Type in any case.

    ``own``: the instance's ``auth.header``; ``own_names``: their lower-case names. ``with_credentials``: the client
    brings its own key.
    """
    connection = client.getRawHeaders(b"connection")
    kept = own_names | NOT_FORWARDED if connection is None else own_names | NOT_FORWARDED | _tokens(connection)
    if not with_credentials:
        kept = kept | CREDENTIALS
    fields: HeaderList = []
    for name, values in client.getAllRawHeaders():
        if name.lower() not in kept:
            fields += [(name, value) for value in values]
    if b"content-type" not in own_names and (b"content-type" in kept or not client.hasHeader(b"content-type")):
        fields.append((b"Content-Type", b"application/json"))
    return own.plus(fields)


def relayed_headers(fields: HeaderList, decoded: bool) -> HeaderList:
    """What of the upstream's headers reaches the client; ``decoded``: its Content-Encoding was undone.

    ``fields``: without those of its connection, which the upstream's client has taken out.
    """
    dropped = NOT_RELAYED | {b"content-encoding"} if decoded else NOT_RELAYED
    return [field for field in fields if field[0].lower() not in dropped]


def _tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """The header names that ``Connection`` lists."""
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))
