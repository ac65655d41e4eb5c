"""What a client asks for, read once from its request, before any instance is chosen."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import attrs

from aigw.dialects import detect
from aigw.dialects.body import Body
from aigw.dialects.dialect import Dialect, Prepared
from aigw.dialects.passthrough import AS_IT_IS, Passthrough
from aigw.errors import MethodNotAllowed, UnsupportedMediaType
from aigw.exchange import Exchange

if TYPE_CHECKING:
    from aigw.llm.ways import Way

_JSON_ONLY = (
    "/chat/completions",
    "/completions",
    "/responses",
    "/embeddings",
    "/messages",
    "/count_tokens",
    "/converse",
    "/converse-stream",
)
"""What is posted to these paths is JSON, so that whatever else is has to be a mistake."""

OPAQUE = "opaque"
"""In place of a dialect: what is no JSON object."""
_PASSTHROUGH = Passthrough()
_NOTHING = Body.parse(b"{}")


@attrs.define(kw_only=True)
class Call:
    """A request in a dialect. ``model``: as the client named it, may be empty. ``prepared``: what the gateway adds.

    ``opaque``: it is no JSON object, and is passed through as it is; ``body`` is empty then.
    """

    dialect: Dialect
    body: Body
    streams: bool
    model: str
    prepared: Prepared
    opaque: bool = False
    _converted: dict[Hashable, Body] | None = attrs.field(default=None, init=False)

    def converted(self, way: Way, model: str) -> Body:
        """The body as instances are asked on this way, worked out once for all that have it in common.

        :raises BadRequest: if it can't be, see `aigw.dialects.converters.converter.Converter`.
        """
        if self._converted is None:
            self._converted = {}
        key = way.dialect.name, way.reasoning, model
        body = self._converted.get(key)
        if body is None:
            body = self._converted[key] = way.converted(self.body, model)
        return body


def read_call(exchange: Exchange, *, passes: bool = True) -> Call:
    """Read the body; the exchange learns its type and model, for log and metrics.

    ``passes``: is there an instance that takes anything below ``/v1/`` (lists of models, files, audio)?

    :raises MethodNotAllowed: for anything but POST, if that can't be passed through.
    :raises UnsupportedMediaType: if it is labelled as anything but JSON, likewise.
    :raises InvalidJSON: if it is no JSON object.
    """
    posted = exchange.method == b"POST"
    is_json = posted and _is_json(exchange)
    if not (is_json and exchange.body):
        if passes and "/v1/" in exchange.path and not (posted and exchange.path.endswith(_JSON_ONLY)):
            return Call(dialect=_PASSTHROUGH, body=_NOTHING, streams=False, model="", prepared=AS_IT_IS, opaque=True)
        if not is_json:
            _refuse(exchange)
    body = Body.parse(exchange.body)
    dialect = detect(exchange.path, body)
    streams, model = dialect.streams(body, exchange.path), dialect.model(body, exchange.path)
    exchange.request_type = "ai_stream" if streams else "ai_chat"
    exchange.request_model = exchange.model = model
    return Call(dialect=dialect, body=body, streams=streams, model=model, prepared=dialect.prepare(body))


def _is_json(exchange: Exchange) -> bool:
    values = exchange.headers.getRawHeaders(b"content-type")
    if values is None or values[0] == b"application/json":
        return True
    return _media_type(values[0]) == b"application/json"


def _media_type(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()


def _refuse(exchange: Exchange) -> None:
    if exchange.method != b"POST":
        raise MethodNotAllowed("this route takes POST requests with a JSON body", headers=((b"Allow", b"POST"),))
    values = exchange.headers.getRawHeaders(b"content-type") or [b""]
    shown = _media_type(values[0]).decode("ascii", "replace")[:100]
    raise UnsupportedMediaType(f'Content-Type: expected application/json, got "{shown}"')
