"""What an instance's recent attempts say of it: a rest it asked for, and a circuit that opens when it keeps failing.

closed --N failures in a row--> open --pause over--> half open: exactly one probe
  ^                               ^                     |
  |                               +------ it failed ----+
  +---------------------------------- it answered ------+

A result counts only for the spell of the circuit in which its attempt was admitted: what was under way when the circuit
opened can neither open it again nor close it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs


class Condition(enum.Enum):
    """``HALF_OPEN``: the next attempt is the probe. ``PROBING``: a probe is under way, others stay away."""

    WELL = "well"
    RESTING = "resting"
    OPEN = "open"
    HALF_OPEN = "half_open"
    PROBING = "probing"


@attrs.frozen
class Verdict:
    """May an instance be tried? ``until``: the moment when resting or the pause is over."""

    condition: Condition
    until: float | None = None

    @property
    def available(self) -> bool:
        """It may be tried now."""
        return self.condition is Condition.WELL or self.condition is Condition.HALF_OPEN


_WELL, _HALF_OPEN, _PROBING = (Verdict(c) for c in (Condition.WELL, Condition.HALF_OPEN, Condition.PROBING))


@attrs.frozen(kw_only=True)
class CircuitRules:
    """When a circuit opens and for how long, in seconds.

    The longest pause bounds how long a recovered instance waits for its first request, so it is short: a probe costs
    one request a short detour, and only while the instance is down.
    """

    failures: int = 5
    first_pause: float = 1.0
    longest_pause: float = 10.0

    def pause(self, openings: int, random: float) -> float:
        """The pause after ``openings`` earlier ones in a row: doubling, capped, the upper half of it jittered."""
        full = min(self.longest_pause, self.first_pause * 2.0 ** min(openings, 60))
        return full * (0.5 + 0.5 * random)


DEFAULT_RULES = CircuitRules()


@attrs.frozen(kw_only=True)
class Admission:
    """One attempt's standing with `Health`: the spell it belongs to, and whether it holds the probe's slot."""

    spell: int
    probe: bool = False


@attrs.frozen(kw_only=True)
class Circuit:
    """An instance's circuit, as other processes see it; see `Health` for the fields."""

    open_until: float | None = None
    openings: int = 0
    probing: bool = False


CLOSED = Circuit()


@attrs.frozen(kw_only=True)
class HealthChange:
    """What has changed in an instance's health that matters to other processes; None = that has not."""

    rest_until: float | None = None
    circuit: Circuit | None = None


@attrs.define(kw_only=True, eq=False)
class Health:
    """One instance's health, shared by all requests of the process.

    ``failures``: in a row, while closed. ``openings``: of the circuit, since an attempt last went well to its end.
    ``open_until``: None = closed; in the past = half open. ``spell``: number of the circuit's current state.
    ``on_change``: told of what changes here, for other processes to `adopt`.
    """

    failures: int = 0
    openings: int = 0
    open_until: float | None = None
    probing: bool = False
    rest_until: float | None = None
    spell: int = 0
    on_change: Callable[[HealthChange], object] | None = attrs.field(default=None, repr=False)
    ordinary: Admission = attrs.field(init=False, repr=False)
    """Of all attempts of this spell that are no probe."""

    @ordinary.default
    def _ordinary_admission(self) -> Admission:
        return Admission(spell=self.spell)

    @property
    def circuit(self) -> Circuit:
        """Its circuit as it is now."""
        return Circuit(open_until=self.open_until, openings=self.openings, probing=self.probing)

    def adopt(self, change: HealthChange) -> None:
        """Another process has changed this; what is under way here counts for the spell it began in, as ever."""
        self.rest_until = later(change.rest_until, self.rest_until)
        if change.circuit is None:
            return
        if change.circuit.open_until != self.open_until:
            self._begin_spell(change.circuit.open_until)
        self.openings, self.probing = change.circuit.openings, change.circuit.probing

    def rest(self, until: float) -> None:
        """Leave the instance alone until then; a rest is never shortened."""
        before, self.rest_until = self.rest_until, later(until, self.rest_until)
        if self.rest_until != before and self.on_change is not None:
            self.on_change(HealthChange(rest_until=self.rest_until))

    def failed(self, admission: Admission, now: float, random: float, rules: CircuitRules) -> None:
        """The attempt failed in a way that speaks against the instance."""
        if admission.spell != self.spell:
            return
        if self.open_until is None:
            self.failures += 1
            if self.failures >= rules.failures:
                self._open(now + rules.pause(self.openings, random))
        elif admission.probe:
            self._open(now + rules.pause(self.openings, random))

    def answered(self, admission: Admission) -> Admission:
        """The instance is alive; an open circuit closes. Returns the standing that the attempt has from here on."""
        if admission.spell != self.spell or self.open_until is None:
            return admission
        self._begin_spell(None)
        self._tell()
        return self.ordinary

    def completed(self, admission: Admission) -> None:
        """The attempt went well to its end: forget earlier failures."""
        if admission.spell == self.spell and self.open_until is None:
            self.failures = 0
            if self.openings:
                self.openings = 0
                self._tell()

    def released(self, admission: Admission) -> None:
        """The attempt was given up before it told anything: let another one probe."""
        if admission.probe and admission.spell == self.spell:
            self.probing = False
            self._tell()

    def begin_probe(self) -> None:
        """The next attempt is the probe."""
        self.probing = True
        self._tell()

    def _open(self, until: float) -> None:
        self.openings += 1
        self._begin_spell(until)
        self._tell()

    def _begin_spell(self, open_until: float | None) -> None:
        self.spell += 1
        self.ordinary = Admission(spell=self.spell)
        self.open_until, self.probing, self.failures = open_until, False, 0

    def _tell(self) -> None:
        if self.on_change is not None:
            self.on_change(HealthChange(circuit=self.circuit))


def later(one: float | None, other: float | None) -> float | None:
    """The later of two moments; None = never."""
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def available(health: Health, now: float) -> Verdict:
    """May this instance be tried now? Changes nothing."""
    if health.rest_until is not None and now < health.rest_until:
        return Verdict(Condition.RESTING, health.rest_until)
    if health.open_until is None:
        return _WELL
    if now < health.open_until:
        return Verdict(Condition.OPEN, health.open_until)
    return _PROBING if health.probing else _HALF_OPEN


def admit(health: Health, now: float) -> Admission:
    """Begin an attempt; if it is the probe, it holds the slot until one of Health's notifications frees it.

    An attempt against the verdict (all instances are unwell) is admitted too; it is no probe, but may close a circuit.
    """
    if health.open_until is None or now < health.open_until or health.probing:
        return health.ordinary
    health.begin_probe()
    return Admission(spell=health.spell, probe=True)
