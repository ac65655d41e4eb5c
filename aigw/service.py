"""The gateway as a service: it starts whole or not at all, and leaves without losing a request in flight."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from aigw.app import App, Surroundings, build
from aigw.demo import demonstrate
from aigw.net.sockets import BAD_ENDPOINT, eager_sockets
from aigw.ports import StoreError
from aigw.settings import Settings

FACES = ("control", "admin", "proxy")
"""In the order in which they begin to listen."""


class StartupFailed(Exception):
    """The gateway can't start; the message is one line for the operator."""


class Gateway(Service):
    """A whole gateway. ``reactor``: time, threads, sockets."""

    log = Logger()

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self._settings = settings
        self._reactor = reactor
        self._app: App | None = None
        self._ports: dict[str, list[IListeningPort]] = {face: [] for face in FACES}
        self._temporary: Path | None = None
        self._ready = False

    def startService(self) -> None:
        """Read keys and store, then listen.

        :raises StartupFailed: and leaves nothing behind.
        """
        super().startService()  # type: ignore[no-untyped-call]
        try:
            self._start()
        except BaseException as e:
            self._close()
            if isinstance(e, StoreError | OSError | CannotListenError | ValueError):
                raise StartupFailed(" ".join(str(e).split())) from None
            raise

    def stopService(self) -> Deferred[None]:
        """Stop accepting, let the requests in flight finish, close everything."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    def _start(self) -> None:
        settings = self._settings
        data = settings.data
        if settings.demo:
            data = self._temporary = Path(tempfile.mkdtemp(prefix="aigw-demo-"))
        self._app = app = build(settings, data, self._surroundings())
        for face in FACES:
            for endpoint in getattr(settings, face):
                self._ports[face].append(self._listen(face, endpoint, app.sites[face]))
        for key in (app.admin_key, app.viewer_key):
            if key is not None and key.warning:
                self.log.warn("{warning}", warning=key.warning)
        self.log.info("admin key: {origin}", origin=app.admin_key.origin)
        app.serving.start()
        gc.collect()
        gc.freeze()  # with 100,000 routes a full collection would stop every stream for a quarter of a second
        self._ready = True
        if settings.demo:
            demonstrate(app, self._reactor, self._ports, settings.gateway_group, data)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            reactor=self._reactor,
            ready=self._is_ready,
            proxy_ports=lambda: self._ports["proxy"],
            gave_up=self._give_up,
        )

    def _is_ready(self) -> bool:
        return self._ready and self._app is not None and self._app.serving.ready

    def _give_up(self, reason: str) -> None:
        """Nothing can be served."""
        self.log.critical("aigw: {reason}", reason=reason)
        atexit.register(_exit_with_failure)
        self._reactor.stop()

    def _listen(self, face: str, endpoint: str, site: Any) -> IListeningPort:
        """Listen on one endpoint; those of Twisted that serve HTTP do it at once."""
        outcome: list[Any] = []
        try:
            listening = serverFromString(eager_sockets(self._reactor), endpoint).listen(site)
        except BAD_ENDPOINT as e:
            raise ValueError(f"--{face}: {endpoint}: no endpoint to listen on: {e}") from e
        listening.addBoth(outcome.append)
        if not outcome:
            listening.cancel()
            raise ValueError(f"--{face}: {endpoint} does not begin to listen at once")
        if isinstance(outcome[0], Failure):
            raise ValueError(f"--{face}: {_reason(endpoint, outcome[0])}")
        port: IListeningPort = outcome[0]
        if face == "proxy" and self._app is not None:
            self._share(port, endpoint)
        self.log.info("{face} listens on {address}", face=face, address=port.getHost())
        return port

    def _share(self, port: IListeningPort, endpoint: str) -> None:
        assert self._app is not None
        try:
            self._app.serving.bound(port)
        except ValueError as e:
            port.stopListening()
            raise ValueError(f"--proxy: {endpoint}: {e}") from None

    async def _stop(self) -> None:
        app = self._app
        if app is None:
            return
        self._ready = False
        with _second_signal(lambda: self._reactor.callFromThread(self._hurry)):
            await app.serving.leave(self._settings.drain)
            await self._stop_listening("admin", "proxy")
            drained = app.serving.drain(self._settings.drain)
            if app.serving.in_flight:
                self.log.info(
                    "leaving: {count} requests in flight get up to {seconds} s; a second signal ends them",
                    count=app.serving.in_flight,
                    seconds=self._settings.drain,
                )
            await drained
        await self._stop_listening("control")
        await app.serving.close_clients()
        await app.configuration.close()
        self._close()

    def _hurry(self) -> None:
        if self._app is not None:
            self.log.warn("leaving at once: a second signal came")
            self._app.serving.hurry()

    async def _stop_listening(self, *faces: str) -> None:
        ports = [port for face in faces for port in self._ports[face]]
        for face in faces:
            self._ports[face] = []
        await DeferredList([maybeDeferred(port.stopListening) for port in ports])

    def _close(self) -> None:
        """Give back what can be given back at once."""
        for ports in self._ports.values():
            for port in ports:
                maybeDeferred(port.stopListening)
        app, self._app = self._app, None
        if app is not None:
            app.configuration.close()
            app.serving.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _reason(endpoint: str, failure: Failure) -> str:
    """Why an endpoint can't be listened on, in a few words."""
    error = failure.value
    cause = getattr(error, "socketError", error)
    return f"{endpoint}: {getattr(cause, 'strerror', None) or cause}"


def _exit_with_failure() -> None:
    """End with status 1: ``twistd`` has it 0 for whoever has left in good order."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(1)


class _second_signal:  # noqa: N801 - a context manager reads like a function
    """While requests finish, SIGTERM and SIGINT mean: end at once (the reactor itself ignores a second one)."""

    def __init__(self, hurry: Callable[[], object]) -> None:
        self._hurry = hurry
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._before[number] = signal.signal(number, lambda *_: self._hurry())
            except ValueError:  # not the main thread: somebody else handles signals
                return

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
