"""The onion: plugins around a route's innermost handler, composed once per route, never per request."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from aigw.exchange import Exchange, Reply
from aigw.model.snapshot import Resource

Replying = Coroutine[Any, Any, Reply] | Deferred[Reply]
"""A reply on its way, to be awaited."""

Handler = Callable[[Exchange], Replying]


class Plugin(Protocol):
    """One plugin at work on one route: built when the route is compiled, shared by all its requests.

    A plugin is one file in `aigw.plugins`: this class, its ``Config`` (an attrs class) and a line in the catalogue.
    """

    name: ClassVar[str]
    priority: ClassVar[int]
    Config: ClassVar[type]

    def __init__(self, config: Any, site: PluginSite) -> None:
        """``config``: an instance of ``Config``. ``site``: where it is at work and what it may use."""

    def around(self, exchange: Exchange, proceed: Handler) -> Replying:
        """Act before, ``return await proceed(exchange)``, return early, or raise a `GatewayError`.

        An ``async def``, as a rule; what has nothing to await may be a function that returns a Deferred.
        """


@attrs.frozen(kw_only=True)
class PluginSite:
    """Where a plugin is at work (``group``, ``route_id``, ``service_id``) and the parts of the gateway it may use."""

    group: str
    route_id: str
    service_id: str
    parts: Any


def compose(plugins: Sequence[Plugin], innermost: Handler) -> Handler:
    """One handler out of plugins (outermost = highest priority first, names break ties) and what is inside them."""
    handler = innermost
    for plugin in sorted(plugins, key=lambda p: (p.priority, p.name)):
        handler = _layer(plugin, handler)
    return handler


def _layer(plugin: Plugin, inner: Handler) -> Handler:
    around = plugin.around

    def handle(exchange: Exchange) -> Replying:
        return around(exchange, inner)

    return handle


@attrs.frozen(kw_only=True)
class Matched:
    """What `aigw.assembly` found for a request.

    ``path``: percent-decoded and normalised. ``host``: lower case, without port. ``max_body``: bytes, None = the
    face's own limit.
    """

    handler: Handler
    resource: Resource
    params: Mapping[str, str]
    path: str
    host: str
    max_body: int | None


class Finder(Protocol):
    """Finds the route of a request."""

    def find(self, method: bytes, target: bytes, headers: Headers, remote_addr: str, scheme: str) -> Matched | None:
        """The match, or None.

        :raises BadRequest: if the target or the Host can't be understood.
        """
