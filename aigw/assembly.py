"""From a Snapshot to Handlers: one per route, compiled when the route first takes a request after a change of it.

A change touches only the routes that it is about; what a request started with stays as it was for that request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.logger import Logger
from twisted.web.http_headers import Headers

from aigw.errors import BadRequest, NotServing
from aigw.exchange import Exchange, Reply
from aigw.model.snapshot import Key, Resource, Snapshot
from aigw.parts import Parts
from aigw.pipeline import Handler, Matched, Plugin, PluginSite, compose
from aigw.received import derived_of
from aigw.registry import Registry
from aigw.remembered import remember_by
from aigw.routing.entry import Entry, entry_of
from aigw.routing.facts import Facts
from aigw.routing.router import Match, Router
from aigw.routing.target import host_of, normalise

Catalogue = Mapping[str, type[Plugin]]
_Asked = tuple[bytes, bytes, bytes]
_NO_HOST = (b"",)


class CompiledRoute:
    """A route with what is under it. ``handler`` is made at the first request and kept.

    ``before``: the same route as it was before a change. It lives until its successor is compiled, and with it the
    health and the balancers' memories that the two share.
    """

    def __init__(
        self, resource: Resource, service: Resource | None, group: str, assembly: Assembly, before: CompiledRoute | None
    ) -> None:
        self.resource = resource
        self.service = service
        self._group = group
        self._assembly = assembly
        self._before: CompiledRoute | None = before if before is None or before._handler is not None else before._before
        self._handler: Handler | None = None
        self.max_body = max((c.max_req_body_size for c in self._configs().values() if _limits_body(c)), default=None)

    @property
    def handler(self) -> Handler:
        """The onion of its plugins."""
        if self._handler is None:
            self._handler = self._compile()
            self._before = None
        return self._handler

    def _configs(self) -> dict[str, Any]:
        """Plugin name -> configuration: a service's are under its routes', per name the route's whole one wins."""
        inherited = self.service.plugins if self.service is not None else {}
        return {**inherited, **self.resource.plugins}

    def _compile(self) -> Handler:
        site = PluginSite(
            group=self._group,
            route_id=self.resource.id,
            service_id=self.service.id if self.service is not None else "",
            parts=self._assembly.parts,
        )
        catalogue = self._assembly.catalogue
        return compose([catalogue[name](config, site) for name, config in self._configs().items()], _nothing_behind)


class Assembly:
    """What the proxy face finds its handlers in; follows one gateway group of the registry."""

    log = Logger()

    def __init__(self, *, group: str, registry: Registry, catalogue: Catalogue, parts: Parts) -> None:
        self.catalogue = catalogue
        self.parts = parts
        self._group = group
        self._route_by(Router())
        self._routes: dict[str, CompiledRoute] = {}
        self._routes_of_service: dict[str, set[str]] = {}
        snapshot = registry.snapshot(group)
        self._route_by(Router.of([self._entry(r, snapshot) for r in snapshot.of("routes").values()]))
        registry.subscribe(self._changed)

    def find(self, method: bytes, target: bytes, headers: Headers, remote_addr: str, scheme: str) -> Matched | None:
        """The route that takes this request, or None.

        :raises BadRequest: if the target or the Host can't be understood.
        """
        derived = derived_of(headers)
        before: tuple[Router, Matched] | None = derived.get(self)
        if before is not None and before[0] is self._router:
            return before[1]
        derived.clear()
        asked = method, target.partition(b"?")[0], (headers.getRawHeaders(b"host") or _NO_HOST)[0]
        found = self._found.get(asked)
        if found is not None:
            derived[self] = self._router, found
            return found
        header = _HeaderFacts(headers)
        facts = _facts(asked, target, header, remote_addr, scheme)
        match = self._router.match(facts)
        if match is None:
            return None
        found = _matched(match, facts)
        if match.plain:
            remember_by(self._found, asked, sum(map(len, asked)), found)
        if not header.told_length:
            derived[self] = self._router, found
        return found

    def _route_by(self, router: Router) -> None:
        self._router = router
        # By method, path and host as they were sent. Safe for whoever asks, on whatever connection: only what these
        # alone decided is in it (`Match.plain`), nothing in a Matched comes from anything else, and what another router
        # found is gone.
        self._found: dict[_Asked, Matched] = {}

    def _changed(self, group: str, snapshot: Snapshot, changed: frozenset[Key]) -> None:
        if group != self._group:
            return
        touched = {id for kind, id in changed if kind == "routes"}
        for kind, id in changed:
            if kind == "services":
                touched |= self._routes_of_service.get(id, set())
        for id in touched:
            self._replace(id, snapshot)

    def _replace(self, id: str, snapshot: Snapshot) -> None:
        resource = snapshot.get("routes", id)
        if resource is None:
            self._forget(id)
            self._route_by(self._router.remove(id))
        else:
            self._route_by(self._router.put(self._entry(resource, snapshot)))

    def _entry(self, resource: Resource, snapshot: Snapshot) -> Entry:
        service_id = resource.value.service_id
        service = snapshot.get("services", service_id) if service_id else None
        before = self._forget(resource.id)
        route = self._routes[resource.id] = CompiledRoute(resource, service, self._group, self, before)
        if service_id:
            self._routes_of_service.setdefault(service_id, set()).add(resource.id)
        entry = entry_of(resource.id, resource.value, _hosts(service), route)
        off = service is not None and service.value.status == 0
        return attrs.evolve(entry, enabled=False) if off else entry

    def _forget(self, id: str) -> CompiledRoute | None:
        before = self._routes.pop(id, None)
        service_id = before.resource.value.service_id if before is not None else None
        if service_id:
            siblings = self._routes_of_service[service_id]
            siblings.discard(id)
            if not siblings:
                del self._routes_of_service[service_id]
        return before


class _HeaderFacts:
    """What routes ask of the header. ``told_length``: they asked for Content-Length, the only part that may differ when
    a head comes again.
    """

    def __init__(self, headers: Headers) -> None:
        self.headers = headers
        self.told_length = False

    def __call__(self, name: str) -> str | None:
        self.told_length = self.told_length or name == "content-length"
        values = self.headers.getRawHeaders(name.encode("latin-1", "replace"))
        return None if values is None else b", ".join(values).decode("latin-1")


def _facts(asked: _Asked, target: bytes, header: _HeaderFacts, remote_addr: str, scheme: str) -> Facts:
    method, path, host = asked
    try:
        return Facts(
            path=normalise(path),
            host=host_of(host),
            method=method.decode("latin-1"),
            remote_addr=remote_addr,
            header=header,
            target=target,
            scheme=scheme,
        )
    except ValueError as e:
        raise BadRequest(str(e)) from None


def _matched(match: Match, facts: Facts) -> Matched:
    route = match.entry.target
    assert isinstance(route, CompiledRoute)
    return Matched(
        handler=route.handler,
        resource=route.resource,
        params=match.params,
        path=facts.path,
        host=facts.host,
        max_body=route.max_body,
    )


def _hosts(service: Resource | None) -> tuple[str, ...]:
    return tuple(h.lower() for h in (service.value.hosts or ())) if service is not None else ()


def _limits_body(config: Any) -> bool:
    return hasattr(config, "max_req_body_size")


async def _nothing_behind(exchange: Exchange) -> Reply:
    raise NotServing("this route has no plugin that answers (ai-proxy or ai-proxy-multi)")
