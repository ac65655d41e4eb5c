"""What lines that were read before mean: peers repeat themselves, line by line. Pure, and bounded."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TypeVar

LONGEST = 256
MOST = 2048

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

may_be_secret = re.compile(rb"auth|cookie|key|pass|referer|secret|session|sign|token").search
"""By the lower-case name of a header field: its lines are never remembered."""


def remember(memory: dict[bytes, T], line: bytes, read: T) -> None:
    """For the next time. Whoever sends ever new lines makes it forget, which is no worse than never remembering."""
    remember_by(memory, line, len(line), read)


def remember_by(memory: dict[K, T], key: K, size: int, read: T) -> None:
    """The same for what is known by another key than the line. ``size``: of the line, in bytes."""
    if size <= LONGEST:
        if len(memory) >= MOST:
            memory.clear()
        memory[key] = read
