"""An agent over a network in memory."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from aigw.upstream.agent import Agent
from aigw.upstream.pool import Pool
from aigw.upstream.profile import Profile
from aigw.upstream.testing import Network, Reader


@pytest.fixture
def clock() -> Clock:
    """The time of a test."""
    return Clock()


@pytest.fixture
def network(clock: Clock) -> Network:
    """The upstreams of a test."""
    return Network(clock)


@pytest.fixture
def pool(clock: Clock, network: Network) -> Pool:
    """Connections to them."""
    return Pool(clock, network)


@pytest.fixture
def agent(pool: Pool) -> Agent:
    """An agent with everyday options."""
    return Agent(pool, Profile(connect_timeout=10.0))


@pytest.fixture
def reader() -> Reader:
    """Receives a body."""
    return Reader()
