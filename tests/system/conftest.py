"""A real gateway in a process of its own, real sockets, models that misbehave in a thread of this process."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aigw.testing import chat
from aigw.testing.process import GatewayProcess
from aigw.testing.thread import ReactorThread, ServedUpstream
from aigw.testing.vendors import Vendor

ROOT = Path(__file__).resolve().parents[2]
MODEL_KEY = "sk-key-of-the-models-in-system-tests"
"""In every route of these tests; must turn up in no log, no metric and no file."""

ids = itertools.count(1)


@attrs.frozen
class Way:
    """How a gateway is run. ``reactor``: its class; ``twistd``, ``wrapper``: see `GatewayProcess`."""

    reactor: str
    twistd: Sequence[str] = ()
    wrapper: Sequence[str] = ()


WAYS: Mapping[str, Way] = {
    "fast": Way("aigw.net.reactor.LeanEpollReactor"),
    "full": Way(
        "twisted.internet.epollreactor.EPollReactor",
        ("--reactor=epoll",),
        (sys.executable, "-m", "aigw.testing.full_path"),
    ),
    "select": Way("twisted.internet.selectreactor.SelectReactor", ("--reactor=select",)),
}
"""As operators run it; with stock reactor and stock transports, and none of our shortcuts (`aigw.testing.full_path`);
with the plainest reactor there is, and all of them."""


def pytest_configure(config: pytest.Config) -> None:
    told = "ways(*names): with a gateway that is run in each of these ways (all: without names), not just the usual one"
    config.addinivalue_line("markers", told)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("ways")
    if marker is not None and "way" in metafunc.fixturenames:
        metafunc.parametrize("way", marker.args or [*WAYS], indirect=True)


@pytest.fixture
def way(request: pytest.FixtureRequest) -> Way:
    """How the gateways of a test are run; see the marker ``ways``."""
    return WAYS[getattr(request, "param", "fast")]


@pytest.fixture(scope="session")
def environ() -> Mapping[str, str]:
    """What makes ``twistd`` run the tree that is tested."""
    return {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def reactor_thread() -> Iterator[ReactorThread]:
    with ReactorThread() as thread:
        yield thread


@attrs.frozen
class Certificate:
    """A self-signed one for localhost, in PEM files."""

    key: Path
    cert: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    place = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    alternatives = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now, day = datetime.now(UTC), timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    signed = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False).sign(key, SHA256())
    made = Certificate(place / "key.pem", place / "cert.pem")
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    made.cert.write_bytes(signed.public_bytes(Encoding.PEM))
    return made


@pytest.fixture
def upstreams(reactor_thread: ReactorThread) -> Iterator[Callable[..., ServedUpstream]]:
    """Makes good models, which may be told to misbehave."""
    with ExitStack() as stack:

        def serve(**fields: Any) -> ServedUpstream:
            upstream = ServedUpstream(reactor_thread, chat(), MODEL_KEY, **fields)
            stack.callback(upstream.stop)
            return upstream

        yield serve


@pytest.fixture
def upstream(upstreams: Callable[[], ServedUpstream]) -> ServedUpstream:
    """One model."""
    return upstreams()


@contextmanager
def well_kept(gateway: GatewayProcess) -> Iterator[GatewayProcess]:
    """Started and stopped; in the end the models' key must have got nowhere."""
    try:
        yield gateway.start()
        metrics = gateway.metrics()
        gateway.stop()
    finally:
        gateway.kill()
    assert MODEL_KEY not in metrics
    assert places_of(MODEL_KEY, gateway) == []


@pytest.fixture(scope="session")
def gateway_run(
    tmp_path_factory: pytest.TempPathFactory, environ: Mapping[str, str]
) -> Iterator[Callable[[Way], GatewayProcess]]:
    """The gateways that most tests share: one for each way, started when the first test asks for it."""
    running: dict[str, GatewayProcess] = {}
    with ExitStack() as stack:

        def run(way: Way) -> GatewayProcess:
            if way.reactor not in running:
                place = tmp_path_factory.mktemp("gateway")
                gateway = GatewayProcess(place, environ=environ, twistd=way.twistd, wrapper=way.wrapper)
                running[way.reactor] = stack.enter_context(well_kept(gateway))
            return running[way.reactor]

        yield run


@pytest.fixture
def gateway(gateway_run: Callable[[Way], GatewayProcess], way: Way) -> GatewayProcess:
    """The gateway that most tests share."""
    return gateway_run(way)


