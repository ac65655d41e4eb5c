"""What the parts (F3) give to the contract (F2), as Protocols: a store, a clock, randomness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

Clock = IReactorTime
"""`seconds()` and `callLater()`: the reactor, or a `twisted.internet.task.Clock` in tests."""

Random = Callable[[], float]
"""A number in [0, 1): `random.random`, or a constant in tests."""


@attrs.frozen(kw_only=True)
class Record:
    """One resource as a store keeps it.

    ``value``: opaque bytes (sealed JSON, see `aigw.stores.sealing`). ``expires_at``: epoch seconds, or None.
    """

    group: str
    kind: str
    id: str
    value: bytes
    created_index: int
    modified_index: int
    expires_at: float | None = None


@attrs.frozen(kw_only=True)
class Batch:
    """Changes that become durable together or not at all; ``revision`` is the store's revision after them."""

    revision: int
    put: Sequence[Record] = ()
    delete: Sequence[tuple[str, str, str]] = ()
    """(group, kind, id) of what goes."""


@attrs.frozen(kw_only=True)
class Contents:
    """All that a store holds."""

    revision: int
    records: Sequence[Record]


class StoreError(Exception):
    """A store can't be opened, read or written; the message is one line for the operator, naming the file."""


class Store(Protocol):
    """Where the configuration is durable. Every store passes `tests/contract/test_stores.py`."""

    def open(self) -> Contents:
        """Read everything; blocking, called once before the reactor runs.

        :raises StoreError: and leaves what is there untouched.
        """

    def commit(self, batch: Batch) -> Deferred[None]:
        """Fires when the batch is durable; never blocks the reactor; batches commit in the order of the calls.

        Fails with `StoreError`, and then nothing of the batch is kept.
        """

    def close(self) -> Deferred[None]:
        """Fires when all that was committed is written and every file is closed. Idempotent."""


class CallLabels(NamedTuple):
    """What tells one kind of model call from another, in the words of APISIX's metrics; values as they come.

    ``node``: the instance's name. ``request_llm_model``: what the client asked for. ``llm_model``: what it got.
    """

    route_id: str
    service_id: str
    consumer: str
    node: str
    request_type: str
    request_llm_model: str
    llm_model: str


CircuitState = Literal["closed", "open", "half_open"]


class Meter(Protocol):
    """Counts what happens while a request is on its way; never raises, never waits."""

    def active(self, delta: int, labels: CallLabels) -> None:
        """A call to an instance began (+1) or ended (-1, with the same labels)."""

    def fell_back(self, route_id: str, instance: str, reason: str) -> None:
        """``instance`` was given up for the next one; ``reason``: a short word, such as an error's code."""

    def circuit_changed(self, route_id: str, instance: str, state: CircuitState) -> None:
        """The circuit in front of ``instance`` is now in ``state``."""
