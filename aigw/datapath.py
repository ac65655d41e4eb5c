"""What serves requests in one process: the proxy face over compiled routes, and the clients behind it."""

from __future__ import annotations

import itertools
import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort

from aigw.assembly import Assembly
from aigw.balancing.pool import Memory
from aigw.balancing.sharing import Digest, SharedHealths
from aigw.balancing.tiers import PriorityOrder
from aigw.net.sockets import eager_sockets
from aigw.observe.access_log import AccessLog
from aigw.observe.metrics import Metrics
from aigw.parts import Defaults, Parts
from aigw.plugins import CATALOGUE
from aigw.proxy.limits import Limits
from aigw.proxy.site import ProxySite, proxy_site
from aigw.registry import Registry
from aigw.upstream.clients import Clients
from aigw.upstream.endpoints import Endpoints


@attrs.frozen(kw_only=True)
class Scope:
    """What is served: routes of ``group``. ``environ``: where ``$env://`` references are looked up. ``digest``: names
    accounts without their secrets.
    """

    group: str
    priority_order: PriorityOrder
    environ: Mapping[str, str] = attrs.field(repr=False)
    digest: Digest = attrs.field(repr=False)


class DataPath:
    """All of it. ``healths``: shared with other processes, if there are any."""

    def __init__(
        self,
        scope: Scope,
        *,
        registry: Registry,
        metrics: Metrics,
        access_log: AccessLog | None,
        reactor: Any,
        healths: SharedHealths | None = None,
    ) -> None:
        self._access_log = access_log
        self._clients = Clients(reactor, Endpoints(eager_sockets(reactor)))
        parts = Parts(
            clock=reactor,
            now=time.time,
            environ=scope.environ,
            clients=self._clients,
            memory=Memory(random.random, scope.digest, healths),
            meter=metrics,
            defaults=Defaults(priority_order=scope.priority_order),
        )
        self.site: ProxySite = proxy_site(
            lookup=Assembly(group=scope.group, registry=registry, catalogue=CATALOGUE, parts=parts),
            clock=reactor,
            limits=Limits(),
            observers=[metrics, *([access_log] if access_log is not None else [])],
            ids=_request_ids(),
        )

    @property
    def ready(self) -> bool:
        """Whether requests are welcome."""
        return True

    @property
    def in_flight(self) -> int:
        """Requests without a complete reply."""
        return self.site.in_flight

    def bound(self, port: IListeningPort) -> None:
        """A socket of the proxy face is bound: `site` serves what it accepts."""

    def start(self) -> None:
        """All sockets are bound."""

    def leave(self, seconds: float) -> Deferred[None]:
        """Nothing accepts connections but the sockets that the caller has bound."""
        return succeed(None)

    def drain(self, seconds: float) -> Deferred[None]:
        """Let what is in flight finish, for so many seconds at most."""
        return self.site.drain(seconds)

    def hurry(self) -> None:
        """End what is in flight."""
        self.site.abort_all()

    async def close_clients(self) -> None:
        """Close the connections to upstreams."""
        await self._clients.close()

    def close(self) -> None:
        """Write what there is to log."""
        if self._access_log is not None:
            self._access_log.close()


def _request_ids() -> Callable[[], str]:
    """Ids that no other process has: they need not be secret, so one random number does for all of them."""
    prefix, numbers = secrets.token_hex(10), itertools.count(1)
    return lambda: f"{prefix}{next(numbers):012x}"
