"""``twistd aigw``: the options and the service. The only module that names the reactor, inside a function."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from twisted.application.service import IService
from twisted.python import usage

from aigw.model.fields import ID, ID_WORDS
from aigw.settings import Settings

DEFAULT_ADMIN = "tcp:7080:interface=127.0.0.1"
DEFAULT_PROXY = "tcp:9080:backlog=1024"  # Twisted queues 50 connections, too few for a burst of clients
DEFAULT_CONTROL = "tcp:9091:interface=127.0.0.1"
LONGEST_DRAIN = 86_400
MOST_WORKERS = 256


def _drain(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_DRAIN:
        raise ValueError(f'--drain: expected 0 to {LONGEST_DRAIN} seconds, got "{text}"')
    return seconds


def _workers(text: str) -> int:
    number = int(text) if text.isdecimal() and len(text) < 5 else 0
    if not 1 <= number <= MOST_WORKERS:
        raise ValueError(f'--workers: expected 1 to {MOST_WORKERS} processes, got "{text}"')
    return number


def _group(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError(f'--gateway-group: expected {ID_WORDS}, got "{text}"')
    return text


class Options(usage.Options):
    """Command line of ``twistd aigw``."""

    synopsis = "[options]"
    longdesc = (
        "An AI gateway: manage routes with the admin API of APISIX, point OpenAI-compatible clients at the proxy. "
        "ENDPOINT is a Twisted endpoint string, such as tcp:9080, ssl:9443:privateKey=key.pem:certKey=cert.pem or "
        "unix:/run/aigw.sock; --admin, --proxy and --control may be given several times."
    )
    optFlags = [["demo", None, "Start an echo model on loopback and a route to it, and keep nothing on disk."]]
    optParameters = [
        ["data", "d", "aigw-data", "Directory of the store and the keys."],
        [
            "admin-key-file",
            None,
            None,
            "File that holds the admin key [default: $AIGW_ADMIN_KEY, else DATA/admin.key].",
        ],
        ["viewer-key-file", None, None, "File that holds a key that may only read."],
        ["gateway-group", None, "default", "The gateway group whose routes this process serves.", _group],
        [
            "priority-order",
            None,
            "lowest_first",
            "Which priority ai-proxy-multi tries first: lowest_first, highest_first.",
        ],
        [
            "access-log",
            None,
            None,
            "File for the access log, - for standard output, off for none [default: DATA/access.log].",
        ],
        ["workers", "w", 1, "Processes that serve the routes; more than 1: beside one that has the rest.", _workers],
        ["drain", None, 600.0, "Seconds that requests in flight get to finish after SIGTERM.", _drain],
    ]
    compData = usage.Completions(
        optActions={"priority-order": usage.CompleteList(["lowest_first", "highest_first"])},
    )

    def __init__(self) -> None:
        usage.Options.__init__(self)
        for face in ("admin", "proxy", "control"):
            self[face] = []

    def opt_admin(self, endpoint: str) -> None:
        """Where the admin API listens [default: tcp:7080:interface=127.0.0.1]."""
        self["admin"].append(endpoint)

    def opt_proxy(self, endpoint: str) -> None:
        """Where the routes listen [default: tcp:9080]."""
        self["proxy"].append(endpoint)

    def opt_control(self, endpoint: str) -> None:
        """Where metrics and health listen [default: tcp:9091:interface=127.0.0.1]."""
        self["control"].append(endpoint)

    def postOptions(self) -> None:
        """Check what can be checked before anything is started.

        :raises usage.UsageError: naming the option.
        """
        for face, default in (("admin", DEFAULT_ADMIN), ("proxy", DEFAULT_PROXY), ("control", DEFAULT_CONTROL)):
            self[face] = self[face] or [default]
        if self["priority-order"] not in ("lowest_first", "highest_first"):
            raise usage.UsageError(
                f'--priority-order: expected lowest_first or highest_first, got "{self["priority-order"]}"'
            )
        if self["access-log"] is None:
            self["access-log"] = "-" if self["demo"] else os.path.join(self["data"], "access.log")
        self.settings = self._settings()

    def _settings(self) -> Settings:
        def path(name: str) -> Path | None:
            return None if self[name] is None else Path(self[name]).absolute()

        log = self["access-log"]
        return Settings(
            admin=self["admin"],
            proxy=self["proxy"],
            control=self["control"],
            data=Path(self["data"]).absolute(),
            admin_key_file=path("admin-key-file"),
            viewer_key_file=path("viewer-key-file"),
            gateway_group=self["gateway-group"],
            priority_order=self["priority-order"],
            access_log=log if log in ("-", "off") else os.path.abspath(log),
            drain=self["drain"],
            workers=self["workers"],
            demo=bool(self["demo"]),
            environ=dict(os.environ),
        )


def makeService(options: Options) -> IService:
    """The service that ``twistd`` runs; nothing is read or opened before it starts."""
    from aigw.net.choice import choose_reactor

    choose_reactor()
    from twisted.internet import reactor

    from aigw.service import Gateway

    sys.excepthook = _explain_failed_start
    return Gateway(options.settings, reactor)


def _explain_failed_start(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Instead of a traceback, one line for an operator whose port is taken or whose store is damaged."""
    if kind.__name__ == "StartupFailed":
        print(f"aigw: {error}", file=sys.__stderr__)
    else:
        sys.__excepthook__(kind, error, traceback)
