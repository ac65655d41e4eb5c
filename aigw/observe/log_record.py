"""What the access log says of a request: its fields, their units and their bounds."""

from __future__ import annotations

import functools
from typing import Any

from aigw.errors import GatewayError
from aigw.exchange import Attempt, Exchange, Outcome
from aigw.observe.text import printable

NAME_BYTES, PATH_BYTES = 256, 2048
MOST_ATTEMPTS = 32
MOST_EXACT = 2**53
"""The greatest integer that every JSON reader reads as written."""


def record(
    exchange: Exchange, status: int, outcome: Outcome, error: GatewayError | None, bytes_sent: int, time: str
) -> dict[str, Any]:
    """What a line says. Seconds where nginx has seconds, milliseconds where APISIX has them; None = not known.

    ``request_length``: bytes of the body alone. ``uri``: the path without the query.
    """
    t, usage, attempts = exchange.timeline, exchange.usage, exchange.attempts
    route = exchange.route
    upstream, first_token = _seconds(t.upstream_started, t.finished), _seconds(t.upstream_started, t.first_token)
    request = _seconds(t.started, t.finished)
    return {
        "time": time,
        "request_id": printable(exchange.id, NAME_BYTES),
        "body_bytes_sent": bytes_sent,
        "request_length": len(exchange.body),
        "request_time": None if request is None else _milliseconds(request) / 1000,
        "upstream_response_time": None if upstream is None else _milliseconds(upstream) / 1000,
        "apisix_upstream_response_time": None if upstream is None else _milliseconds(upstream),
        "llm_time_to_first_token": None if first_token is None else _milliseconds(first_token),
        "llm_prompt_tokens": _count(usage.prompt_tokens),
        "llm_completion_tokens": _count(usage.completion_tokens),
        "llm_total_tokens": _count(usage.total_tokens),
        "remote_addr": name(exchange.remote_addr),
        "host": name(exchange.host),
        "request_method": method(exchange),
        "uri": printable(exchange.path, PATH_BYTES),
        "http_user_agent": agent(exchange),
        "status": status,
        "route_id": None if route is None else route.id,
        "service_id": None if route is None else route.value.service_id,
        "consumer": name(exchange.consumer),
        "node": name(attempts[-1].instance) if attempts else None,
        "request_type": request_type(exchange),
        "request_llm_model": name(exchange.request_model),
        "llm_model": name(exchange.model),
        "outcome": outcome.value,
        "error": None if error is None else error.code,
        "attempts": [_attempt(a) for a in attempts[:MOST_ATTEMPTS]],
    }


def name(value: str) -> str:
    """A name that a client may have chosen. Most are the same in every line."""
    return _known_name(value) if len(value) <= NAME_BYTES else printable(value, NAME_BYTES)


def method(exchange: Exchange) -> str:
    """The method of a request."""
    return name(exchange.method.decode("latin-1"))


def agent(exchange: Exchange) -> str | None:
    """What the client says it is."""
    agents = exchange.headers.getRawHeaders(b"user-agent")
    if not agents:
        return None
    value = agents[0]
    return _known_agent(value) if len(value) <= NAME_BYTES else printable(value.decode(errors="replace"), NAME_BYTES)


def request_type(exchange: Exchange) -> str:
    """As APISIX calls it."""
    return exchange.request_type or "traditional_http"


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "instance": name(attempt.instance),
        "status": attempt.status,
        "error": attempt.error,
        "duration_ms": int(attempt.duration_ms * 10 + 0.5) / 10,
    }


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
