"""The proxy face of a gateway with workers, as its service sees it: what `aigw.datapath` is for one without."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from aigw import __version__
from aigw.net.shares import ABSENT, Shares, shared_memory
from aigw.observe.line_writer import LineWriter
from aigw.observe.log_destination import log_destination
from aigw.observe.metrics import Metrics
from aigw.registry import Registry
from aigw.settings import Settings
from aigw.workers import circuits, healths
from aigw.workers.messages import Hello, Listener
from aigw.workers.spawning import Spawner, descriptors
from aigw.workers.team import Plan, Team


class _ServedElsewhere(Factory):
    """Stands for the proxy face where only the socket is bound."""

    noisy = False


class Workers:
    """All of it. ``ports``: what is bound for the proxy face, once `start` is called. ``gave_up``: see `Team`.

    :raises OSError: if the access log can't be written.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        registry: Registry,
        metrics: Metrics,
        reactor: Any,
        ports: Callable[[], Sequence[IListeningPort]],
        gave_up: Callable[[str], object],
    ) -> None:
        self.site = _ServedElsewhere()
        self._settings = settings
        self._ports: Any = ports
        self._key = secrets.token_bytes(32)
        self._memory = shared_memory(settings.workers)
        shares = Shares(self._memory, settings.workers)
        off = settings.access_log == "off"
        self._lines = None if off else LineWriter(log_destination(settings.access_log), reactor)
        self._team = Team(
            plan=Plan(
                size=settings.workers,
                group=settings.gateway_group,
                hello=self._hello,
                absent=lambda number: shares.tell(number - 1, ABSENT),
            ),
            registry=registry,
            clock=reactor,
            spawn=Spawner(
                reactor, settings.environ, lambda: [self._memory, *(port.fileno() for port in self._ports())]
            ),
            metrics=metrics,
            lines=self._lines,
            gave_up=gave_up,
        )
        self._team.share(healths.TOPIC, healths.HealthHub)
        self._team.share(circuits.TOPIC, lambda tell: circuits.CircuitHub(metrics))
        metrics.watch_workers(lambda: self._team.serving)
        self.settled = self._team.settled
        self.refresh = self._team.refresh
        self.hurry = self._team.hurry

    @property
    def ready(self) -> bool:
        """Whether requests are welcome: once all workers have been up, as long as one is."""
        return self._team.ready

    @property
    def in_flight(self) -> int:
        """Requests without a complete reply, as the workers told last."""
        return self._team.in_flight

    def bound(self, port: IListeningPort) -> None:
        """A socket of the proxy face is bound: leave it to the workers to accept.

        :raises ValueError: if it is no socket that could be left to them.
        """
        shareable: Any = port
        if not (hasattr(shareable, "fileno") and hasattr(shareable, "stopReading")):
            raise ValueError("workers can't share what this endpoint listens on; use --workers=1")
        shareable.stopReading()

    def start(self) -> None:
        """Start the workers: the sockets are bound."""
        self._team.start()

    def leave(self, seconds: float) -> Deferred[None]:
        """Have the workers leave; fires when none accepts connections any more."""
        return self._team.leave(seconds)

    def drain(self, seconds: float) -> Deferred[None]:
        """Fires when no worker is left."""
        return self._team.gone()

    async def close_clients(self) -> None:
        """They are the workers', and gone with them."""

    def close(self) -> None:
        """Have no worker, write what there is to log."""
        self._team.close()
        if self._lines is not None:
            self._lines.close()
        os.close(self._memory)

    def _hello(self, number: int) -> Hello:
        settings = self._settings
        shares = descriptors(settings.environ) + 1
        return Hello(
            version=__version__,
            group=settings.gateway_group,
            priority_order=settings.priority_order,
            access_log=self._lines is not None,
            drain=settings.drain,
            key=self._key,
            place=number - 1,
            places=settings.workers,
            shares=shares,
            listeners=[Listener(endpoint, shares + 1 + i) for i, endpoint in enumerate(settings.proxy)],
        )
