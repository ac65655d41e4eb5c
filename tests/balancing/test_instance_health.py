from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aigw.balancing.health import Admission, CircuitRules, Condition, Health, Verdict, admit, available

RULES = CircuitRules(failures=3, first_pause=1.0, longest_pause=8.0)
LONGEST = 1.0  # as randomness: the full pause


def _fail(health: Health, now: float, times: int = 1) -> None:
    for _ in range(times):
        health.failed(admit(health, now), now, LONGEST, RULES)


def _open(health: Health, now: float = 0.0) -> None:
    _fail(health, now, RULES.failures)


def _condition(health: Health, now: float) -> Condition:
    return available(health, now).condition


def test_a_new_instance_is_well() -> None:
    assert available(Health(), 0.0) == Verdict(Condition.WELL)


@pytest.mark.parametrize(
    ("condition", "may_be_tried"),
    [
        (Condition.WELL, True),
        (Condition.HALF_OPEN, True),
        (Condition.RESTING, False),
        (Condition.OPEN, False),
        (Condition.PROBING, False),
    ],
)
def test_verdicts(condition: Condition, may_be_tried: bool) -> None:
    assert Verdict(condition).available is may_be_tried


def test_a_rest_ends_by_itself_and_is_never_shortened() -> None:
    health = Health()
    health.rest(20.0)
    health.rest(10.0)
    assert available(health, 19.9) == Verdict(Condition.RESTING, 20.0)
    assert available(health, 20.0).available


def test_failures_in_a_row_open_the_circuit() -> None:
    health = Health()
    _fail(health, 0.0, 2)
    assert _condition(health, 0.0) is Condition.WELL
    _fail(health, 5.0)
    assert available(health, 5.0) == Verdict(Condition.OPEN, 6.0)
    assert _condition(health, 6.0) is Condition.HALF_OPEN


def test_a_success_between_starts_the_count_again() -> None:
    health = Health()
    for _ in range(5):
        _fail(health, 0.0, 2)
        health.completed(health.answered(admit(health, 0.0)))
    assert _condition(health, 0.0) is Condition.WELL


def test_an_answer_that_breaks_off_is_no_success() -> None:
    health = Health()
    for _ in range(3):
        admission = health.answered(admit(health, 0.0))
        health.failed(admission, 0.0, LONGEST, RULES)
    assert _condition(health, 0.0) is Condition.OPEN


def test_exactly_one_probe() -> None:
    health = Health()
    _open(health)
    assert admit(health, 1.0).probe
    assert _condition(health, 1.0) is Condition.PROBING
    assert not admit(health, 1.0).probe


def test_a_probe_that_is_answered_closes_the_circuit() -> None:
    health = Health()
    _open(health)
    admission = health.answered(admit(health, 1.0))
    assert _condition(health, 1.0) is Condition.WELL
    health.completed(admission)
    assert health.openings == health.failures == 0


def test_a_probe_that_is_given_up_frees_its_slot() -> None:
    health = Health()
    _open(health)
    health.released(admit(health, 1.0))
    assert _condition(health, 1.0) is Condition.HALF_OPEN


def test_only_the_probe_frees_its_slot() -> None:
    health = Health()
    _open(health)
    admit(health, 1.0)
    health.released(admit(health, 1.0))
    assert _condition(health, 1.0) is Condition.PROBING


def test_pauses_double_up_to_the_longest_and_start_again_after_a_success() -> None:
    health, now, pauses = Health(), 0.0, []
    _open(health)
    for _ in range(5):
        until = available(health, now).until
        assert until is not None
        pauses.append(until - now)
        now = until
        _fail(health, now)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0]
    health.completed(health.answered(admit(health, now + 8.0)))
    _open(health, now)
    assert available(health, now).until == now + 1.0


@pytest.mark.parametrize(("random", "pause"), [(0.0, 2.0), (0.5, 3.0), (1.0, 4.0)])
def test_pauses_are_jittered(random: float, pause: float) -> None:
    assert RULES.pause(2, random) == pause


def test_a_pause_stays_bounded_after_ever_so_many() -> None:
    assert RULES.pause(10**9, 1.0) == 8.0


def test_by_default_a_recovered_instance_is_asked_within_seconds() -> None:
    assert CircuitRules().pause(10**9, 1.0) <= 10.0


def test_what_was_under_way_when_the_circuit_opened_neither_extends_nor_closes_it() -> None:
    health = Health()
    crowd = [admit(health, 0.0) for _ in range(20)]
    _open(health)
    for admission in crowd[:10]:
        health.failed(admission, 0.5, LONGEST, RULES)
    for admission in crowd[10:]:
        health.completed(health.answered(admission))
    assert available(health, 0.5) == Verdict(Condition.OPEN, 1.0)
    assert health.openings == 1


def test_a_late_failure_from_before_does_not_count_after_the_recovery() -> None:
    health = Health()
    late = [admit(health, 0.0) for _ in range(5)]
    _open(health)
    health.completed(health.answered(admit(health, 1.0)))
    for admission in late:
        health.failed(admission, 2.0, LONGEST, RULES)
    assert _condition(health, 2.0) is Condition.WELL


def test_an_attempt_against_the_verdict_may_close_but_not_prolong() -> None:
    health = Health()
    _open(health)
    _fail(health, 0.1, 10)
    assert available(health, 0.1) == Verdict(Condition.OPEN, 1.0)
    health.answered(admit(health, 0.2))
    assert _condition(health, 0.2) is Condition.WELL


def test_a_rest_covers_an_open_circuit() -> None:
    health = Health()
    _open(health)
    health.rest(5.0)
    assert _condition(health, 2.0) is Condition.RESTING
    assert _condition(health, 5.0) is Condition.HALF_OPEN


class Attempts(RuleBasedStateMachine):
    """Any interleaving of attempts: at most one probe holds the slot, and a slot held always has a holder."""

    def __init__(self) -> None:
        super().__init__()
        self.health, self.now = Health(), 0.0
        self.under_way: list[Admission] = []

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begins(self) -> None:
        before = _condition(self.health, self.now)
        admission = admit(self.health, self.now)
        assert not admission.probe or before in (Condition.HALF_OPEN, Condition.RESTING)
        self.under_way.append(admission)

    @rule(seconds=st.floats(0, 5))
    def rests(self, seconds: float) -> None:
        self.health.rest(self.now + seconds)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["fails", "answers", "breaks", "leaves"]), random=st.floats(0, 0.999))
    def ends(self, data: st.DataObject, how: str, random: float) -> None:
        admission = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if how in ("answers", "breaks"):
            admission = self.health.answered(admission)
        if how in ("fails", "breaks"):
            self.health.failed(admission, self.now, random, RULES)
        elif how == "answers":
            self.health.completed(admission)
        else:
            self.health.released(admission)

    @invariant()
    def the_slot_has_one_holder(self) -> None:
        holders = [a for a in self.under_way if a.probe and a.spell == self.health.spell]
        assert len(holders) == self.health.probing

    @invariant()
    def it_will_be_available_again(self) -> None:
        assert available(self.health, self.now + RULES.longest_pause).available or self.health.probing

    @invariant()
    def counts_are_bounded(self) -> None:
        assert 0 <= self.health.failures < RULES.failures


TestAttempts = Attempts.TestCase
TestAttempts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
