"""Deadlines of few durations share queues and timers."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from aigw.upstream.timeouts import Timeouts


def test_each_expires_in_its_time_whatever_became_of_the_others() -> None:
    clock, expired = Clock(), list[str]()
    timeouts = Timeouts(clock)
    for name in "abcd":
        timeout = timeouts.start(2.0, lambda name=name: expired.append(name))  # type: ignore[misc]
        if name == "c":
            timeout.stop()
            timeout.stop()
        clock.advance(0.5)
    assert (expired, clock.seconds()) == (["a"], 2.0)
    clock.advance(0.5)
    assert expired == ["a", "b"]
    clock.advance(0.75)
    assert expired == ["a", "b"]
    clock.advance(0.25)
    assert expired == ["a", "b", "d"]


def test_durations_do_not_wait_for_each_other() -> None:
    clock, expired = Clock(), list[float]()
    timeouts = Timeouts(clock)
    for seconds in (3.0, 1.0, 2.0):
        timeouts.start(seconds, lambda seconds=seconds: expired.append(seconds))  # type: ignore[misc]
    timeouts.start_alone(1.5, lambda: expired.append(1.5))
    clock.pump([0.5] * 6)
    assert expired == [1.0, 1.5, 2.0, 3.0]


def test_one_timer_for_a_duration_and_none_when_nobody_waits() -> None:
    clock = Clock()
    timeouts = Timeouts(clock)
    running = [timeouts.start(5.0, lambda: None) for _ in range(100)]
    assert len(clock.getDelayedCalls()) == 1
    for timeout in running:
        timeout.stop()
    clock.advance(5.0)
    assert clock.getDelayedCalls() == []
    assert timeouts._queues == {}


def test_who_expires_may_start_another_and_stop_others() -> None:
    clock, expired = Clock(), list[str]()
    timeouts = Timeouts(clock)

    def again() -> None:
        expired.append("first")
        second.stop()
        timeouts.start(1.0, lambda: expired.append("again"))

    timeouts.start(1.0, again)
    second = timeouts.start(1.0, lambda: expired.append("second"))
    clock.advance(1.0)
    assert expired == ["first"]
    clock.advance(1.0)
    assert expired == ["first", "again"]


def test_one_timer_is_enough_whatever_is_started_by_who_expires() -> None:
    clock, expired = Clock(), list[str]()
    timeouts = Timeouts(clock)
    timeouts.start(1.0, lambda: timeouts.start(1.0, lambda: expired.append("last")))
    clock.advance(0.5)
    timeouts.start(1.0, lambda: expired.append("first"))
    clock.advance(0.5)
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(0.5)
    assert expired == ["first"]
    clock.advance(0.5)
    assert expired == ["first", "last"]


def test_who_fails_keeps_no_other_waiting() -> None:
    clock, expired = Clock(), list[str]()
    timeouts = Timeouts(clock)
    timeouts.start(1.0, lambda: 1 // 0)
    timeouts.start(1.0, lambda: expired.append("other"))
    with pytest.raises(ZeroDivisionError):
        clock.advance(1.0)
    clock.advance(0.0)
    assert expired == ["other"]


def test_one_alone_leaves_no_timer_behind() -> None:
    clock = Clock()
    timeout = Timeouts(clock).start_alone(1.0, lambda: None)
    timeout.stop()
    timeout.stop()
    assert clock.getDelayedCalls() == []
