"""How connections to an upstream are made and kept: the part of an instance's options that the network sees."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Profile:
    """Options of a connection.

    ``ssl_verify``: check certificates. ``keepalive``: use connections again. ``keepalive_timeout``: seconds that an
    idle one is kept; ``keepalive_pool``: how many of them per origin. ``connect_timeout``: seconds for everything
    before the request can be sent: name lookup, TCP and TLS.
    """

    ssl_verify: bool = True
    keepalive: bool = True
    keepalive_timeout: float = 60.0
    keepalive_pool: int = 30
    connect_timeout: float = 30.0
