"""What the operator decided on the command line, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from aigw.balancing.tiers import PriorityOrder


@attrs.frozen(kw_only=True)
class Settings:
    """``admin``, ``proxy``, ``control``: Twisted endpoint strings. ``data``: absolute. ``access_log``: a path, ``-`` or
    ``off``. ``drain``: seconds. ``workers``: processes that serve the proxy face; 1 = this one alone. ``environ``:
    where keys and ``$env://`` references are looked up.
    """

    admin: Sequence[str]
    proxy: Sequence[str]
    control: Sequence[str]
    data: Path
    admin_key_file: Path | None
    viewer_key_file: Path | None
    gateway_group: str
    priority_order: PriorityOrder
    access_log: str
    drain: float
    demo: bool
    workers: int = 1
    environ: Mapping[str, str] = attrs.field(repr=False)
