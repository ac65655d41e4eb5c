"""The access log: one JSON object per request and line, with APISIX's variable names.

No header but the user agent gets in, no query and no body: those are where secrets are. What clients choose is bounded
and made printable, and JSON escapes the rest, so one request is one line whatever it holds.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import msgspec

from aigw.errors import GatewayError
from aigw.exchange import Attempt, Exchange, Outcome
from aigw.observe.line_writer import LineWriter
from aigw.observe.log_destination import log_destination
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
    return AccessLog(LineWriter(log_destination(where), clock), now)


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
    t, usage, attempts = exchange.timeline, exchange.usage, exchange.attempts
    route = exchange.route
    upstream, first_token = _seconds(t.upstream_started, t.finished), _seconds(t.upstream_started, t.first_token)
    request = _seconds(t.started, t.finished)
    agents = exchange.headers.getRawHeaders(b"user-agent")
    return {
        "time": "",
        "request_id": printable(exchange.id, NAME_BYTES),
        "remote_addr": _name(exchange.remote_addr),
        "host": _name(exchange.host),
        "request_method": _name(exchange.method.decode("latin-1")),
        "uri": printable(exchange.path, PATH_BYTES),
        "status": status,
        "body_bytes_sent": bytes_sent,
        "request_length": len(exchange.body),
        "request_time": None if request is None else _milliseconds(request) / 1000,
        "upstream_response_time": None if upstream is None else _milliseconds(upstream) / 1000,
        "apisix_upstream_response_time": None if upstream is None else _milliseconds(upstream),
        "route_id": None if route is None else route.id,
        "service_id": None if route is None else route.value.service_id,
        "consumer": _name(exchange.consumer),
        "node": _name(attempts[-1].instance) if attempts else None,
        "request_type": exchange.request_type or "traditional_http",
        "request_llm_model": _name(exchange.request_model),
        "llm_model": _name(exchange.model),
        "llm_time_to_first_token": None if first_token is None else _milliseconds(first_token),
        "llm_prompt_tokens": _count(usage.prompt_tokens),
        "llm_completion_tokens": _count(usage.completion_tokens),
        "llm_total_tokens": _count(usage.total_tokens),
        "attempts": [_attempt(a) for a in attempts[:MOST_ATTEMPTS]],
        "outcome": outcome.value,
        "error": None if error is None else error.code,
        "http_user_agent": _agent(agents[0]) if agents else None,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "instance": _name(attempt.instance),
        "status": attempt.status,
        "error": attempt.error,
        "duration_ms": int(attempt.duration_ms * 10 + 0.5) / 10,
    }


def _name(value: str) -> str:
    """Most are the same in every line."""
    return _known_name(value) if len(value) <= NAME_BYTES else printable(value, NAME_BYTES)


def _agent(value: bytes) -> str:
    return _known_agent(value) if len(value) <= NAME_BYTES else printable(value.decode(errors="replace"), NAME_BYTES)


@functools.lru_cache(maxsize=1024)
def _known_name(value: str) -> str:
    return printable(value, NAME_BYTES)


@functools.lru_cache(maxsize=1024)
def _known_agent(value: bytes) -> str:
    return printable(value.decode(errors="replace"), NAME_BYTES)


def _seconds(begin: float | None, end: float | None) -> float | None:
    """Never negative, though the clock may be set back."""
    if begin is None or end is None:
        return None
    return end - begin if end > begin else 0.0


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000 + 0.5)


def _count(tokens: int) -> int:
    return tokens if 0 <= tokens <= MOST_EXACT else max(0, min(tokens, MOST_EXACT))
