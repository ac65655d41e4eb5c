"""Keeps an instance's credentials from its clients: an upstream may quote in an error the key that it refused. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aigw.errors import GatewayError
from aigw.exchange import Stage

MASK = b"****"
SHORTEST = 8
"""Bytes of a secret; to look for a shorter one would blank out innocent text."""


class Scrubber:
    """Masks the credentials among ``values``: each of them, and its part behind a scheme word."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = tuple(values)
        parts = {part for value in self.values for part in (value, value.rpartition(" ")[2]) if len(part) >= SHORTEST}
        longest_first = sorted((part.encode() for part in parts), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, longest_first))) if longest_first else None
        self._longest = max(map(len, longest_first), default=0)

    def whole(self, data: bytes) -> bytes:
        """``data`` without them."""
        return data if self._pattern is None else self._pattern.sub(MASK, data)

    def text(self, text: str) -> str:
        """The same for text."""
        return self.whole(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def decided(self, data: bytes) -> int:
        """How many bytes of ``data`` mean the same whatever follows."""
        end = len(data) - self._longest + 1
        for match in self._pattern.finditer(data) if self._pattern is not None else ():
            if match.start() >= end:
                break
            end = max(end, match.end())
        return min(max(end, 0), len(data))

    def stream(self) -> Stage:
        """A stage that masks them in a body, however it is cut."""
        return _ScrubbedStream(self)

    def error(self, error: GatewayError) -> GatewayError:
        """The same error without them."""
        return type(error)(self.text(error.message), param=error.param, headers=error.headers)

    def errors_of(self, stage: Stage) -> Stage:
        """``stage``, with them masked in the errors that it raises."""
        return stage if self._pattern is None else _ScrubbedErrors(self, stage)


class _ScrubbedStream:
    """Keeps back as much as could be the beginning of a secret."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        data = self._held + data
        cut = self._scrubber.decided(data)
        self._held = data[cut:]
        return [self._scrubber.whole(data[:cut])] if cut else []

    def close(self) -> list[bytes]:
        return [self._scrubber.whole(self._held)] if self._held else []


class _ScrubbedErrors:
    def __init__(self, scrubber: Scrubber, stage: Stage) -> None:
        self._scrubber = scrubber
        self._stage = stage

    def feed(self, data: bytes) -> list[bytes]:
        try:
            return self._stage.feed(data)
        except GatewayError as error:
            raise self._scrubber.error(error) from None

    def close(self) -> list[bytes]:
        try:
            return self._stage.close()
        except GatewayError as error:
            raise self._scrubber.error(error) from None
