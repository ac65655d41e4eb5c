"""Names of Twisted that are not public, and that this package leans on all the same: all of them stand here.

A test looks for each one, so that a Twisted without them is noticed when it is tried, not when it is in use.
"""

from __future__ import annotations

PRIVATE = {
    "twisted.web._http2.H2Connection": (
        "_consumerBlocked",
        "_handleWindowUpdate",
        "_outboundStreamQueues",
        "_requestAborted",
        "_requestDataReceived",
        "_requestDone",
        "_requestEnded",
        "_requestReceived",
        "_sendingDeferred",
        "_tryToWriteControlData",
    ),
    "twisted.web._http2.H2Stream": ("_request",),
}
