"""What a plugin has to say about a configuration that is valid, but may not mean what its author thinks."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.frozen(kw_only=True)
class Advice:
    """What ``Config.advise(defaults)`` returns; the admin API shows it in the reply to a write.

    ``warnings``: one sentence each, naming the field inside the plugin's configuration (``instances[0].priority: ...``)
    where there is one; never a secret. ``effective_order``: names of the instances in the order they would be tried;
    None = the plugin has no such order.
    """

    warnings: Sequence[str] = ()
    effective_order: Sequence[str] | None = None
