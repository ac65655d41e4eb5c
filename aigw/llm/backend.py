"""What the requests of one plugin on one route share: its instances, who of them speaks what, what the meter knows."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import attrs

from aigw.balancing.health import Condition, available
from aigw.balancing.pool import Pool
from aigw.llm.call import OPAQUE
from aigw.llm.endpoint import has_path
from aigw.llm.target import Target
from aigw.parts import Parts
from aigw.pipeline import PluginSite
from aigw.ports import CircuitState, Clock, Meter
from aigw.upstream.timeouts import Timeouts


@attrs.frozen
class Audience:
    """Whom a dialect can be sent to.

    ``mute``: names of the instances that do not speak it; none if no instance does (one of them says so then).
    ``choosy``: does it take a look at a request to tell whether an instance can have it?
    """

    mute: frozenset[str]
    choosy: bool


@attrs.frozen(kw_only=True, eq=False)
class Backend:
    """One plugin at work on one route. ``circuits``: the state that the meter was told last."""

    site: PluginSite
    pool: Pool[Target]
    parts: Parts = attrs.field(init=False)
    clock: Clock = attrs.field(init=False)
    meter: Meter = attrs.field(init=False)
    timeouts: Timeouts = attrs.field(init=False)
    circuits: dict[str, CircuitState] = attrs.field(factory=dict)
    _audiences: dict[str, Audience] = attrs.field(factory=dict)

    @parts.default
    def _parts_of_the_gateway(self) -> Parts:
        parts: Parts = self.site.parts
        return parts

    @clock.default
    def _clock_of_the_gateway(self) -> Clock:
        return self.parts.clock

    @meter.default
    def _meter_of_the_gateway(self) -> Meter:
        return self.parts.meter

    @timeouts.default
    def _new_timeouts(self) -> Timeouts:
        return Timeouts(self.clock)

    @functools.cached_property
    def targets(self) -> list[Target]:
        """The instances, whatever their tiers."""
        return [target for tier in self.pool.tiers for target in tier]

    @functools.cached_property
    def passes(self) -> bool:
        """Is there an instance that takes requests of all kinds?"""
        return any(_takes(target, OPAQUE) for target in self.targets)

    def audience(self, dialect: str) -> Audience:
        """Whom a dialect can be sent to."""
        audience = self._audiences.get(dialect)
        if audience is None:
            mute = frozenset(target.name for target in self.targets if not _takes(target, dialect))
            audience = self._audiences[dialect] = Audience(
                mute=frozenset() if len(mute) == len(self.targets) else mute,
                choosy=any(target.is_choosy(dialect) for target in self.targets),
            )
        return audience

    def show_circuit(self, instance: str) -> None:
        """Tell the meter if an instance's circuit has changed."""
        if self.pool.healths[instance].open_until is None and self.circuits.get(instance) == "closed":
            return
        condition = available(self.pool.healths[instance], self.clock.seconds()).condition
        state = _STATES.get(condition, "closed")
        if self.circuits.get(instance) != state:
            self.circuits[instance] = state
            self.meter.circuit_changed(self.site.route_id, instance, state)


def _takes(target: Target, dialect: str) -> bool:
    """An endpoint with a path takes what is posted there, and nothing else."""
    return not has_path(target.endpoint) if dialect == OPAQUE else target.speaks(dialect)


_STATES: Mapping[Condition, CircuitState] = {
    Condition.OPEN: "open",
    Condition.HALF_OPEN: "half_open",
    Condition.PROBING: "half_open",
}
