"""What a client asks for, read once from its request, before any instance is chosen."""

from __future__ import annotations

import attrs

from aigw.dialects import detect
from aigw.dialects.body import Body
from aigw.dialects.dialect import Dialect, Prepared
from aigw.errors import MethodNotAllowed, UnsupportedMediaType
from aigw.exchange import Exchange


@attrs.frozen(kw_only=True)
class Call:
    """A request in a dialect. ``model``: as the client named it, may be empty. ``prepared``: what the gateway adds."""

    dialect: Dialect
    body: Body
    streams: bool
    model: str
    prepared: Prepared


def read_call(exchange: Exchange) -> Call:
    """Read the body; the exchange learns its type and model, for log and metrics.

    :raises MethodNotAllowed: for anything but POST.
    :raises UnsupportedMediaType: if it is labelled as anything but JSON.
    :raises InvalidJSON: if it is no JSON object.
    """
    if exchange.method != b"POST":
        raise MethodNotAllowed("this route takes POST requests with a JSON body", headers=((b"Allow", b"POST"),))
    _check_content_type(exchange)
    body = Body.parse(exchange.body)
    dialect = detect(exchange.path, body)
    streams, model = dialect.streams(body, exchange.path), dialect.model(body, exchange.path)
    exchange.request_type = "ai_stream" if streams else "ai_chat"
    exchange.request_model = exchange.model = model
    return Call(dialect=dialect, body=body, streams=streams, model=model, prepared=dialect.prepare(body))


def _check_content_type(exchange: Exchange) -> None:
    values = exchange.headers.getRawHeaders(b"content-type") or [b"application/json"]
    media_type = values[0].partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        shown = media_type.decode("ascii", "replace")[:100]
        raise UnsupportedMediaType(f'Content-Type: expected application/json, got "{shown}"')
