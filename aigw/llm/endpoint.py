"""Where a request goes: the URL of an instance for each dialect, and the headers that go along."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote, quote_from_bytes, unquote_plus, unquote_to_bytes, urlencode, urlsplit

from twisted.web.http_headers import Headers

from aigw.exchange import HOP_BY_HOP, HeaderList
from aigw.received import ReceivedHeaders
from aigw.upstream.headers import HeaderBlock, Lines

_OF_THE_CONNECTION = HOP_BY_HOP | {b"proxy-authorization"}
JSON: HeaderList = [(b"Content-Type", b"application/json")]
CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-amz-security-token"})
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
_NOTHING = HeaderBlock([])
_PLAIN = "/:@!$&'()*+,;=-._~"
"""What may stand in a path as it is (RFC 3986 section 3.3), and a query."""
_NOT_RELAYED_DECODED = NOT_RELAYED | {b"content-encoding"}


def has_path(endpoint: str | None) -> bool:
    """Does an endpoint say by itself where requests go?"""
    return endpoint is not None and urlsplit(endpoint).path not in ("", "/")


def url_of(base: str, path: str | None, query: Mapping[str, str]) -> bytes:
    """The URL of an endpoint. ``path``: percent-encoded, its query may follow; None = ``base`` has one.

    ``query``: of the instance's credentials. Of parameters with the same name theirs count, then those of ``base``.
    """
    parts = urlsplit(base)
    said = _others(parts.query, query)
    if path is not None:
        path, _, more = path.partition("?")
        said += _others(more, {*query, *map(_name, said)})
        parts = parts._replace(path=path)
    if query:
        said.append(urlencode(query))
    return parts._replace(query="&".join(said)).geturl().encode("ascii")


def passed_path(path: str, target: bytes, chat: str | None) -> str:
    """What of a client's path the upstream knows too, percent-encoded, and the query as the client wrote it.

    From ``/v1/`` on, if that is in it; where the vendor's chat has another prefix, that one. ``path``: percent-decoded
    and without dot segments, ``target``: the request's, as sent. ``chat``: the vendor's path for chat completions.
    """
    sent, _, asked = target.partition(b"?")
    # As the client wrote it, because a %2F is no slash; but only if it means the path by which the route was chosen.
    path = _requoted(sent) if unquote_to_bytes(sent) == path.encode() else quote(path, safe=_PLAIN)
    query = _requoted(asked.partition(b"#")[0])
    start = path.find("/v1/")
    if start >= 0:
        path = path[start:]
        own, _, more = (chat or "").partition("?")
        if own.endswith("/chat/completions"):
            path = own.removesuffix("/chat/completions") + path.removeprefix("/v1")
            query = "&".join([*_others(more, ()), *_others(query, {*map(_name, more.split("&"))})])
    return path + ("?" + query if query else "")


class Forwarding:
    """Which headers go to an instance: the client's less those of its connection and its credentials, and ours."""

    __slots__ = ("_defaults", "_left_out", "_lines", "_own")

    def __init__(
        self, own: HeaderBlock, own_names: frozenset[bytes], with_credentials: bool, defaults: HeaderList
    ) -> None:
        """``own``: the instance's ``auth.header``; ``own_names``: lower-case names of these and of others that the
        client does not decide. ``with_credentials``: the client brings its own key. ``defaults``: what goes along if
        nobody has it.
        """
        self._own = own
        self._left_out = own_names | (NOT_FORWARDED if with_credentials else NOT_FORWARDED | CREDENTIALS)
        self._lines = _lines(self._left_out)
        self._defaults = [(field[0].lower(), field) for field in defaults if field[0].lower() not in own_names]

    def of(self, client: Headers) -> HeaderBlock:
        """Those of one request."""
        received = ReceivedHeaders.of(client)
        fields, by_name, left_out = received.fields, received.by_name, self._left_out
        named = received.listed(b"connection")
        if not named <= left_out:
            left_out = left_out | named
            fields = [field for field in fields if field[0] not in left_out]
        missing = [field for name, field in self._defaults if name not in by_name or name in left_out]
        return self._own.followed_by(self._lines, fields, HeaderBlock(missing) if missing else _NOTHING)


def relayed_headers(fields: HeaderList, names: Sequence[bytes], decoded: bool) -> HeaderList:
    """What of the upstream's headers reaches the client; ``decoded``: its Content-Encoding was undone.

    ``fields``: without those of its connection, which the upstream's client has taken out. ``names``: in lower case.
    """
    dropped = _NOT_RELAYED_DECODED if decoded else NOT_RELAYED
    return [field for field, name in zip(fields, names, strict=True) if name not in dropped]


def _others(query: str, names: Collection[str]) -> list[str]:
    """The parameters of a query but for those of these names, as they were written."""
    return [pair for pair in query.split("&") if pair and _name(pair) not in names]


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _requoted(sent: bytes) -> str:
    """A part of a target, percent-encoded where it should have been; what was stays as it is."""
    return quote_from_bytes(sent, safe=_PLAIN + "?%[]")


@functools.lru_cache(maxsize=64)
def _lines(left_out: frozenset[bytes]) -> Lines:
    """Most instances leave out the same, and what a line is depends on nothing else."""
    return Lines(left_out)
