"""How long each phase of a request may take. Values only: the upstream's client and the relay keep them."""

from __future__ import annotations

from typing import Protocol

import attrs

DEFAULT_HOLD = 10.0


class DeadlineFields(Protocol):
    """``deadlines`` as an operator writes it, on the plugin or on an instance: milliseconds, None = not said."""

    @property
    def connect_ms(self) -> int | None: ...
    @property
    def first_byte_ms(self) -> int | None: ...
    @property
    def first_token_ms(self) -> int | None: ...
    @property
    def hold_ms(self) -> int | None: ...
    @property
    def idle_ms(self) -> int | None: ...
    @property
    def attempt_ms(self) -> int | None: ...
    @property
    def total_ms(self) -> int | None: ...


@attrs.frozen(kw_only=True)
class Deadlines:
    """Seconds; None = no such deadline.

    From the attempt's start: ``connect`` until there is a connection, ``first_byte`` until the status, ``first_token``
    until a stream's first real event, ``attempt`` until the end. From the request's start: ``total``. From the status:
    ``hold``, how long a stream without a real event is kept from the client, so that another instance may take over
    (0 = not at all). ``idle``: between two reads of the body.
    """

    connect: float | None = None
    first_byte: float | None = None
    first_token: float | None = None
    hold: float = DEFAULT_HOLD
    idle: float | None = None
    attempt: float | None = None
    total: float | None = None


def deadlines_of(
    plugin: DeadlineFields | None, instance: DeadlineFields | None, timeout_ms: int | None = None
) -> Deadlines:
    """Merge, field by field: what the instance says, else the plugin, else the default.

    ``timeout_ms``: the ``timeout`` in force for the instance, the default of connect, first_byte and idle. A deadline
    that is written out beats it, whichever of plugin and instance each of them stands on.
    """

    def seconds(field: str, default_ms: int | None = None) -> float | None:
        for fields in (instance, plugin):
            said = getattr(fields, field, None)
            if said is not None:
                return float(said) / 1000
        return None if default_ms is None else default_ms / 1000

    hold = seconds("hold_ms")
    return Deadlines(
        connect=seconds("connect_ms", timeout_ms),
        first_byte=seconds("first_byte_ms", timeout_ms),
        first_token=seconds("first_token_ms"),
        hold=DEFAULT_HOLD if hold is None else hold,
        idle=seconds("idle_ms", timeout_ms),
        attempt=seconds("attempt_ms"),
        total=seconds("total_ms"),
    )


def attempt_deadline(deadlines: Deadlines, attempt_started: float, request_started: float) -> float | None:
    """The moment when an attempt must be over, by its own deadline or the whole request's; None = it need not be."""
    moments = []
    if deadlines.attempt is not None:
        moments.append(attempt_started + deadlines.attempt)
    if deadlines.total is not None:
        moments.append(request_started + deadlines.total)
    return min(moments, default=None)
