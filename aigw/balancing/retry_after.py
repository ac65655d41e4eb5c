"""Retry-After as upstreams send it: seconds, or a date (RFC 9110 section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_REST = 300.0
"""Seconds that an upstream may send an instance to rest for; its word is taken, but not for hours."""

_SECONDS = re.compile(r"[0-9]{1,400}(\.[0-9]{0,400})?")  # fractions are no standard, but are sent
_DATE = re.compile(r"[A-Za-z]{3,9},? [0-9A-Za-z :-]{1,32}")  # the three forms of RFC 9110 section 5.6.7, roughly


def retry_after(value: bytes, now_epoch: float, longest: float = LONGEST_REST) -> float | None:
    """How many seconds to wait (0 to ``longest``), or None for a date in the past and for what can't be understood.

    ``now_epoch``: wall-clock seconds, or better the moment of the reply's own ``Date``.
    """
    text = value.decode("latin-1").strip(" \t")
    if _SECONDS.fullmatch(text):
        return min(float(text), longest)
    moment = _epoch(text) if _DATE.fullmatch(text) else None
    if moment is None or moment < now_epoch:
        return None
    return min(moment - now_epoch, longest)


def _epoch(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        # asctime's form names no zone, and means UTC.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
