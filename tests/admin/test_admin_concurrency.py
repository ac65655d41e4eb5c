"""Writes one after another, clients that leave, stores that fail, and what nobody expected."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

LEFT = Failure(ConnectionDone())
PUT = (
    b"PUT /apisix/admin/services/s HTTP/1.1\r\nHost: x\r\nX-API-KEY: an-admin-key-of-some-length\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)


def test_the_reply_comes_when_the_store_is_done(held: Any, held_store: Any) -> None:
    request = held.start("PUT", "/services/s", {})
    replied: list[Any] = []
    request.addBoth(replied.append)
    held.pump()
    assert replied == []
    assert held.ask("GET", "/services/s").status == 404
    held_store.release()
    held.pump()
    assert [response.code for response in replied] == [201]
    assert held.ask("GET", "/services/s").status == 200


def test_decisions_are_made_on_what_the_writes_before_left(held: Any, held_store: Any) -> None:
    first = held.start("PUT", "/services/s", {}, headers={"If-None-Match": "*"})
    second = held.start("PUT", "/services/s", {}, headers={"If-None-Match": "*"})
    merge = held.start("PATCH", "/services/s", {"desc": "d"})
    refers = held.start("PUT", "/routes/r", {"uri": "/a", "service_id": "s"})
    delete = held.start("DELETE", "/services/s")
    for _ in range(3):
        held_store.release()
        held.pump()
    assert held_store.waiting == []
    assert [held.got(r).status for r in (first, second, merge, refers, delete)] == [201, 412, 200, 201, 400]


def test_posts_at_once_get_different_ids(held: Any, held_store: Any) -> None:
    requests = [held.start("POST", "/services", {}) for _ in range(3)]
    for _ in requests:
        held_store.release()
        held.pump()
    assert len({held.got(r).json["key"] for r in requests}) == 3


def test_a_client_that_leaves_does_not_stop_its_write(held: Any, held_store: Any, events: list[Any]) -> None:
    protocol, transport = held.connect()
    protocol.dataReceived(PUT)
    assert len(held_store.waiting) == 1
    protocol.connectionLost(LEFT)
    held_store.release()
    assert held.ask("GET", "/services/s").status == 200
    assert transport.value() == b""
    assert [e for e in events if e["log_level"].name in ("error", "critical", "warn")] == []


def test_nor_one_that_waits_for_its_turn(held: Any, held_store: Any) -> None:
    before = held.start("PUT", "/services/before", {})
    protocol, _ = held.connect()
    protocol.dataReceived(PUT)
    protocol.connectionLost(LEFT)
    held_store.release()
    held_store.release()
    assert held.got(before).status == 201
    assert held.ask("GET", "/services").json["total"] == 2


def test_a_failure_that_nobody_awaits_is_one_line(held: Any, held_store: Any, events: list[Any]) -> None:
    protocol, _ = held.connect()
    protocol.dataReceived(PUT)
    protocol.connectionLost(LEFT)
    held_store.fail("disk full")
    assert held.ask("GET", "/services/s").status == 404
    (event,) = [e for e in events if e["log_level"].name == "error"]
    assert event["kind"] == "StoreError"


def test_a_client_that_leaves_while_it_is_served_a_long_list(face: Any) -> None:
    for i in range(120):
        face.ask("PUT", f"/services/s{i}", {})
    protocol, transport = face.connect()
    protocol.dataReceived(b"GET /apisix/admin/services HTTP/1.1\r\nX-API-KEY: an-admin-key-of-some-length\r\n\r\n")
    protocol.connectionLost(LEFT)
    face.pump()
    assert transport.value() == b""


def test_a_store_that_fails_changes_nothing(held: Any, held_store: Any) -> None:
    request = held.start("PUT", "/services/s", {})
    held_store.fail("aigw.db: disk full")
    got = held.got(request)
    assert (got.status, got.error) == (503, "nothing was changed: aigw.db: disk full")
    assert held.ask("GET", "/services").json["total"] == 0
    again = held.start("PUT", "/services/s", {})
    held_store.release()
    assert held.got(again).status == 201


def test_a_store_that_says_nothing_is_not_awaited_for_ever(held: Any, held_store: Any) -> None:
    request = held.start("PUT", "/services/s", {})
    held.clock.advance(61)
    got = held.got(request)
    assert got.status == 503
    assert "not known" in got.error
    held_store.release()
    assert held.ask("GET", "/services/s").status == 200


def test_the_unexpected_is_a_500_and_one_line_without_secrets(
    face: Any, events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, secret: str) -> str:
        raise KeyError(secret)

    monkeypatch.setattr(type(face.sealer), "mask", broken)
    document = {"uri": "/a", "plugins": {"fake-model": {"auth": {"header": {"Authorization": "sk-secret"}}}}}
    got = face.ask("PUT", "/routes/r", document)
    assert (got.status, got.json) == (500, {"error_msg": "internal error"})
    (event,) = [e for e in events if e["log_level"].name == "error"]
    assert event["kind"] == "KeyError"
    assert "test_admin_concurrency.py" in event["where"]
    assert "sk-secret" not in repr(events)
