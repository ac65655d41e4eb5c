"""Keys go to the upstream that they are for, and nowhere else, whatever goes wrong on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from aigw.testing import CLOSE, Behaviour, answer, chat, play
from aigw.testing.asking import ask
from aigw.testing.behaviours import head
from aigw.testing.openai import chunk, event
from aigw.testing.process import ADMIN_KEY, GatewayProcess
from aigw.testing.thread import ServedUpstream

HEADER, QUERY, ENVIRON = "sk-in-a-header-0123456789", "sk-in-the-query-0123456789", "sk-of-a-variable-0123456789"
MISPLACED, CLIENT = "sk-in-the-wrong-place-0123456789", "sk-of-the-client-0123456789"
SECRETS = (HEADER, QUERY, ENVIRON, MISPLACED, CLIENT, ADMIN_KEY)


@attrs.frozen
class Leaky:
    """An upstream that quotes keys, and all that a client and an operator got to see of the gateway."""

    gateway: GatewayProcess
    upstream: ServedUpstream
    url: str
    seen: list[bytes] = attrs.field(factory=list)

    def chat(self, behaviour: Behaviour, stream: bool = False) -> bytes:
        self.upstream.does(behaviour)
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        answered = ask("POST", self.url, body, headers={"Authorization": f"Bearer {CLIENT}"})
        self.seen.append(repr(answered.headers).encode() + answered.body)
        return answered.body

    def admin(self, method: str, path: str, document: Any = None) -> bytes:
        answered = self.gateway.admin(method, path, document)
        self.seen.append(repr(answered.headers).encode() + answered.body)
        return answered.body


@pytest.fixture
def leaky(gateways: Callable[..., GatewayProcess], upstream: ServedUpstream) -> Iterator[Leaky]:
    gateway = gateways(MODEL_KEY=ENVIRON).start()
    upstream.key = HEADER
    auth = {"header": {"Authorization": f"Bearer {HEADER}", "x-other": "$env://MODEL_KEY"}, "query": {"key": QUERY}}
    url = gateway.put_route("leaky", {"ai-proxy": upstream.as_model(auth=auth)})
    yield Leaky(gateway, upstream, url)
    gateway.stop()


def told(status: int = 401) -> dict[str, Any]:
    """What an upstream says that shows all keys it got."""
    message = f"wrong key: {HEADER} {QUERY} {ENVIRON}"
    return {"error": {"message": message, "type": "x", "code": status}}


def test_nothing_gets_out(leaky: Leaky) -> None:
    leaky.chat(chat())
    (received,) = leaky.upstream.received
    assert received.headers["authorization"] == f"Bearer {HEADER}"
    assert received.headers["x-other"] == ENVIRON
    assert QUERY in received.target
    assert CLIENT not in received.head.decode()

    assert b"wrong key" in leaky.chat(answer(401, told()))
    assert b"wrong key" in leaky.chat(answer(500, told()), stream=True)
    assert b"wrong key" in leaky.chat(play(head() + event(told()), CLOSE), stream=True)
    assert b"wrong key" in leaky.chat(
        play(head() + event(chunk({"content": "Hi"})) + event(told()), CLOSE), stream=True
    )
    leaky.chat(play(head() + b"data: {" + HEADER.encode(), CLOSE), stream=True)
    leaky.chat(play(b"HTTP/1.1 200 " + HEADER.encode() + b"\r\n" + HEADER.encode() + b"\r\n\r\n", CLOSE))
    leaky.chat(answer(302, {}, {"Location": f"http://x/?key={QUERY}"}))
    leaky.upstream.stop()
    leaky.chat(chat())

    for document in misconfigurations(leaky.upstream):
        leaky.admin("PUT", "/routes/wrong", document)
    for path in ("/routes", "/routes/leaky", "/routes/wrong", "/plugins/list"):
        leaky.admin("GET", path)
    leaky.admin("PATCH", "/routes/leaky/plugins/ai-proxy/auth/header/Authorization", 7)

    shown = b"".join(leaky.seen) + leaky.gateway.metrics().encode()
    leaky.gateway.stop()
    assert [secret for secret in SECRETS if secret.encode() in shown] == []
    assert [(path, secret) for path, content in files(leaky.gateway) for secret in SECRETS if secret in content] == []


def misconfigurations(upstream: ServedUpstream) -> list[Any]:
    """With a key where none belongs, or no good one."""
    model = upstream.as_model()
    return [
        {"uri": "/wrong", "plugins": {"ai-proxy": {**model, "auth": {"header": {"Authorization": [MISPLACED]}}}}},
        {"uri": "/wrong", "plugins": {"ai-proxy": {**model, "auth": {"header": {"Authorization": MISPLACED + "\n"}}}}},
        {"uri": "/wrong", "plugins": {"ai-proxy": {**model, "auth": {"headers": {"Authorization": MISPLACED}}}}},
        {"uri": "/wrong", "plugins": {"ai-proxy": {**model, "auth": f"Bearer {MISPLACED}"}}},
        {"uri": "/wrong", "plugins": {"ai-proxy": {**model, "override": {"endpoint": f"http://u:{MISPLACED}@x/"}}}},
    ]


def files(gateway: GatewayProcess) -> Iterator[tuple[str, str]]:
    """All that the gateway wrote, but for the keys that it made."""
    for path in (gateway.log_file, *gateway.data.rglob("*")):
        if path.is_file() and path.suffix != ".key":
            yield path.name, path.read_bytes().decode("latin-1")


def test_the_access_log_is_one_json_object_a_line(leaky: Leaky) -> None:
    for behaviour in (chat(), answer(500), play(CLOSE)):
        leaky.chat(behaviour)
    leaky.gateway.stop()
    lines = [json.loads(line) for line in (leaky.gateway.data / "access.log").read_text().splitlines()]
    assert [(line["status"], len(line["attempts"])) for line in lines] == [(200, 1), (500, 1), (502, 1)]
