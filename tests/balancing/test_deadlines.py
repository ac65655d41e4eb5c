from __future__ import annotations

from typing import NamedTuple

import pytest

from aigw.balancing.deadlines import Deadlines, attempt_deadline, deadlines_of


class Fields(NamedTuple):
    connect_ms: int | None = None
    first_byte_ms: int | None = None
    first_token_ms: int | None = None
    hold_ms: int | None = None
    idle_ms: int | None = None
    attempt_ms: int | None = None
    total_ms: int | None = None


@pytest.mark.parametrize(
    ("plugin", "instance", "timeout_ms", "expected"),
    [
        (None, None, None, Deadlines()),
        (None, None, 30_000, Deadlines(connect=30.0, first_byte=30.0, idle=30.0)),
        (Fields(), Fields(), 1, Deadlines(connect=0.001, first_byte=0.001, idle=0.001)),
        (Fields(connect_ms=500), None, 30_000, Deadlines(connect=0.5, first_byte=30.0, idle=30.0)),
        (Fields(connect_ms=500), Fields(connect_ms=700), 9_000, Deadlines(connect=0.7, first_byte=9.0, idle=9.0)),
        (Fields(connect_ms=500), Fields(idle_ms=1), 9_000, Deadlines(connect=0.5, first_byte=9.0, idle=0.001)),
        (Fields(hold_ms=3_000), None, None, Deadlines(hold=3.0)),
        (Fields(hold_ms=3_000), Fields(hold_ms=0), None, Deadlines(hold=0.0)),
        (
            Fields(1, 2, 3, 4, 5, 6, 7),
            None,
            30_000,
            Deadlines(
                connect=0.001, first_byte=0.002, first_token=0.003, hold=0.004, idle=0.005, attempt=0.006, total=0.007
            ),
        ),
    ],
)
def test_merging(plugin: Fields | None, instance: Fields | None, timeout_ms: int | None, expected: Deadlines) -> None:
    assert deadlines_of(plugin, instance, timeout_ms) == expected


def test_a_stream_is_held_ten_seconds_unless_told_otherwise() -> None:
    assert deadlines_of(None, None).hold == 10.0


@pytest.mark.parametrize(
    ("deadlines", "moment"),
    [
        (Deadlines(), None),
        (Deadlines(attempt=5.0), 108.0),
        (Deadlines(total=5.0), 105.0),
        (Deadlines(attempt=5.0, total=7.0), 107.0),
        (Deadlines(attempt=5.0, total=60.0), 108.0),
        (Deadlines(attempt=0.0), 103.0),
    ],
)
def test_when_an_attempt_must_be_over(deadlines: Deadlines, moment: float | None) -> None:
    assert attempt_deadline(deadlines, attempt_started=103.0, request_started=100.0) == moment
