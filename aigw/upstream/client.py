"""treq's client on our agent: the same signature, without what a proxy must not do.

No cookies (tenants would share the jar), no redirects, no decoding of bodies, no buffering, nothing sent twice.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from json import dumps
from typing import Any
from urllib.parse import urlencode

from hyperlink import DecodedURL, EncodedURL
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer

from aigw.errors import UpstreamTimeout
from aigw.ports import Clock
from aigw.upstream.agent import Agent
from aigw.upstream.response import Response
from aigw.upstream.sending import BytesBody

URL = bytes | str | DecodedURL | EncodedURL

_ABSENT: Any = object()  # None is a JSON value


class Client(HTTPClient):
    """Requests as `treq.request` has them. Its responses are the agent's own, with treq's conveniences.

    The fast way: ``url`` as bytes, ``headers`` a `HeaderBlock` (or a `Headers`), ``data`` bytes. All else works too.
    """

    def __init__(self, agent: Agent, clock: Clock) -> None:
        super().__init__(agent, data_to_body_producer=body_of)
        self._send = agent.request
        self._clock = clock

    def request(  # type: ignore[override]
        self,
        method: str | bytes,
        url: URL,
        *,
        params: Any = None,
        headers: Headers | Mapping[Any, Any] | None = None,
        data: Any = None,
        files: Any = None,
        json: Any = _ABSENT,
        auth: tuple[str | bytes, str | bytes] | None = None,
        cookies: Any = None,
        allow_redirects: bool = False,
        browser_like_redirects: bool = False,
        unbuffered: bool = True,
        reactor: Any = None,
        timeout: float | None = None,
        _stacklevel: int = 2,
    ) -> Deferred[Response]:
        """Send a request; fires when the head of its response is in. The body is never buffered.

        ``timeout``: seconds until then. ``reactor``: whose seconds, if not those of the client's clock.

        :raises TypeError: for ``files``, ``cookies`` and redirects, which this client doesn't do.
        """
        if files or cookies or allow_redirects or browser_like_redirects:
            raise TypeError("this client sends no files and no cookies, and follows no redirects")
        if not isinstance(url, bytes):
            url = _encoded(url)
        if params:
            url = _with_params(url, params)
        if headers is not None and not isinstance(headers, Headers):
            headers = _headers_of(headers)
        body: IBodyProducer | None = None
        if isinstance(data, bytes) and json is _ABSENT:
            body = BytesBody(data)
        elif data is not None or json is not _ABSENT:
            body, content_type = _encoded_body(data, json)
            headers = _with_field(headers, b"Content-Type", content_type) if content_type else headers
        if auth is not None:
            headers = _with_field(headers, b"Authorization", _basic(*auth))
        if isinstance(method, str):
            method = method.encode("ascii").upper()
        response = self._send(method, url, headers, body)
        if timeout is not None:
            response.addTimeout(timeout, reactor or self._clock, _no_head)
        return response


def body_of(data: Any) -> IBodyProducer:
    """A body producer for bytes, or for anything that treq knows one for.

    :raises TypeError: if there is none.
    """
    return BytesBody(data) if isinstance(data, bytes) else IBodyProducer(data)


def _encoded_body(data: Any, json: Any) -> tuple[IBodyProducer | None, bytes | None]:
    """What is sent for ``data`` or ``json``, and the Content-Type that goes with it."""
    if json is not _ABSENT:
        if data is not None:
            raise TypeError("data and json can't be combined")
        return BytesBody(dumps(json, separators=(",", ":")).encode("utf-8")), b"application/json; charset=UTF-8"
    if isinstance(data, dict | list | tuple):
        return BytesBody(urlencode(data, doseq=True).encode("ascii")), b"application/x-www-form-urlencoded"
    return body_of(data), None


@lru_cache(256)
def _encoded(url: str | DecodedURL | EncodedURL) -> bytes:
    if isinstance(url, str):
        url = EncodedURL.from_text(url)
    encoded: bytes = url.to_uri().to_text().encode("ascii")
    return encoded


def _with_params(url: bytes, params: Any) -> bytes:
    base = url.partition(b"#")[0]
    return base + (b"&" if b"?" in base else b"?") + urlencode(params, doseq=True).encode("ascii")


def _headers_of(mapping: Mapping[Any, Any]) -> Headers:
    headers = Headers()
    for name, value in mapping.items():
        for item in value if isinstance(value, list) else (value,):
            headers.addRawHeader(name, item)
    return headers


def _with_field(headers: Headers | None, name: bytes, value: bytes) -> Headers:
    """A copy in which ``name`` is ``value``: the caller's own are his."""
    copy = Headers() if headers is None else headers.copy()
    copy.setRawHeaders(name, [value])
    return copy


def _basic(user: str | bytes, password: str | bytes) -> bytes:
    parts = [part.encode("utf-8") if isinstance(part, str) else part for part in (user, password)]
    return b"Basic " + b64encode(b":".join(parts))


def _no_head(_: object, seconds: float) -> Failure:
    return Failure(UpstreamTimeout(f"the upstream sent no status within {seconds:g} s"))
