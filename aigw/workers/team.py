"""The parent's side: N workers, each with the current Snapshot, each replaced when it ends.

A worker is told to listen behind everything that was said to it before, and from then on every change waits for it. So
no request ever meets a Snapshot that is older than the last change that was acknowledged. Whoever does not answer in
time is killed, and nobody waits for the dead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, LogLevel

from aigw.model.snapshot import Key, Snapshot
from aigw.observe.adding import Sum
from aigw.observe.line_writer import LineWriter
from aigw.observe.metrics import Metrics
from aigw.ports import Clock
from aigw.registry import Registry
from aigw.workers import messages
from aigw.workers.channel import Channel
from aigw.workers.member import Member, Phase
from aigw.workers.messages import Hello, Hurry, Leave, Listen, Shared, Sync, ToParent, change_frames, encode
from aigw.workers.spawning import Spawn
from aigw.workers.topics import Hub, Hubs, Tell
from aigw.workers.waiting import Waiting

SYNC_SECONDS = 2
"""How often workers are asked what has grown: what a worker counted that is killed is lost since then."""

SCRAPE_PATIENCE = 1.0
"""Seconds that a scrape waits for workers; of one that is slower, it shows what was known."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a worker is replaced that ended soon; doubled each time."""

SOON = 10.0
"""Seconds; who lives longer is replaced at once."""

MOST_STARTS = 3
"""How often a worker may fail to start before the gateway gives up, if no worker ever served."""

LINGER = 5.0
"""Seconds for a worker that has closed its channel, or whose time to drain is over, to end by itself."""


@attrs.frozen(kw_only=True)
class Plan:
    """``size``: how many workers. ``group``: the gateway group that they serve. ``hello``: what each is told first, by
    its number. ``absent``: takes the number of a worker that accepts no connections any more.
    """

    size: int
    group: str
    hello: Callable[[int], Hello] = attrs.field(repr=False)
    absent: Callable[[int], object] = attrs.field(repr=False)


