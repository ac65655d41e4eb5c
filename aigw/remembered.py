"""What lines that were read before mean: peers repeat themselves, line by line. Pure, and bounded."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TypeVar

LONGEST = 256
MOST = 2048
VARIETY, SPELL = 256, 4096
"""Of so many new lines of one name in a row, only the first few are remembered: ids of requests never come again."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def remember(memory: dict[bytes, T], line: bytes, read: T) -> None:
    """For the next time. Whoever sends ever new lines makes it forget, which is no worse than never remembering."""
    remember_by(memory, line, len(line), read)


def remember_by(memory: dict[K, T], key: K, size: int, read: T) -> None:
    """The same for what is known by another key than the line. ``size``: of the line, in bytes."""
    if size <= LONGEST:
        if len(memory) >= MOST:
            memory.clear()
        memory[key] = read


class _Secrecy(dict[bytes, bool]):
    _secret = re.compile(rb"auth|cookie|key|pass|referer|secret|session|sign|token")

    def __missing__(self, name: bytes) -> bool:
        secret = self._secret.search(name) is not None
        remember(self, name, secret)
        return secret


may_be_secret = _Secrecy().__getitem__
"""By the lower-case name of a header field: its lines are never remembered."""


class FieldMemory(dict[K, T]):
    """What is known of header fields, by their lines or by themselves; a subclass says what is not (``__missing__``).

    It is for whoever comes, so what may be a credential is never in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._new: dict[bytes, int] = {}

    def keep(self, name: bytes, key: K, size: int, known: T) -> None:
        """For the next time, if there may be one. ``name``: of the field, in lower case; ``size``: of the line."""
        if size > LONGEST or may_be_secret(name):
            return
        counts = self._new
        new = counts.get(name, 0)
        if len(counts) >= MOST or len(self) >= MOST:
            counts.clear()
        counts[name] = new + 1
        if new % SPELL < VARIETY:
            remember_by(self, key, size, known)
