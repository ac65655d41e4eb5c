"""A gateway in memory from a client's bytes to an upstream's and back, with its log and its metrics.

All parts are the real ones; only sockets and time are not.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import generate_latest
from twisted.internet.task import Clock

from aigw.assembly import Assembly
from aigw.balancing.pool import Memory
from aigw.model.resource import decode_resource
from aigw.observe.access_log import AccessLog
from aigw.observe.metrics import Metrics
from aigw.parts import Defaults, Parts
from aigw.plugins import CATALOGUE, CONFIGS
from aigw.proxy.limits import Limits
from aigw.proxy.site import proxy_site
from aigw.registry import Registry
from aigw.upstream.clients import Clients
from aigw.upstream.testing import Line, Network

EPOCH = 1_700_000_000.0
CLOSE = "close"
"""In place of a piece of an answer: the upstream closes the connection."""

Said = Sequence[bytes | str]
"""What an upstream says, piece by piece."""


class World:
    """A gateway with its upstreams and one client after another.

    ``answers``: what each upstream says next, by host; ``received``: what they were sent; ``lines``: of the access log.
    """

    def __init__(self, make_client: Callable[..., Any]) -> None:
        """``make_client(site, clock)``: connects one that can ``send`` bytes, has ``got`` some, may be ``closed``."""
        self.clock = Clock()
        self.network = Network(self.clock)
        self.metrics = Metrics(build={"version": "1"})
        self.registry = Registry()
        self.lines: list[Any] = []
        self.received: list[tuple[str, bytes]] = []
        self.answers: dict[str, list[Said]] = {}
        self._upstreams: list[tuple[str, Line]] = []
        parts = Parts(
            clock=self.clock,
            now=self._now,
            environ={},
            clients=Clients(self.clock, self.network),
            memory=Memory(lambda: 1.0),
            meter=self.metrics,
            defaults=Defaults(),
        )
        ids = itertools.count()
        writer: Any = self
        self._site = proxy_site(
            lookup=Assembly(group="default", registry=self.registry, catalogue=CATALOGUE, parts=parts),
            clock=self.clock,
            limits=Limits(),
            observers=[self.metrics, AccessLog(writer, self._now)],
            ids=lambda: f"id-{next(ids)}",
        )
        self._make_client = make_client
        self._client: Any = None

    def write(self, line: bytes) -> None:
        """As the access log's writer."""
        self.lines.append(json.loads(line))

    def put(self, id: str, document: Mapping[str, Any] | None) -> None:
        """Put a route, or delete it."""
        before = self.registry.snapshot("default")
        if document is None:
            changed = before.changed(before.revision + 1, delete=[("routes", id)])
        else:
            resource = decode_resource("routes", id, {"id": id, **document}, CONFIGS)
            changed = before.changed(before.revision + 1, put=[resource])
        self.registry.replace("default", changed, frozenset([("routes", id)]))

    def send(self, data: bytes) -> bytes:
        """Send something, have everything happen that comes of it; returns what the client gets."""
        if self._client is None or self._client.closed:
            self._client = self._make_client(self._site, self.clock)
        before = len(self._client.got)
        self._client.send(data)
        while self._settle():
            pass
        got: bytes = self._client.got[before:]
        return got

    @property
    def counted(self) -> list[str]:
        """The metrics, without those of the process."""
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return [line for line in lines if "process_" not in line]

    def _now(self) -> float:
        return EPOCH + self.clock.seconds()

    def _settle(self) -> bool:
        while self.network.knocks:
            host = self.network.knocks[0].origin.host
            self._upstreams.append((host, self.network.accept()))
        asked = [(host, line) for host, line in self._upstreams if line.writes]
        for host, line in asked:
            self.received.append((host, line.take()))
            self.clock.advance(0.25)
            for piece in self.answers[host].pop(0):
                line.say(piece) if isinstance(piece, bytes) else line.close()
                self.clock.advance(0)
        self.clock.pump([0] * 3)
        self._upstreams = [(host, line) for host, line in self._upstreams if not line.lost]
        return bool(asked or self.network.knocks)
