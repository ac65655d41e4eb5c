"""The parent's side, with workers in memory: real messages over wires that are carried by hand, and a Clock."""

# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from aigw.model.resource import decode_resource
from aigw.model.snapshot import Resource
from aigw.observe.adding import Growth
from aigw.observe.line_writer import LineWriter
from aigw.observe.metrics import Metrics
from aigw.plugins import CONFIGS
from aigw.registry import Registry
from aigw.workers.channel import Channel
from aigw.workers.follower import Follower
from aigw.workers.healths import TOPIC, HealthHub
from aigw.workers.messages import (
    Applied,
    Change,
    Document,
    Grown,
    Hello,
    Leave,
    Leaving,
    Lines,
    Listen,
    Listening,
    Message,
    Said,
    Shared,
    Sync,
    ToWorker,
)
from aigw.workers.team import Plan, Team


def route(id: str, uri: str = "/a", **fields: Any) -> Resource:
    return decode_resource("routes", id, {"id": id, "uri": uri, "plugins": {}, **fields}, CONFIGS)


class Wire(StringTransport):
    """Knows that it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True


class FakeWorker:
    """A worker process. ``obeys``: does at once what it is told; else it keeps silent. ``told``: what it was."""

    def __init__(self, parents: Channel, ended: Callable[[str], object], pid: int) -> None:
        self.pid = pid
        self.obeys = True
        self.alive = True
        self.told: list[Message] = []
        self.registry = Registry()
        self._follower = Follower("default", self.registry, CONFIGS)
        self._parents = parents
        self._ended = ended
        self.channel = Channel(ToWorker, self._heard, lambda: None)
        self.wires = Wire(), Wire()
        self.listens = False

    def connect(self) -> None:
        for end, wire in zip((self._parents, self.channel), self.wires, strict=True):
            end.makeConnection(wire)

    def kill(self) -> None:
        self.alive = False

    def say(self, message: Message) -> None:
        self.channel.send(message)

    def die(self, how: str = "SIGKILL") -> None:
        self.alive = False
        self._parents.connectionLost()
        self._ended(how)

    def carry(self) -> bool:
        """Carry what was written, both ways. Returns whether there was anything."""
        down, up = (wire.value() for wire in self.wires)
        for wire in self.wires:
            wire.clear()
        if down:
            self.channel.dataReceived(down)
        if up:
            self._parents.dataReceived(up)
        return bool(down or up)

    def _heard(self, said: Message) -> None:
        self.told.append(said)
        if self.obeys:
            self.obey(said)

    def obey(self, said: Message) -> None:
        match said:
            case Change():
                if self._follower.follow(said):
                    self.say(Applied(said.number))
            case Sync(number):
                self.say(Applied(number))
            case Listen():
                self.listens = True
                self.say(Listening())
            case Leave(number):
                self.say(Leaving())
                self.say(Applied(number))

    @property
    def routes(self) -> dict[str, str]:
        """What it would serve."""
        return {id: r.value.uri for id, r in self.registry.snapshot("default").of("routes").items()}


class Parent:
    """The parent's side, with workers that are spawned in memory. ``obeying``: those that come from now on obey."""

    def __init__(self, size: int = 2) -> None:
        self.clock = Clock()
        self.registry = Registry()
        self.metrics = Metrics(build={})
        self.workers: list[FakeWorker] = []
        self.gave_up: list[str] = []
        self.absent: list[int] = []
        self.lines = b""
        self.obeying = True
        self.refusing: OSError | None = None
        self.living: list[FakeWorker] = []
        self.team = Team(
            plan=Plan(size=size, group="default", hello=self._hello, absent=self.absent.append),
            registry=self.registry,
            clock=self.clock,
            spawn=self._spawn,
            metrics=self.metrics,
            lines=LineWriter(self, self.clock),
            gave_up=self.gave_up.append,
        )
        self.team.share(TOPIC, HealthHub)

    def put(self, *resources: Resource, group: str = "default") -> None:
        snapshot = self.registry.snapshot(group)
        changed = snapshot.changed(snapshot.revision + 1, put=resources)
        self.registry.replace(group, changed, frozenset(r.key for r in resources))

    def delete(self, id: str) -> None:
        snapshot = self.registry.snapshot("default")
        self.registry.replace(
            "default", snapshot.changed(snapshot.revision + 1, delete=[("routes", id)]), frozenset([("routes", id)])
        )

    def start(self) -> Parent:
        self.team.start()
        self.run()
        return self

    def run(self) -> None:
        """Until nobody has anything more to say; the killed end."""
        busy = True
        while busy:
            busy = sum(worker.carry() for worker in self.workers if worker.alive) > 0
            for worker in self.workers:
                if not worker.alive and worker in self.living:
                    self.living.remove(worker)
                    worker.die()
                    busy = True

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.run()

    def is_settled(self) -> bool:
        done: list[None] = []
        self.team.settled().addCallback(done.append)
        return bool(done)

    # aigw.observe.log_destination.Destination

    def write(self, data: bytes) -> int:
        self.lines += data
        return len(data)

    def reopen(self) -> None: ...

    def close(self) -> None: ...

    def _hello(self, number: int) -> Hello:
        return Hello("1", "default", "lowest_first", True, 1.0, b"k", number - 1, 2, 0, [])

    def _spawn(self, channel: Channel, said: Callable[[str], object], ended: Callable[[str], object]) -> FakeWorker:
        if self.refusing is not None:
            raise self.refusing
        worker = FakeWorker(channel, ended, 1000 + len(self.workers))
        worker.obeys = self.obeying
        self.workers.append(worker)
        self.living.append(worker)
        worker.connect()
        return worker


