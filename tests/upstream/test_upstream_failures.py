"""Foreign failures, translated."""

from __future__ import annotations

import socket

import pytest
from OpenSSL.SSL import Error as TLSError
from OpenSSL.SSL import SysCallError
from service_identity import VerificationError
from twisted.internet import defer, error
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported

from aigw import errors
from aigw.upstream.failures import translate

ORIGIN = "up.example:443"
LOST = Failure(error.ConnectionLost("secret"))


@pytest.mark.parametrize(
    ("foreign", "ours", "words"),
    [
        (error.DNSLookupError("secret"), errors.UpstreamUnreachable, "host name is unknown"),
        (error.UnknownHostError(), errors.UpstreamUnreachable, "host name is unknown"),
        (error.ConnectionRefusedError(), errors.UpstreamUnreachable, "refused"),
        (error.NoRouteError(), errors.UpstreamUnreachable, "no route"),
        (error.ConnectBindError(), errors.UpstreamUnreachable, "can't be connected to"),
        (error.ConnectError(), errors.UpstreamUnreachable, "can't be connected to"),
        (OSError(24, "secret"), errors.UpstreamUnreachable, "can't be connected to"),
        (socket.gaierror(-2, "secret"), errors.UpstreamUnreachable, "can't be connected to"),
        (UnicodeError("secret"), errors.UpstreamUnreachable, "host name is invalid"),
        (ValueError("secret"), errors.UpstreamUnreachable, "host name is invalid"),
        (SchemeNotSupported("secret"), errors.UpstreamUnreachable, "neither http nor https"),
        (
            TLSError([("SSL routines", "", "certificate verify failed")]),
            errors.UpstreamUnreachable,
            "handshake failed (certificate verify failed)",
        ),
        (SysCallError(-1, "Unexpected EOF"), errors.UpstreamUnreachable, "handshake failed (Unexpected EOF)"),
        (TLSError(), errors.UpstreamUnreachable, "handshake failed"),
        (TLSError([]), errors.UpstreamUnreachable, "handshake failed"),
        (VerificationError(errors=[]), errors.UpstreamUnreachable, "certificate is for another host"),
        (error.TimeoutError(), errors.UpstreamTimeout, "did not accept the connection in time"),
        (error.TCPTimedOutError(), errors.UpstreamTimeout, "did not accept the connection in time"),
        (error.ConnectingCancelledError(None), errors.UpstreamTimeout, "given up"),
        (defer.CancelledError(), errors.UpstreamTimeout, "given up"),
        (defer.TimeoutError(), errors.UpstreamTimeout, "did not answer in time"),
        (TimeoutError("secret"), errors.UpstreamUnreachable, "can't be connected to"),
        (error.ConnectionDone("secret"), errors.UpstreamReset, "closed the connection without an answer"),
        (error.ConnectionLost("secret"), errors.UpstreamReset, "broke the connection"),
        (error.ConnectionAborted("secret"), errors.UpstreamReset, "broke the connection"),
        (ResponseNeverReceived([LOST]), errors.UpstreamReset, "broke the connection"),
        (ResponseNeverReceived([Failure(TLSError())]), errors.UpstreamUnreachable, "handshake"),
        (RequestTransmissionFailed([LOST]), errors.UpstreamReset, "broke the connection"),
        (RequestGenerationFailed([LOST]), errors.UpstreamReset, "broke the connection"),
        (ResponseFailed([LOST]), errors.UpstreamCutShort, "did not complete its reply"),
        (ResponseNeverReceived([]), errors.UpstreamCutShort, "did not complete its reply"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_translations(foreign: Exception, ours: type[errors.GatewayError], words: str) -> None:
    translated = translate(Failure(foreign), ORIGIN)
    assert type(translated) is ours
    assert words in translated.message
    assert translated.message.startswith(ORIGIN)
    assert "secret" not in translated.message


def test_ours_stay_as_they_are() -> None:
    ours = errors.UpstreamBadReply("so it is")
    assert translate(Failure(ours), ORIGIN) is ours
    assert translate(Failure(ResponseNeverReceived([Failure(ours)])), ORIGIN) is ours


def test_what_nobody_foresaw_is_logged_and_still_an_upstream_error(expected_failures: list[str]) -> None:
    expected_failures.append("unforeseen failure of upstream")
    translated = translate(Failure(ZeroDivisionError("secret")), ORIGIN)
    assert type(translated) is errors.UpstreamError
    assert translated.message == f"{ORIGIN} failed (ZeroDivisionError)"
