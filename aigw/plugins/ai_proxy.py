"""ai-proxy: one model endpoint behind a route (https://apisix.apache.org/docs/apisix/plugins/ai-proxy/)."""

from __future__ import annotations

from typing import ClassVar

import attrs
from twisted.internet.defer import Deferred

from aigw.balancing.fallback import FallbackPolicy
from aigw.exchange import Exchange, Reply
from aigw.llm.advice import advise_on
from aigw.llm.backend import Backend
from aigw.llm.config import Model, PluginFields
from aigw.llm.fallback import answer
from aigw.llm.target import account_of, target_of
from aigw.model.advice import Advice
from aigw.parts import Defaults, Parts
from aigw.pipeline import Handler, PluginSite


@attrs.frozen(kw_only=True)
class AIProxyConfig(Model, PluginFields):
    """Configuration of ai-proxy."""

    def advise(self, defaults: Defaults) -> Advice:
        """What may not mean what its author thinks."""
        return Advice(warnings=[*advise_on(self)])


class AIProxy:
    """The innermost handler: every request goes to the one instance."""

    name: ClassVar[str] = "ai-proxy"
    priority: ClassVar[int] = 1040
    Config: ClassVar[type] = AIProxyConfig

    def __init__(self, config: AIProxyConfig, site: PluginSite) -> None:
        parts: Parts = site.parts
        target = target_of(config.provider, 1, 0, config, config, parts)
        place = (site.group, site.route_id, self.name)
        pool = parts.memory.pool([target], place=place, identity=account_of, policy=FallbackPolicy())
        self._backend = Backend(site=site, pool=pool)

    def around(self, exchange: Exchange, proceed: Handler) -> Deferred[Reply]:
        """Read the call, try the instance once."""
        return answer(exchange, self._backend)
