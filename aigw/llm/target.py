"""An instance as requests use it: everything that does not depend on the request, worked out once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from treq.client import HTTPClient

from aigw.balancing.deadlines import Deadlines, deadlines_of
from aigw.balancing.sharing import Digest
from aigw.errors import InstanceUnusable, UnsupportedDialect
from aigw.exchange import HeaderList
from aigw.llm.config import DEFAULT_KEEPALIVE_POOL, DEFAULT_KEEPALIVE_TIMEOUT, DEFAULT_TIMEOUT, Model, Transport
from aigw.llm.endpoint import url_of
from aigw.llm.scrubbing import Scrubber
from aigw.llm.shaping import Shape, shape_of
from aigw.model.references import Unresolved, resolve
from aigw.providers import PROVIDERS
from aigw.providers.provider import Provider
from aigw.upstream.headers import HeaderBlock
from aigw.upstream.profile import Profile

if TYPE_CHECKING:
    from aigw.parts import Parts

T = TypeVar("T")


@attrs.define(kw_only=True, eq=False)
class Target:
    """One instance at work.

    ``headers``: its own, credentials included (hidden from repr). ``brings_own_key``: the client's credentials are
    forwarded. ``scrubber``: keeps its credentials from clients. ``problem``: why it can't be called (an
    environment variable is missing), or None. ``decided``: those of its options that decide on streaming.
    """

    name: str
    weight: int
    priority: int
    model: Model = attrs.field(repr=False)
    provider: Provider
    client: HTTPClient = attrs.field(repr=False)
    deadlines: Deadlines
    max_stream: float | None
    max_bytes: int | None
    headers: HeaderBlock = attrs.field(repr=False)
    header_names: frozenset[bytes]
    query: Mapping[str, str] = attrs.field(repr=False)
    brings_own_key: bool
    scrubber: Scrubber = attrs.field(repr=False)
    problem: str | None
    decided: Mapping[str, Any]
    _shapes: dict[str, Shape] = attrs.field(factory=dict, repr=False, init=False)
    _urls: dict[str, bytes | None] = attrs.field(factory=dict, repr=False, init=False)

    def shape(self, dialect: str) -> Shape:
        """What it changes in bodies of a dialect."""
        if dialect not in self._shapes:
            self._shapes[dialect] = shape_of(self.model, self.provider, dialect)
        return self._shapes[dialect]

    def url(self, dialect: str, path: str) -> bytes:
        """Where requests of a dialect go; ``path``: the client's, for what is passed through.

        :raises InstanceUnusable: if the instance can't be called at all.
        :raises UnsupportedDialect: naming what the provider supports.
        """
        if self.problem is not None:
            raise InstanceUnusable(f"instance {self.name} can't be called: {self.problem}")
        if dialect == "passthrough":
            url = url_of(self.model.override.endpoint, self.provider, dialect, passed_path(path), self.query)
        else:
            url = self._fixed_url(dialect)
        if url is None:
            supported = ", ".join(self.provider.paths)
            raise UnsupportedDialect(
                f"provider {self.provider.name} does not support {dialect} (supported: {supported})"
            )
        return url

    def speaks(self, dialect: str) -> bool:
        """Can requests of this dialect be sent here?"""
        return dialect == "passthrough" or self._fixed_url(dialect) is not None

    def _fixed_url(self, dialect: str) -> bytes | None:
        if dialect not in self._urls:
            self._urls[dialect] = url_of(self.model.override.endpoint, self.provider, dialect, "", self.query)
        return self._urls[dialect]


def passed_path(path: str) -> str:
    """The part of a client's path that the upstream knows too: from ``/v1/`` on, if that is in it."""
    return path[max(0, path.find("/v1/")) :]


def target_of(name: str, weight: int, priority: int, model: Model, plugin: Transport, parts: Parts) -> Target:
    """Compile an instance; its own transport fields win over the plugin's."""
    headers, query, problem = _credentials(model, parts.environ)
    deadlines = deadlines_of(plugin.deadlines, model.deadlines, _first(model.timeout, plugin.timeout, DEFAULT_TIMEOUT))
    stream_ms = _first(model.max_stream_duration_ms, plugin.max_stream_duration_ms, None)
    return Target(
        name=name,
        weight=weight,
        priority=priority,
        model=model,
        provider=PROVIDERS[model.provider],
        client=parts.clients.client(_profile(model, plugin, deadlines)),
        deadlines=deadlines,
        max_stream=None if stream_ms is None else stream_ms / 1000,
        max_bytes=_first(model.max_response_bytes, plugin.max_response_bytes, None),
        headers=HeaderBlock(headers),
        header_names=frozenset(n.lower() for n, _ in headers),
        query=query,
        brings_own_key=not model.auth.header and not model.auth.query,
        scrubber=Scrubber([*(value.decode() for _, value in headers), *query.values()]),
        problem=problem,
        decided={name: v for name, v in model.options.items() if name in ("stream", "stream_options")},
    )


def account_of(target: Target, digest: Digest) -> Hashable:
    """What makes two instances of different routes the same one for an upstream: endpoint, model and credentials."""
    model = target.model
    credentials = digest(repr((target.headers.block, tuple(target.query.items()))).encode())
    return (model.provider, model.override.endpoint, str(model.options.get("model")), target.name, credentials)


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


def _credentials(model: Model, environ: Mapping[str, str]) -> tuple[HeaderList, dict[str, str], str | None]:
    """Headers and query parameters with their references resolved, or what is missing."""
    try:
        headers = [(n.encode("ascii"), resolve(v, environ).encode("utf-8")) for n, v in model.auth.header.items()]
        return headers, {n: resolve(v, environ) for n, v in model.auth.query.items()}, None
    except Unresolved as e:
        return [], {}, str(e)
