"""An instance as requests use it: everything that does not depend on the request, worked out once."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from treq.client import HTTPClient
from twisted.web.http_headers import Headers

from aigw.balancing.deadlines import Deadlines, deadlines_of
from aigw.balancing.sharing import Digest
from aigw.errors import BadRequest, InstanceUnusable, UnsupportedDialect
from aigw.exchange import HeaderList
from aigw.llm.call import Call
from aigw.llm.config import (
    DEFAULT_KEEPALIVE_POOL,
    DEFAULT_KEEPALIVE_TIMEOUT,
    DEFAULT_TIMEOUT,
    Model,
    Transport,
    conf_of,
)
from aigw.llm.endpoint import JSON, Forwarding, has_path, passed_path, url_of
from aigw.llm.scrubbing import Scrubber
from aigw.llm.signing import Signer, signer_of
from aigw.llm.ways import BY_NAME, PASSTHROUGH, Way, way_to
from aigw.model.references import Unresolved, resolve
from aigw.model.schema import Invalid
from aigw.providers import PROVIDERS
from aigw.providers.provider import Provider
from aigw.upstream.headers import HeaderBlock
from aigw.upstream.profile import Profile

if TYPE_CHECKING:
    from aigw.parts import Parts

T = TypeVar("T")

MOST_URLS = 256
LONGEST_URL = 2048
"""URLs that are remembered of an instance whose clients name the model that is in them, and how many bytes each may
have: a client can call a model whatever it likes.
"""


@attrs.define(kw_only=True, eq=False)
class Target:
    """One instance at work.

    ``conf``: what its vendor needs to know. ``headers``: its own, credentials included (hidden from repr).
    ``header_names``: those that a client does not decide. ``brings_own_key``: the client's credentials are forwarded.
    ``signer``: authenticates each request. ``scrubber``: keeps its credentials from clients. ``problem``: why it can't
    be called (an environment variable is missing), or None. ``decided``: those of its options that decide on streaming.
    """

    name: str
    weight: int
    priority: int
    model: Model = attrs.field(repr=False)
    provider: Provider
    conf: Any
    client: HTTPClient = attrs.field(repr=False)
    deadlines: Deadlines
    max_stream: float | None
    max_bytes: int | None
    headers: HeaderBlock = attrs.field(repr=False)
    header_names: frozenset[bytes]
    query: Mapping[str, str] = attrs.field(repr=False)
    brings_own_key: bool
    signer: Signer | None = attrs.field(repr=False)
    scrubber: Scrubber = attrs.field(repr=False)
    problem: str | None
    decided: Mapping[str, Any]
    _forwardings: dict[bool, Forwarding] = attrs.field(factory=dict, repr=False, init=False)
    _ways: dict[str, Way | None] = attrs.field(factory=dict, repr=False, init=False)
    _urls: dict[tuple[str, bool, str], bytes] = attrs.field(factory=dict, repr=False, init=False)

    @property
    def endpoint(self) -> str | None:
        """Where the operator says that it is."""
        return self.model.override.endpoint

    def speaks(self, dialect: str) -> bool:
        """Can requests of this dialect be sent here, converted if need be?"""
        return self._way(dialect) is not None

    def way(self, dialect: str) -> Way:
        """How requests of a dialect get here.

        :raises InstanceUnusable: if the instance can't be called at all.
        :raises UnsupportedDialect: naming what the provider supports.
        """
        if self.problem is not None:
            raise InstanceUnusable(f"instance {self.name} can't be called: {self.problem}")
        way = self._ways.get(dialect) or self._way(dialect)
        if way is None:
            supported = ", ".join(name for name in BY_NAME if name != PASSTHROUGH and self.speaks(name))
            raise UnsupportedDialect(
                f"provider {self.provider.name} does not support {dialect} (supported: {supported})"
            )
        return way

    def is_choosy(self, dialect: str) -> bool:
        """Does it take a look at requests of this dialect to tell whether they can be sent here?"""
        way = self._way(dialect)
        return way is not None and (way.converter is not None or self._needs_model(way.dialect.name))

    def look_at(self, call: Call) -> None:
        """Can this request be sent here? (Of one that is sent, what this takes is done but once.)

        :raises BadRequest: if it can't.
        """
        way = self._way(call.dialect.name)
        if way is None:
            return
        model = self.model_for(call)
        if way.converter is not None:
            call.converted(way, model)
        if self._needs_model(way.dialect.name):
            self.url(way.dialect.name, model=model)

    def model_for(self, call: Call) -> str:
        """The model that a request gets here; "" = nobody named one."""
        return self.model.options.get("model") or call.model

    def streams(self, call: Call) -> bool:
        """Is a stream asked for here, be it by the client or by the operator?"""
        return self.decided.get("stream", call.streams) is True if self.decided else call.streams

    def url(self, dialect: str, *, streams: bool = False, model: str = "") -> bytes:
        """Where requests in a dialect that it speaks itself go.

        :raises BadRequest: if the model is a part of the URL and none is named.
        """
        url = self._urls.get((dialect, streams, ""))
        if url is None:
            key = dialect, streams, model if self.provider.names_model(dialect) else ""
            url = self._urls.get(key)
            if url is None:
                url = self._url(dialect, streams, model)
                self._remember(key, url)
        return url

    def headers_for(self, client: Headers, *, opaque: bool) -> HeaderBlock:
        """What goes along with a request. ``opaque``: its body is none of our business."""
        forwarding = self._forwardings.get(opaque)
        if forwarding is None:
            ours = [(name.encode(), value.encode()) for name, value in self.provider.headers.items()]
            defaults = ours if opaque else JSON + ours
            forwarding = Forwarding(self.headers, self.header_names, self.brings_own_key, defaults)
            self._forwardings[opaque] = forwarding
        return forwarding.of(client)

    def passed_url(self, path: str, target: bytes) -> bytes:
        """Where a request goes that is passed through. ``path``: the client's, percent-decoded; ``target``: as sent."""
        if has_path(self.endpoint):
            return url_of(self._base, None, self.query)
        chat = self.provider.path_of("openai-chat", conf=self.conf)
        return url_of(self._base, passed_path(path, target, chat), self.query)

    def _remember(self, key: tuple[str, bool, str], url: bytes) -> None:
        if len(url) <= LONGEST_URL:
            if len(self._urls) >= MOST_URLS:
                self._urls.clear()
            self._urls[key] = url

    def _way(self, dialect: str) -> Way | None:
        if dialect not in self._ways:
            self._ways[dialect] = way_to(self.model, self.provider, self.conf, dialect)
        return self._ways[dialect]

    def _needs_model(self, dialect: str) -> bool:
        return self.provider.names_model(dialect) and not has_path(self.endpoint)

    @property
    def _base(self) -> str:
        return self.endpoint or self.provider.base_of(self.conf) or ""

    def _url(self, dialect: str, streams: bool, model: str) -> bytes:
        if has_path(self.endpoint):
            return url_of(self._base, None, self.query)
        if not model and self._needs_model(dialect):
            raise BadRequest("model: required, in the request or in the instance's options", param="model")
        return url_of(
            self._base, self.provider.path_of(dialect, streams=streams, model=model, conf=self.conf), self.query
        )


