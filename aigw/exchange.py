"""One request and its reply, as the onion of plugins sees them. Nothing here knows of sockets."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import attrs
from twisted.web.http_headers import Headers

from aigw.dialects.usage import Usage as Usage
from aigw.errors import GatewayError

if TYPE_CHECKING:
    from aigw.model.snapshot import Resource

HeaderList = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-connection te trailer transfer-encoding upgrade".split()
)
"""Fields about one connection, not about the message (RFC 9110 section 7.6.1), in lower case."""


class Outcome(enum.Enum):
    """How a reply ended."""

    DONE = "done"
    CLIENT_LEFT = "client_left"
    UPSTREAM_BROKE = "upstream_broke"


@attrs.define(kw_only=True)
class Timeline:
    """When things happened, in seconds of the gateway's clock; None = not (yet).

    ``started``: request complete. ``upstream_started``: the first attempt began. ``upstream_head``: status of the
    winning attempt. ``first_token``: first event of a stream that carried something real, or a complete body.
    ``first_byte``: first byte of the reply to the client.
    """

    started: float
    upstream_started: float | None = None
    upstream_head: float | None = None
    first_token: float | None = None
    first_byte: float | None = None
    finished: float | None = None


@attrs.define(kw_only=True)
class Attempt:
    """One try at one instance. ``status``: the upstream's, None if none came. ``error``: code of what went wrong."""

    instance: str
    status: int | None = None
    error: str | None = None
    duration_ms: float = 0.0


@attrs.define(kw_only=True, eq=False)
class Exchange:
    """One request on its way through the onion.

    ``target``: the request target as sent (path and query). ``path``: its path, percent-decoded, no query.
    ``headers``: as the client sent them. ``params``: what ``:name`` segments of the route's path matched.
    ``request_type``, ``request_model``, ``model``: what ai-proxy found in the body and chose (APISIX's
    ``request_type``, ``request_llm_model``, ``llm_model``), for log and metrics. ``buffering``: may a complete answer
    be collected before it is sent on?
    """

    id: str
    method: bytes
    target: bytes
    path: str
    headers: Headers = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    host: str
    remote_addr: str
    scheme: str
    route: Resource | None
    params: Mapping[str, str]
    timeline: Timeline
    request_type: str = ""
    request_model: str = ""
    model: str = ""
    attempts: list[Attempt] = attrs.field(factory=list)
    usage: Usage = attrs.field(factory=Usage)
    consumer: str = ""
    buffering: bool = True


Forward = Callable[[bytes, bytes], bool]
"""Takes what came as an HTTP chunk of its own: (the chunk, what it carries). False = nothing was done."""


class Sink(Protocol):
    """Takes the bytes of a reply's source, in order; ends with exactly one of `finished` and `broke`.

    It may have a `Forward` called ``forward``, too: a shorter way for what `write` would send on as it came.
    """

    def write(self, data: bytes) -> None:
        """Some bytes (never empty)."""

    def finished(self) -> None:
        """The source is complete."""

    def broke(self, error: GatewayError) -> None:
        """The source ended before it was complete."""


class Source(Protocol):
    """A reply body that is still arriving. Until `start` it must not lose a byte, nor buffer without bound."""

    def start(self, sink: Sink) -> None:
        """Deliver everything to ``sink`` from now on; may call it at once."""

    def pause(self) -> None:
        """Deliver nothing until `resume` (the client is slow)."""

    def resume(self) -> None:
        """Go on delivering."""

    def abort(self) -> None:
        """Nobody wants the rest: close the connection it comes from. Idempotent; the sink is not called again."""


class Stage(Protocol):
    """Changes or watches a stream: pure, synchronous, one per reply.

    It may have ``passes(data)``, too: would `feed` return just ``data``, and nothing change in the stage?

    Either method may raise a `GatewayError`: the reply then counts as broken by its upstream.
    """

    def feed(self, data: bytes) -> list[bytes]:
        """What may leave now."""

    def close(self) -> list[bytes]:
        """What is left, now that the source is complete."""


Aftermath = Callable[[Outcome, GatewayError | None], None]


@attrs.define(kw_only=True, eq=False)
class Reply:
    """An answer on its way back through the onion: a complete ``body`` or a ``source`` that is still arriving.

    ``headers``: in order, as they go out; Content-Length, Transfer-Encoding, Connection and Date are the face's
    business. ``length``: how many bytes ``source`` will deliver, if that is known and no stage changes it.
    ``error_event``: renders a failure in mid-stream in the client's dialect; None = just cut the connection.
    """

    status: int
    headers: HeaderList = attrs.field(factory=list, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    source: Source | None = None
    length: int | None = None
    stages: list[Stage] = attrs.field(factory=list)
    error_event: Callable[[GatewayError], bytes] | None = None
    aftermaths: list[Aftermath] = attrs.field(factory=list)

    def through(self, stage: Stage) -> Reply:
        """Have ``stage`` see every byte of the source (after the stages that are there already)."""
        self.stages.append(stage)
        return self

    def afterwards(self, aftermath: Aftermath) -> Reply:
        """Have ``aftermath`` called exactly once, after the last byte."""
        self.aftermaths.append(aftermath)
        return self
