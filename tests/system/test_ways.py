"""The ways in which the tests of this directory run a gateway are what they are called."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.testing.asking import chat_with
from aigw.testing.process import GatewayProcess
from aigw.testing.thread import ServedUpstream


@pytest.mark.ways
def test_the_reactor_is_the_one_that_was_asked_for(way: Any, gateway: GatewayProcess) -> None:
    assert f"reactor class: {way.reactor}." in gateway.log


@pytest.mark.ways
def test_a_chat(single: Any, upstream: ServedUpstream) -> None:
    assert chat_with(single(upstream)).status == 200
