"""Where a request goes: the URL of an instance for each dialect, and the headers that go along."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, urlencode, urlsplit

from twisted.web.http_headers import Headers

from aigw.exchange import HOP_BY_HOP, HeaderList
from aigw.providers.provider import Provider
from aigw.upstream.headers import HeaderBlock

_OF_THE_CONNECTION = HOP_BY_HOP | {b"proxy-authorization"}
CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key"})
NOT_FORWARDED = _OF_THE_CONNECTION | {b"host", b"content-length", b"accept-encoding", b"cookie", b"expect"}
NOT_RELAYED = _OF_THE_CONNECTION | {
    b"content-length",
    b"set-cookie",
    b"server",
    b"date",
    b"alt-svc",
    b"strict-transport-security",
}
"""Of the upstream's own connection, or (its cookies) of a session that all clients of the gateway would share."""
_NOT_RELAYED_DECODED = NOT_RELAYED | {b"content-encoding"}


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
    kept = _kept(own_names, with_credentials)
    if connection is not None:
        kept = kept | _tokens(connection)
    fields: HeaderList = []
    for name, values in client.getAllRawHeaders():
        if name.lower() not in kept:
            fields += [(name, value) for value in values]
    if b"content-type" not in own_names and (b"content-type" in kept or not client.hasHeader(b"content-type")):
        fields.append((b"Content-Type", b"application/json"))
    return own.plus(fields)


def relayed_headers(fields: HeaderList, names: Sequence[bytes], decoded: bool) -> HeaderList:
    """What of the upstream's headers reaches the client; ``decoded``: its Content-Encoding was undone.

    ``fields``: without those of its connection, which the upstream's client has taken out. ``names``: in lower case.
    """
    dropped = _NOT_RELAYED_DECODED if decoded else NOT_RELAYED
    return [field for field, name in zip(fields, names, strict=True) if name not in dropped]


@functools.lru_cache(maxsize=1024)
def _kept(own_names: frozenset[bytes], with_credentials: bool) -> frozenset[bytes]:
    """Which of a client's headers never go along: the same for all requests of an instance."""
    return own_names | NOT_FORWARDED if with_credentials else own_names | NOT_FORWARDED | CREDENTIALS


def _tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """The header names that ``Connection`` lists."""
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))
