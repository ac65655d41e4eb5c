"""The access log: one JSON object per request and line, with APISIX's variable names.

No header but the user agent gets in, no query and no body: those are where secrets are. What clients choose is bounded
and made printable, and JSON escapes the rest, so one request is one line whatever it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from aigw.errors import GatewayError
from aigw.exchange import Exchange, Outcome
from aigw.observe.line_writer import LineWriter
from aigw.observe.log_destination import log_destination
from aigw.observe.log_line import UsualLines
from aigw.observe.log_record import record
from aigw.ports import Clock


def access_log(where: str, clock: Clock, now: Callable[[], float] = time.time) -> AccessLog | None:
    """The log that an operator asked for: a file's path, ``-`` for standard output, ``off`` for none.

    :raises OSError: if the file can't be opened.
    """
    if where == "off":
        return None
    return AccessLog(LineWriter(log_destination(where), clock), now)


class AccessLog:
    """Observes finished requests. ``now``: epoch seconds, for the lines' ``time``, which is when a request ended."""

    def __init__(self, writer: LineWriter, now: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._now = now
        self._usual = UsualLines()
        self._encode = msgspec.json.Encoder().encode
        self._second = -1
        self._second_text = b""

    def __call__(
        self, exchange: Exchange, status: int, outcome: Outcome, error: GatewayError | None, bytes_sent: int
    ) -> None:
        """Log one request that is over."""
        now = self._now()
        second = int(now)
        ms = int((now - second) * 1000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        line = None
        if outcome is Outcome.DONE and error is None:
            line = self._usual.line(exchange, status, bytes_sent, self._second_text, ms)
        if line is None:
            ended = b"%b.%03dZ" % (self._second_text, ms)
            line = self._encode(record(exchange, status, outcome, error, bytes_sent, ended.decode())) + b"\n"
        self._writer.write(line)

    def flush(self) -> None:
        """Write what is held."""
        self._writer.flush()

    def reopen(self) -> None:
        """The file was moved away: begin a new one."""
        self._writer.reopen()

    def close(self) -> None:
        """Write what is held and close."""
        self._writer.close()
