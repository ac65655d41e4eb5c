"""What the requests of one plugin on one route share, and what of it outlives a change of the configuration.

A `Pool` is compiled with its route. Health and the balancers' memories are not: they belong to the process, and are
found again by what they are about for as long as some pool (or a request under way) still uses them. With several
processes, healths also follow each other across them: see `aigw.balancing.sharing`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, Literal
from weakref import WeakValueDictionary

import attrs

from aigw.balancing.balancer import Balancer, Instance, T
from aigw.balancing.chash import ConsistentHash
from aigw.balancing.fallback import FallbackPolicy
from aigw.balancing.health import DEFAULT_RULES, CircuitRules, Health, Verdict, available
from aigw.balancing.least import LeastConnections, LeastLatency
from aigw.balancing.roundrobin import RoundRobin
from aigw.balancing.sharing import Digest, SharedHealths, unkeyed_digest
from aigw.balancing.tiers import PriorityOrder, contenders, tiers

Algorithm = Literal["roundrobin", "chash", "least_conn", "least_latency"]

ALGORITHMS: Mapping[str, Callable[[], Balancer]] = {
    "roundrobin": RoundRobin,
    "chash": ConsistentHash,
    "least_conn": LeastConnections,
    "least_latency": LeastLatency,
}


@attrs.frozen(kw_only=True)
class RetryLimits:
    """How often, and how late, a request may go on to another instance.

    ``max_retries``: attempts after the first; None = as many as there are instances. ``within``: seconds; an attempt
    that failed later than this after its own start is the last one (as in APISIX: no client waits twice for long).
    """

    max_retries: int | None = None
    within: float | None = None


UNLIMITED = RetryLimits()


@attrs.frozen(kw_only=True, eq=False)
class Pool(Generic[T]):
    """Instances by tier, with their health, a balancer and the rules. ``healths``: by the name of the instance."""

    tiers: tuple[tuple[T, ...], ...]
    healths: Mapping[str, Health]
    balancer: Balancer
    policy: FallbackPolicy
    limits: RetryLimits
    rules: CircuitRules
    random: Callable[[], float]
    _first: Sequence[T] = attrs.field(init=False, repr=False)
    _first_healths: Sequence[Health] = attrs.field(init=False, repr=False)

    @_first.default
    def _first_contenders(self) -> Sequence[T]:
        return contenders(self.tiers[0]) if self.tiers else ()

    @_first_healths.default
    def _healths_of_first(self) -> Sequence[Health]:
        return [self.healths[instance.name] for tier in self.tiers[:1] for instance in tier]

    def first(self) -> Sequence[T] | None:
        """Among whom a request picks that has tried nobody yet; None if that takes a look at who is unwell."""
        for health in self._first_healths:
            if health.open_until is not None or health.rest_until is not None:
                return None
        return self._first

    @property
    def most_attempts(self) -> int:
        """How many instances one request may try."""
        if not self.policy:
            return 1
        retries = self.limits.max_retries
        return len(self.healths) if retries is None else 1 + retries

    def verdicts(self, now: float) -> dict[str, Verdict]:
        """How each instance is doing, by name."""
        return {name: available(health, now) for name, health in self.healths.items()}


class Memory:
    """The health of instances and the memories of balancers, for one process.

    ``random``: a number in [0, 1) at each call; it jitters the pauses of circuits. ``digest``: makes of what is secret
    in an identity something that may be kept. ``shared``: keeps healths in step with those of other processes.
    """

    def __init__(
        self, random: Callable[[], float], digest: Digest = unkeyed_digest, shared: SharedHealths | None = None
    ) -> None:
        self._random = random
        self._digest = digest
        self._shared = shared
        self._healths: WeakValueDictionary[Hashable, Health] = WeakValueDictionary()
        self._balancers: WeakValueDictionary[Hashable, Balancer] = WeakValueDictionary()

    def pool(
        self,
        instances: Sequence[T],
        *,
        place: Hashable,
        identity: Callable[[T, Digest], Hashable] | None = None,
        order: PriorityOrder = "lowest_first",
        algorithm: Algorithm = "roundrobin",
        policy: FallbackPolicy,
        limits: RetryLimits = UNLIMITED,
        rules: CircuitRules = DEFAULT_RULES,
    ) -> Pool[T]:
        """A pool of these instances.

        ``place``: where it is at work, as in (group, route id): its balancer goes on where that of the pool at the same
        place was. ``identity``: what makes an instance that instance (endpoint, model, account; secrets as a digest
        only): health is shared between all pools with an equal one. None: by place and name. It has
        the same repr in all processes.
        """
        return Pool(
            tiers=tiers(instances, order),
            healths={
                i.name: self._health(identity(i, self._digest) if identity else (place, i.name)) for i in instances
            },
            balancer=self._balancer((place, algorithm), ALGORITHMS[algorithm], instances),
            policy=policy,
            limits=limits,
            rules=rules,
            random=self._random,
        )

    def _health(self, identity: Hashable) -> Health:
        health = self._healths.get(identity)
        if health is None:
            health = self._healths[identity] = Health()
            if self._shared is not None:
                self._shared.follow(identity, health)
        return health

    def _balancer(self, place: Hashable, make: Callable[[], Balancer], instances: Sequence[Instance]) -> Balancer:
        balancer = self._balancers.get(place)
        if balancer is None:
            balancer = self._balancers[place] = make()
        balancer.reconfigure(instances)
        return balancer
