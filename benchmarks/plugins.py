"""What each layer and plugin costs a request, in microseconds, without the kernel: bytes in, bytes out, in one process.

Run: ``python -m benchmarks.plugins``.

The gateway is put together as ``aigw.app`` does it, with 1,000 routes, but its connections are in memory, on both
sides. A layer's cost is the CPU of a request with it less that of one without it, each the least of several rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import attrs
from twisted.internet import defer
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from aigw.assembly import Assembly
from aigw.balancing.pool import Memory
from aigw.exchange import Exchange, Reply
from aigw.model.resource import decode_resource
from aigw.observe.access_log import access_log
from aigw.observe.metrics import Metrics
from aigw.parts import Defaults, Parts
from aigw.pipeline import Handler, PluginSite
from aigw.plugins import CATALOGUE, CONFIGS
from aigw.proxy.limits import Limits
from aigw.proxy.site import proxy_site
from aigw.registry import Registry
from aigw.upstream.clients import Clients
from benchmarks.chat_load import BODY_BYTES, Target
from benchmarks.gateway import routes
from benchmarks.upstream import ANSWER, stream

ROUTES = 1_000
EVENTS = 1_000
_PATH = "/measured"
_ADDRESS = IPv4Address("TCP", "127.0.0.1", 1)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)


class Answerer:
    """A plugin that answers itself: what is left is the server side and the routing."""

    name: ClassVar[str] = "benchmark-answer"
    priority: ClassVar[int] = -10_000

    @attrs.frozen(kw_only=True)
    class Config:
        """Nothing to configure."""

    def __init__(self, config: Any, site: PluginSite) -> None:
        """Nothing is needed."""

    async def around(self, exchange: Exchange, proceed: Handler) -> Reply:
        """Answer."""
        return Reply(status=200, headers=[(b"Content-Type", b"application/json")], body=ANSWER)


_ALONE: Mapping[str, Any] = {Answerer.name: {}}
_ENDPOINT: Mapping[str, Any] = {
    "provider": "openai-compatible",
    "auth": {"header": {"Authorization": "Bearer upstream-key"}},
    "options": {"model": "meta-llama/Llama-3.1-8B-Instruct"},
    "override": {"endpoint": "http://127.0.0.1:1/v1/chat/completions"},
}
_TWO = [{**_ENDPOINT, "name": f"instance-{i}", "weight": 1, "priority": i} for i in range(2)]
_MULTI: Mapping[str, Any] = {"ai-proxy-multi": {"fallback_strategy": ["http_429", "http_5xx"], "instances": _TWO}}
_ANSWERING: Mapping[str, Mapping[str, Any]] = {
    "ai-proxy": {"ai-proxy": _ENDPOINT},
    "ai-proxy-multi, 2 instances, fallback": _MULTI,
}
SAMPLES: Mapping[str, Mapping[str, Any]] = {"proxy-buffering": {}}
"""Configurations of the plugins that do not answer themselves."""


class Models:
    """The network behind the gateway: connections on which every request is answered when `pump` is called."""

    def __init__(self) -> None:
        self.replies: Sequence[bytes] = [_ANSWER]
        self._waiting: list[_Model] = []

    def __call__(self, origin: Any, timeout: float) -> IStreamClientEndpoint:
        """The endpoint for any origin."""
        return _Endpoint(self._waiting)

    def pump(self) -> None:
        """Answer what has been asked."""
        waiting = self._waiting[:]
        self._waiting.clear()
        for model in waiting:
            for data in self.replies:
                model.protocol.dataReceived(data)


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, waiting: list[_Model]) -> None:
        self._waiting = waiting

    def connect(self, protocolFactory: Any) -> Any:
        """Connected at once."""
        transport = _Model(self._waiting)
        transport.protocol = protocol = protocolFactory.buildProtocol(_ADDRESS)
        protocol.makeConnection(transport)
        return defer.succeed(protocol)


class _Model(StringTransport):
    """The gateway's end of a connection to a model."""

    def __init__(self, waiting: list[_Model]) -> None:
        StringTransport.__init__(self)
        self._waiting = waiting
        self._asked = b""
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        """Remember who asks, once the request is complete."""
        self._asked += data
        head, found, body = self._asked.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if found and length and len(body) >= int(length[1]):
            self._asked = b""
            self._waiting.append(self)

    def writeSequence(self, data: Any) -> None:
        """The same."""
        self.write(b"".join(data))


class _Client(StringTransport):
    """A client's connection, which takes everything at once and only counts it."""

    def __init__(self) -> None:
        StringTransport.__init__(self)
        self.answers = 0
        self.ends = 0

    def write(self, data: bytes) -> None:
        """Count."""
        self.answers += data.startswith(b"HTTP/1.1 200")
        self.ends += b"data: [DONE]" in data

    def writeSequence(self, data: Any) -> None:
        """The same."""
        self.write(b"".join(data))


@attrs.frozen(kw_only=True)
class Time:
    """Where timers are; ``turn`` runs those that are due."""

    clock: Any
    turn: Callable[[], object]


