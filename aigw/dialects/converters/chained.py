"""Two converters in a row: what the dialect between them can't say is lost, or refused, on the way."""

from __future__ import annotations

from aigw.dialects.body import Body
from aigw.dialects.converters.converter import ConvertedStream, Converter
from aigw.dialects.dialect import Dialect
from aigw.dialects.reasoning import NONE, Reasoning


class Chained:
    """From the first one's client to the second one's provider. ``between``: the dialect in which they meet."""

    def __init__(self, first: Converter, between: Dialect, second: Converter) -> None:
        self.client = first.client
        self.provider = second.provider
        self._first = first
        self._between = between
        self._second = second

    def request(self, request: Body, model: str, reasoning: Reasoning = NONE) -> Body:
        """Both conversions, one after the other; a complaint of the second one names the field between them."""
        return self._second.request(self._halfway(request, model), model, reasoning)

    def answer(self, request: Body, raw: bytes, now: int) -> bytes:
        """The way back."""
        return self._first.answer(request, self._second.answer(self._halfway(request), raw, now), now)

    def error(self, status: int, raw: bytes) -> bytes:
        """The way back."""
        return self._first.error(status, self._second.error(status, raw))

    def stream(self, request: Body, now: int) -> ConvertedStream:
        """The way back, event by event."""
        return _Stream(self._second.stream(self._halfway(request), now), self._first.stream(request, now))

    def _halfway(self, request: Body, model: str = "") -> Body:
        """The request between the two, which asks for the usage that the first one tells its client."""
        body = self._first.request(request, model, NONE)
        return body.changed(self._between.prepare(body).sets)


class _Stream:
    def __init__(self, *stages: ConvertedStream) -> None:
        self._stages = stages

    def feed(self, data: bytes) -> list[bytes]:
        pieces = [data]
        for stage in self._stages:
            pieces = [out for piece in pieces for out in stage.feed(piece)]
        return pieces

    def close(self) -> list[bytes]:
        pieces: list[bytes] = []
        for stage in self._stages:
            pieces = [*(out for piece in pieces for out in stage.feed(piece)), *stage.close()]
        return pieces
