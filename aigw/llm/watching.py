"""Stages that watch a reply without changing a byte of it."""

from __future__ import annotations

from collections.abc import Callable

from aigw.dialects.dialect import Dialect, Holder, Verdict, Watch
from aigw.dialects.usage import Usage
from aigw.errors import GatewayError
from aigw.llm.scrubbing import Scrubber

TAIL = 16 * 1024


class Opening:
    """How a stream begins, so far; told ``once`` when it is known (`Verdict.REAL`, or `Verdict.FAILED`)."""

    def __init__(self, holder: Holder, once: Callable[[Verdict], None] | None = None) -> None:
        self.holder = holder
        self.verdict = Verdict.WAIT
        self._once = once

    def judge(self, data: bytes) -> bool:
        """Is it known by now?"""
        if self.verdict is Verdict.WAIT:
            self.verdict = self.holder.feed(data)
            if self.verdict is not Verdict.WAIT and self._once is not None:
                self._once(self.verdict)
        return self.verdict is not Verdict.WAIT


class Watched:
    """A stream on its way through its dialect's watch (a `Stage`): one for all that has to be looked at in an event.

    ``over`` is called when the end marker, or an error, has come by. ``opening``: judges until it is known, and costs
    nothing then. The upstream's errors are raised without the instance's credentials.
    """

    def __init__(
        self, watch: Watch, *, scrubber: Scrubber, over: Callable[[], None], opening: Opening | None = None
    ) -> None:
        self._watch = watch
        self._feed = watch.feed
        self._scrubber = scrubber
        self._over = over
        self._opening = opening

    def feed(self, data: bytes) -> list[bytes]:
        """What the watch lets pass."""
        if self._opening is not None and self._opening.judge(data):
            self._opening = None
        try:
            passing = self._feed(data)
        except GatewayError as error:
            raise self._scrubber.error(error) from None
        if self._watch.over:
            self._over()
        return passing

    def passes(self, data: bytes) -> bool:
        """Nothing in it has to be looked at."""
        return self._opening is None and self._watch.passes(data)

    def close(self) -> list[bytes]:
        """What it held back."""
        try:
            return self._watch.close()
        except GatewayError as error:
            raise self._scrubber.error(error) from None


class UsageInTail:
    """Finds the usage of a JSON answer that is too long, or not allowed, to be collected: in its last bytes."""

    def __init__(self, dialect: Dialect, usage: Usage) -> None:
        self._dialect = dialect
        self._usage = usage
        self._tail = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Keep the tail."""
        self._tail = (self._tail + data)[-TAIL:] if len(data) < TAIL else data[-TAIL:]
        return [data]

    def close(self) -> list[bytes]:
        """Read the last member called usage, if it is also the answer's last but for closing braces."""
        start = self._tail.rfind(b'"usage"')
        if start >= 0:
            self._dialect.body_usage(b"{" + self._tail[start:], self._usage)
        return []