class Gateway:
    """The proxy face with one connection to it, and a route that has the given plugins.

    ``request``: what is asked. ``best``: the microseconds that one took in the best round.
    """

    def __init__(self, plugins: Mapping[str, Any], observers: Sequence[Any], time_is: Time) -> None:
        self.request = _request(streams=False)
        self.best = float("inf")
        self._time = time_is
        clock = time_is.clock
        self.models = Models()
        registry = Registry()
        parts = Parts(
            clock=clock,
            now=time.time,
            environ={},
            clients=Clients(clock, self.models),
            memory=Memory(random.random),
            meter=Metrics(build={}),
            defaults=Defaults(),
        )
        catalogue = {**CATALOGUE, Answerer.name: Answerer}
        configs = {**CONFIGS, Answerer.name: Answerer.Config}
        documents = [*routes(ROUTES, chat_port=1, stream_port=1), {"id": "measured", "uri": _PATH, "plugins": plugins}]
        resources = [decode_resource("routes", str(d["id"]), dict(d), configs) for d in documents]
        before = registry.snapshot("default")
        registry.replace("default", before.changed(1, put=resources), frozenset(r.key for r in resources))
        assembly = Assembly(group="default", registry=registry, catalogue=catalogue, parts=parts)
        site = proxy_site(
            lookup=assembly, clock=clock, limits=Limits(), observers=observers, ids=lambda: os.urandom(16).hex()
        )
        self.client = _Client()
        self._channel = site.buildProtocol(_ADDRESS)
        self._channel.makeConnection(self.client)

    def ask(self, request: bytes) -> None:
        """A request and its answer."""
        self._channel.dataReceived(request)
        self.models.pump()

    def round(self, requests: int) -> None:
        """So many requests.

        :raises RuntimeError: if one is not answered with 200.
        """
        before = self.client.answers
        started = time.process_time()
        for _ in range(requests):
            self.ask(self.request)
        self.best = min(self.best, (time.process_time() - started) / requests * 1e6)
        if self.client.answers - before != requests:
            raise RuntimeError(f"{self.client.answers - before} of {requests} requests were answered")
        self._time.turn()


def _request(*, streams: bool) -> bytes:
    target = Target(port=1, path=_PATH)
    body = target.body("Hello, how are you?", size=BODY_BYTES, stream=streams)
    headers = {"Host": "127.0.0.1:1", **target.all_headers(), "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode() + body


def measure(say: Callable[[str, float], None], time_is: Time, *, rounds: int, requests: int) -> None:
    """Tell what was measured, thing after thing: what, microseconds."""
    with tempfile.TemporaryDirectory() as directory:
        log = access_log(os.path.join(directory, "access.log"), time_is.clock)
        assert log is not None
        alone = Gateway(_ALONE, [], time_is)
        added = {
            "request: metrics": Gateway(_ALONE, [Metrics(build={})], time_is),
            "request: access log": Gateway(_ALONE, [log], time_is),
            **{f"request: {what}, client side": Gateway(p, [], time_is) for what, p in _ANSWERING.items()},
            **{f"request: {name}": Gateway({**_ALONE, name: SAMPLES[name]}, [], time_is) for name in _others()},
        }
        with _frozen():
            for _ in range(rounds + 1):
                for gateway in (alone, *added.values()):
                    gateway.round(requests)
        log.flush()
    say(f"request: server, routing among {ROUTES} routes, an answer", alone.best)
    for what, gateway in added.items():
        say(what, gateway.best - alone.best)
    _measure_streams(say, time_is, rounds)


@contextlib.contextmanager
def _frozen() -> Iterator[None]:
    """With what there is out of the garbage collector's sight, as in the gateway once it has started."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _others() -> list[str]:
    """The plugins that a sample is there for."""
    return [name for name in sorted(CATALOGUE) if name in SAMPLES]


def _measure_streams(say: Callable[[str, float], None], time_is: Time, rounds: int) -> None:
    head, chunk, end = stream()
    many, each = Gateway(_MULTI, [], time_is), Gateway(_MULTI, [], time_is)
    many.models.replies = [head + chunk * EVENTS + end]
    each.models.replies = [head, *[chunk] * EVENTS, end]
    many.request = each.request = _request(streams=True)
    with _frozen():
        for _ in range(rounds + 1):
            for gateway in (many, each):
                gateway.round(5)
    assert many.client.ends == each.client.ends == (rounds + 1) * 5, "a stream is not complete"
    say("event: many in a read", many.best / EVENTS)
    say("event: each in its own read", each.best / EVENTS)


def main() -> None:
    """Print what is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plugins", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=500, help="of each round")
    options = parser.parse_args()
    from twisted.internet import reactor

    measure(
        lambda what, cost: print(f"{what:<70} {cost:>8.2f} us", flush=True),
        Time(clock=reactor, turn=lambda: reactor.iterate(0)),
        rounds=options.rounds,
        requests=options.requests,
    )


if __name__ == "__main__":
    main()