class Team:
    """All workers. ``lines``: where the access log goes, or None. ``gave_up``: told why no worker can be had."""

    log = Logger()

    def __init__(
        self,
        *,
        plan: Plan,
        registry: Registry,
        clock: Clock,
        spawn: Spawn,
        metrics: Metrics,
        lines: LineWriter | None,
        gave_up: Callable[[str], object],
    ) -> None:
        self._plan = plan
        self._registry = registry
        self._clock = clock
        self._spawn = spawn
        self._metrics = metrics
        self._sum = Sum(metrics)
        self._lines = lines
        self._gave_up = gave_up
        self._hubs = Hubs()
        self._members: dict[int, Member] = {}
        self._ids = itertools.count(1)
        self._number = 0
        self._failures: dict[int, int] = {}
        self._replacing: dict[int, IDelayedCall] = {}
        self._waiting = Waiting(clock)
        self._timers: list[IDelayedCall] = []
        self._ticks = 0
        self._served = False
        self._was_ready = False
        self._leaving = False

    @property
    def ready(self) -> bool:
        """Whether requests are welcome: once all workers have been up, as long as one is."""
        return self._was_ready and self.serving > 0

    @property
    def serving(self) -> int:
        """How many workers serve."""
        return sum(member.listens for member in self._members.values())

    @property
    def in_flight(self) -> int:
        """Requests without a complete reply, as far as is known."""
        return sum(member.in_flight for member in self._members.values())

    def share(self, topic: str, make: Callable[[Tell], Hub]) -> None:
        """Have a topic that workers share, before they are started."""
        self._hubs.open(topic, make(lambda id, body: self._members[id].channel.send(Shared(topic, body))))

    def start(self) -> None:
        """Start the workers, follow the registry."""
        self._registry.subscribe(self._changed)
        for number in range(1, self._plan.size + 1):
            self._hire(number)
        self._later(1, self._tick)

    def settled(self) -> Deferred[None]:
        """Fires when all that has changed is in force in all workers that may serve a request, also the last ones of
        who leaves.
        """
        serving = [(m, m.told) for m in self._members.values() if m.phase is not Phase.STARTING]
        return self._waiting.until(lambda: all(m.applied >= told or m.gone for m, told in serving))

    def refresh(self) -> Deferred[None]:
        """Fires when the metrics are up to date, or it takes too long."""
        asked = [m for m in self._members.values() if m.phase is not Phase.STARTING]
        number = self._sync(asked)
        return self._waiting.until(lambda: all(m.applied >= number or m.gone for m in asked), SCRAPE_PATIENCE)

    def leave(self, seconds: float) -> Deferred[None]:
        """Have all workers leave within ``seconds``; fires when none accepts connections any more."""
        self._leaving = True
        for call in self._replacing.values():
            call.cancel()
        self._replacing.clear()
        self._number += 1
        for member in list(self._members.values()):
            if member.phase is Phase.STARTING:
                member.kill("it was starting")
            else:
                member.told = self._number
                member.channel.send(Leave(self._number, seconds))
        self._later(seconds + LINGER, self._end_all, "it did not leave")
        return self._waiting.until(lambda: all(m.phase is Phase.LEAVING for m in self._members.values()))

    def gone(self) -> Deferred[None]:
        """Fires when no worker is left."""
        return self._waiting.until(lambda: not self._members)

    def hurry(self) -> None:
        """Have all workers end now."""
        for member in self._members.values():
            member.channel.send(Hurry())
        self._later(LINGER, self._end_all, "it did not end")

    def close(self) -> None:
        """Have no worker, and wait for nothing."""
        self._leaving = True
        for call in (*self._timers, *self._replacing.values()):
            if call.active():
                call.cancel()
        self._replacing.clear()
        self._end_all("the gateway ends")

    def _later(self, seconds: float, call: Callable[..., object], *arguments: object) -> None:
        self._timers = [timer for timer in self._timers if timer.active()]
        self._timers.append(self._clock.callLater(seconds, call, *arguments))

    # Coming and going

    def _hire(self, number: int) -> None:
        self._replacing.pop(number, None)
        member = Member(id=next(self._ids), number=number, born=self._clock.seconds(), told=self._number)
        member.channel = Channel(ToParent, lambda said: self._heard(member, said), lambda: self._lost(member))
        self._members[member.id] = member
        member.channel.send(self._plan.hello(number))
        for hub in self._hubs.all():
            hub.joined(member.id)
        snapshot = self._registry.snapshot(self._plan.group)
        resources = itertools.chain.from_iterable(of_kind.values() for of_kind in snapshot.resources.values())
        member.channel.send_frames(change_frames(self._number, snapshot.revision, resources))
        try:
            member.process = self._spawn(member.channel, member.last_words.append, lambda how: self._ended(member, how))
        except OSError as e:
            member.lost = True
            self._ended(member, e.strerror or str(e))

    def _lost(self, member: Member) -> None:
        """Its channel is closed: it has ended, or soon will, or has to."""
        member.lost = True
        member.listens = False
        if member.ended is None:
            self._later(LINGER, self._end, member, "it closed its channel")
        self._bury(member)

    def _ended(self, member: Member, how: str) -> None:
        member.ended = how
        self._bury(member)

    def _bury(self, member: Member) -> None:
        """If it is gone, settle what is left of it, and replace it."""
        if not member.gone or self._members.pop(member.id, None) is None:
            return
        self._sum.forget(member.id)
        for hub in self._hubs.all():
            hub.left(member.id)
        replaced = member.phase is Phase.LEAVING
        if not replaced:
            self._plan.absent(member.number)
        if not self._leaving and (not replaced or member.killed or member.ended != "exit status 0"):
            self._report(member)
        if not self._leaving and not replaced:
            self._replace(member)
        self._waiting.look_round()

    def _report(self, member: Member) -> None:
        self._metrics.worker_ended("killed" if member.killed else member.ended or "")
        self.log.error(
            "worker {number} (pid {pid}) has ended: {how}{words}",
            number=member.number,
            pid=member.pid,
            how=f"killed, since {member.killed}" if member.killed else member.ended,
            words="".join(f"\n  {line}" for line in member.last_words),
        )

    def _replace(self, member: Member) -> None:
        number, lived = member.number, self._clock.seconds() - member.born
        failures = self._failures[number] = 0 if lived >= SOON else self._failures.get(number, 0) + 1
        if not self._served and failures >= MOST_STARTS:
            self._leaving = True
            self._gave_up(f"no worker can start: {member.killed or member.ended}")
            return
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (failures - 1)) if failures else 0.0
        self._replacing[number] = self._clock.callLater(pause, self._hire, number)

    def _end(self, member: Member, reason: str) -> None:
        if member.id in self._members:
            member.kill(reason)

    def _end_all(self, reason: str) -> None:
        for member in list(self._members.values()):
            member.kill(reason)

    # What is told

    def _changed(self, group: str, snapshot: Snapshot, changed: frozenset[Key]) -> None:
        if group != self._plan.group or not self._members:
            return
        found = [(key, snapshot.get(*key)) for key in sorted(changed)]
        put = [resource for _, resource in found if resource is not None]
        delete = [key for key, resource in found if resource is None]
        self._number += 1
        self._tell(self._members.values(), list(change_frames(self._number, snapshot.revision, put, delete)))

    def _sync(self, members: Sequence[Member]) -> int:
        self._number += 1
        self._tell(members, [encode(Sync(self._number))])
        return self._number

    def _tell(self, members: Iterable[Member], frames: Sequence[bytes]) -> None:
        for member in members:
            member.told = self._number
            member.channel.send_frames(frames)

    # What is heard

    def _heard(self, member: Member, said: ToParent) -> None:
        match said:
            case messages.Applied(number):
                member.heard(number)
                if member.phase is Phase.STARTING and not self._leaving:
                    member.phase = Phase.SERVING
                    member.channel.send(Listen())
                self._waiting.look_round()
            case messages.Grown(growths, in_flight):
                member.in_flight = in_flight
                self._sum.add(member.id, growths)
            case messages.Lines(data):
                self._log_lines(data)
            case messages.Shared():
                self._hubs.heard(member.id, said)
            case messages.Listening():
                self._listens(member)
            case messages.Leaving():
                self._leaves(member)
            case messages.Said(level, text):
                self.log.emit(LogLevel.levelWithName(level), "worker {number}: {text}", number=member.number, text=text)

    def _listens(self, member: Member) -> None:
        member.listens = self._served = True
        self._was_ready = self._was_ready or self.serving == self._plan.size
        self.log.info("worker {number} serves, pid {pid}", number=member.number, pid=member.pid)

    def _leaves(self, member: Member) -> None:
        """It was told to, or an operator sent it a signal: then another one takes its place at once."""
        unasked = member.phase is not Phase.LEAVING and not self._leaving
        member.phase, member.listens = Phase.LEAVING, False
        if unasked:
            self.log.info("worker {number} (pid {pid}) leaves", number=member.number, pid=member.pid)
            self._hire(member.number)
        self._waiting.look_round()

    def _log_lines(self, data: bytes) -> None:
        if not data.endswith(b"\n"):
            raise ValueError("not a whole line")
        if self._lines is not None:
            self._lines.write(data)
            self._lines.flush()

    def _tick(self) -> None:
        """A second has passed. Seconds are counted, not measured: the machine may have slept."""
        self._later(1, self._tick)
        self._ticks += 1
        for member in list(self._members.values()):
            if member.second_passed():
                member.kill("it does not answer")
        if self._ticks % SYNC_SECONDS == 0:
            self._sync([m for m in self._members.values() if m.phase is not Phase.STARTING and m.applied == m.told])
