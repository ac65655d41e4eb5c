"""What a connection can be waiting for, and how long."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from aigw.proxy.limits import Limits

FOREVER = float("inf")


class Phase(enum.Enum):
    """Where an HTTP/1 connection is."""

    HANDSHAKE = "waiting for the end of the TLS handshake"
    IDLE = "waiting for the first byte of a request"
    HEAD = "waiting for the rest of a head"
    BODY = "waiting for the rest of a body"
    ANSWER = "waiting for the end of a reply"
    CLOSING = "waiting for its end"


def patience(limits: Limits) -> Mapping[Phase, float]:
    """How many seconds a connection may be in each phase; in two of them, the request has a deadline of its own."""
    return {
        Phase.HANDSHAKE: limits.handshake_timeout,
        Phase.IDLE: limits.idle_timeout,
        Phase.HEAD: limits.head_timeout,
        Phase.BODY: FOREVER,
        Phase.ANSWER: FOREVER,
        Phase.CLOSING: limits.send_timeout,
    }
