"""Two readers of event streams, for every dialect: one judges the beginning, one watches the whole. Pure, no clock.

The watch reads an event only if it holds one of the dialect's marks, byte strings without which an event can't matter;
everything else passes after a search for them, one piece in, one piece out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from aigw.dialects.dialect import Verdict
from aigw.dialects.rawjson import object_of
from aigw.dialects.sse import EVENT_LIMIT, USUAL_ENDS, EventSplitter, event_name, events, values_of
from aigw.dialects.usage import Usage, record
from aigw.errors import UpstreamCutShort, UpstreamError

_TOLD_LIMIT = 500


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What one event means, whatever the dialect; by default nothing: a comment, a ping, something unknown.

    A Struct because one is made for each event that is read, at a tenth of what an attrs value costs.

    ``real``: it carries a part of the answer. ``complete``: with it the answer is complete, though more may follow.
    ``last``: it is the end marker, nothing after it counts. ``error``: what the upstream tells about its failure.
    ``usage``: the usage object it holds. ``only_usage``: sent for that alone.
    """

    real: bool = False
    complete: bool = False
    last: bool = False
    error: str | None = None
    usage: Any = None
    only_usage: bool = False


Reader = Callable[[bytes], Meaning]
"""Reads one event; anything it does not understand means nothing."""
Recorder = Callable[[Usage, Any], None]
"""Writes down what a usage object (or whatever stands in its place) tells."""


class StreamWatch:
    """Passes whole events on, byte for byte; sees usage, the end and errors go by (a `Stage`).

    Of a stream that fails, what came before the error leaves first; the error itself is raised (then or at the next
    call), so that the client is told once, in its own dialect. After the end marker nothing leaves any more.
    """

    def __init__(
        self,
        read: Reader,
        marks: Sequence[bytes],
        usage: Usage,
        hide_usage: bool,
        limit: int = EVENT_LIMIT,
        recorder: Recorder = record,
    ) -> None:
        self._read = read
        self._record = recorder
        self._marks = marks
        self._usage = usage
        self._hide_usage = hide_usage
        self._splitter = EventSplitter(limit)
        self._complete = False
        self.over = False
        """Has the end marker, or an error, come by?"""
        self._failure: UpstreamError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The whole events that are here now, in one piece."""
        if self.passes(data):
            return [data]
        if self.over:
            return self._nothing_more()
        passing = self._splitter.feed(data)
        if not passing:
            return []
        if self._splitter.overlong:
            # Nobody reads such an event, so whether the answer became complete in it can't be told any more.
            self._complete = True
            return [passing]
        return self._inspected(passing) if self._is_marked(passing) else [passing]

    def passes(self, data: bytes) -> bool:
        """Is this one or several whole events that mean nothing here, and is no other under way?"""
        if self.over or self._splitter.held or not data.endswith(USUAL_ENDS):
            return False
        return not self._is_marked(data)

    def close(self) -> list[bytes]:
        """Nothing, or an end marker that lacks its blank line."""
        if self.over:
            return self._nothing_more()
        rest = self._splitter.rest()
        torn = self._splitter.overlong or (rest.strip() != b"" and not self._read(rest).complete)
        leaving = self._inspected(rest) if rest else []
        if torn or not self._complete:
            raise UpstreamCutShort("the upstream ended its stream before the answer was complete")
        return leaving

    def _is_marked(self, stretch: bytes) -> bool:
        return max(map(stretch.rfind, self._marks)) >= 0  # several times faster than `in`

    def _nothing_more(self) -> list[bytes]:
        if self._failure is not None:
            raise self._failure
        return []

    def _inspected(self, stretch: bytes) -> list[bytes]:
        leaving: list[bytes] = []
        for event in events(stretch):
            meaning = self._read(event) if self._is_marked(event) else _NOTHING
            if meaning.error is not None and not meaning.complete:
                return self._failed(meaning.error, leaving)
            if meaning.usage is not None:
                self._record(self._usage, meaning.usage)
            if not (meaning.only_usage and self._hide_usage):
                leaving.append(event)
            self._complete = self._complete or meaning.complete
            if meaning.last:
                self.over = True
                break
        return [b"".join(leaving)] if leaving else []

    def _failed(self, told: str, leaving: list[bytes]) -> list[bytes]:
        self.over = True
        self._failure = UpstreamError(f"the upstream reported an error: {told}")
        if not leaving:
            raise self._failure
        return [b"".join(leaving)]


class EventHolder:
    """Waits for the first event that is real or tells of a failure (a `Holder`)."""

    def __init__(self, read: Reader, limit: int = EVENT_LIMIT) -> None:
        self._read = read
        self._splitter = EventSplitter(limit)
        self._verdict = Verdict.WAIT
        self.message = ""

    def feed(self, data: bytes) -> Verdict:
        """WAIT until an event decides. One that is too long to be read is taken for real."""
        if self._verdict is Verdict.WAIT:
            self._judge(self._splitter.feed(data))
            if self._verdict is Verdict.WAIT and self._splitter.overlong:
                self._verdict = Verdict.REAL
        return self._verdict

    def close(self) -> Verdict:
        """A stream that ends before anything real was in it has failed."""
        if self._verdict is Verdict.WAIT:
            self._judge(self._splitter.rest())
        if self._verdict is Verdict.WAIT:
            self._verdict, self.message = Verdict.FAILED, "the stream ended before the answer began"
        return self._verdict

    def _judge(self, stretch: bytes) -> None:
        for event in events(stretch):
            meaning = self._read(event)
            if meaning.error is not None:
                self._verdict, self.message = Verdict.FAILED, meaning.error
                return
            if meaning.real:
                self._verdict = Verdict.REAL
                return


class Relay:
    """Passes bytes on as they come and knows nothing about them (a `Stage`)."""

    over = False

    def feed(self, data: bytes) -> list[bytes]:
        """The same bytes."""
        return [data]

    def passes(self, data: bytes) -> bool:
        """Always."""
        return True

    def close(self) -> list[bytes]:
        """Nothing."""
        return []


class AnyByte:
    """Takes the first byte for real (a `Holder`)."""

    message = ""

    def __init__(self) -> None:
        self._verdict = Verdict.WAIT

    def feed(self, data: bytes) -> Verdict:
        """REAL as soon as there is a byte."""
        if data:
            self._verdict = Verdict.REAL
        return self._verdict

    def close(self) -> Verdict:
        """REAL: an empty reply is one, too."""
        return Verdict.REAL


def told_error(event: bytes, data: dict[str, Any]) -> str | None:
    """What an upstream says in an error event; None if the event is none.

    ``{"error": ...}`` (OpenAI, vLLM, SGLang), an ``event: error``, ``{"object": "error"}`` (older vLLM), and the
    ``error:`` field of llama.cpp before late 2025 (https://github.com/ggml-org/llama.cpp/pull/16109).
    """
    told = data.get("error")
    if not told and (event_name(event) == b"error" or data.get("object") == "error"):
        told = data or "no details"
    if not told:
        told = next((object_of(value) or value.decode(errors="replace") for value in values_of(event, b"error")), None)
    return _sentence(told) if told else None


def _sentence(told: Any) -> str:
    """A message of bounded length out of whatever stands where the error should."""
    message = told.get("message") if isinstance(told, dict) else told
    return message[:_TOLD_LIMIT] if isinstance(message, str) and message else "no details"


_NOTHING = Meaning()