@pytest.fixture
def gateways(tmp_path: Path, environ: Mapping[str, str], way: Way) -> Iterator[Callable[..., GatewayProcess]]:
    """Makes gateways that are not started yet, for tests that end them; they share one data directory."""
    with ExitStack() as stack:

        def make(
            *options: str,
            twistd: Sequence[str] = (),
            wrapper: Sequence[str] = (),
            passed: Sequence[int] = (),
            **more: str,
        ) -> GatewayProcess:
            gateway = GatewayProcess(
                tmp_path,
                options,
                {**environ, **more},
                twistd=[*way.twistd, *twistd],
                wrapper=[*wrapper, *way.wrapper],
                passed=passed,
            )
            stack.callback(gateway.kill)
            return gateway

        yield make


@pytest.fixture
def route(gateway: GatewayProcess) -> Callable[..., str]:
    """Puts a route into the shared gateway, under an id of its own; returns its URL."""

    def put(plugins: Mapping[str, Any], **fields: Any) -> str:
        return gateway.put_route(f"system-{next(ids)}", plugins, **fields)

    return put


@pytest.fixture
def single(route: Callable[..., str]) -> Callable[..., str]:
    """Puts a route with one model behind it; returns its URL. Keywords: further fields of ai-proxy."""
    return lambda upstream, **fields: route({"ai-proxy": upstream.as_model(**fields)})


@pytest.fixture
def hybrid(route: Callable[..., str]) -> Callable[..., str]:
    """Puts a route with a self-hosted model and one in the cloud; returns its URL. Keywords: of ai-proxy-multi."""

    def put(self_hosted: ServedUpstream, cloud: ServedUpstream, **fields: Any) -> str:
        instances = [self_hosted.as_instance("self-hosted", 1), cloud.as_instance("cloud", 2)]
        config = {"fallback_strategy": ["http_429", "http_5xx"], "instances": instances, **fields}
        return route({"ai-proxy-multi": config})

    return put


@attrs.frozen
class Place:
    """A route with vendors behind it. ``url``: what an SDK takes for the vendor's; ``id``: of the route."""

    url: str
    id: str
    gateway: GatewayProcess

    def tokens(self, kind: str) -> int:
        """What was accounted: ``prompt`` or ``completion``."""
        lines = re.findall(rf"^apisix_llm_{kind}_tokens(?:_total)?\{{([^}}]*)\}} (\S+)$", self.gateway.metrics(), re.M)
        return sum(int(float(count)) for labels, count in lines if f'route_id="{self.id}"' in labels)

    def accounted(self, prompt: int, completion: int) -> bool:
        """Wait until this much is; a stream is accounted when it is over, which its client may know before."""
        self.gateway.until(lambda: (self.tokens("prompt"), self.tokens("completion")) == (prompt, completion))
        return True


@pytest.fixture
def serve_vendor(reactor_thread: ReactorThread) -> Iterator[Callable[[Vendor], ServedUpstream]]:
    """Puts a vendor on a port; in the end it must not have complained, unless the test forgave it."""
    vendors: list[Vendor] = []
    with ExitStack() as stack:

        def start(vendor: Vendor) -> ServedUpstream:
            vendors.append(vendor)
            upstream = ServedUpstream(reactor_thread, vendor)
            stack.callback(upstream.stop)
            return upstream

        yield start
    assert [complaint.message for vendor in vendors for complaint in vendor.complaints] == []


@pytest.fixture
def behind(gateway: GatewayProcess, serve_vendor: Callable[[Vendor], ServedUpstream]) -> Callable[..., Place]:
    """Puts a vendor behind a route of its own, that takes whatever an SDK appends. Keywords: fields of ai-proxy."""

    def put(vendor: Vendor, **fields: Any) -> Place:
        return _route(gateway, {"ai-proxy": vendor.as_model(serve_vendor(vendor).url, **fields)})

    return put


@pytest.fixture
def falling_back(gateway: GatewayProcess, serve_vendor: Callable[[Vendor], ServedUpstream]) -> Callable[..., Place]:
    """The same with several vendors, tried in this order; each is (vendor, fields of its instance)."""

    def put(*vendors: tuple[Vendor, Mapping[str, Any]]) -> Place:
        instances = [
            vendor.as_model(serve_vendor(vendor).url, name=vendor.provider, weight=1, priority=nth, **fields)
            for nth, (vendor, fields) in enumerate(vendors)
        ]
        config = {"fallback_strategy": ["http_429", "http_5xx"], "instances": instances}
        return _route(gateway, {"ai-proxy-multi": config})

    return put


def _route(gateway: GatewayProcess, plugins: Mapping[str, Any]) -> Place:
    id = f"vendor-{next(ids)}"
    gateway.put_route(id, plugins, uri=f"/{id}/*")
    return Place(gateway.url("proxy", f"/{id}"), id, gateway)


def places_of(secret: str, gateway: GatewayProcess) -> list[str]:
    """The files of a gateway in which a secret can be read."""
    files = [gateway.log_file, *(path for path in gateway.data.rglob("*") if path.is_file())]
    return [path.name for path in files if secret.encode() in path.read_bytes()]
