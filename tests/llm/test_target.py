"""An instance as requests use it: what was worked out once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pytest

from aigw.balancing.deadlines import Deadlines
from aigw.balancing.sharing import keyed_digest
from aigw.errors import InstanceUnusable, UnsupportedDialect
from aigw.llm.config import Model, Transport
from aigw.llm.target import Target, account_of, target_of
from aigw.model.schema import decode
from aigw.testing.gateway import MemoryGateway

KEY = "sk-0123456789"


def target(
    environ: Mapping[str, str] | None = None, plugin: dict[str, Any] | None = None, name: str = "a", **fields: Any
) -> Target:
    document = {"provider": "openai", "auth": {"header": {"Authorization": f"Bearer {KEY}"}}, **fields}
    parts = MemoryGateway(environ=environ).parts
    return target_of(name, 1, 0, decode(document, Model), decode(plugin or {}, Transport), parts)


def test_urls_are_worked_out_once_but_for_what_is_passed_through() -> None:
    one = target()
    assert one.url("openai-chat", "/x") is one.url("openai-chat", "/y")
    assert one.url("passthrough", "/llm/v1/images") == b"https://api.openai.com/v1/images"
    assert one.url("passthrough", "/v1/audio") == b"https://api.openai.com/v1/audio"
    assert one.shape("openai-chat") is one.shape("openai-chat")
    assert one.shape("openai-chat") is not one.shape("openai-responses")


def test_a_dialect_that_is_not_spoken_is_refused_each_time() -> None:
    one = target(provider="deepseek")
    for _ in range(2):
        with pytest.raises(UnsupportedDialect, match=r"does not support openai-responses \(supported: openai-chat\)$"):
            one.url("openai-responses", "/v1/responses")


def test_an_endpoint_with_a_path_takes_every_dialect() -> None:
    one = target(provider="deepseek", override={"endpoint": "http://h/any"})
    assert one.url("openai-responses", "/x") == one.url("passthrough", "/y") == b"http://h/any"


def test_what_is_missing_is_told_when_the_instance_is_used() -> None:
    one = target(auth={"header": {"X-Key": "$env://A"}, "query": {"k": "$env://B"}}, environ={"A": "x"})
    assert (one.headers.block, one.query) == (b"", {})
    assert not one.brings_own_key
    with pytest.raises(InstanceUnusable, match=r"^instance a can't be called: environment variable B is not set$"):
        one.url("openai-chat", "/x")


@pytest.mark.parametrize(
    ("auth", "brings"),
    [({}, True), ({"header": {}}, True), ({"header": {"X": "y"}}, False), ({"query": {"x": "y"}}, False)],
)
def test_who_brings_the_key(auth: dict[str, Any], brings: bool) -> None:
    assert target(auth=auth).brings_own_key is brings


def test_headers_are_bytes_in_the_order_in_which_they_were_written() -> None:
    one = target(auth={"header": {"X-B": "caf\u00e9", "authorization": "Bearer x"}})
    assert one.headers.block == "X-B: caf\u00e9\r\nauthorization: Bearer x\r\n".encode()
    assert one.header_names == {b"x-b", b"authorization"}


DEADLINES: list[tuple[dict[str, Any], dict[str, Any], Deadlines]] = [
    ({}, {}, Deadlines(connect=30.0, first_byte=30.0, idle=30.0)),
    ({"timeout": 2000}, {}, Deadlines(connect=2.0, first_byte=2.0, idle=2.0)),
    ({"timeout": 2000}, {"timeout": 3000}, Deadlines(connect=3.0, first_byte=3.0, idle=3.0)),
    (
        {"timeout": 2000, "deadlines": {"idle_ms": 50, "hold_ms": 0, "total_ms": 60}},
        {"deadlines": {"idle_ms": 70, "first_token_ms": 80}},
        Deadlines(connect=2.0, first_byte=2.0, idle=0.07, hold=0.0, total=0.06, first_token=0.08),
    ),
]


@pytest.mark.parametrize(("plugin", "instance", "deadlines"), DEADLINES)
def test_an_instances_own_fields_win_over_the_plugins(
    plugin: dict[str, Any], instance: dict[str, Any], deadlines: Deadlines
) -> None:
    assert target(plugin=plugin, **instance).deadlines == deadlines


def test_limits_of_plugin_and_instance() -> None:
    limits = {"max_stream_duration_ms": 1500, "max_response_bytes": 10}
    assert (target(plugin=limits).max_stream, target(plugin=limits).max_bytes) == (1.5, 10)
    assert target(plugin=limits, max_response_bytes=20).max_bytes == 20
    assert (target().max_stream, target().max_bytes) == (None, None)


def account(target: Target) -> Hashable:
    return account_of(target, keyed_digest(b"a key"))


def test_an_account_has_one_name_in_all_processes_that_have_the_key() -> None:
    one = target(auth={"header": {"Authorization": f"Bearer {KEY}"}})
    assert account(one) == account(target(auth={"header": {"Authorization": f"Bearer {KEY}"}}))
    assert account(one) != account_of(one, keyed_digest(b"another"))


def test_what_makes_two_instances_the_same_account() -> None:
    assert account(target()) == account(target(timeout=5))
    others = [
        target(name="b"),
        target(provider="gemini"),
        target(override={"endpoint": "http://h"}),
        target(options={"model": "m"}),
        target(auth={"header": {"Authorization": "Bearer another"}}),
        target(auth={"query": {"key": KEY}}),
    ]
    assert len({account(other) for other in [target(), *others]}) == len(others) + 1


def test_no_secret_is_in_a_repr_nor_in_what_tells_accounts_apart() -> None:
    one = target(auth={"header": {"Authorization": f"Bearer {KEY}"}, "query": {"key": KEY}})
    assert KEY not in repr(one)
    assert KEY not in repr(account(one))
    assert KEY not in repr(MemoryGateway(environ={"KEY": KEY}).parts)
