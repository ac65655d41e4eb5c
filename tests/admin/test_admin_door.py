"""Keys, roles, methods, and URLs that are no good."""

from __future__ import annotations

from typing import Any

import pytest

VIEWER = "a-viewer-key-of-some-length"
MISSING = {"error_msg": "failed to check token", "description": "missing apikey"}
WRONG = {"error_msg": "failed to check token", "description": "wrong apikey"}


@pytest.mark.parametrize("path", ["/routes", "/routes/r", "/nothing", "/", "/plugins/list", "/apisix", "/apisix/other"])
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "BREW"])
def test_no_key_no_answer(face: Any, path: str, method: str) -> None:
    for key, body in ((None, MISSING), ("", MISSING), ("x", WRONG), ("a" * 5000, WRONG)):
        got = face.ask(method, path, key=key)
        assert (got.status, got.json) == (401, body)


def test_a_key_in_the_url_is_no_key(face: Any) -> None:
    got = face.ask("GET", "/routes?api_key=an-admin-key-of-some-length", key=None)
    assert (got.status, got.json) == (401, MISSING)


def test_the_viewer_reads(face: Any) -> None:
    face.ask("PUT", "/services/s", {})
    assert face.ask("GET", "/services/s", key=VIEWER).status == 200
    assert face.ask("HEAD", "/services", key=VIEWER).status == 200
    assert face.ask("GET", "/plugins/list", key=VIEWER).status == 200
    assert face.ask("OPTIONS", "/services", key=VIEWER).status == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/services/s"),
        ("POST", "/services"),
        ("PATCH", "/services/s"),
        ("DELETE", "/services/s"),
        ("POST", "/schema/validate/routes"),
        ("BREW", "/services"),
    ],
)
def test_the_viewer_does_not_write(face: Any, method: str, path: str) -> None:
    face.ask("PUT", "/services/s", {})
    got = face.ask(method, path, {}, key=VIEWER)
    assert (got.status, got.json) == (403, {"error_msg": "the viewer key may only read"})
    assert face.ask("GET", "/services").json["total"] == 1


def test_without_a_viewer_key_there_is_no_viewer(make_face: Any, face: Any) -> None:
    alone = make_face(type(face.store)(), viewer=False)
    assert alone.ask("GET", "/services", key=VIEWER).json == WRONG


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/routes", "GET, HEAD, OPTIONS, POST, PUT"),
        ("PATCH", "/routes/", "GET, HEAD, OPTIONS, POST, PUT"),
        ("POST", "/routes/r", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("PUT", "/routes/r/plugins", "GET, HEAD, OPTIONS, PATCH"),
        ("PUT", "/plugins/list", "GET, HEAD, OPTIONS"),
        ("GET", "/schema/validate/routes", "OPTIONS, POST"),
        ("BREW", "/services/s", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
    ],
)
def test_405_says_what_is_allowed(face: Any, method: str, path: str, allow: str) -> None:
    got = face.ask(method, path, {})
    assert (got.status, got.headers["allow"]) == (405, allow)
    assert got.error
    options = face.ask("OPTIONS", path)
    assert (options.status, options.headers["allow"], options.content) == (204, allow, b"")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/route", 'there is nothing called "route", did you mean routes?'),
        ("/servces/s", 'there is nothing called "servces", did you mean services?'),
        ("/", 'there is nothing called ""'),
        ("//routes", "not found"),
        ("/routes/r//name", "not found"),
        ("/apisix/admin", "not found"),
        ("/apisix/other", "not found"),
        ("/apisix/admin/../admin/routes", "not found"),
    ],
)
def test_unknown_urls(face: Any, path: str, message: str) -> None:
    got = face.ask("GET", path)
    assert got.status == 404
    assert message in got.error


def test_a_slash_at_the_end_is_nothing(face: Any) -> None:
    face.ask("PUT", "/services/s/", {})
    assert face.ask("GET", "/services/").json["total"] == 1
    assert face.ask("GET", "/services/s/").status == 200


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (b"GET /apisix/admin/routes/%ff HTTP/1.1", b"x"),
        (b"GET /apisix/admin/routes HTTP/1.1", b"\xff"),
        (b"GET /apisix/admin/routes HTTP/1.1", b"a..b"),
        (b"GET /apisix/admin/routes HTTP/1.1", b"a" * 70),
    ],
)
def test_what_klein_can_not_decode_is_a_400_and_no_traceback(face: Any, line: bytes, host: bytes) -> None:
    protocol, transport = face.connect()
    protocol.dataReceived(line + b"\r\nHost: " + host + b"\r\nX-API-KEY: an-admin-key-of-some-length\r\n\r\n")
    assert transport.value().startswith(b"HTTP/1.1 400 ")
    assert b"error_msg" in transport.value()
    protocol.connectionLost(None)
