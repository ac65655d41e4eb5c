"""What a dialect is: everything the gateway knows about one API's bodies and streams, without any I/O.

A new dialect is one file with one class (usually on top of `aigw.dialects.passthrough.Passthrough`) and one line in the
catalogue, `aigw.dialects.DIALECTS`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import attrs

from aigw.dialects.body import Body
from aigw.dialects.usage import Usage
from aigw.errors import GatewayError


@attrs.frozen(kw_only=True)
class Prepared:
    """What the gateway adds to a request in order to account for it.

    ``sets``: members for `Body.changed`. ``client_asked_usage``: does the client itself expect to see usage in the
    stream (if not, hide what was only sent because the gateway asked)?
    """

    sets: Mapping[str, Any]
    client_asked_usage: bool


class Verdict(enum.Enum):
    """About a stream so far: nothing to go by yet, the answer has begun, the upstream told that it failed."""

    WAIT = "wait"
    REAL = "real"
    FAILED = "failed"


class Holder(Protocol):
    """Judges the beginning of a reply that is held back while another instance could still take over."""

    message: str
    """After FAILED: what the upstream told, or what is wrong with its stream."""

    def feed(self, data: bytes) -> Verdict:
        """The verdict on all bytes so far; REAL and FAILED are final."""

    def close(self) -> Verdict:
        """The verdict when no more bytes come: REAL or FAILED."""


class Watch(Protocol):
    """An `aigw.exchange.Stage` that watches one reply and changes it as little as possible."""

    @property
    def over(self) -> bool:
        """Has the dialect's end marker come by? Nothing after it counts, however long the upstream goes on."""

    def feed(self, data: bytes) -> list[bytes]:
        """What may leave now.

        :raises UpstreamError: if the upstream told that it failed.
        """

    def passes(self, data: bytes) -> bool:
        """Would `feed` return just ``data``, and nothing change in the watch?"""

    def close(self) -> list[bytes]:
        """What is left.

        :raises UpstreamCutShort: if what the dialect says about the end of an answer is missing.
        """


class Dialect(Protocol):
    """One API, as far as bodies and streams go. Stateless, shared by all requests."""

    name: ClassVar[str]
    stream_type: ClassVar[bytes]
    """The media type of its streams, in lower case."""
    endings: ClassVar[tuple[str, ...]]
    """What the paths of its requests end with; none = anything."""

    def matches(self, path: str, body: Body) -> bool:
        """Is a request with this body to such a path in this dialect (if in none of those before it)?"""

    def streams(self, body: Body, path: str = "") -> bool:
        """Does the client want a stream? Some APIs say it in the path (percent-decoded)."""

    def model(self, body: Body, path: str = "") -> str:
        """The model that is asked for; "" = none. Some APIs name it in the path (percent-decoded)."""

    def text(self, body: Body) -> str:
        """What the request's messages say: their texts in order, a line each; "" = none."""

    def tool_calls(self, raw: bytes) -> list[str]:
        """The names of the tools that a complete answer calls, in order."""

    def prepare(self, body: Body) -> Prepared:
        """What to add before it goes upstream."""

    def holder(self) -> Holder:
        """A new judge for one stream."""

    def watch(self, usage: Usage, hide_usage: bool) -> Watch:
        """A new watch for one stream, which writes the tokens into ``usage`` as it sees them."""

    def body_usage(self, raw: bytes, usage: Usage) -> None:
        """Write the tokens that a complete reply tells into ``usage``; nothing if it tells none."""

    def error_event(self, error: GatewayError) -> bytes:
        """An error in mid-stream as this API's clients understand it; after it the connection is closed."""
