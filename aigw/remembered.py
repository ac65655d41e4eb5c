"""What lines that were read before mean: peers repeat themselves, line by line. Pure, and bounded."""

from __future__ import annotations

from typing import TypeVar

LONGEST = 256
MOST = 2048

T = TypeVar("T")


def remember(memory: dict[bytes, T], line: bytes, read: T) -> None:
    """For the next time. Whoever sends ever new lines makes it forget, which is no worse than never remembering."""
    if len(line) <= LONGEST:
        if len(memory) >= MOST:
            memory.clear()
        memory[line] = read
