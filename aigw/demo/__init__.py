"""What ``twistd aigw --demo`` adds: a model that echoes, two routes to it, and the commands to try."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from aigw.configuration import Change
from aigw.demo.echo import echo_site
from aigw.demo.routes import demo_routes, demo_text
from aigw.model.resource import decode_resource
from aigw.model.snapshot import Snapshot
from aigw.plugins import CONFIGS

if TYPE_CHECKING:
    from aigw.app import App

log = Logger()


def demonstrate(app: App, reactor: Any, ports: dict[str, list[IListeningPort]], group: str, data: Path) -> None:
    """Start the echo model, put the routes, tell what to try. ``ports``: face -> what listens; the model's is added."""
    model = reactor.listenTCP(0, echo_site(reactor), interface="127.0.0.1")
    ports["control"].append(model)
    documents = demo_routes(model.getHost().port)

    def decide(snapshot: Snapshot, revision: int) -> Change:
        put = [
            decode_resource("routes", d["id"], d, CONFIGS, created_index=revision, modified_index=revision)
            for d in documents
        ]
        return Change(put=put)

    putting = Deferred.fromCoroutine(app.configuration.change(group, decide))
    text = demo_text(_url(ports["proxy"][0]), _url(ports["admin"][0]), data / "admin.key")
    putting.addCallback(lambda _: _print(text))
    putting.addErrback(lambda failure: log.failure("the demo's routes could not be put", failure=failure))


def _print(text: str) -> None:
    """To the terminal, not to the log that stands in for standard output, so that commands can be copied."""
    if sys.__stdout__ is not None:
        sys.__stdout__.write(f"\n{text}\n")
        sys.__stdout__.flush()


def _url(port: IListeningPort) -> str:
    address = port.getHost()
    return f"http://127.0.0.1:{address.port}" if hasattr(address, "port") else str(address)
