"""What a converter is: one pair of dialects, from the client's to the provider's and back."""

from __future__ import annotations

from typing import Protocol

from aigw.dialects.body import Body
from aigw.dialects.reasoning import NONE, Reasoning


class ConvertedStream(Protocol):
    """An `aigw.exchange.Stage` that turns a provider's stream into the client's, however it is cut. One per reply.

    It sees what the provider's `Watch` lets pass: errors and a missing end are that one's business, so this one ends
    its stream (end marker included) only when the provider's has ended well.
    """

    def feed(self, data: bytes) -> list[bytes]:
        """What may leave now, whole events in one piece; nothing is held back that could leave."""

    def close(self) -> list[bytes]:
        """What is left, now that the provider's stream is complete."""


class Converter(Protocol):
    """One pair. Stateless, shared by all requests.

    ``request`` everywhere is the client's body as the client wrote it. ``now``: Unix time in whole seconds, for the
    dialects whose answers tell when they were made (``created``, ``created_at``) although the provider's don't.
    """

    @property
    def client(self) -> str:
        """Name of the dialect that the client speaks."""

    @property
    def provider(self) -> str:
        """Name of the dialect that the provider speaks."""

    def request(self, request: Body, model: str, reasoning: Reasoning = NONE) -> Body:
        """The request in the provider's dialect. ``model``: its name in the body, if the dialect has it there.
        ``reasoning``: what the vendor does with it, where the dialect is chat completions.

        :raises Unconvertible: naming the field (as in ``messages[2].content[0].type``) that can't be carried.
        :raises BadRequest: naming the field that is not what the client's dialect says.
        """

    def answer(self, request: Body, raw: bytes, now: int) -> bytes:
        """A complete answer (status 2xx) in the client's dialect.

        :raises UpstreamBadReply: if it is none of the provider's dialect.
        """

    def error(self, status: int, raw: bytes) -> bytes:
        """The body of an answer with status 4xx or 5xx in the client's dialect; ``raw`` may be anything."""

    def stream(self, request: Body, now: int) -> ConvertedStream:
        """A new stage for one stream."""
