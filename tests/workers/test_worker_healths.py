"""The topics: what one worker learns of an instance reaches all, and a worker that dies leaves nobody waiting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aigw.balancing.health import CircuitRules, Condition, Health, admit, available
from aigw.balancing.sharing import keyed_digest
from aigw.observe.metrics import Metrics
from aigw.workers import circuits
from aigw.workers.circuits import CircuitHub, WorkerMetrics
from aigw.workers.healths import TOPIC, HealthHub, shared_healths
from aigw.workers.messages import Shared
from aigw.workers.topics import Hubs, Topics

RULES = CircuitRules(failures=1, first_pause=1.0)


class Worker:
    """A worker that has one instance."""

    def __init__(self, say: Callable[[Shared], object]) -> None:
        self.topics = Topics(say)
        self.healths = shared_healths(self.topics, keyed_digest(b"k"))
        self.health = Health()
        self.healths.follow("account", self.health)

    def fail(self, now: float) -> None:
        self.health.failed(admit(self.health, now), now, 1.0, RULES)

    def condition(self, now: float) -> Condition:
        return available(self.health, now).condition


class Gateway:
    """Workers, and the hub between them; what is said is heard at once."""

    def __init__(self) -> None:
        self.hubs = Hubs()
        self.workers: dict[int, Worker] = {}
        self.hub = HealthHub(lambda id, body: self.workers[id].topics.heard(Shared(TOPIC, body)))
        self.hubs.open(TOPIC, self.hub)

    def hire(self, id: int) -> Worker:
        worker = self.workers[id] = Worker(lambda said: self.hubs.heard(id, said))
        self.hub.joined(id)
        return worker

    def lose(self, id: int) -> None:
        del self.workers[id]
        self.hub.left(id)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_a_rest_reaches_all_and_who_comes_later(gateway: Gateway) -> None:
    one, other = gateway.hire(1), gateway.hire(2)
    one.health.rest(30.0)
    assert [w.condition(1.0) for w in (one, other, gateway.hire(3))] == [Condition.RESTING] * 3


def test_a_circuit_opens_and_closes_for_all(gateway: Gateway) -> None:
    one, other = gateway.hire(1), gateway.hire(2)
    one.fail(0.0)
    assert [w.condition(0.5) for w in (other, gateway.hire(3))] == [Condition.OPEN] * 2
    probe = admit(other.health, 2.0)
    assert one.condition(2.0) is Condition.PROBING
    other.health.answered(probe)
    assert [w.condition(2.0) for w in gateway.workers.values()] == [Condition.WELL] * 3
    assert gateway.hire(4).condition(2.0) is Condition.WELL


def test_a_probe_that_dies_with_its_worker_is_free_for_all(gateway: Gateway) -> None:
    one, other = gateway.hire(1), gateway.hire(2)
    one.fail(0.0)
    admit(one.health, 2.0)
    gateway.lose(1)
    assert other.condition(2.0) is Condition.HALF_OPEN
    assert gateway.hire(3).condition(2.0) is Condition.HALF_OPEN


def test_a_worker_that_dies_and_probes_nothing_changes_nothing(gateway: Gateway) -> None:
    one, other = gateway.hire(1), gateway.hire(2)
    one.fail(0.0)
    probe = admit(other.health, 2.0)
    gateway.lose(1)
    assert other.condition(2.0) is Condition.PROBING
    other.health.released(probe)
    assert other.condition(2.0) is Condition.HALF_OPEN


def test_the_gauge_of_a_circuit_shows_what_was_told_last() -> None:
    whole, hubs = Metrics(build={}), Hubs()
    hubs.open(circuits.TOPIC, CircuitHub(whole))
    one, other = (WorkerMetrics(Topics(lambda said, id=id: hubs.heard(id, said))) for id in (1, 2))  # type: ignore[misc]

    def shown() -> list[float]:
        return [s.value for m in whole.collect() if m.name == "aigw_circuit_open" for s in m.samples]

    one.circuit_changed("r", "i", "open")
    assert shown() == [1]
    other.circuit_changed("r", "i", "half_open")
    other.circuit_changed("r", "i", "closed")
    assert shown() == [0]


def test_a_topic_that_nobody_has_is_an_error() -> None:
    for part in (Topics(lambda said: None), Hubs()):
        with pytest.raises(ValueError, match="no such topic"):
            part.heard(1, Shared("x", b"")) if isinstance(part, Hubs) else part.heard(Shared("x", b""))
