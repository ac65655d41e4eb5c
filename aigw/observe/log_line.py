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
from aigw.remembered import remember_by

_Client = tuple[object, bytes]

MOST_KINDS, LONGEST_KIND = 1024, 512
"""How many kinds of requests are remembered, of so many characters: 4 MB, if every client did its worst."""

_encode = msgspec.json.Encoder().encode
_EXACT_BITS = 53
_CLIENT = "aigw.observe.log_line"
"""Where a client's part is kept with its head."""

_LINE = (
    b'{"time":"%b.%03dZ","request_id":%b,"body_bytes_sent":%d,"request_length":%d,"request_time":%d.%03d,'
    b'"upstream_response_time":%d.%03d,"apisix_upstream_response_time":%d,"llm_time_to_first_token":%d,'
    b'"llm_prompt_tokens":%d,"llm_completion_tokens":%d,"llm_total_tokens":%d,%b,%b%d.%d}]}\n'
)


class UsualLines:
    """Makes lines; remembers what repeats in them."""

    def __init__(self) -> None:
        self._kinds: dict[object, bytes] = {}
        self._clients: dict[object, bytes] = {}

    def line(self, exchange: Exchange, status: int, bytes_sent: int, second: bytes, ms: int) -> bytes | None:
        """The line of a request whose reply is complete; None if there is anything unusual about it.

        ``second``, ``ms``: when it ended, as ``2024-11-30T12:00:00`` and milliseconds.
        """
        route, t, usage, id = exchange.route, exchange.timeline, exchange.usage, exchange.id
        started, began, first, finished = t.started, t.upstream_started, t.first_token, t.finished
        prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
        if (
            len(exchange.attempts) != 1
            or route is None
            or began is None
            or first is None
            or finished is None
            or (prompt | completion | total) >> _EXACT_BITS  # one of them is too great, or negative
            or not (len(id) <= NAME_BYTES and id.isascii() and id.isprintable())
        ):
            return None
        attempt = exchange.attempts[0]
        if attempt.error is not None or attempt.status != status or not attempt.duration_ms >= 0:
            return None
        kind = (
            route.id,
            route.value.service_id,
            exchange.consumer,
            attempt.instance,
            exchange.request_type,
            exchange.request_model,
            exchange.model,
            status,
        )
        asked = (exchange.remote_addr, exchange.host, exchange.method, exchange.path)
        client: _Client | None = derived_of(exchange.headers).get(_CLIENT)
        request = int((finished - started) * 1000 + 0.5) if finished > started else 0
        upstream = int((finished - began) * 1000 + 0.5) if finished > began else 0
        duration = int(attempt.duration_ms * 10 + 0.5)
        return _LINE % (
            second,
            ms,
            _encode(id),
            bytes_sent,
            len(exchange.body),
            request // 1000,
            request % 1000,
            upstream // 1000,
            upstream % 1000,
            upstream,
            int((first - began) * 1000 + 0.5) if first > began else 0,
            prompt,
            completion,
            total,
            client[1] if client is not None and client[0] == asked else self._client(exchange, asked),
            self._kinds.get(kind) or self._new_kind(kind, exchange, route, attempt),
            duration // 10,
            duration % 10,
        )

    def _client(self, exchange: Exchange, asked: tuple[str, str, bytes, str]) -> bytes:
        """Who asked for what: kept with the head, which may come again, and for others that say the same of this."""
        agents = exchange.headers.getRawHeaders(b"user-agent", ())
        key = (*asked, *agents[:1])
        members = self._clients.get(key)
        if members is None:
            members = _client_members(exchange)
            remember_by(self._clients, key, sum(map(len, key)), members)
        derived_of(exchange.headers)[_CLIENT] = asked, members
        return members

    def _new_kind(self, kind: object, exchange: Exchange, route: Resource, attempt: Attempt) -> bytes:
        members = _kind_members(exchange, route, attempt)
        if sum(map(len, (exchange.consumer, exchange.request_model, exchange.model))) <= LONGEST_KIND:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            self._kinds[kind] = members
        return members


def _kind_members(exchange: Exchange, route: Resource, attempt: Attempt) -> bytes:
    """What was asked of which instance, up to how long it took."""
    node = name(attempt.instance)
    members = _members(
        {
            "status": attempt.status,
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
    tried = _members({"instance": node, "status": attempt.status, "error": None})
    return b'%b,"attempts":[{%b,"duration_ms":' % (members, tried)


def _client_members(exchange: Exchange) -> bytes:
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
