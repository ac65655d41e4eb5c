"""Healths of several processes follow each other; the ledger's order is everybody's."""

from __future__ import annotations

import pytest

from aigw.balancing.health import (
    CLOSED,
    Admission,
    Circuit,
    CircuitRules,
    Condition,
    Health,
    HealthChange,
    admit,
    available,
)
from aigw.balancing.sharing import Ledger, SharedHealths, keyed_digest

RULES = CircuitRules(failures=1, first_pause=1.0)
ACCOUNT = ("openai", "http://h")


class Process:
    """One process: its health of the account, and what it has told that the ledger has not heard yet."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, HealthChange]] = []
        self.incoming: list[tuple[bytes, HealthChange, bool]] = []
        self.shared = SharedHealths(keyed_digest(b"k"), lambda name, change: self.told.append((name, change)))
        self.health = Health()
        self.shared.follow(ACCOUNT, self.health)

    def hear(self) -> None:
        while self.incoming:
            name, change, echo = self.incoming.pop(0)
            self.shared.learn(name, change, echo=echo)


class Gateway:
    """Two processes and the ledger."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.processes = [Process(), Process()]

    def collect(self, process: Process) -> None:
        """The ledger hears what a process has told."""
        while process.told:
            name, change = process.told.pop(0)
            self.ledger.learn(name, change)
            for other in self.processes:
                other.incoming.append((name, change, other is process))

    def settle(self) -> None:
        for process in self.processes:
            self.collect(process)
        for process in self.processes:
            process.hear()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def fail(process: Process, now: float) -> None:
    process.health.failed(admit(process.health, now), now, 1.0, RULES)


def condition(process: Process, now: float) -> Condition:
    return available(process.health, now).condition


def test_a_rest_is_everybodys(gateway: Gateway) -> None:
    one, other = gateway.processes
    one.health.rest(30.0)
    gateway.settle()
    assert (condition(other, 29.9), condition(other, 30.0)) == (Condition.RESTING, Condition.WELL)


def test_an_open_circuit_is_everybodys_and_so_is_its_probe(gateway: Gateway) -> None:
    one, other = gateway.processes
    fail(one, 0.0)
    gateway.settle()
    assert (condition(other, 0.9), condition(other, 1.0)) == (Condition.OPEN, Condition.HALF_OPEN)
    probe = admit(other.health, 1.0)
    gateway.settle()
    assert (probe.probe, condition(one, 1.0)) == (True, Condition.PROBING)
    other.health.completed(other.health.answered(probe))
    gateway.settle()
    assert [condition(p, 1.0) for p in gateway.processes] == [Condition.WELL] * 2
    assert [p.health.openings for p in gateway.processes] == [0, 0]


def test_a_probe_that_was_given_up_is_free_for_all(gateway: Gateway) -> None:
    one, other = gateway.processes
    fail(one, 0.0)
    gateway.settle()
    probe = admit(one.health, 2.0)
    gateway.settle()
    one.health.released(probe)
    gateway.settle()
    assert condition(other, 2.0) is Condition.HALF_OPEN


def test_pauses_grow_whoever_probes(gateway: Gateway) -> None:
    one, other = gateway.processes
    fail(one, 0.0)
    gateway.settle()
    fail(other, 1.0)
    gateway.settle()
    assert one.health.openings == 2
    assert (condition(one, 2.9), condition(one, 3.0)) == (Condition.OPEN, Condition.HALF_OPEN)


def test_nothing_is_told_while_all_is_well(gateway: Gateway) -> None:
    one, _ = gateway.processes
    for _ in range(100):
        one.health.completed(one.health.answered(admit(one.health, 0.0)))
    one.health.failed(admit(one.health, 0.0), 0.0, 1.0, CircuitRules(failures=5))
    assert one.told == []


def test_what_was_under_way_when_another_process_opened_the_circuit_does_not_count(gateway: Gateway) -> None:
    one, other = gateway.processes
    before = admit(other.health, 0.0)
    fail(one, 0.0)
    gateway.settle()
    assert other.health.answered(before) is before
    assert condition(other, 0.5) is Condition.OPEN


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_changes_that_cross_end_the_same_everywhere(gateway: Gateway, order: tuple[int, int]) -> None:
    one, other = gateway.processes
    fail(one, 0.0)
    fail(other, 0.5)
    other.health.rest(10.0)
    for number in order:
        gateway.collect(gateway.processes[number])
    for process in gateway.processes:
        process.hear()
    gateway.settle()
    name = keyed_digest(b"k")(repr(ACCOUNT).encode())
    assert one.health.circuit == other.health.circuit == gateway.ledger.get(name).circuit
    assert one.health.rest_until == other.health.rest_until == 10.0


def test_an_echo_does_not_undo_a_later_change_of_ours(gateway: Gateway) -> None:
    one, _ = gateway.processes
    fail(one, 0.0)
    gateway.collect(one)
    probe = admit(one.health, 1.0)
    one.hear()
    assert one.health.probing
    assert probe == Admission(spell=one.health.spell, probe=True)
    gateway.settle()
    assert one.health.probing


def test_a_rest_from_elsewhere_counts_even_while_a_change_of_ours_is_on_its_way(gateway: Gateway) -> None:
    one, other = gateway.processes
    other.health.rest(30.0)
    gateway.collect(other)
    fail(one, 0.0)
    one.hear()
    assert (one.health.rest_until, one.health.open_until) == (30.0, 1.0)


def test_a_health_that_begins_later_is_told_what_is_known(gateway: Gateway) -> None:
    one, other = gateway.processes
    one.health.rest(30.0)
    one.shared.follow(("another",), Health())
    gateway.settle()
    late = Health()
    other.shared.follow(ACCOUNT, late)
    assert late.rest_until == 30.0


def test_a_rest_says_nothing_of_the_circuit_which_somebody_else_may_have_changed(gateway: Gateway) -> None:
    one, other = gateway.processes
    fail(one, 0.0)
    gateway.settle()
    probe = admit(one.health, 2.0)
    gateway.settle()
    other.health.rest(10.0)
    one.health.released(probe)
    gateway.settle()
    assert [condition(p, 10.0) for p in gateway.processes] == [Condition.HALF_OPEN] * 2


def test_the_ledger_keeps_the_unwell_and_not_too_many() -> None:
    ledger = Ledger(most=3)
    for i in range(5):
        ledger.learn(b"%d" % i, HealthChange(circuit=Circuit(open_until=float(i), openings=1)))
    assert [name for name, _ in ledger.known()] == [b"2", b"3", b"4"]
    ledger.learn(b"3", HealthChange(circuit=CLOSED))
    assert [name for name, _ in ledger.known()] == [b"2", b"4"]
    assert ledger.get(b"3") == HealthChange(circuit=CLOSED)


def test_the_ledger_shortens_no_rest() -> None:
    ledger = Ledger()
    for until in (30.0, 20.0):
        ledger.learn(b"a", HealthChange(rest_until=until))
    ledger.learn(b"a", HealthChange(circuit=Circuit(openings=1)))
    assert ledger.get(b"a") == HealthChange(rest_until=30.0, circuit=Circuit(openings=1))
