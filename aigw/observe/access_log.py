"""The access log: one JSON object per request and line, with APISIX's variable names.

No header but the user agent gets in, no query and no body: those are where secrets are. What clients choose is bounded
and made printable, and JSON escapes the rest, so one request is one line whatever it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from aigw.errors import GatewayError
from aigw.exchange import Attempt, Exchange, Outcome
from aigw.observe.line_writer import LineWriter
from aigw.observe.log_destination import LogFile, StandardOutput
from aigw.observe.text import printable
from aigw.ports import Clock

NAME_BYTES, PATH_BYTES = 256, 2048
MOST_ATTEMPTS = 32
MOST_EXACT = 2**53
"""The greatest integer that every JSON reader reads as written."""


def access_log(where: str, clock: Clock, now: Callable[[], float] = time.time) -> AccessLog | None:
    """The log that an operator asked for: a file's path, ``-`` for standard output, ``off`` for none.

    :raises OSError: if the file can't be opened.
    """
    if where == "off":
        return None
    return AccessLog(LineWriter(StandardOutput() if where == "-" else LogFile(where), clock), now)


class AccessLog:
    """Observes finished requests. ``now``: epoch seconds, for the lines' ``time``, which is when a request ended."""

    def __init__(self, writer: LineWriter, now: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._now = now
        self._encode = msgspec.json.Encoder().encode
        self._second = -1
        self._second_text = ""

    def __call__(
        self, exchange: Exchange, status: int, outcome: Outcome, error: GatewayError | None, bytes_sent: int
    ) -> None:
        """Log one request that is over."""
        record = _record(exchange, status, outcome, error, bytes_sent)
        record["time"] = self._time()
        self._writer.write(self._encode(record) + b"\n")

    def flush(self) -> None:
        """Write what is held."""
        self._writer.flush()

    def reopen(self) -> None:
        """The file was moved away: begin a new one."""
        self._writer.reopen()

    def close(self) -> None:
        """Write what is held and close."""
        self._writer.close()

    def _time(self) -> str:
        now = self._now()
        second = int(now)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{int((now - second) * 1000):03d}Z"


def _record(
    exchange: Exchange, status: int, outcome: Outcome, error: GatewayError | None, bytes_sent: int
) -> dict[str, Any]:
    """What a line says. Seconds where nginx has seconds, milliseconds where APISIX has them; None = not known.

    ``request_length``: bytes of the body alone. ``uri``: the path without the query.
    """
    t, usage = exchange.timeline, exchange.usage
    route = exchange.route
    upstream = _seconds(t.upstream_started, t.finished)
    first_token = _seconds(t.upstream_started, t.first_token)
    agents = exchange.headers.getRawHeaders(b"user-agent")
    return {
        "time": "",
        "request_id": printable(exchange.id, NAME_BYTES),
        "remote_addr": printable(exchange.remote_addr, NAME_BYTES),
        "host": printable(exchange.host, NAME_BYTES),
        "request_method": printable(exchange.method.decode("latin-1"), NAME_BYTES),
        "uri": printable(exchange.path, PATH_BYTES),
        "status": status,
        "body_bytes_sent": bytes_sent,
        "request_length": len(exchange.body),
        "request_time": _rounded(_seconds(t.started, t.finished)),
        "upstream_response_time": _rounded(upstream),
        "apisix_upstream_response_time": _milliseconds(upstream),
        "route_id": None if route is None else route.id,
        "service_id": None if route is None else route.value.service_id,
        "consumer": printable(exchange.consumer, NAME_BYTES),
        "node": printable(exchange.attempts[-1].instance, NAME_BYTES) if exchange.attempts else None,
        "request_type": exchange.request_type or "traditional_http",
        "request_llm_model": printable(exchange.request_model, NAME_BYTES),
        "llm_model": printable(exchange.model, NAME_BYTES),
        "llm_time_to_first_token": _milliseconds(first_token),
        "llm_prompt_tokens": _count(usage.prompt_tokens),
        "llm_completion_tokens": _count(usage.completion_tokens),
        "llm_total_tokens": _count(usage.total_tokens),
        "attempts": [_attempt(a) for a in exchange.attempts[:MOST_ATTEMPTS]],
        "outcome": outcome.value,
        "error": None if error is None else error.code,
        "http_user_agent": printable(agents[0].decode(errors="replace"), NAME_BYTES) if agents else None,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "instance": printable(attempt.instance, NAME_BYTES),
        "status": attempt.status,
        "error": attempt.error,
        "duration_ms": round(attempt.duration_ms, 1),
    }


def _seconds(begin: float | None, end: float | None) -> float | None:
    """Never negative, though the clock may be set back."""
    return None if begin is None or end is None else max(0.0, end - begin)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _count(tokens: int) -> int:
    return max(0, min(tokens, MOST_EXACT))
