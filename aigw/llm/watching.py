"""Stages that watch a reply without changing a byte of it."""

from __future__ import annotations

from collections.abc import Callable

from aigw.dialects.dialect import Dialect, Holder, Verdict
from aigw.dialects.usage import Usage

TAIL = 16 * 1024


class FirstToken:
    """Tells once how a stream began: `Verdict.REAL`, or `Verdict.FAILED`."""

    def __init__(self, holder: Holder, began: Callable[[Verdict], None]) -> None:
        self._holder: Holder | None = holder
        self._began = began

    def feed(self, data: bytes) -> list[bytes]:
        """Watch until that is known, then cost nothing."""
        if self._holder is not None:
            verdict = self._holder.feed(data)
            if verdict is not Verdict.WAIT:
                self._holder = None
                self._began(verdict)
        return [data]

    def close(self) -> list[bytes]:
        """Nothing is kept back."""
        return []


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
