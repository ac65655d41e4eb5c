"""A whole admin face in memory: real Klein, real Configuration, a MemoryStore, fake plugins with secrets and lints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, cast

import attrs
import pytest
from msgspec import Meta
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from aigw.admin.app import admin_resource
from aigw.admin.site import admin_site
from aigw.configuration import Configuration
from aigw.keys import AdminKey
from aigw.model.advice import Advice
from aigw.model.schema import Secret
from aigw.parts import Defaults
from aigw.ports import Batch, StoreError
from aigw.registry import Registry
from aigw.stores.memory import MemoryStore
from aigw.stores.sealing import Sealer

ADMIN = "an-admin-key-of-some-length"
VIEWER = "a-viewer-key-of-some-length"
NOW = 1_700_000_000


@attrs.frozen(kw_only=True)
class FakeAuth:
    header: dict[str, Secret] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class FakeInstance:
    name: str
    weight: Annotated[int, Meta(ge=0)] = 1
    auth: FakeAuth = attrs.field(factory=FakeAuth)


@attrs.frozen(kw_only=True)
class FakeModelConfig:
    auth: FakeAuth
    model: str = ""
    options: dict[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.model == "nonsense":
            raise ValueError("model: there is no such model")


@attrs.frozen(kw_only=True)
class FakeMultiConfig:
    instances: Annotated[list[FakeInstance], Meta(min_length=1)]
    fallback_strategy: str | None = None

    def advise(self, defaults: Any) -> Advice:
        warnings = [f"instances[{i}].weight: 0 is never tried" for i, x in enumerate(self.instances) if not x.weight]
        return Advice(
            warnings=[*warnings, *(["are these all"] if len(self.instances) == 1 else [])],
            effective_order=sorted((i.name for i in self.instances), reverse=defaults == "reversed"),
        )


class FakeModel:
    name: ClassVar[str] = "fake-model"
    priority: ClassVar[int] = 1000
    Config: ClassVar[type] = FakeModelConfig


class FakeMulti:
    name: ClassVar[str] = "fake-multi"
    priority: ClassVar[int] = 1041
    Config: ClassVar[type] = FakeMultiConfig


class Held(MemoryStore):
    """A store whose commits wait until the test lets them go, or fail them."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Batch, Deferred[None]]] = []

    def commit(self, batch: Batch) -> Deferred[None]:
        self.waiting.append((batch, Deferred()))
        return self.waiting[-1][1]

    def release(self) -> None:
        batch, done = self.waiting.pop(0)
        super().commit(batch).chainDeferred(done)

    def fail(self, message: str) -> None:
        self.waiting.pop(0)[1].errback(StoreError(message))


@attrs.frozen(kw_only=True)
class Got:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        return str(self.json["error_msg"])


class Face:
    """The admin face, and a client with a key."""

    def __init__(
        self, store: MemoryStore, viewer: bool = True, plugins: tuple[type, ...] = (FakeModel, FakeMulti)
    ) -> None:
        self.clock = Clock()
        self.registry = Registry()
        self.store = store
        self.sealer = Sealer(bytes(32))
        catalogue: dict[str, Any] = {cast(Any, plugin).name: plugin for plugin in plugins}
        self.configuration = Configuration(
            store=store,
            sealer=self.sealer,
            registry=self.registry,
            plugins={name: plugin.Config for name, plugin in catalogue.items()},
            clock=self.clock,
            now=self.now,
        )
        self.configuration.load()
        self.resource: IResource = admin_resource(
            configuration=self.configuration,
            registry=self.registry,
            catalogue=catalogue,
            sealer=self.sealer,
            admin_key=AdminKey(key=ADMIN.encode(), origin="test"),
            viewer_key=AdminKey(key=VIEWER.encode(), origin="test") if viewer else None,
            default_group="default",
            defaults="reversed" if FakeMulti in plugins else Defaults(),
            now=self.now,
            clock=self.clock,
        )
        self.client: Any = StubTreq(self.resource)

    def now(self) -> float:
        return NOW + self.clock.seconds()

    def start(
        self, method: str, path: str, body: Any = None, key: str | None = ADMIN, headers: Any = None
    ) -> Deferred[Any]:
        """Send a request; ``body`` as JSON unless it is bytes; ``path`` under /apisix/admin unless it begins so."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {**({"X-API-KEY": key} if key is not None else {}), **(headers or {})}
        url = path if path.startswith("/apisix") else f"/apisix/admin{path}"
        result: Deferred[Any] = self.client.request(method, f"http://gateway{url}", headers=sent, data=data)
        return result

    def ask(self, method: str, path: str, body: Any = None, key: str | None = ADMIN, headers: Any = None) -> Got:
        return self.got(self.start(method, path, body, key, headers))

    def got(self, request: Deferred[Any]) -> Got:
        """The reply to a request; whatever it takes from the reactor is given."""
        self.pump()
        response = now_result(request)
        content = response.content()
        self.pump()
        names = {k.decode().lower(): v[-1].decode() for k, v in response.headers.getAllRawHeaders()}
        return Got(status=response.code, headers=names, content=now_result(content))

    def connect(self) -> tuple[Any, StringTransport]:
        """A connection to the admin site: the server's protocol, and what it writes to."""
        site: Any = admin_site(self.resource, self.clock)
        protocol, transport = site.buildProtocol(None), StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def pump(self) -> None:
        for _ in range(500):
            self.client.flush()
            if not any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
                break
            self.clock.advance(0)
        self.client.flush()


def now_result(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "no result yet"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


@pytest.fixture
def face() -> Face:
    return Face(MemoryStore())


@pytest.fixture
def held_store() -> Held:
    return Held()


@pytest.fixture
def held(held_store: Held) -> Face:
    """An admin face over a store that takes its time."""
    return Face(held_store)


@pytest.fixture
def make_face() -> Callable[..., Face]:
    return Face


@pytest.fixture(autouse=True)
def events() -> Iterator[list[LogEvent]]:
    """What was logged; nothing may be logged with a traceback."""
    seen: list[LogEvent] = []
    observer = cast(ILogObserver, seen.append)
    globalLogPublisher.addObserver(observer)
    yield seen
    globalLogPublisher.removeObserver(observer)
    assert [e for e in seen if e.get("log_failure")] == []
