"""What a request is matched by: variables as nginx and APISIX name them, worked out once and only if asked for."""

from __future__ import annotations

import ipaddress

import pytest

from aigw.routing.facts import Facts, parse_address, variable

_HEADERS = {
    "x-api-version": "2",
    "host": "gw.example.org:9080",
    "cookie": "a=1; b = two=2 ;a=3;c",
    "content-type": "application/json",
}
_FACTS = Facts(
    path="/a b",
    host="gw.example.org",
    method="POST",
    remote_addr="10.1.2.3",
    header=_HEADERS.get,
    target=b"/a%20b?x=1&y=a+b%26c&x=2&%7A=%ff&=0&flag&e=",
    scheme="https",
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uri", "/a b"),
        ("request_uri", "/a%20b?x=1&y=a+b%26c&x=2&%7A=%ff&=0&flag&e="),
        ("args", "x=1&y=a+b%26c&x=2&%7A=%ff&=0&flag&e="),
        ("query_string", "x=1&y=a+b%26c&x=2&%7A=%ff&=0&flag&e="),
        ("request_method", "POST"),
        ("host", "gw.example.org"),
        ("remote_addr", "10.1.2.3"),
        ("scheme", "https"),
        ("content_type", "application/json"),
        ("content_length", None),
        ("arg_x", "1"),
        ("arg_y", "a b&c"),
        ("arg_z", "\ufffd"),
        ("arg_flag", ""),
        ("arg_e", ""),
        ("arg_X", None),
        ("arg_", None),
        ("http_x_api_version", "2"),
        ("http_X_API_Version", "2"),
        ("http_host", "gw.example.org:9080"),
        ("http_none", None),
        ("cookie_a", "1"),
        ("cookie_b", "two=2"),
        ("cookie_c", None),
        ("no_such_thing", None),
        ("arg", None),
    ],
)
def test_variable(name: str, value: str | None) -> None:
    assert variable(name)(_FACTS) == value


def test_an_absolute_target_has_the_uri_of_its_path() -> None:
    facts = Facts(path="/a", target=b"http://h:80/a?x=1")
    assert variable("request_uri")(facts) == "/a?x=1"
    assert variable("arg_x")(facts) == "1"


def test_what_is_worked_out_is_kept() -> None:
    facts = Facts(path="/", target=b"/?a=1", remote_addr="::1")
    assert facts.arguments is facts.arguments
    assert facts.cookies is facts.cookies
    assert facts.address is facts.address


@pytest.mark.parametrize(
    ("text", "version", "address"),
    [
        ("10.1.2.3", 4, "10.1.2.3"),
        ("::ffff:10.1.2.3", 4, "10.1.2.3"),
        ("::FFFF:0a01:0203", 4, "10.1.2.3"),
        ("fe80::1%eth0", 6, "fe80::1"),
        ("2001:db8::1", 6, "2001:db8::1"),
    ],
)
def test_address(text: str, version: int, address: str) -> None:
    assert parse_address(text) == (version, int(ipaddress.ip_address(address)))


@pytest.mark.parametrize("text", ["", "unix:", "10.1.2", "10.1.2.3.4", "01.2.3.4", "x" * 100, "1" * 10_000, "[::1]"])
def test_no_address(text: str) -> None:
    assert parse_address(text) is None
