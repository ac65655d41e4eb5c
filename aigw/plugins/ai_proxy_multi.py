"""ai-proxy-multi: several model endpoints with weights, priorities and fallback
(https://apisix.apache.org/docs/apisix/plugins/ai-proxy-multi/).
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

import attrs
from msgspec import Meta
from twisted.internet.defer import Deferred

from aigw.balancing.fallback import LegacyStrategy, Strategy, fallback_policy
from aigw.balancing.pool import RetryLimits
from aigw.balancing.tiers import PriorityOrder, effective_order, inverted
from aigw.exchange import Exchange, Reply
from aigw.llm.advice import advise_on
from aigw.llm.backend import Backend
from aigw.llm.config import Model, PluginFields, Transport
from aigw.llm.fallback import answer
from aigw.llm.target import account_of, target_of
from aigw.model.advice import Advice
from aigw.parts import Defaults, Parts
from aigw.pipeline import Handler, PluginSite

MOST_INSTANCES = 128
"""One request may try them all, and a chain of attempts that fail at once is as deep as it is long."""


@attrs.frozen(kw_only=True)
class Instance(Model):
    """One of the endpoints. ``weight`` 0: only when nothing else of its priority is left."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    weight: Annotated[int, Meta(ge=0, le=1_000_000)]
    priority: int = 0
    checks: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Balancer:
    """Who is picked among instances of equal priority."""

    algorithm: Literal["roundrobin", "least_conn", "least_latency"] = "roundrobin"


@attrs.frozen(kw_only=True)
class AIProxyMultiConfig(Transport, PluginFields):
    """Configuration of ai-proxy-multi."""

    instances: Annotated[list[Instance], Meta(min_length=1, max_length=MOST_INSTANCES)]
    balancer: Balancer = attrs.field(factory=Balancer)
    priority_order: Annotated[
        PriorityOrder | None, Meta(description="which number is tried first; default: the gateway's --priority-order")
    ] = None
    fallback_strategy: Strategy | LegacyStrategy | list[Strategy | LegacyStrategy] | None = None
    fallback_http_statuses: list[Annotated[int, Meta(ge=400, le=599)]] = attrs.field(factory=list)
    max_retries: Annotated[int, Meta(ge=0)] | None = None
    retry_on_failure_within_ms: Annotated[int, Meta(ge=1)] | None = None

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: if two instances have one name."""
        names = Counter(instance.name for instance in self.instances)
        for index, instance in enumerate(self.instances):
            if names[instance.name] > 1:
                raise ValueError(f'instances[{index}].name: "{instance.name}" is used more than once')

    def advise(self, defaults: Defaults) -> Advice:
        """The order in which the instances are tried, and what may not mean what its author thinks."""
        order = self.order(defaults)
        lint = inverted(self.instances, order)
        warnings = [
            f"instances[{i}].{text}" for i, instance in enumerate(self.instances) for text in advise_on(instance)
        ]
        return Advice(
            warnings=[*([f"instances: {lint}"] if lint else []), *advise_on(self), *warnings],
            effective_order=effective_order(self.instances, order),
        )

    def order(self, defaults: Defaults) -> PriorityOrder:
        """Which priority is tried first."""
        return self.priority_order or defaults.priority_order


class AIProxyMulti:
    """The innermost handler: requests are shared out, and go on to another instance when one fails."""

    name: ClassVar[str] = "ai-proxy-multi"
    priority: ClassVar[int] = 1041
    Config: ClassVar[type] = AIProxyMultiConfig

    def __init__(self, config: AIProxyMultiConfig, site: PluginSite) -> None:
        parts: Parts = site.parts
        within = config.retry_on_failure_within_ms
        pool = parts.memory.pool(
            [target_of(i.name, i.weight, i.priority, i, config, parts) for i in config.instances],
            place=(site.group, site.route_id, self.name),
            identity=account_of,
            order=config.order(parts.defaults),
            algorithm=config.balancer.algorithm,
            policy=fallback_policy(config.fallback_strategy, config.fallback_http_statuses),
            limits=RetryLimits(max_retries=config.max_retries, within=None if within is None else within / 1000),
        )
        self._backend = Backend(site=site, pool=pool)

    def around(self, exchange: Exchange, proceed: Handler) -> Deferred[Reply]:
        """Read the call, try instances until one answers."""
        return answer(exchange, self._backend)
