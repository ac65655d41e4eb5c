"""Converse streams: which of AWS's messages mean what, judged at the beginning, watched to the end. Pure, no clock.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html: ``messageStart``, for each
block of content ``contentBlockStart`` (of tool uses), ``contentBlockDelta`` and ``contentBlockStop``, then
``messageStop``, and last of all ``metadata`` with the usage. An exception may come anywhere. The binary counterpart of
`aigw.dialects.stream`: only messages that can matter have their payload read.
"""

from __future__ import annotations

import functools
from typing import Any

from aigw.dialects.dialect import Verdict
from aigw.dialects.eventstream import MessageSplitter, decode, decode_headers, headers_of, payload_of
from aigw.dialects.rawjson import object_of
from aigw.dialects.stream import Meaning
from aigw.dialects.usage import Usage
from aigw.errors import UpstreamBadReply, UpstreamCutShort, UpstreamError

_TOLD_LIMIT = 500
_USUAL_HEADERS = 512
"""Header sections up to this size are remembered: nearly all messages of all streams have the same few."""


class ConverseWatch:
    """Passes whole messages on, byte for byte; sees usage, the end and errors go by (a `Stage`).

    The answer is complete with ``messageStop``, the stream over with ``metadata`` behind it. Of a stream that fails,
    what came before leaves first; the error itself is raised (then or at the next call).
    """

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._splitter = MessageSplitter()
        self._complete = False
        self._over = False
        self._failure: UpstreamError | None = None

    @property
    def over(self) -> bool:
        """Has the usage behind the end come by, or an error?"""
        return self._over

    def feed(self, data: bytes) -> list[bytes]:
        """The whole messages that are here now, in one piece."""
        leaving: list[bytes] = []
        for message in () if self._over else self._splitter.feed(data):
            self._see(message)
            if self._failure is not None:
                break
            leaving.append(message)
            if self._over:
                break
        if self._splitter.broken and not self._over:
            self._fail(UpstreamBadReply(f"the upstream's event stream is broken: {self._splitter.broken}"))
        return self._leaving(leaving)

    def passes(self, data: bytes) -> bool:
        """Never: where a message ends is not seen without reading it."""
        return False

    def close(self) -> list[bytes]:
        """Nothing: a message is whole or none."""
        if not self._over and (self._splitter.begun or not self._complete):
            raise UpstreamCutShort("the upstream ended its stream before the answer was complete")
        return self._leaving([])

    def _see(self, message: bytes) -> None:
        kind = event_type(message)
        if kind == "messageStop":
            self._complete = True
        elif kind == "metadata":
            record_tokens(self._usage, object_of(payload_of(message)).get("usage"))
            self._over = self._complete
        elif kind == "" and (told := told_error(message)) is not None:
            self._fail(UpstreamError(f"the upstream reported an error: {told}"))

    def _fail(self, failure: UpstreamError) -> None:
        self._over, self._failure = True, failure

    def _leaving(self, messages: list[bytes]) -> list[bytes]:
        if messages:
            return [b"".join(messages)]
        if self._failure is not None:
            raise self._failure
        return []


class ConverseHolder:
    """Waits for the first message that is real or tells of a failure (a `Holder`)."""

    def __init__(self) -> None:
        self._splitter = MessageSplitter()
        self._verdict = Verdict.WAIT
        self.message = ""

    def feed(self, data: bytes) -> Verdict:
        """WAIT until a message decides."""
        if self._verdict is Verdict.WAIT:
            self._verdict = self._judged(self._splitter.feed(data))
        return self._verdict

    def close(self) -> Verdict:
        """A stream that ends before anything real was in it has failed."""
        if self._verdict is Verdict.WAIT:
            self._verdict, self.message = Verdict.FAILED, "the stream ended before the answer began"
        return self._verdict

    def _judged(self, messages: list[bytes]) -> Verdict:
        for meaning in map(read, messages):
            if meaning.error is not None:
                self.message = meaning.error
                return Verdict.FAILED
            if meaning.real:
                return Verdict.REAL
        self.message = self._splitter.broken
        return Verdict.FAILED if self.message else Verdict.WAIT


def read(message: bytes) -> Meaning:
    """What one message means to the beginning of a stream."""
    match event_type(message):
        case "contentBlockDelta":
            return Meaning(real=_says_something(object_of(payload_of(message)).get("delta")))
        case "contentBlockStart":
            return Meaning(real=bool(object_of(payload_of(message)).get("start")))
        case "messageStop":
            return Meaning(real=True)
        case "":
            return Meaning(error=told_error(message))
    return Meaning()


def event_type(message: bytes) -> str:
    """Which event a message is; "" if it is none."""
    section = headers_of(message)
    return _remembered_type(section) if len(section) <= _USUAL_HEADERS else _event_type(section)


def told_error(message: bytes) -> str | None:
    """What an exception or an error tells, behind its name; None if the message is neither.

    https://smithy.io/2.0/aws/amazon-eventstream.html: of an exception the payload is the modeled error, an error has
    all in its headers.
    """
    try:
        told = decode(message)
    except ValueError:
        return "a message whose headers can't be read"
    match told.told(":message-type"):
        case "exception":
            return _sentence(told.told(":exception-type"), message_of(object_of(told.payload)))
        case "error":
            return _sentence(told.told(":error-code"), told.told(":error-message"))
    return None


def message_of(error: dict[str, Any]) -> str:
    """The message of one of AWS's error objects, which spell its name in two ways; "" = none."""
    messages = (error.get(name) for name in ("message", "Message"))
    return next((message for message in messages if isinstance(message, str)), "")


def record_tokens(usage: Usage, told: Any) -> None:
    """Write into ``usage`` what Bedrock's usage object tells. A missing count, or what is none, leaves what was there.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html. All of the input is the sum
    of ``inputTokens``, ``cacheReadInputTokens`` and ``cacheWriteInputTokens``
    (https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html), and ``totalTokens`` counts it all.
    """
    if not isinstance(told, dict):
        return
    fresh = _count(told, "inputTokens", usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens)
    usage.cached_tokens = _count(told, "cacheReadInputTokens", usage.cached_tokens)
    usage.cache_write_tokens = _count(told, "cacheWriteInputTokens", usage.cache_write_tokens)
    usage.prompt_tokens = fresh + usage.cached_tokens + usage.cache_write_tokens
    usage.completion_tokens = _count(told, "outputTokens", usage.completion_tokens)
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens


def _count(told: dict[str, Any], name: str, otherwise: int) -> int:
    value: Any = told.get(name)
    return int(value) if type(value) in (int, float) and 0 <= value <= _MOST else otherwise


_MOST = 2**53
"""Counts past what a double holds exactly are no token counts."""


def _says_something(delta: Any) -> bool:
    """Is there anything in a delta: text, reasoning (one level deeper), a tool's input, whatever is to come?"""
    parts = delta.values() if isinstance(delta, dict) else ()
    values = [value for part in parts for value in (part.values() if isinstance(part, dict) else (part,))]
    return any(value not in (None, "", [], {}) for value in values)


def _sentence(name: str, message: str) -> str:
    told = message or "no details"
    return (f"{name}: {told}" if name else told)[:_TOLD_LIMIT]


def _event_type(section: bytes) -> str:
    try:
        headers = decode_headers(section)
    except ValueError:
        return ""
    kind = headers.get(":event-type")
    return kind if isinstance(kind, str) and headers.get(":message-type") == "event" else ""


_remembered_type = functools.lru_cache(maxsize=64)(_event_type)
