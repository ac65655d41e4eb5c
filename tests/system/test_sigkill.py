"""Killed with SIGKILL at any moment, again and again, the gateway loses no write that it had acknowledged."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from aigw.testing.process import GatewayProcess

ROUNDS = 5
IDS = 7


def document(number: int) -> dict[str, Any]:
    """Write number ``number``: it stands in several places, so that half of one would show."""
    plugin = {
        "provider": "openai",
        "auth": {"header": {"Authorization": f"Bearer key-of-write-{number}"}},
        "options": {"model": f"model-{number}", "filling": "x" * (number % 5 * 3000)},
    }
    return {"uri": f"/{number}", "desc": str(number), "plugins": {"ai-proxy": plugin}}


class Writer(threading.Thread):
    """Writes to the same few routes until the gateway dies. ``acknowledged``: id -> number (None: deleted)."""

    def __init__(self, gateway: GatewayProcess, numbers: Iterator[int], acknowledged: dict[str, int | None]) -> None:
        super().__init__(daemon=True)
        self._gateway = gateway
        self._numbers = numbers
        self.acknowledged = acknowledged
        self.pending: tuple[str, int | None] | None = None
        self.count = 0

    def run(self) -> None:
        try:
            for number in self._numbers:
                self._write(f"r{number % IDS}", number if number % 11 else None)
        except OSError:
            return

    def _write(self, id: str, number: int | None) -> None:
        self.pending = (id, number)
        if number is None:
            answered = self._gateway.admin("DELETE", f"/routes/{id}")
            assert answered.status in (200, 404)
        else:
            answered = self._gateway.admin("PUT", f"/routes/{id}", document(number))
            assert answered.status in (200, 201)
        if answered.cut:
            raise ConnectionError
        self.acknowledged[id] = number
        self.pending = None
        self.count += 1


def stored(gateway: GatewayProcess) -> dict[str, int | None]:
    """Which write each route is; all its parts are of the same one."""
    found: dict[str, int | None] = dict.fromkeys(f"r{n}" for n in range(IDS))
    for item in gateway.admin("GET", "/routes").json["list"]:
        value = item["value"]
        number = int(value["desc"])
        expected = document(number)
        assert value["uri"] == expected["uri"]
        assert value["plugins"]["ai-proxy"]["options"] == expected["plugins"]["ai-proxy"]["options"]
        found[value["id"]] = number
    return found


def test_no_acknowledged_write_is_lost(gateways: Callable[..., GatewayProcess]) -> None:
    gateway = gateways()
    moments = random.Random(9)
    numbers = iter(range(1, 1_000_000))
    expected: dict[str, int | None] = dict.fromkeys(f"r{n}" for n in range(IDS))
    writes = 0
    for _ in range(ROUNDS):
        gateway.start()
        writer = Writer(gateway, numbers, dict(expected))
        writer.start()
        time.sleep(moments.uniform(0.05, 0.4))
        gateway.kill()
        writer.join(10)
        gateway.start()
        found = stored(gateway)
        expected = writer.acknowledged
        if writer.pending is not None and found == {**expected, writer.pending[0]: writer.pending[1]}:
            expected = found
        assert found == expected
        writes += writer.count
        gateway.kill()
    assert writes > ROUNDS
