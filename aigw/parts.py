"""What plugins may use of the gateway: built once by `aigw.app`, handed to each plugin with its `PluginSite`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import attrs

from aigw.balancing.pool import Memory
from aigw.balancing.tiers import PriorityOrder
from aigw.ports import Clock, Meter
from aigw.upstream.clients import Clients
from aigw.upstream.gcp_tokens import GcpTokens
from aigw.upstream.profile import Profile


@attrs.frozen(kw_only=True)
class Defaults:
    """What a plugin's configuration leaves open and the operator of the gateway decides."""

    priority_order: PriorityOrder = "lowest_first"


@attrs.frozen(kw_only=True)
class Parts:
    """``now``: epoch seconds. ``environ``: where ``$env://`` references are looked up."""

    clock: Clock
    now: Callable[[], float]
    environ: Mapping[str, str] = attrs.field(repr=False)
    clients: Clients
    memory: Memory
    meter: Meter
    defaults: Defaults

    @functools.cached_property
    def gcp_tokens(self) -> GcpTokens:
        """The access tokens of Google Cloud accounts."""
        return GcpTokens(self.clients.client(Profile()), self.clock, self.now)
