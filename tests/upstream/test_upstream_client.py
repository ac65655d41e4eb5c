"""The treq client: its signature, on a real Site and on a network that records what was sent."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
import treq
from hyperlink import DecodedURL, EncodedURL
from treq.client import HTTPClient
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.test import iosim
from twisted.web.http import Request
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from aigw import errors
from aigw.upstream.client import Client, body_of
from aigw.upstream.clients import Clients
from aigw.upstream.headers import HeaderBlock
from aigw.upstream.profile import Profile
from aigw.upstream.sending import BytesBody
from aigw.upstream.testing import Fired, Network

URL = b"http://up.example/a"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def client(clock: Clock, network: Network) -> Client:
    return Clients(clock, network).client(Profile())


def sent(client: Client, network: Network, *args: Any, **kwargs: Any) -> bytes:
    """What leaves for a request."""
    Fired(client.request(*args, **kwargs))
    return network.accept().take()


def opening(method: bytes = b"GET", target: bytes = b"/a", more: bytes = b"") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\nHost: up.example\r\n" + more + b"\r\n"


def test_it_is_a_treq_client(client: Client) -> None:
    assert isinstance(client, HTTPClient)


@pytest.mark.parametrize("method", ["get", "GET", b"GET"])
def test_methods(client: Client, network: Network, method: Any) -> None:
    assert sent(client, network, method, URL) == opening()


@pytest.mark.parametrize("name", ["get", "head", "delete", "put", "patch", "post"])
def test_treqs_shortcuts(client: Client, network: Network, name: str) -> None:
    Fired(getattr(client, name)(URL, headers=HeaderBlock([(b"X", b"y")])))
    assert network.accept().take().startswith(name.upper().encode() + b" /a HTTP/1.1\r\nHost: up.example\r\nX: y\r\n")


@pytest.mark.parametrize(
    "url",
    [
        b"http://up.example/a%20b?c=d",
        "http://up.example/a%20b?c=d",
        "http://up.example/a b?c=d",
        EncodedURL.from_text("http://up.example/a%20b?c=d"),
        DecodedURL.from_text("http://up.example/a%20b?c=d"),
    ],
)
def test_urls(client: Client, network: Network, url: Any) -> None:
    assert sent(client, network, "GET", url) == opening(target=b"/a%20b?c=d")


def test_a_host_name_in_any_alphabet(client: Client, network: Network) -> None:
    Fired(client.get("http://b\u00fccher.example/"))
    assert network.knock().origin.host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("url", "params", "target"),
    [
        (URL, {"x": "1"}, b"/a?x=1"),
        (URL + b"?y=2", {"x": ["1", "3"]}, b"/a?y=2&x=1&x=3"),
        (URL + b"#f", [("x", "\u00e4 b")], b"/a?x=%C3%A4+b"),
        (URL, {}, b"/a"),
    ],
)
def test_params(client: Client, network: Network, url: bytes, params: Any, target: bytes) -> None:
    assert sent(client, network, "GET", url, params=params) == opening(target=target)


@pytest.mark.parametrize(
    "headers",
    [Headers({"X": ["y", "z"]}), {"X": ["y", "z"]}, {b"x": [b"y", b"z"]}, HeaderBlock([(b"X", b"y"), (b"X", b"z")])],
)
def test_headers(client: Client, network: Network, headers: Any) -> None:
    assert sent(client, network, "GET", URL, headers=headers) == opening(more=b"X: y\r\nX: z\r\n")


@pytest.mark.parametrize(
    ("data", "body", "fields"),
    [
        (None, b"", b""),
        (b"", b"", b""),
        (b"\xff", b"\xff", b""),
        (BytesBody(b"x"), b"x", b""),
        ({"a": "1 2"}, b"a=1+2", b"Content-Type: application/x-www-form-urlencoded\r\n"),
        ([("a", "1"), ("a", "2")], b"a=1&a=2", b"Content-Type: application/x-www-form-urlencoded\r\n"),
    ],
)
def test_data(client: Client, network: Network, data: Any, body: bytes, fields: bytes) -> None:
    more = fields + b"Content-Length: %d\r\n" % len(body)
    assert sent(client, network, "POST", URL, data=data) == opening(b"POST", more=more) + body


def test_data_that_treq_knows_a_producer_for() -> None:
    assert body_of(BytesIO(b"hello")).length == 5
    with pytest.raises(TypeError):
        body_of(object())


@pytest.mark.parametrize(
    ("value", "body"), [(None, b"null"), ([], b"[]"), ({"a": ["\u00e4", 1]}, b'{"a":["\\u00e4",1]}')]
)
def test_json(client: Client, network: Network, value: Any, body: bytes) -> None:
    more = b"Content-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n" % len(body)
    assert sent(client, network, "POST", URL, json=value) == opening(b"POST", more=more) + body


def test_the_callers_headers_stay_his(client: Client, network: Network) -> None:
    for headers in (Headers({"X": ["y"]}), HeaderBlock([(b"X", b"y")])):
        head = sent(client, network, "POST", URL, json=1, auth=("me", b"pass"), headers=headers)
        assert b"X: y\r\nContent-Type: application/json; charset=UTF-8\r\nAuthorization: Basic bWU6cGFzcw==\r\n" in head
        assert list(headers.getAllRawHeaders()) == [(b"X", [b"y"])]


@pytest.mark.parametrize(
    "wish",
    [{"files": {"a": BytesIO()}}, {"cookies": {"a": "b"}}, {"allow_redirects": True}, {"browser_like_redirects": True}],
)
def test_what_a_proxy_must_not_do(client: Client, network: Network, wish: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        client.get(URL, **wish)
    assert network.knocks == []


def test_data_and_json(client: Client) -> None:
    with pytest.raises(TypeError):
        client.post(URL, data=b"x", json=1)


def test_no_cookie_is_kept_and_no_redirect_followed(client: Client, network: Network) -> None:
    head = Fired(client.get(URL))
    line = network.accept()
    line.take()
    line.say(b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")
    assert head.value.code == 302
    assert head.value.headers.getRawHeaders(b"set-cookie") == [b"a=b"]
    Fired(client.get(URL))
    assert line.take() == opening()


def test_nothing_is_decoded(client: Client, network: Network) -> None:
    head = Fired(client.get(URL))
    line = network.accept()
    assert b"Accept-Encoding" not in line.take()
    line.say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b")
    assert head.value.whole() == b"\x1f\x8b"


def test_a_timeout(client: Client, network: Network, clock: Clock) -> None:
    head = Fired(client.get(URL, timeout=3))
    line = network.accept()
    clock.advance(3)
    assert isinstance(head.error, errors.UpstreamTimeout)
    assert "no status within 3 s" in str(head.error)
    assert line.aborted
    clock.advance(0)


def test_a_timeout_by_another_clock(client: Client, network: Network) -> None:
    other = Clock()
    head = Fired(client.request("GET", URL, timeout=3, reactor=other))
    network.accept().say(OK)
    assert head.value.code == 200
    assert not other.getDelayedCalls()


def test_clients_are_shared_by_profile_for_as_long_as_they_are_used(clock: Clock, network: Network) -> None:
    clients = Clients(clock, network)
    client = clients.client(Profile())
    assert clients.client(Profile()) is client
    assert clients.client(Profile(ssl_verify=False)) is not client
    assert len(clients._clients) == 1
    head = Fired(client.get(URL))
    network.accept().say(OK)
    assert head.value.code == 200
    other = clients.client(Profile(keepalive_pool=5))
    Fired(other.get(URL))
    assert network.knocks == []


def test_close(clock: Clock, network: Network) -> None:
    clients = Clients(clock, network)
    client = clients.client(Profile())
    head = Fired(client.get(URL))
    line = network.accept()
    closed = Fired(clients.close())
    assert isinstance(head.error, errors.NotServing)
    clock.advance(0)
    assert line.lost
    assert closed.fired


# On a real Site.


class Echo(Resource):
    """Tells what it was asked, in ways that differ on the wire."""

    isLeaf = True

    def render(self, request: Request) -> Any:
        assert request.content is not None
        body = request.content.read()
        answer = b"%b %b %d" % (request.method, request.uri, len(body))
        if request.uri == b"/stream":
            request.write(answer)
            request.write(b"!")
            request.finish()
            return NOT_DONE_YET
        if request.uri == b"/none":
            request.setResponseCode(204)
            return b""
        return answer


class Sited:
    """A client whose upstream is a Site, in memory."""

    def __init__(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.client = Clients(self.reactor).client(Profile())
        self.site: Any = Site(Echo(), reactor=self.reactor)  # type: ignore[no-untyped-call]
        self.pumps: list[iosim.IOPump] = []

    def ask(self, *args: Any, **kwargs: Any) -> Any:
        head = Fired(self.client.request(*args, **kwargs))
        while self.reactor.tcpClients:
            near = self.reactor.tcpClients.pop()[2].buildProtocol(None)
            far: Any = self.site.buildProtocol(None)
            ends = iosim.FakeTransport(far, isServer=True), iosim.FakeTransport(near, isServer=False)
            self.pumps.append(iosim.connect(far, ends[0], near, ends[1]))
        for pump in self.pumps:
            pump.flush()
        return head.value


def test_a_real_server() -> None:
    sited = Sited()
    for _ in range(2):
        assert Fired(treq.content(sited.ask("GET", URL))).value == b"GET /a 0"
        assert Fired(treq.content(sited.ask("POST", URL, data=b"x" * 100))).value == b"POST /a 100"
        assert Fired(treq.content(sited.ask("POST", URL, data=b"x" * 300_000))).value == b"POST /a 300000"
        assert Fired(treq.content(sited.ask("GET", b"http://up.example/stream"))).value == b"GET /stream 0!"
        assert Fired(treq.content(sited.ask("GET", b"http://up.example/none"))).value == b""
        assert sited.ask("HEAD", URL).headers.getRawHeaders(b"content-length") == [b"9"]
    assert len(sited.pumps) == 1