def target_of(name: str, weight: int, priority: int, model: Model, plugin: Transport, parts: Parts) -> Target:
    """Compile an instance; its own transport fields win over the plugin's."""
    conf = _conf(model)
    headers, query, signer, problem = _credentials(model, conf, parts)
    signed = frozenset[bytes]() if signer is None else signer.names
    headers = [field for field in headers if field[0].lower() not in signed]
    deadlines = deadlines_of(plugin.deadlines, model.deadlines, _first(model.timeout, plugin.timeout, DEFAULT_TIMEOUT))
    stream_ms = _first(model.max_stream_duration_ms, plugin.max_stream_duration_ms, None)
    return Target(
        name=name,
        weight=weight,
        priority=priority,
        model=model,
        provider=PROVIDERS[model.provider],
        conf=conf,
        client=parts.clients.client(_profile(model, plugin, deadlines)),
        deadlines=deadlines,
        max_stream=None if stream_ms is None else stream_ms / 1000,
        max_bytes=_first(model.max_response_bytes, plugin.max_response_bytes, None),
        headers=HeaderBlock(headers),
        header_names=signed.union(n.lower() for n, _ in headers),
        query=query,
        brings_own_key=not (model.auth.header or model.auth.query or model.auth.gcp or model.auth.aws),
        signer=signer,
        scrubber=Scrubber([*(value.decode() for _, value in headers), *query.values(), *_signing(signer)]),
        problem=problem,
        decided={name: v for name, v in model.options.items() if name in ("stream", "stream_options")},
    )


def account_of(target: Target, digest: Digest) -> Hashable:
    """What makes two instances of different routes the same one for an upstream: endpoint, model and credentials."""
    model = target.model
    signer = None if target.signer is None else target.signer.identity
    credentials = digest(repr((target.headers.block, tuple(target.query.items()), signer)).encode())
    return (model.provider, model.override.endpoint, str(model.options.get("model")), target.name, credentials)


def _signing(signer: Signer | None) -> Collection[str]:
    return () if signer is None else signer.secrets(None)


def _profile(model: Model, plugin: Transport, deadlines: Deadlines) -> Profile:
    return Profile(
        ssl_verify=_first(model.ssl_verify, plugin.ssl_verify, True),
        keepalive=_first(model.keepalive, plugin.keepalive, True),
        keepalive_timeout=_first(model.keepalive_timeout, plugin.keepalive_timeout, DEFAULT_KEEPALIVE_TIMEOUT) / 1000,
        keepalive_pool=_first(model.keepalive_pool, plugin.keepalive_pool, DEFAULT_KEEPALIVE_POOL),
        connect_timeout=deadlines.connect or DEFAULT_TIMEOUT / 1000,
    )


def _first(instance: T | None, plugin: T | None, default: T) -> T:
    if instance is not None:
        return instance
    return default if plugin is None else plugin


def _conf(model: Model) -> Any:
    """A vendor's own configuration; None where it has none, or can do without."""
    try:
        return conf_of(model)
    except Invalid:
        return None  # else the configuration would not have been taken


def _credentials(model: Model, conf: Any, parts: Parts) -> tuple[HeaderList, dict[str, str], Signer | None, str | None]:
    """Headers, query parameters and signer with their references resolved, or what is missing."""
    auth, environ = model.auth, parts.environ
    try:
        headers = [(n.encode("ascii"), resolve(v, environ).encode("utf-8")) for n, v in auth.header.items()]
        query = {n: resolve(v, environ) for n, v in auth.query.items()}
        return headers, query, signer_of(auth, conf, environ, parts.now, lambda: parts.gcp_tokens), None
    except Unresolved as e:
        return [], {}, None, str(e)
