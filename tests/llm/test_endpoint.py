"""Where a request goes, and which headers go along, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from aigw.llm.endpoint import JSON as JSON_FIELD
from aigw.llm.endpoint import Forwarding, passed_path, relayed_headers, url_of
from aigw.received import ReceivedHeaders
from aigw.upstream.headers import HeaderBlock

URLS: list[tuple[str, str | None, dict[str, str], str]] = [
    # endpoint, path, query of the credentials, URL
    ("http://h:8000/my/chat", None, {}, "http://h:8000/my/chat"),
    ("http://h/my/?a=b", None, {}, "http://h/my/?a=b"),
    ("http://h:8000", "/v1/chat/completions", {}, "http://h:8000/v1/chat/completions"),
    ("http://h:8000/", "/v1/chat/completions", {}, "http://h:8000/v1/chat/completions"),
    ("http://[::1]:80", "/x", {}, "http://[::1]:80/x"),
    ("https://h", "/x?api-version=1", {}, "https://h/x?api-version=1"),
    # The endpoint's own query stays, and wins over what the path brings along.
    ("https://h?api-version=1", "/x", {}, "https://h/x?api-version=1"),
    ("https://h?api-version=1", "/x?api-version=2&b=%2F", {}, "https://h/x?api-version=1&b=%2F"),
    # That of the credentials wins over both, however the name is spelled.
    ("https://h/x", None, {"key": "a b&c"}, "https://h/x?key=a+b%26c"),
    ("http://h/x?a=b", None, {"k": "v", "l": "w"}, "http://h/x?a=b&k=v&l=w"),
    ("http://h/x?a=b&k=old", None, {"k": "v"}, "http://h/x?a=b&k=v"),
    ("http://h", "/x?k=mine&%6B=too&k&a=1&a=2&&K=other", {"k": "v"}, "http://h/x?a=1&a=2&K=other&k=v"),
    ("http://h", "/x?", {}, "http://h/x"),
]


@pytest.mark.parametrize(("base", "path", "query", "url"), URLS)
def test_urls(base: str, path: str | None, query: dict[str, str], url: str) -> None:
    assert url_of(base, path, query).decode() == url


CHAT = "/v1/chat/completions"
AZURE = "/openai/deployments/d/chat/completions?api-version=1"

PASSED: list[tuple[str, bytes, str | None, str]] = [
    # the client's path, its target, the vendor's path for chats, what is passed on
    ("/v1/images", b"/v1/images", CHAT, "/v1/images"),
    ("/llm/v1/images", b"/llm/v1/images", CHAT, "/v1/images"),
    ("/llm/v1/v1/x", b"/llm/v1/v1/x", CHAT, "/v1/v1/x"),
    ("/llm/images", b"/llm/images", CHAT, "/llm/images"),
    ("/v1", b"/v1", CHAT, "/v1"),
    ("/v1/models", b"/v1/models", None, "/v1/models"),
    # Where the vendor's chat has another prefix.
    ("/v1/models", b"/v1/models", "/v1beta/openai/chat/completions", "/v1beta/openai/models"),
    ("/llm/v1/models", b"/llm/v1/models", "/api/v1/chat/completions", "/api/v1/models"),
    ("/v1/models", b"/v1/models", "/chat/completions", "/models"),
    ("/rerank", b"/rerank", "/chat/completions", "/rerank"),
    ("/v1/models", b"/v1/models", "/of/its/own", "/v1/models"),
    ("/v1/audio/x", b"/v1/audio/x?a=b&api-version=9", AZURE, "/openai/deployments/d/audio/x?api-version=1&a=b"),
    # The query is the client's, as it wrote it.
    ("/v1/files", b"/v1/files?after=a%2Fb&x[]=1&x[]=2&y", CHAT, "/v1/files?after=a%2Fb&x[]=1&x[]=2&y"),
    ("/v1/files", b"/v1/files?", CHAT, "/v1/files"),
    ("/v1/files", b"/v1/files?a=b#c", CHAT, "/v1/files?a=b"),
    ("/v1/files", b'/v1/files?a="\xff |', CHAT, "/v1/files?a=%22%FF%20%7C"),
    # So is the path: an encoded slash is none.
    ("/v1/models/a/b", b"/v1/models/a%2Fb", CHAT, "/v1/models/a%2Fb"),
    ("/v1/re rank/\u00e9", b"/v1/re%20rank/\xc3\xa9", CHAT, "/v1/re%20rank/%C3%A9"),
    ("/a?b#c%2e", b"/a%3fb%23c%252e", CHAT, "/a%3fb%23c%252e"),
    # Unless it says something else than the path by which its route was chosen.
    ("/v1/b", b"/v1/a/../b", CHAT, "/v1/b"),
    ("/v1/b", b"/v1/a/%2e%2E%2fb", CHAT, "/v1/b"),
    ("/a?b#c%2e", b"/elsewhere", CHAT, "/a%3Fb%23c%252e"),
    ("/v1/files", b"http://h/v1/files?a=b", CHAT, "/v1/files?a=b"),
    ("/v1/\ufffd", b"/v1/%ff", CHAT, "/v1/%EF%BF%BD"),
]


@pytest.mark.parametrize(("path", "target", "chat", "passed"), PASSED)
def test_what_an_upstream_knows_of_a_clients_path(path: str, target: bytes, chat: str | None, passed: str) -> None:
    assert passed_path(path, target, chat) == passed


def headers(*fields: tuple[str, str]) -> Headers:
    made = Headers()
    for name, value in fields:
        made.addRawHeader(name, value)
    return made


def outgoing_headers(client: Headers, own: HeaderBlock, own_names: frozenset[bytes], brings_own_key: bool) -> Headers:
    return Forwarding(own, own_names, brings_own_key, JSON_FIELD).of(client)


def flat(made: Headers) -> list[tuple[str, str]]:
    return [(n.decode(), v.decode()) for n, values in made.getAllRawHeaders() for v in values]


KEPT = [
    ("User-Agent", "OpenAI/Python 2.0"),
    ("Accept", "text/event-stream"),
    ("Content-Type", "application/json"),
    ("X-Request-Id", "abc"),
    ("X-Forwarded-For", "192.0.2.1"),
    ("Openai-Organization", "org"),
    ("Anthropic-Version", "2023-06-01"),
    ("Traceparent", "00-1-2-03"),
    ("Idempotency-Key", "k"),
    ("X-Twice", "1"),
    ("X-Twice", "2"),
]
OF_THE_CONNECTION = [
    ("Connection", "close, X-Named"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authorization", "Basic x"),
    ("Proxy-Connection", "close"),
    ("TE", "trailers"),
    ("Trailer", "X"),
    ("Transfer-Encoding", "chunked"),
    ("Upgrade", "websocket"),
    ("X-Named", "by Connection"),
]
NOT_FORWARDED = [
    ("Host", "gateway"),
    ("Content-Length", "5"),
    ("Accept-Encoding", "br"),
    ("Cookie", "session=1"),
    ("Expect", "100-continue"),
]
JSON = ("Content-Type", "application/json")
CREDENTIALS = [("Authorization", "Bearer client"), ("X-Api-Key", "client"), ("Api-Key", "client")]


def test_the_clients_headers_go_along_without_those_of_its_connection_and_its_credentials() -> None:
    client = headers(*KEPT, *OF_THE_CONNECTION, *NOT_FORWARDED, *CREDENTIALS)
    own = [(b"Authorization", b"Bearer own"), (b"x-goog-key", b"k")]
    out = flat(outgoing_headers(client, HeaderBlock(own), frozenset({b"authorization", b"x-goog-key"}), False))
    assert sorted(out) == sorted([*KEPT, ("Authorization", "Bearer own"), ("X-Goog-Key", "k")])


def test_a_client_that_brings_its_own_key_has_it_forwarded() -> None:
    out = flat(outgoing_headers(headers(*NOT_FORWARDED, *CREDENTIALS), HeaderBlock([]), frozenset(), True))
    assert sorted(out) == sorted([*CREDENTIALS, JSON])


def test_what_the_instance_says_itself_wins_over_the_client() -> None:
    client = headers(("X-Tenant", "mine"), ("x-tenant", "mine, too"), ("User-Agent", "curl"))
    out = flat(outgoing_headers(client, HeaderBlock([(b"X-Tenant", b"ours")]), frozenset({b"x-tenant"}), False))
    assert sorted(out) == [JSON, ("User-Agent", "curl"), ("X-Tenant", "ours")]


def test_what_connection_names_is_dropped_in_any_spelling() -> None:
    client = headers(("connection", "Keep-Alive , x-ONE"), ("Connection", "X-Two"), ("X-One", "1"), ("x-two", "2"))
    assert flat(outgoing_headers(client, HeaderBlock([]), frozenset(), False)) == [JSON]


def test_connection_can_not_take_away_what_is_the_instances_own() -> None:
    client = headers(("Connection", "authorization, content-type"), ("Content-Type", "application/json"))
    out = flat(
        outgoing_headers(client, HeaderBlock([(b"Authorization", b"ours")]), frozenset({b"authorization"}), False)
    )
    assert out == [("Authorization", "ours"), JSON]


def test_a_clients_headers_stay_as_they_are() -> None:
    client = headers(*KEPT, *CREDENTIALS)
    before = flat(client)
    own = HeaderBlock([(b"User-Agent", b"ours")])
    outgoing_headers(client, own, frozenset({b"user-agent"}), False).copy().setRawHeaders(b"X", [b"1"])
    assert flat(client) == before


RELAYED = [
    ("Content-Type", "application/json"),
    ("Retry-After", "5"),
    ("X-Request-Id", "upstream-1"),
    ("X-Ratelimit-Remaining-Tokens", "100"),
    ("Openai-Processing-Ms", "12"),
    ("Anthropic-Ratelimit-Requests-Limit", "5"),
    ("WWW-Authenticate", "Bearer"),
    ("Cache-Control", "no-cache"),
]
NOT_RELAYED = [
    ("Content-Length", "10"),
    ("Set-Cookie", "__cf_bm=1"),
    ("Server", "cloudflare"),
    ("Date", "now"),
    ("Alt-Svc", "h3"),
    ("Strict-Transport-Security", "max-age=1"),
]


def test_what_of_an_upstreams_headers_reaches_the_client() -> None:
    sent = [*RELAYED, *NOT_RELAYED, *OF_THE_CONNECTION[1:-1], ("Content-Encoding", "gzip")]
    upstream = [(name.encode(), value.encode()) for name, value in sent]
    relayed = [
        (n.decode(), v.decode())
        for n, v in relayed_headers(upstream, [name.lower() for name, _ in upstream], decoded=True)
    ]
    assert relayed == RELAYED
    encoded = relayed_headers(upstream, [name.lower() for name, _ in upstream], decoded=False)
    assert (b"Content-Encoding", b"gzip") in encoded


def outgoing_afresh(
    client: Headers, own: HeaderBlock, own_names: frozenset[bytes], brings_own_key: bool
) -> list[tuple[bytes, bytes]]:
    """Field by field, with nothing known from before."""
    received = [(name.lower(), value) for name, values in client.getAllRawHeaders() for value in values]
    named = {token.strip().lower() for name, value in received if name == b"connection" for token in value.split(b",")}
    never = {name.lower().encode() for name, _ in [*OF_THE_CONNECTION, *NOT_FORWARDED]} - {b"x-named"}
    left_out = never | {b"http2-settings"} | own_names | named
    if not brings_own_key:
        left_out |= {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-amz-security-token"}
    kept = [(name, value) for name, value in received if name not in left_out]
    if b"content-type" not in own_names and b"content-type" not in {name for name, _ in kept}:
        kept.append((b"Content-Type", b"application/json"))
    return [*own.fields, *kept]


NAMES = st.sampled_from(
    [name for name, _ in [*KEPT, *OF_THE_CONNECTION, *NOT_FORWARDED, *CREDENTIALS]] + ["HTTP2-Settings", "X-One"]
)
VALUES = st.sampled_from(["", "1", "keep-alive", "close", "x-one, Traceparent", "authorization", ": ", "a: b", "\xff"])


@settings(deadline=None, max_examples=300)
@given(
    fields=st.lists(st.tuples(NAMES, VALUES), max_size=12),
    own=st.lists(st.sampled_from([(b"Authorization", b"ours"), (b"X-One", b"ours"), (b"Content-Type", b"a/b")])),
    brings=st.booleans(),
    one_by_one=st.booleans(),
)
def test_what_goes_along_does_not_depend_on_what_went_before(
    fields: list[tuple[str, str]], own: list[tuple[bytes, bytes]], brings: bool, one_by_one: bool
) -> None:
    received = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    client: Headers = ReceivedHeaders(received) if one_by_one else headers()
    for name, value in [] if one_by_one else received:
        client.addRawHeader(name, value)
    names = frozenset(name.lower() for name, _ in own)
    made = outgoing_headers(client, HeaderBlock(own), names, brings)
    afresh = outgoing_afresh(client, HeaderBlock(own), names, brings)
    by_name = sorted(afresh, key=lambda field: field[0].lower())
    assert isinstance(made, HeaderBlock)
    assert sorted(made.fields, key=lambda field: field[0].lower()) == by_name
    assert made.block == HeaderBlock(made.fields).block
    assert made.names_host == HeaderBlock(made.fields).names_host


def test_a_credential_is_known_no_longer_than_its_request() -> None:
    forwarding = Forwarding(HeaderBlock([]), frozenset(), True, JSON_FIELD)
    received = ReceivedHeaders([(b"authorization", b"Bearer s"), (b"x-session", b"s"), (b"accept", b"*/*")])
    assert b"Bearer s" in forwarding.of(received).block
    assert (b"accept", b"*/*") in forwarding._lines
    assert not {(b"authorization", b"Bearer s"), (b"x-session", b"s")} & {*forwarding._lines}
