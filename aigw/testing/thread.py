"""A reactor of its own in a thread of its own, so that a blocking test can have Twisted servers on real sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from twisted.internet.threads import blockingCallFromThread
from twisted.protocols.tls import TLSMemoryBIOFactory

from aigw.testing.upstream import Behaviour, FakeUpstream, Moment, Received

P = ParamSpec("P")
T = TypeVar("T")


class ReactorThread:
    """Runs while its ``with`` block does. The process's own reactor is neither used nor installed."""

    def __init__(self) -> None:
        from twisted.internet.pollreactor import PollReactor

        self.reactor: Any = PollReactor()
        self._thread = threading.Thread(target=self.reactor.run, args=(False,), name="fake-upstreams", daemon=True)

    def __enter__(self) -> ReactorThread:
        started = threading.Event()
        self.reactor.callWhenRunning(started.set)
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(10)

    def call(self, function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call in the reactor's thread; returns the result, or that of the Deferred it returns."""
        return blockingCallFromThread(self.reactor, function, *args, **kwargs)


class ServedUpstream:
    """A `FakeUpstream` on a loopback port. ``fake``: may be read, and its behaviours changed, from any thread.

    ``key``: what `as_model` has clients authenticate with; nothing checks it. ``tls``: a context factory, for https.
    """

    def __init__(
        self, thread: ReactorThread, behaviour: Behaviour, key: str = "placeholder", *, tls: Any = None
    ) -> None:
        self.key = key
        self._tls = tls
        self.fake = FakeUpstream(thread.reactor, behaviour)
        self._thread = thread
        self._listening: Any = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def received(self) -> list[Received]:
        """All requests so far."""
        return self.fake.received

    def as_model(self, **fields: Any) -> dict[str, Any]:
        """A configuration of ai-proxy that points here."""
        return {
            "provider": "openai-compatible",
            "auth": {"header": {"Authorization": f"Bearer {self.key}"}},
            "override": {"endpoint": f"{self.url}/v1/chat/completions"},
            **fields,
        }

    def as_instance(self, name: str, priority: int = 0, **fields: Any) -> dict[str, Any]:
        """An instance of ai-proxy-multi that points here."""
        return self.as_model(name=name, priority=priority, weight=1, **fields)

    def does(self, behaviour: Behaviour, moment: Moment = Moment.REQUEST) -> None:
        """From now on, do this with each request."""
        self.fake.behaviour, self.fake.moment = behaviour, moment

    def start(self) -> None:
        """Listen, on the same port as before."""
        if self._listening is None:
            self._listening = self._thread.call(self._listen)
            self.port = self._listening.getHost().port

    def _listen(self) -> Any:
        reactor: Any = self._thread.reactor
        factory: Any = self.fake
        if self._tls is not None:  # listenSSL would take its time from the process's own reactor
            factory = TLSMemoryBIOFactory(self._tls, False, factory, clock=reactor)
        return reactor.listenTCP(self.port, factory, backlog=512, interface="127.0.0.1")

    def stop(self) -> None:
        """Refuse connections, and drop those that there are."""
        listening, self._listening = self._listening, None
        if listening is not None:
            self._thread.call(listening.stopListening)
            self._thread.call(self.fake.drop_all)
