"""Where a request goes, and which headers go along, both ways."""

from __future__ import annotations

import pytest
from twisted.web.http_headers import Headers

from aigw.llm.endpoint import outgoing_headers, relayed_headers, url_of
from aigw.llm.target import passed_path
from aigw.providers import PROVIDERS
from aigw.upstream.headers import HeaderBlock

CHAT = "openai-chat"

URLS: list[tuple[str | None, str, str, str, dict[str, str], str | None]] = [
    # endpoint, provider, dialect, the client's path, query, where it goes
    (None, "openai", CHAT, "/x", {}, "https://api.openai.com/v1/chat/completions"),
    (None, "openai", "openai-responses", "/x", {}, "https://api.openai.com/v1/responses"),
    (None, "openai", "openai-embeddings", "/x", {}, "https://api.openai.com/v1/embeddings"),
    (None, "openai", "passthrough", "/v1/images", {}, "https://api.openai.com/v1/images"),
    (None, "deepseek", CHAT, "/x", {}, "https://api.deepseek.com/chat/completions"),
    (None, "deepseek", "openai-embeddings", "/x", {}, None),
    (None, "deepseek", "openai-responses", "/x", {}, None),
    (None, "gemini", CHAT, "/x", {}, "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
    (None, "openrouter", CHAT, "/x", {}, "https://openrouter.ai/api/v1/chat/completions"),
    (None, "aimlapi", CHAT, "/x", {}, "https://api.aimlapi.com/chat/completions"),
    # With a path: used as it is, whatever the dialect.
    ("http://h:8000/my/chat", "openai-compatible", CHAT, "/x", {}, "http://h:8000/my/chat"),
    ("http://h:8000/my/chat", "openai-compatible", "passthrough", "/v1/images", {}, "http://h:8000/my/chat"),
    ("http://h/my/chat", "deepseek", "openai-embeddings", "/x", {}, "http://h/my/chat"),
    ("http://h/my/?a=b", "openai", CHAT, "/x", {}, "http://h/my/?a=b"),
    # Scheme and host only: the provider's path follows.
    ("http://h:8000", "openai-compatible", CHAT, "/x", {}, "http://h:8000/v1/chat/completions"),
    ("http://h:8000/", "openai-compatible", CHAT, "/x", {}, "http://h:8000/v1/chat/completions"),
    ("http://h", "openai-compatible", "openai-embeddings", "/x", {}, "http://h/v1/embeddings"),
    ("http://h", "deepseek", CHAT, "/x", {}, "http://h/chat/completions"),
    ("http://h", "deepseek", "openai-responses", "/x", {}, None),
    ("https://h?api-version=1", "azure-openai", CHAT, "/x", {}, "https://h/v1/chat/completions?api-version=1"),
    ("http://[::1]:80", "openai-compatible", CHAT, "/x", {}, "http://[::1]:80/v1/chat/completions"),
    ("http://h", "openai-compatible", "passthrough", "/v1/re rank/\u00e9", {}, "http://h/v1/re%20rank/%C3%A9"),
    ("http://h", "openai-compatible", "passthrough", "/a?b#c%2e", {}, "http://h/a%3Fb%23c%252e"),
    # auth.query
    (
        None,
        "gemini",
        CHAT,
        "/x",
        {"key": "a b&c"},
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions?key=a+b%26c",
    ),
    ("http://h/x?a=b", "openai-compatible", CHAT, "/x", {"k": "v", "l": "w"}, "http://h/x?a=b&k=v&l=w"),
    ("http://h", "openai-compatible", "passthrough", "/v1/images", {"k": "v"}, "http://h/v1/images?k=v"),
]


@pytest.mark.parametrize(("endpoint", "provider", "dialect", "path", "query", "url"), URLS)
def test_where_a_request_goes(
    endpoint: str | None, provider: str, dialect: str, path: str, query: dict[str, str], url: str | None
) -> None:
    found = url_of(endpoint, PROVIDERS[provider], dialect, path, query)
    assert (None if found is None else found.decode()) == url


@pytest.mark.parametrize(
    ("path", "passed"),
    [
        ("/v1/images", "/v1/images"),
        ("/llm/v1/images", "/v1/images"),
        ("/llm/v1/v1/x", "/v1/v1/x"),
        ("/llm/images", "/llm/images"),
        ("/v1", "/v1"),
    ],
)
def test_what_an_upstream_knows_of_a_clients_path(path: str, passed: str) -> None:
    assert passed_path(path) == passed


def headers(*fields: tuple[str, str]) -> Headers:
    made = Headers()
    for name, value in fields:
        made.addRawHeader(name, value)
    return made


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
