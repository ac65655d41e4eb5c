"""What every test gets: a Deferred whose failure nobody handled makes it red."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import LogLevel, capturedLogs


@pytest.fixture(autouse=True, scope="module")
def settled_memory() -> None:
    """What is there when a module begins stays: so the collection after each of its tests costs a millisecond, not a
    hundred.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def expected_failures() -> list[str]:
    """Append the words of a failure that the test expects to find in the log."""
    return []


@pytest.fixture(autouse=True)
def no_lost_failure(expected_failures: list[str]) -> Iterator[None]:
    """pytest, unlike trial, passes a test that loses the failure of a Deferred: look into the log for it."""
    with capturedLogs() as events:
        yield
        gc.collect()
    lost = [_told(event) for event in events if event.get("log_level") is LogLevel.critical]
    unexpected = [text for text in lost if not any(words in text for words in expected_failures)]
    assert not unexpected, "\n".join(unexpected)


def _told(event: dict[str, Any]) -> str:
    failure = event.get("log_failure")
    text = str(event.get("log_format", "")) + str(event.get("debugInfo", ""))
    return text if failure is None else f"{text}\n{failure.getTraceback()}"
