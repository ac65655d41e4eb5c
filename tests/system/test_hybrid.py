"""A self-hosted model with one in the cloud behind it: who answers, whatever the first one does, and afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest

from aigw.testing import RESET, SILENCE, Behaviour, answer, chat, play
from aigw.testing.asking import Answered, ask
from aigw.testing.process import GatewayProcess
from aigw.testing.thread import ServedUpstream

pytestmark = pytest.mark.ways

TIMEOUT = 300
"""Of the self-hosted one, in ms."""
BACK_WITHIN = 12.0
"""Seconds after which a self-hosted model that has recovered must be asked again, whatever it did before."""

TROUBLES: Mapping[str, Behaviour] = {
    "429": answer(429),
    "500": answer(500),
    "503": answer(503),
    "529": answer(529),
    "silence": play(SILENCE),
    "reset": play(RESET),
}


class Hybrid:
    """A hybrid route, and what was asked of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def chat(self) -> Answered:
        answered = ask("POST", self.url, {"messages": [{"role": "user", "content": "Hi"}]})
        assert answered.status == 200, answered
        return answered

    def instance(self) -> str:
        return self.chat().headers["x-aigw-instance"]

    def comes_back(self) -> float:
        """Seconds until the self-hosted one is asked again."""
        began = time.monotonic()
        while self.instance() != "self-hosted":
            assert time.monotonic() - began < BACK_WITHIN
            time.sleep(0.1)
        return time.monotonic() - began


@pytest.fixture
def cloud(upstreams: Callable[[], ServedUpstream]) -> ServedUpstream:
    return upstreams()


@pytest.fixture
def pair(hybrid: Callable[..., str], upstream: ServedUpstream, cloud: ServedUpstream) -> Hybrid:
    return Hybrid(hybrid(upstream, cloud, timeout=TIMEOUT))


def test_the_cloud_is_not_asked_while_the_other_answers(pair: Hybrid, cloud: ServedUpstream) -> None:
    assert {pair.instance() for _ in range(5)} == {"self-hosted"}
    assert cloud.received == []


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_and_recovery(name: str, pair: Hybrid, upstream: ServedUpstream) -> None:
    upstream.does(TROUBLES[name])
    assert pair.instance() == "cloud"
    upstream.does(chat())
    assert pair.instance() == "self-hosted"


def test_down_and_up_again(pair: Hybrid, upstream: ServedUpstream) -> None:
    assert pair.instance() == "self-hosted"
    upstream.stop()
    assert pair.instance() == "cloud"
    upstream.start()
    assert pair.comes_back() < 1


@pytest.mark.ways("fast")
def test_one_that_stays_down_is_left_alone_but_not_forgotten(
    pair: Hybrid, upstream: ServedUpstream, cloud: ServedUpstream, gateway: GatewayProcess
) -> None:
    upstream.does(play(SILENCE))
    for _ in range(12):
        assert pair.instance() == "cloud"
    assert len(upstream.received) < 12  # the circuit opened, and nobody waits for it any more
    assert pair.chat().seconds < TIMEOUT / 1000
    assert is_open(gateway, pair)
    upstream.does(chat())
    pair.comes_back()
    assert pair.instance() == "self-hosted"
    assert not is_open(gateway, pair)


def is_open(gateway: GatewayProcess, pair: Hybrid) -> bool:
    """Do the metrics show that the self-hosted one is left alone?"""
    route_id = pair.url.rpartition("/")[2]
    start = f'aigw_circuit_open{{route_id="{route_id}",node="self-hosted"}} '
    (line,) = [line for line in gateway.metrics().splitlines() if line.startswith(start)]
    return float(line.removeprefix(start)) == 1


@pytest.mark.ways("fast")
def test_a_rest_that_was_asked_for_is_kept(pair: Hybrid, upstream: ServedUpstream) -> None:
    upstream.does(answer(429, headers={"Retry-After": "1"}))
    assert pair.instance() == "cloud"
    upstream.does(chat())
    assert pair.instance() == "cloud"  # it had asked for a second
    assert 0.5 < pair.comes_back() < 2


def test_a_client_error_is_no_reason(
    hybrid: Callable[..., str], upstream: ServedUpstream, cloud: ServedUpstream
) -> None:
    url = hybrid(upstream, cloud)
    for status in (400, 401, 404, 422):
        upstream.does(answer(status, {"status": status}))
        answered = ask("POST", url, {"messages": []})
        assert (answered.status, answered.json) == (status, {"status": status})
    assert cloud.received == []


def test_everything_fails(pair: Hybrid, upstream: ServedUpstream, cloud: ServedUpstream) -> None:
    upstream.does(answer(500, {"who": "self-hosted"}))
    cloud.does(answer(503, {"who": "cloud"}, {"Retry-After": "3"}))
    answered = ask("POST", pair.url, {"messages": []})
    assert (answered.status, answered.json, answered.headers["retry-after"]) == (503, {"who": "cloud"}, "3")
    assert answered.headers["x-aigw-attempts"] == "2"


def test_each_instance_gets_its_own_key_and_the_client_keeps_its_own(
    pair: Hybrid, upstream: ServedUpstream, cloud: ServedUpstream
) -> None:
    upstream.does(answer(500))
    ask("POST", pair.url, {"messages": []}, headers={"Authorization": "Bearer clients-own", "Cookie": "a=b"})
    for received in (*upstream.received, *cloud.received):
        assert "clients-own" not in received.head.decode()
        assert "cookie" not in received.headers
        assert received.headers["authorization"].startswith("Bearer sk-")