@pytest.fixture
def parent() -> Parent:
    return Parent()


@pytest.fixture
def logged() -> Iterator[Callable[[LogLevel], list[str]]]:
    with capturedLogs() as events:

        def of(level: LogLevel) -> list[str]:
            found: list[LogEvent] = [event for event in events if event["log_level"] is level]
            return [formatEvent(event) for event in found]

        yield of


# Everybody has the current Snapshot.


def test_a_worker_has_the_whole_snapshot_before_it_listens(parent: Parent) -> None:
    parent.put(*(route(f"r{i}", f"/{i}") for i in range(3)))
    parent.start()
    assert [type(m).__name__ for m in parent.workers[0].told] == ["Hello", "Change", "Listen"]
    assert [w.routes for w in parent.workers] == [{"r0": "/0", "r1": "/1", "r2": "/2"}] * 2


def test_changes_are_sent_and_not_the_snapshot(parent: Parent) -> None:
    parent.put(*(route(f"r{i}") for i in range(50)))
    parent.start()
    parent.put(route("r7", "/b"))
    parent.delete("r8")
    parent.run()
    for worker in parent.workers:
        changes = [m for m in worker.told if isinstance(m, Change)][1:]
        assert [([d.id for d in c.put], c.delete) for c in changes] == [(["r7"], []), ([], [("routes", "r8")])]
        assert worker.routes["r7"] == "/b"
        assert "r8" not in worker.routes
        assert worker.registry.snapshot("default").revision == 3


def test_other_groups_are_nobodys_business(parent: Parent) -> None:
    parent.start()
    parent.put(route("r"), group="blue")
    assert parent.is_settled()
    assert not any(parent.workers[0].carry() for _ in range(3))


def test_a_snapshot_that_is_long_comes_in_pieces_and_holds_only_when_it_is_whole(parent: Parent) -> None:
    parent.put(*(route(f"r{i}", filler="x" * 50_000) for i in range(30)))
    parent.start()
    worker = parent.workers[0]
    changes = [m for m in worker.told if isinstance(m, Change)]
    assert [c.last for c in changes] == [False] * (len(changes) - 1) + [True]
    assert len(changes) > 4
    assert len(worker.routes) == 30


def test_a_write_waits_for_all_who_serve(parent: Parent) -> None:
    parent.start()
    slow = parent.workers[1]
    slow.obeys = False
    parent.put(route("r"))
    parent.run()
    assert not parent.is_settled()
    slow.obeys = True
    slow.obey(slow.told[-1])
    parent.run()
    assert parent.is_settled()


def test_nobody_is_waited_for_who_owes_nothing(parent: Parent) -> None:
    parent.start()
    slow = parent.workers[1]
    slow.obeys = False
    parent.put(route("r"))
    parent.pass_seconds(4)  # the other one is asked for its metrics meanwhile
    slow.obeys = True
    slow.obey(slow.told[-1])
    parent.run()
    assert parent.is_settled()


def test_a_write_does_not_wait_for_one_who_starts_and_that_one_serves_with_it(parent: Parent) -> None:
    parent.start()
    parent.obeying = False
    parent.workers[0].die()
    parent.run()
    parent.pass_seconds(1)
    starting = parent.workers[2]
    parent.put(route("r"))
    parent.run()
    assert parent.is_settled()
    for message in list(starting.told):
        starting.obey(message)
    parent.run()
    listen = next(m for m in starting.told if isinstance(m, Listen))
    assert starting.told.index(listen) > max(i for i, m in enumerate(starting.told) if isinstance(m, Change))
    assert starting.routes == {"r": "/a"}


