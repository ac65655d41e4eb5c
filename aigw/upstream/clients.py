"""The door to the upstreams: one client per profile, all of them over one pool of connections."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred

from aigw.upstream.agent import Agent
from aigw.upstream.client import Client
from aigw.upstream.endpoints import EndpointFactory, Endpoints
from aigw.upstream.pool import Pool
from aigw.upstream.profile import Profile


class Clients:
    """All clients of a gateway process."""

    def __init__(self, reactor: Any, endpoints: EndpointFactory | None = None) -> None:
        """``reactor``: time, TCP and name lookup. ``endpoints``: how origins are reached, if not over the network."""
        self._reactor = reactor
        self._pool = Pool(reactor, endpoints or Endpoints(reactor))
        self._clients: WeakValueDictionary[Profile, Client] = WeakValueDictionary()

    def client(self, profile: Profile) -> Client:
        """The client for a profile: the same one for as long as somebody has it."""
        client = self._clients.get(profile)
        if client is None:
            client = self._clients[profile] = Client(Agent(self._pool, profile), self._reactor)
        return client

    def close(self) -> Deferred[None]:
        """Close every connection, in use or not; requests from now on fail. Fires when all are gone."""
        return self._pool.close()
