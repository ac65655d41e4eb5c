"""From what a client sent to a path and a host; two spellings of one path are one path."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.routing.target import host_of, normalise, origin_form


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/a/b?x=1?y", "/a/b"),
        (b"/a%2Fb%3Fc%23", "/a/b?c#"),
        (b"/%61%C3%A9", "/aé"),
        (b"/a%2561", "/a%61"),
        (b"/a/./b/../c", "/a/c"),
        (b"/a/..", "/"),
        (b"/a/.", "/a/"),
        (b"/../../a", "/a"),
        (b"/a/%2e%2E/b", "/b"),
        (b"/a/%2e%2e%2fb", "/b"),
        (b"/a/..%2f..%2fb", "/b"),
        (b"/a//b", "/a//b"),
        (b"/a//../b", "/a/b"),
        (b"/a/...", "/a/..."),
        (b"/.well-known/x", "/.well-known/x"),
        (b"/a+b", "/a+b"),
        (b"/a\\..\\b", "/a\\..\\b"),
        (b"/\xc3\xa9", "/é"),
        (b"/%ff/%c0%af", "/\ufffd/\ufffd\ufffd"),
        (b"/%ed%a0%80", "/\ufffd\ufffd\ufffd"),
        (b"http://h:80/a/../b?c", "/b"),
        (b"HTTPS://h", "/"),
        (b"http://h?x", "/"),
        (b"http://h/", "/"),
        (b"*", "*"),
        (b"/" + b"a/../" * 10_000 + b"b", "/b"),
    ],
)
def test_path(raw: bytes, path: str) -> None:
    assert normalise(raw) == path
    assert normalise(raw) == path


@pytest.mark.parametrize(
    "raw", [b"", b"a", b"h:443", b"?a", b"/%", b"/%4", b"/%zz", b"/a%%41", b"/%00", b"/\0", b"/a#b", b"*a", b"://h/a"]
)
def test_refused_target(raw: bytes) -> None:
    with pytest.raises(ValueError, match="request target"):
        normalise(raw)


@settings(deadline=None)
@given(st.binary(max_size=40).map(lambda raw: b"/" + raw))
def test_any_path_is_refused_or_safe(raw: bytes) -> None:
    try:
        path = normalise(raw)
    except ValueError:
        return
    assert path.startswith("/")
    assert "\0" not in path
    assert not {".", ".."} & set(path.split("/"))
    path.encode()


def test_origin_form() -> None:
    assert origin_form(b"http://h/a?b") == b"/a?b"
    assert origin_form(b"/http://h/a") == b"/http://h/a"


@pytest.mark.parametrize(
    ("header", "host"),
    [
        (b"", ""),
        (b"Example.ORG", "example.org"),
        (b"example.org.", "example.org"),
        (b"example.org:9080", "example.org"),
        (b"example.org.:9080", "example.org"),
        (b"example.org:", "example.org"),
        (b"127.0.0.1:80", "127.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[FE80::1]:9080", "[fe80::1]"),
        (b"a_b.c", "a_b.c"),
    ],
)
def test_host(header: bytes, host: str) -> None:
    assert host_of(header) == host


@pytest.mark.parametrize(
    "header",
    [b"a b", b"a/b", b"user@a", b"a:b", b"a:80:81", b"::1", b"[::1", b"[x]", b"a\0", b"a\n", b"\xc3\xa9", b"a" * 256],
)
def test_refused_host(header: bytes) -> None:
    with pytest.raises(ValueError, match="Host header"):
        host_of(header)
