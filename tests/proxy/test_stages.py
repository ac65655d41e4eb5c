"""Stages in a row."""

from __future__ import annotations

import pytest

from aigw.dialects.stream import Relay
from aigw.proxy.stages import NO_STAGES, Stages


class Splitting:
    """Lets out a piece for each word, but keeps the last back."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        assert data
        *out, self._held = (self._held + data).split(b" ")
        return out

    def close(self) -> list[bytes]:
        return [self._held, b"."]


@pytest.mark.parametrize("pieces", [[], [b"one"], [b"one "], [b"one two three"], [b"one t", b"", b"wo  three", b" "]])
def test_one_stage_alone_does_what_it_does_in_a_row(pieces: list[bytes]) -> None:
    alone, first, last = Stages([Splitting()]), Stages([Splitting(), Relay()]), Stages([Relay(), Splitting()])
    for piece in pieces:
        assert alone.feed(piece) == first.feed(piece) == last.feed(piece)
    assert alone.close() == first.close() == last.close()


def test_without_any_nothing_changes() -> None:
    assert not NO_STAGES
    assert NO_STAGES.pass_whole(b"as it is") == b"as it is"