def test_who_does_not_answer_is_killed_and_replaced_and_the_write_counts(
    parent: Parent, logged: Callable[[LogLevel], list[str]]
) -> None:
    parent.start()
    hung = parent.workers[1]
    hung.obeys = False
    parent.put(route("r"))
    parent.run()
    settled: list[None] = []
    parent.team.settled().addCallback(settled.append)
    parent.pass_seconds(10)
    assert (settled, hung.alive) == ([], True)
    parent.pass_seconds(1)
    assert (settled, hung.alive) == ([None], False)
    parent.pass_seconds(1)
    assert parent.workers[2].routes == {"r": "/a"}
    assert "it does not answer" in logged(LogLevel.error)[0]


def test_who_hangs_is_noticed_without_a_write(parent: Parent) -> None:
    parent.start()
    parent.workers[0].obeys = False
    parent.pass_seconds(14)
    assert not parent.workers[0].alive


def test_a_worker_may_take_its_time_to_start(parent: Parent) -> None:
    parent.obeying = False
    parent.start()
    parent.pass_seconds(120)
    assert [w.alive for w in parent.workers] == [True, True]
    parent.pass_seconds(1)
    assert [w.alive for w in parent.workers[:2]] == [False, False]


def test_a_machine_that_slept_kills_nobody(parent: Parent) -> None:
    parent.start()
    parent.put(route("r"))
    parent.clock.advance(3600)
    parent.run()
    assert [w.alive for w in parent.workers] == [True, True]


# Coming and going.


def test_readiness_is_all_at_first_and_then_any(parent: Parent) -> None:
    parent.obeying = False
    parent.start()
    for worker in parent.workers:
        assert not parent.team.ready
        worker.obeys = True
        for message in list(worker.told):
            worker.obey(message)
        parent.run()
    assert parent.team.ready
    for worker, ready in zip(parent.workers[:2], (True, False), strict=True):
        worker.die()
        assert parent.team.ready is ready


def test_who_lived_long_is_replaced_at_once_and_others_after_a_pause_that_grows(parent: Parent) -> None:
    parent.start()
    parent.pass_seconds(60)
    parent.workers[0].die()
    assert parent.absent == [1]
    parent.clock.advance(0)
    assert len(parent.workers) == 3
    pauses = []
    for _ in range(9):
        parent.run()
        died = parent.clock.seconds()
        parent.workers[-1].die()
        count = len(parent.workers)
        while len(parent.workers) == count:
            parent.clock.advance(0.5)
            parent.run()
        pauses.append(parent.clock.seconds() - died)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_if_no_worker_ever_serves_the_gateway_gives_up(parent: Parent) -> None:
    parent.obeying = False
    parent.start()
    for _ in range(3):
        for worker in [w for w in parent.workers if w.alive]:
            worker.die("exit status 1")
        parent.pass_seconds(2)
    assert parent.gave_up == ["no worker can start: exit status 1"]
    assert len(parent.workers) <= 6


def test_if_workers_have_served_it_never_gives_up(parent: Parent) -> None:
    parent.start()
    for _ in range(8):
        for worker in [w for w in parent.workers if w.alive]:
            worker.die("exit status 1")
        parent.pass_seconds(31)
    assert parent.gave_up == []
    assert parent.team.serving == 2


def test_a_process_that_can_not_be_made_is_tried_again(parent: Parent, logged: Callable[[LogLevel], list[str]]) -> None:
    parent.start()
    parent.refusing = OSError(12, "Cannot allocate memory")
    parent.workers[0].die()
    parent.pass_seconds(1)
    parent.refusing = None
    assert any("Cannot allocate memory" in text for text in logged(LogLevel.error))
    parent.pass_seconds(2)
    assert parent.team.serving == 2


def test_who_leaves_unasked_is_replaced_at_once_and_is_told_of_changes_to_its_end(parent: Parent) -> None:
    parent.start()
    leaving = parent.workers[0]
    leaving.say(Leaving())
    parent.run()
    assert len(parent.workers) == 3
    leaving.obeys = False
    parent.put(route("r"))
    parent.run()
    assert not parent.is_settled()
    leaving.die("exit status 0")
    assert parent.is_settled()
    parent.pass_seconds(5)
    assert len(parent.workers) == 3
    assert not [line for line in parent.metrics.collect() if line.name == "aigw_worker_ends" and list(line.samples)]


def test_who_is_asked_to_leave_while_it_starts_is_replaced_too(parent: Parent) -> None:
    parent.obeying = False
    parent.start()
    parent.obeying = True
    parent.workers[0].say(Leaving())
    parent.run()
    parent.workers[0].die("exit status 0")
    parent.run()
    assert [w.listens for w in parent.workers] == [False, False, True]
    assert parent.absent == [], "the place is its successor's by now"


