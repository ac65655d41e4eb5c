"""The topic of circuits for the metrics: a gauge that tells of the instance, not of the worker that noticed.

Values of several workers make no sum; the last one that a worker told holds.
"""

from __future__ import annotations

import msgspec

from aigw.observe.metrics import Metrics
from aigw.ports import CircuitState
from aigw.workers.topics import Topics

TOPIC = "circuit"


class Changed(msgspec.Struct, array_like=True, frozen=True):
    """See `aigw.ports.Meter.circuit_changed`."""

    route_id: str
    instance: str
    state: CircuitState


class CircuitHub:
    """The parent's part."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._decode = msgspec.msgpack.Decoder(Changed).decode

    def joined(self, member: int) -> None:
        """See `aigw.workers.topics.Hub`."""

    def heard(self, member: int, body: bytes) -> None:
        """See `aigw.workers.topics.Hub`."""
        changed = self._decode(body)
        self._metrics.circuit_changed(changed.route_id, changed.instance, changed.state)

    def left(self, member: int) -> None:
        """See `aigw.workers.topics.Hub`."""


class WorkerMetrics(Metrics):
    """A worker's metrics: all but circuits stay here until somebody asks what has grown."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(build={})
        self._say = topics.open(TOPIC, lambda body: None)

    def circuit_changed(self, route_id: str, instance: str, state: CircuitState) -> None:
        """See `aigw.ports.Meter`."""
        self._say(msgspec.msgpack.encode(Changed(route_id, instance, state)))
