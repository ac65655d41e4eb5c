"""The one table that turns foreign failures into ours.

A message names the upstream's host and port, and nothing that could be a secret: no path, no query, no header.
"""

from __future__ import annotations

from collections.abc import Mapping

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet import defer, error
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported

from aigw.errors import (
    GatewayError,
    UpstreamCutShort,
    UpstreamError,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamUnreachable,
)

TABLE: Mapping[type[BaseException], tuple[type[UpstreamError], str]] = {
    # While connecting.
    error.DNSLookupError: (UpstreamUnreachable, "{origin}: the host name is unknown"),
    error.UnknownHostError: (UpstreamUnreachable, "{origin}: the host name is unknown"),
    UnicodeError: (UpstreamUnreachable, "{origin}: the host name is invalid"),
    ValueError: (UpstreamUnreachable, "{origin}: the host name is invalid"),
    SchemeNotSupported: (UpstreamUnreachable, "{origin}: the URL is neither http nor https"),
    error.ConnectionRefusedError: (UpstreamUnreachable, "{origin} refused the connection"),
    error.NoRouteError: (UpstreamUnreachable, "{origin}: there is no route to the host"),
    error.ConnectError: (UpstreamUnreachable, "{origin} can't be connected to"),
    OSError: (UpstreamUnreachable, "{origin} can't be connected to"),
    TLSError: (UpstreamUnreachable, "{origin}: the TLS handshake failed{detail}"),
    VerificationError: (UpstreamUnreachable, "{origin}: its certificate is for another host"),
    error.TimeoutError: (UpstreamTimeout, "{origin} did not accept the connection in time"),
    error.TCPTimedOutError: (UpstreamTimeout, "{origin} did not accept the connection in time"),
    error.ConnectingCancelledError: (UpstreamTimeout, "{origin}: connecting was given up"),
    # Afterwards.
    defer.CancelledError: (UpstreamTimeout, "{origin}: the request was given up"),
    defer.TimeoutError: (UpstreamTimeout, "{origin} did not answer in time"),
    error.ConnectionDone: (UpstreamReset, "{origin} closed the connection without an answer"),
    error.ConnectionLost: (UpstreamReset, "{origin} broke the connection"),
    ResponseFailed: (UpstreamCutShort, "{origin} did not complete its reply"),
}
"""Foreign class -> ours, and what to say. The entry of the nearest base class counts."""

_WRAPPERS = (ResponseNeverReceived, RequestTransmissionFailed, RequestGenerationFailed)
"""Of Twisted's stock agent: what is in them tells more."""

_log = Logger()


def translate(failure: Failure, origin: str) -> GatewayError:
    """Our error for a foreign failure; one that is ours already stays as it is. ``origin``: ``host:port``."""
    while isinstance(failure.value, _WRAPPERS) and failure.value.reasons:
        failure = failure.value.reasons[0]
    value = failure.value
    if isinstance(value, GatewayError):
        return value
    for kind in type(value).__mro__:
        if kind in TABLE:
            ours, text = TABLE[kind]
            return ours(text.format(origin=origin, detail=_detail(value)))
    _log.failure("unforeseen failure of upstream {origin}", failure, origin=origin)
    return UpstreamError(f"{origin} failed ({type(value).__name__})")


def _detail(value: BaseException | None) -> str:
    """What OpenSSL says: its last reason, such as ``certificate verify failed``."""
    if not isinstance(value, TLSError) or not value.args:
        return ""
    reason = value.args[-1]
    while isinstance(reason, list | tuple):
        reason = reason[-1] if reason else ""
    return f" ({reason})" if reason else ""
