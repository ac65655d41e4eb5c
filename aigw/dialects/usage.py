"""Token counts as the vendors spell them, brought to one form. What an upstream says is never trusted to be sane."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import msgspec
from msgspec import Raw

from aigw.dialects.rawjson import object_of, take_apart
from aigw.errors import InvalidJSON

_MOST = 2**53
"""Counts past what a double holds exactly are no token counts."""


@attrs.define(kw_only=True)
class Usage:
    """Tokens, as far as the upstream has told them; 0 = not told.

    Whatever a vendor counts, ``prompt_tokens`` holds those read from a cache (``cached_tokens``) and written to it
    (``cache_write_tokens``), and ``completion_tokens`` holds the ``reasoning_tokens``.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


_Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None


class _Plain(msgspec.Struct, gc=False):
    """A usage object as nearly all are; what is not like this is read in `record`."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    prompt_cache_hit_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None

    def tell(self, usage: Usage) -> bool:
        """Write it down, if the three counts are there."""
        prompt, completion, total = self.prompt_tokens, self.completion_tokens, self.total_tokens
        if prompt is None or completion is None or total is None:
            return False
        usage.prompt_tokens, usage.completion_tokens, usage.total_tokens = prompt, completion, total
        before, after = self.prompt_tokens_details, self.completion_tokens_details
        cached = before.cached_tokens if before is not None else None
        cached = self.prompt_cache_hit_tokens if cached is None else cached
        if cached is not None:
            usage.cached_tokens = cached
        if after is not None and after.reasoning_tokens is not None:
            usage.reasoning_tokens = after.reasoning_tokens
        return True


class _PlainReply(msgspec.Struct, gc=False):
    usage: _Plain | None = None


class _Reply(msgspec.Struct):
    usage: Raw | None = None


def record(usage: Usage, told: Any) -> None:
    """Write into ``usage`` what a usage object of OpenAI's Chat, Embeddings or Responses API tells.

    Names: https://platform.openai.com/docs/api-reference/chat/object and .../responses/object; DeepSeek's
    ``prompt_cache_hit_tokens``. A count that is missing or no count leaves what was there.
    """
    if not isinstance(told, dict):
        return
    before = told.get("prompt_tokens_details") or told.get("input_tokens_details")
    after = told.get("completion_tokens_details") or told.get("output_tokens_details")
    usage.prompt_tokens = _count(told, usage.prompt_tokens, "prompt_tokens", "input_tokens")
    usage.completion_tokens = _count(told, usage.completion_tokens, "completion_tokens", "output_tokens")
    usage.total_tokens = _count(told, usage.prompt_tokens + usage.completion_tokens, "total_tokens")
    usage.cached_tokens = _count(told, usage.cached_tokens, "prompt_cache_hit_tokens")
    usage.cached_tokens = _count(before, usage.cached_tokens, "cached_tokens")
    usage.reasoning_tokens = _count(after, usage.reasoning_tokens, "reasoning_tokens")


def record_anthropic(usage: Usage, told: Any) -> None:
    """Write down what a usage object of Anthropic's Messages API tells, of a message or in a stream (cumulative).

    https://docs.anthropic.com/en/api/messages: all of the input is the sum of ``input_tokens``,
    ``cache_read_input_tokens`` and ``cache_creation_input_tokens``.
    """
    if not isinstance(told, dict):
        return
    fresh = _count(told, usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens, "input_tokens")
    usage.cached_tokens = _count(told, usage.cached_tokens, "cache_read_input_tokens")
    usage.cache_write_tokens = _count(told, usage.cache_write_tokens, "cache_creation_input_tokens")
    usage.prompt_tokens = fresh + usage.cached_tokens + usage.cache_write_tokens
    usage.completion_tokens = _count(told, usage.completion_tokens, "output_tokens")
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens
    usage.reasoning_tokens = _count(told.get("output_tokens_details"), usage.reasoning_tokens, "thinking_tokens")


def record_body(usage: Usage, raw: bytes) -> None:
    """As `record`, with the ``usage`` member of a complete reply, which is skimmed, not decoded."""
    try:
        plain = _PLAIN_REPLY.decode(raw).usage
        if plain is None or plain.tell(usage):
            return
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # not plain
    if told := usage_of(raw):
        record(usage, told)


def usage_of(raw: bytes) -> dict[str, Any]:
    """The ``usage`` member of a complete reply; empty if there is none."""
    text = _usage_text(raw)
    return {} if text is None else object_of(bytes(text))


def _usage_text(raw: bytes) -> Raw | None:
    try:
        return _REPLY.decode(raw).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return take_apart(raw).get("usage")
    except InvalidJSON:
        return None


_PLAIN_REPLY = msgspec.json.Decoder(_PlainReply)
_REPLY = msgspec.json.Decoder(_Reply)


def _count(told: Any, otherwise: int, *names: str) -> int:
    if isinstance(told, dict):
        for name in names:
            value: Any = told.get(name)
            if type(value) in (int, float) and 0 <= value <= _MOST:
                return int(value)
    return otherwise
