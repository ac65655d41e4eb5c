"""The line of a request as most are: one instance was tried, and it answered.

What such a line says is what `aigw.observe.log_record.record` says, but what repeats from line to line is kept encoded.
"""

from __future__ import annotations

import msgspec

from aigw.exchange import Attempt, Exchange
from aigw.model.snapshot import Resource
from aigw.observe.log_record import NAME_BYTES, PATH_BYTES, agent, method, name, request_type
from aigw.observe.text import printable
from aigw.received import derived_of

MOST_KINDS, LONGEST_KIND = 1024, 512
"""How many kinds of requests are remembered, of so many characters: 4 MB, if every client did its worst."""

_encode = msgspec.json.Encoder().encode
_EXACT_BITS = 53
_CLIENT = "aigw.observe.log_line"
"""Where a client's part is kept with its head."""


class _Numbers(msgspec.Struct, gc=False):
    """What differs from line to line."""

    time: str
    request_id: str
    body_bytes_sent: int
    request_length: int
    request_time: float
    upstream_response_time: float
    apisix_upstream_response_time: int
    llm_time_to_first_token: int | None
    llm_prompt_tokens: int
    llm_completion_tokens: int
    llm_total_tokens: int


class UsualLines:
    """Makes lines; remembers what repeats in them."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[object, ...], bytes] = {}

    def line(self, exchange: Exchange, status: int, bytes_sent: int, time: str) -> bytes | None:
        """The line of a request whose reply is complete; None if there is anything unusual about it."""
        route, t, usage, id = exchange.route, exchange.timeline, exchange.usage, exchange.id
        began, finished, first = t.upstream_started, t.finished, t.first_token
        prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
        if (
            len(exchange.attempts) != 1
            or route is None
            or began is None
            or finished is None
            or (prompt | completion | total) >> _EXACT_BITS  # one of them is too great, or negative
            or not (len(id) <= NAME_BYTES and id.isascii() and id.isprintable())
        ):
            return None
        attempt = exchange.attempts[0]
        if attempt.error is not None or attempt.status != status or not attempt.duration_ms >= 0:
            return None
        upstream = int((finished - began) * 1000 + 0.5) if finished > began else 0
        numbers = _Numbers(
            time,
            id,
            bytes_sent,
            len(exchange.body),
            (int((finished - t.started) * 1000 + 0.5) if finished > t.started else 0) / 1000,
            upstream / 1000,
            upstream,
            None if first is None else int((first - began) * 1000 + 0.5) if first > began else 0,
            prompt,
            completion,
            total,
        )
        duration = int(attempt.duration_ms * 10 + 0.5)
        return b"%b,%b,%b%d.%d}]}\n" % (
            _encode(numbers)[:-1],
            _client(exchange),
            self._kind(exchange, route, attempt, status),
            duration // 10,
            duration % 10,
        )

    def _kind(self, exchange: Exchange, route: Resource, attempt: Attempt, status: int) -> bytes:
        """What was asked of which instance, up to how long it took."""
        key = (
            route.id,
            route.value.service_id,
            exchange.consumer,
            attempt.instance,
            exchange.request_type,
            exchange.request_model,
            exchange.model,
            status,
        )
        known = self._kinds.get(key)
        if known is None:
            known = _new_kind(exchange, route, attempt, status)
            if sum(map(len, (exchange.consumer, exchange.request_model, exchange.model))) <= LONGEST_KIND:
                if len(self._kinds) >= MOST_KINDS:
                    self._kinds.clear()
                self._kinds[key] = known
        return known


def _new_kind(exchange: Exchange, route: Resource, attempt: Attempt, status: int) -> bytes:
    node = name(attempt.instance)
    members = _members(
        {
            "status": status,
            "route_id": route.id,
            "service_id": route.value.service_id,
            "consumer": name(exchange.consumer),
            "node": node,
            "request_type": request_type(exchange),
            "request_llm_model": name(exchange.request_model),
            "llm_model": name(exchange.model),
            "outcome": "done",
            "error": None,
        }
    )
    return b'%b,"attempts":[{%b,"duration_ms":' % (
        members,
        _members({"instance": node, "status": status, "error": None}),
    )


def _client(exchange: Exchange) -> bytes:
    """Who asked for what; kept with the head, for as long as the client repeats it."""
    asked = (exchange.remote_addr, exchange.host, exchange.method, exchange.path)
    derived = derived_of(exchange.headers)
    known: tuple[object, bytes] | None = derived.get(_CLIENT)
    if known is None or known[0] != asked:
        known = derived[_CLIENT] = asked, _new_client(exchange)
    return known[1]


def _new_client(exchange: Exchange) -> bytes:
    return _members(
        {
            "remote_addr": name(exchange.remote_addr),
            "host": name(exchange.host),
            "request_method": method(exchange),
            "uri": printable(exchange.path, PATH_BYTES),
            "http_user_agent": agent(exchange),
        }
    )


def _members(of: dict[str, object]) -> bytes:
    return _encode(of)[1:-1]
