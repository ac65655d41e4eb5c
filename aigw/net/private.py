"""Names of Twisted that are not public, and that this package leans on all the same: all of them stand here.

A test looks for each one, so that a Twisted without them is noticed when it is tried, not when it is in use.
"""

from __future__ import annotations

REACTOR = {
    "twisted.internet.epollreactor.EPollReactor": (
        "_disconnectSelectable",
        "_doReadOrWrite",
        "_poller",
        "_selectables",
    ),
}

TRANSPORT = {
    "twisted.internet.tcp.Connection": ("_aborting", "_tempDataBuffer", "_tempDataLen", "_writeDisconnecting"),
    "twisted.internet.tcp.Connector": ("_makeTransport",),
    "twisted.internet.tcp.Port": ("_fromListeningDescriptor", "_type"),
    "twisted.internet.unix.Port": ("_fromListeningDescriptor", "_preexistingSocket", "_shouldShutdown"),
}
