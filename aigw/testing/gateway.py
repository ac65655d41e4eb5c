"""The routes of a gateway in memory: a test puts a route, asks it, answers for the models, and looks at what came.

Assembly, onion, plugins and health are the real ones; `aigw.testing.models` stands in for the network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from aigw.assembly import Assembly
from aigw.balancing.pool import Memory
from aigw.errors import GatewayError, RouteNotFound
from aigw.exchange import Exchange, Outcome, Reply
from aigw.model.resource import decode_resource
from aigw.parts import Defaults, Parts
from aigw.pipeline import Handler
from aigw.plugins import CATALOGUE, CONFIGS
from aigw.ports import CallLabels, CircuitState
from aigw.proxy.stages import Stages
from aigw.registry import Registry
from aigw.testing.exchange import exchange_of
from aigw.testing.models import Asked, Models


class MemoryGateway:
    """``random``: what every roll of the dice gives. ``epoch``: wall-clock seconds when ``clock`` stands at 0."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        random: float = 1.0,
        epoch: float = 1_700_000_000.0,
        clients: Any = None,
        clock: Clock | None = None,
        defaults: Defaults | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.models = Models()
        self.meter = TallyMeter()
        self.registry = Registry()
        upstreams: Any = clients or self.models
        self.parts = Parts(
            clock=self.clock,
            now=lambda: epoch + self.clock.seconds(),
            environ=environ or {},
            clients=upstreams,
            memory=Memory(lambda: random),
            meter=self.meter,
            defaults=defaults or Defaults(),
        )
        self.assembly = Assembly(group="default", registry=self.registry, catalogue=CATALOGUE, parts=self.parts)

    def put(self, plugins: Mapping[str, Any], kind: str = "routes", id: str = "r", **fields: Any) -> None:
        """Put a route (for every path, if it names none) or a service.

        :raises Invalid: if it is not a valid one.
        """
        paths = {} if kind != "routes" or fields.keys() & {"uri", "uris", "paths"} else {"uri": "/*"}
        document = {"id": id, "plugins": dict(plugins), **paths, **fields}
        before = self.registry.snapshot("default")
        resource = decode_resource(kind, id, document, CONFIGS)
        changed = before.changed(before.revision + 1, put=[resource])
        self.registry.replace("default", changed, frozenset([resource.key]))

    def ask(self, body: Any = None, path: str = "/chat", *, headers: Mapping[str, str] | None = None) -> Client:
        """Send a request (see `aigw.testing.exchange_of`)."""
        return self.send(exchange_of(body, headers=headers, path=path, target=path.encode()))

    def send(self, exchange: Exchange) -> Client:
        """Send a request, which is complete now."""
        exchange.timeline.started = self.clock.seconds()
        found = self.assembly.find(exchange.method, exchange.target, Headers({b"Host": [b"h"]}), "192.0.2.1", "http")
        if found is None:
            raise RouteNotFound("404 Route Not Found")
        exchange.route, exchange.path = found.resource, found.path
        return Client(exchange, found.handler)

    @property
    def timers(self) -> list[IDelayedCall]:
        """What waits for its time, but for a `Timeouts` queue in which nobody waits."""
        calls = self.clock.getDelayedCalls()
        return [call for call in calls if getattr(getattr(call.func, "__self__", None), "waiting", None) != {}]  # type: ignore[attr-defined]

    @property
    def asked(self) -> list[Asked]:
        """What reached the models."""
        return self.models.asked


