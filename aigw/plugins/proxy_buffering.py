"""proxy-buffering: may a complete answer be collected before it is sent on (https://docs.api7.ai/hub/proxy-buffering)?

An event stream is never held back, with or without it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import attrs
from msgspec import Meta

from aigw.exchange import Exchange, Reply
from aigw.pipeline import Handler, PluginSite


@attrs.frozen(kw_only=True)
class ProxyBufferingConfig:
    """The plugin's one switch."""

    disable_proxy_buffering: Annotated[
        bool, Meta(description="true: relay every chunk of a response as it comes, whatever its type")
    ] = False


class ProxyBuffering:
    """Tells the handler inside whether it may collect."""

    name: ClassVar[str] = "proxy-buffering"
    priority: ClassVar[int] = 21991
    Config: ClassVar[type] = ProxyBufferingConfig

    def __init__(self, config: ProxyBufferingConfig, site: PluginSite) -> None:
        self._buffering = not config.disable_proxy_buffering

    async def around(self, exchange: Exchange, proceed: Handler) -> Reply:
        """Set the switch on the exchange, and proceed."""
        exchange.buffering = self._buffering
        return await proceed(exchange)
