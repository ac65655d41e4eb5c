"""URLs, taken apart strictly."""

from __future__ import annotations

import pytest

from aigw.errors import UpstreamUnreachable
from aigw.upstream.origin import Origin, parse_url


@pytest.mark.parametrize(
    ("url", "origin", "target", "host"),
    [
        (b"http://api.example", (False, "api.example", 80), b"/", b"api.example"),
        (b"https://api.example/", (True, "api.example", 443), b"/", b"api.example"),
        (b"HTTPS://API.Example/V1?x=Y", (True, "api.example", 443), b"/V1?x=Y", b"API.Example"),
        (b"http://h:8080/a/b", (False, "h", 8080), b"/a/b", b"h:8080"),
        (b"http://h:80/", (False, "h", 80), b"/", b"h"),
        (b"http://h:443/", (False, "h", 443), b"/", b"h:443"),
        (b"http://h?x=1?/:@#f", (False, "h", 80), b"/?x=1?/:@", b"h"),
        (b"http://h/a%20b#frag#ment", (False, "h", 80), b"/a%20b", b"h"),
        (b"http://127.0.0.1:11434/v1", (False, "127.0.0.1", 11434), b"/v1", b"127.0.0.1:11434"),
        (b"http://[::1]:1/", (False, "::1", 1), b"/", b"[::1]:1"),
        (b"https://[2001:DB8::1]", (True, "2001:db8::1", 443), b"/", b"[2001:DB8::1]"),
        (b"http://my_service.local./", (False, "my_service.local.", 80), b"/", b"my_service.local."),
        (b"http://xn--bcher-kva.example/", (False, "xn--bcher-kva.example", 80), b"/", b"xn--bcher-kva.example"),
    ],
)
def test_urls(url: bytes, origin: tuple[bool, str, int], target: bytes, host: bytes) -> None:
    for verified in (True, False):
        found = parse_url(url, verified=verified)
        assert found.origin == Origin(*origin, verified)
        assert found.target == target
        assert found.opening == b" %b HTTP/1.1\r\nHost: %b\r\n" % (target, host)


@pytest.mark.parametrize(
    "url",
    [
        b"",
        b"/v1",
        b"h/v1",
        b"//h/v1",
        b"ftp://h/",
        b"http:/h/",
        b"http:///v1",
        b"http://user@h/",
        b"http://user:secret@h/",
        b"http://h:0/",
        b"http://h:65536/",
        b"http://h:123456/",
        b"http://h:/",
        b"http://h:8o/",
        b"http://h /",
        b"http://h/a b",
        b"http://h/a\r\nX: y",
        b"http://h/\0",
        b"http://h/\xc3\xa4",
        b"http://h\xc3\xa4/",
        b"http://h\\evil/",
        b"http://a..b/",
        b"http://.a/",
        b"http://" + b"a" * 64 + b"/",
        b"http://::1/",
        b"http://[::1/",
        b"http://[1.2.3.4]/",
        b"http://[:::]/",
        b"http://[::1%25eth0]/",
        b" http://h/",
        b"http://h/\n",
    ],
)
def test_what_is_no_url(url: bytes) -> None:
    with pytest.raises(UpstreamUnreachable) as caught:
        parse_url(url, verified=True)
    assert "secret" not in caught.value.message


def test_labels_and_kinds_of_hosts() -> None:
    kinds = {
        "name.example": ("name.example:1", False, False),
        "10.0.0.1": ("10.0.0.1:1", True, False),
        "::1": ("[::1]:1", False, True),
    }
    for host, (label, is_ipv4, is_ipv6) in kinds.items():
        origin = Origin(False, host, 1, True)
        assert (origin.label, origin.is_ipv4, origin.is_ipv6) == (label, is_ipv4, is_ipv6)


def test_origins_are_equal_by_value_and_tell_verified_from_not() -> None:
    a, b = (parse_url(b"https://h/" + path, verified=True).origin for path in (b"a", b"b"))
    assert a == b
    assert hash(a) == hash(b)
    assert a != parse_url(b"https://h/a", verified=False).origin


def test_a_query_stays_out_of_repr() -> None:
    assert "secret" not in repr(parse_url(b"https://h/p?key=secret", verified=True))