class Client:
    """Who sent a request, and what came of it; does to the reply what the proxy face does.

    ``reply``: the onion's, ``error``: or its failure. ``pieces``: of the body, as they went out. ``outcome``: how the
    reply ended.
    """

    def __init__(self, exchange: Exchange, handler: Handler) -> None:
        self.exchange = exchange
        self.reply: Reply | None = None
        self.error: BaseException | None = None
        self.broken: GatewayError | None = None
        self.pieces: list[bytes] = []
        self.outcome: Outcome | None = None
        self._stages = Stages([])
        answering: Deferred[Reply] = Deferred.fromCoroutine(self._ask(handler))
        self._answering = answering.addCallbacks(self._replied, self._failed)

    @property
    def body(self) -> bytes:
        """All that has come."""
        return b"".join(self.pieces)

    @property
    def status(self) -> int | None:
        """Of the reply, or of the error; None = neither is here yet."""
        if isinstance(self.error, GatewayError):
            return self.error.status
        return None if self.reply is None else self.reply.status

    def waits(self) -> bool:
        """Is there neither a reply nor an error yet?"""
        return self.reply is None and self.error is None

    @property
    def headers(self) -> dict[str, str]:
        """Those of the reply, by name in lower case."""
        assert self.reply is not None, self.error
        return {name.decode().lower(): value.decode() for name, value in self.reply.headers}

    @property
    def attempts(self) -> list[tuple[str, int | None, str | None]]:
        """(instance, status, error) of each."""
        return [(a.instance, a.status, a.error) for a in self.exchange.attempts]

    def leave(self) -> None:
        """Hang up."""
        if self.reply is None:
            self._answering.cancel()
        elif self.outcome is None:
            if self.reply.source is not None:
                self.reply.source.abort()
            self._over(Outcome.CLIENT_LEFT, None)

    # Sink

    def write(self, data: bytes) -> None:
        """Some of the body."""
        self._staged(lambda: self._stages.feed(data))

    def finished(self) -> None:
        """The rest of it."""
        if self._staged(self._stages.close):
            self._over(Outcome.DONE, None)

    def broke(self, error: GatewayError) -> None:
        """There is no more."""
        assert self.reply is not None
        if self.reply.error_event is not None:
            self.pieces.append(self.reply.error_event(error))
        self.broken = error
        self._over(Outcome.UPSTREAM_BROKE, error)

    async def _ask(self, handler: Handler) -> Reply:
        return await handler(self.exchange)

    def _replied(self, reply: Reply) -> None:
        self.reply = reply
        self._stages = Stages(reply.stages)
        if reply.source is not None:
            reply.source.start(self)
        else:
            if reply.body:
                self.write(reply.body)
            self.finished()

    def _failed(self, failure: Failure) -> None:
        self.error = failure.value

    def _staged(self, work: Callable[[], bytes]) -> bool:
        assert self.reply is not None
        assert self.outcome is None
        try:
            data = work()
        except GatewayError as error:
            if self.reply.source is not None:
                self.reply.source.abort()
            self.broke(error)
            return False
        if data:
            self.pieces.append(data)
        return True

    def _over(self, outcome: Outcome, error: GatewayError | None) -> None:
        assert self.reply is not None
        self.outcome = outcome
        for aftermath in self.reply.aftermaths:
            aftermath(outcome, error)


class TallyMeter:
    """A `Meter` that remembers. ``calls``: labels -> calls under way. ``fallbacks``: (route, instance, reason)."""

    def __init__(self) -> None:
        self.calls: Counter[CallLabels] = Counter()
        self.begun: list[CallLabels] = []
        self.fallbacks: list[tuple[str, str, str]] = []
        self.circuits: list[tuple[str, str, CircuitState]] = []

    @property
    def under_way(self) -> int:
        """Calls that have begun and not ended."""
        return sum(map(abs, self.calls.values()))

    def active(self, delta: int, labels: CallLabels) -> None:
        """See `aigw.ports.Meter`."""
        self.calls[labels] += delta
        if delta > 0:
            self.begun.append(labels)

    def fell_back(self, route_id: str, instance: str, reason: str) -> None:
        """See `aigw.ports.Meter`."""
        self.fallbacks.append((route_id, instance, reason))

    def circuit_changed(self, route_id: str, instance: str, state: CircuitState) -> None:
        """See `aigw.ports.Meter`."""
        self.circuits.append((route_id, instance, state))