def test_leaving(parent: Parent) -> None:
    parent.start()
    parent.workers[1].obeys = False
    stopped: list[str] = []
    parent.team.leave(30.0).addCallback(lambda _: stopped.append("stopped"))
    parent.team.gone().addCallback(lambda _: stopped.append("gone"))
    parent.run()
    assert stopped == []
    parent.workers[1].obeys = True
    parent.workers[1].obey(parent.workers[1].told[-1])
    parent.run()
    assert stopped == ["stopped"]
    for worker in parent.workers:
        worker.die("exit status 0")
    assert stopped == ["stopped", "gone"]
    parent.team.close()
    parent.pass_seconds(60)
    assert len(parent.workers) == 2
    assert parent.clock.getDelayedCalls() == []


def test_who_does_not_leave_in_time_is_killed(parent: Parent) -> None:
    parent.start()
    gone: list[None] = []
    parent.team.leave(3.0)
    parent.team.gone().addCallback(gone.append)
    parent.pass_seconds(7)
    assert gone == []
    parent.pass_seconds(1)
    assert gone == [None]


def test_a_worker_that_starts_does_not_hold_up_leaving(parent: Parent) -> None:
    parent.obeying = False
    parent.start()
    stopped: list[None] = []
    parent.team.leave(3.0).addCallback(stopped.append)
    parent.run()
    assert stopped == [None]


def test_a_channel_that_closes_is_the_end_of_its_worker(parent: Parent) -> None:
    parent.start()
    worker = parent.workers[0]
    worker._parents.connectionLost()
    parent.pass_seconds(4)
    assert worker.alive
    parent.clock.advance(1)
    assert not worker.alive


# What workers tell.


def test_lines_of_the_access_log_go_on(parent: Parent) -> None:
    parent.start()
    parent.workers[0].say(Lines(b"one\ntwo\n"))
    parent.workers[1].say(Lines(b"three\n"))
    parent.run()
    assert parent.lines == b"one\ntwo\nthree\n"


def test_events_go_into_the_log(parent: Parent, logged: Callable[[LogLevel], list[str]]) -> None:
    parent.start()
    parent.workers[1].say(Said("warn", "a {strange} thing"))
    parent.run()
    assert logged(LogLevel.warn) == ["worker 2: a {strange} thing"]


def test_metrics_are_asked_for_and_added_up(parent: Parent) -> None:
    parent.start()
    refreshed: list[None] = []
    parent.team.refresh().addCallback(refreshed.append)
    growth = Growth("aigw_fallbacks_total", ("r", "i", "http_5xx"), [2])
    for worker in parent.workers:
        worker.say(Grown([growth], 3))
    assert refreshed == []
    parent.run()
    assert refreshed == [None]
    assert parent.team.in_flight == 6
    parent.workers[0].die()
    assert parent.team.in_flight == 3
    (family,) = [f for f in parent.metrics.added_up if f.name == "aigw_fallbacks_total"]
    assert family.rows == {("r", "i", "http_5xx"): [4]}


def test_a_scrape_waits_for_nobody_for_long(parent: Parent) -> None:
    parent.start()
    parent.workers[0].obeys = False
    refreshed: list[None] = []
    parent.team.refresh().addCallback(refreshed.append)
    parent.run()
    assert refreshed == []
    parent.clock.advance(1.0)
    assert refreshed == [None]


NONSENSE: list[Message] = [
    Applied(10**6),
    Applied(-5),
    Lines(b"half a line"),
    Grown([Growth("nonsense", (), [1])], 0),
    Shared("nonsense", b""),
    Shared(TOPIC, b"\xc1"),
    Shared(TOPIC, b""),
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_a_worker_that_talks_nonsense_is_replaced(
    nonsense: Message, parent: Parent, logged: Callable[[LogLevel], list[str]]
) -> None:
    parent.start()
    worker = parent.workers[0]
    worker.say(nonsense)
    parent.run()
    assert worker.wires[0].aborted
    worker._parents.connectionLost()
    parent.pass_seconds(6)
    assert not worker.alive
    assert parent.team.serving == 2
    assert "makes no sense" in logged(LogLevel.error)[0]


def test_nothing_secret_is_shown() -> None:
    document = Document("routes", "r", b'{"auth": "sk-secret"}', 1, 1, None)
    change = Change(1, 1, [document], [], last=True)
    hello = Hello("1", "g", "lowest_first", True, 1.0, b"the-key", 0, 1, 0, [])
    assert "sk-secret" not in repr(change) + repr(document) + str([change])
    assert "the-key" not in repr(hello)
