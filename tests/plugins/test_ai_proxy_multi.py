"""What an operator may write, and what is said of it. How it works: tests/llm."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.model.schema import Invalid, check, decode
from aigw.parts import Defaults
from aigw.plugins.ai_proxy_multi import AIProxyMultiConfig


def instance(name: str = "a", priority: Any = 0, weight: int = 1, **fields: Any) -> dict[str, Any]:
    base = {"provider": "openai", "auth": {"header": {"Authorization": "Bearer sk-secret"}}}
    return {"name": name, "weight": weight, "priority": priority, **base, **fields}


def config(*instances: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"instances": list(instances or [instance()]), **fields}


STRATEGIES = "http_429, http_5xx, rate_limiting"

WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "instances: required: an array of 1 to 128 items"),
    ({"instances": []}, "instances: expected an array of 1 to 128 items"),
    ({"instances": {}}, "instances: expected an array of 1 to 128 items"),
    (config(*(instance(str(n)) for n in range(129))), "instances: expected an array of 1 to 128 items"),
    (config(instance("a"), instance("b", weight=-1)), "instances[1].weight: expected an integer >= 0 and <= 1000000"),
    (config(instance(weight=1_000_001)), "instances[0].weight: expected an integer >= 0 and <= 1000000, got 1000001"),
    (config(instance(""), instance("b\n")), "instances[0].name: expected a string of 1 to 100 characters matching"),
    (config(instance("b\n")), "instances[0].name: expected a string of 1 to 100 characters matching"),
    (config(instance("x" * 101)), "instances[0].name: expected a string of 1 to 100 characters matching"),
    (config(instance("a"), instance("b"), instance("a")), 'instances[0].name: "a" is used more than once'),
    (config(instance(priority="1")), 'instances[0].priority: expected an integer, got "1"'),
    (config({"name": "a", "weight": 1}), "instances[0].provider: required: one of aimlapi, anthropic, azure-openai"),
    (
        config(instance(provider="openai-compatible")),
        "instances[0].override.endpoint: required for provider openai-compatible",
    ),
    (config(instance(auth={"header": {"X": 5}})), "instances[0].auth.header.X: expected a string"),
    (
        config(fallback_strategy="http_5x"),
        f'fallback_strategy: expected one of {STRATEGIES} or "instance_health_and_rate_limiting" or an array, '
        'got "http_5x"',
    ),
    (
        config(fallback_strategy=["http_429", 5]),
        f'fallback_strategy[1]: expected one of {STRATEGIES} or "instance_health_and_rate_limiting", got 5',
    ),
    (config(fallback_http_statuses=[200]), "fallback_http_statuses[0]: expected an integer >= 400 and <= 599, got 200"),
    (config(fallback_http_statuses=500), "fallback_http_statuses: expected an array, got 500"),
    (config(max_retries=-1), "max_retries: expected an integer >= 0, got -1"),
    (config(retry_on_failure_within_ms=0), "retry_on_failure_within_ms: expected an integer >= 1, got 0"),
    (
        config(balancer={"algorithm": "random"}),
        'balancer.algorithm: expected one of least_conn, least_latency, roundrobin, got "random"',
    ),
    (
        config(priority_order="lowest"),
        'priority_order: expected one of highest_first, lowest_first, got "lowest"',
    ),
    (config(timeout="1s"), 'timeout: expected an integer >= 1 and <= 600000, got "1s"'),
]


@pytest.mark.parametrize(("document", "complaint"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_what_is_wrong(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode(document, AIProxyMultiConfig)
    assert str(caught.value).startswith(complaint)
    assert "secret" not in str(caught.value)


RIGHT: list[dict[str, Any]] = [
    config(),
    config(fallback_strategy="http_5xx"),
    config(fallback_strategy="instance_health_and_rate_limiting"),
    config(fallback_strategy=["rate_limiting", "http_429", "http_5xx"]),
    config(fallback_strategy=None, fallback_http_statuses=[400, 599], max_retries=0, retry_on_failure_within_ms=1),
    config(instance("\u00e9 b", weight=0, priority=-5), balancer={"algorithm": "least_latency"}),
    config(instance(checks={"active": {"http_path": "/health"}}), priority_order=None, balancer={}),
]


@pytest.mark.parametrize("document", RIGHT, ids=[str(i) for i in range(len(RIGHT))])
def test_what_is_right(document: dict[str, Any]) -> None:
    assert decode(document, AIProxyMultiConfig).instances
    assert check(document, AIProxyMultiConfig).unknown == []


def test_what_is_unknown_is_told_with_the_nearest_name() -> None:
    document = config(instance(wieght=1), fallback_stratgy="http_5xx")
    assert [str(c) for c in check(document, AIProxyMultiConfig).unknown] == [
        "instances[0].wieght: unknown, did you mean weight?",
        "fallback_stratgy: unknown, did you mean fallback_strategy?",
    ]


def test_secrets_of_every_instance() -> None:
    document = config(instance("a"), instance("b", auth={"query": {"key": "x"}}))
    assert check(document, AIProxyMultiConfig).secrets == [
        ("instances", 0, "auth", "header", "Authorization"),
        ("instances", 1, "auth", "query", "key"),
    ]


SEED = config(instance("self-hosted", 1), instance("cloud-fallback", 2))
INVERTED = (
    'instances: "cloud-fallback" (priority 2) is tried before "self-hosted" (priority 1): the highest number goes '
    'first here; swap the priorities, or set "priority_order": "lowest_first", if its name is right'
)

ADVICE: list[tuple[dict[str, Any], Defaults, list[str], list[str]]] = [
    # configuration, the gateway's defaults, the order in which instances are tried, warnings
    (SEED, Defaults(), ["self-hosted", "cloud-fallback"], []),
    (SEED, Defaults(priority_order="highest_first"), ["cloud-fallback", "self-hosted"], [INVERTED]),
    ({**SEED, "priority_order": "highest_first"}, Defaults(), ["cloud-fallback", "self-hosted"], [INVERTED]),
    (
        {**SEED, "priority_order": "lowest_first"},
        Defaults(priority_order="highest_first"),
        ["self-hosted", "cloud-fallback"],
        [],
    ),
    (config(instance("a", weight=0), instance("b", weight=5), instance("c", -1)), Defaults(), ["c", "b", "a"], []),
    (
        config(instance("a"), instance("b", checks={"active": {}}), logging={"payloads": True, "summaries": True}),
        Defaults(),
        ["a", "b"],
        [
            "logging.payloads: accepted, but payloads are never logged",
            "instances[1].checks.active: accepted, but instances are judged by the requests they get; no probes are "
            "sent",
        ],
    ),
]


@pytest.mark.parametrize(
    ("document", "defaults", "order", "warnings"), ADVICE, ids=[str(i) for i in range(len(ADVICE))]
)
def test_advice(document: dict[str, Any], defaults: Defaults, order: list[str], warnings: list[str]) -> None:
    advice = decode(document, AIProxyMultiConfig).advise(defaults)
    assert (advice.effective_order, list(advice.warnings)) == (order, warnings)


def test_no_secret_is_in_a_repr() -> None:
    assert "sk-secret" not in repr(decode(SEED, AIProxyMultiConfig))
