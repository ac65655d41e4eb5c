"""What a connection can be waiting for, and how long."""

from __future__ import annotations

import enum

from aigw.proxy.limits import Limits

FOREVER = float("inf")


class Phase(enum.IntEnum):
    """Where an HTTP/1 connection is. A number, so that `patience` of it is an index."""

    HANDSHAKE = 0
    """Waiting for the end of the TLS handshake."""
    IDLE = 1
    """Waiting for the first byte of a request."""
    HEAD = 2
    """Waiting for the rest of a head."""
    BODY = 3
    """Waiting for the rest of a body."""
    ANSWER = 4
    """Waiting for the end of a reply."""
    CLOSING = 5
    """Waiting for its end."""


HANDSHAKE, IDLE, HEAD, BODY, ANSWER, CLOSING = Phase
# Looking a member up in its class takes longer than anything that is done with it.


def patience(limits: Limits) -> tuple[float, ...]:
    """How many seconds a connection may be in each phase; in two of them, the request has a deadline of its own."""
    return (
        limits.handshake_timeout,
        limits.idle_timeout,
        limits.head_timeout,
        FOREVER,
        FOREVER,
        limits.send_timeout,
    )
