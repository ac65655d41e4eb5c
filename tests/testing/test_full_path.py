"""A gateway without its shortcuts takes none."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.posixbase import PosixReactorBase

import aigw.datapath
import aigw.proxy.head as requests
import aigw.service
import aigw.upstream.head as replies
from aigw.exchange import Reply
from aigw.llm.answer import Answer
from aigw.proxy.limits import Limits
from aigw.proxy.resource import Answer as ProxyAnswer
from aigw.testing.full_path import (
    collect_answers,
    read_heads_afresh,
    relay_all,
    relay_every_event,
    send_by_events,
    without_shortcuts,
)
from aigw.upstream.chunked import ChunkedDecoder


def test_nothing_of_a_head_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    read_heads_afresh(monkeypatch.setattr)
    block = b"GET /never-asked-for-before HTTP/1.1\r\nHost: a\r\nX-Never-Said-Before: 1\r\n\r\n"
    head = requests.read_head(block, Limits())
    replies.parse_head(b"HTTP/1.1 200 Never Said Before\r\nX-Never-Said-Before: 1", "up")
    assert not requests.Repeated.is_plain(block, head)
    memories = (requests._request_lines, requests._field_lines, replies._statuses, replies._lines)
    assert not [line for memory in memories for line in memory if b"never" in line.lower()]


def test_no_answer_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    collect_answers(monkeypatch.setattr)
    assert Answer._at_once(None) is None  # type: ignore[arg-type]


def test_no_reply_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    relay_all(monkeypatch.setattr)
    assert not ProxyAnswer._fits_one_write(None, Reply(status=200))  # type: ignore[arg-type]


def test_no_chunk_is_sent_on_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ChunkedDecoder("up").whole(b"2\r\nhi\r\n")
    relay_every_event(monkeypatch.setattr)
    assert not ChunkedDecoder("up").whole(b"2\r\nhi\r\n")


def test_transports_are_the_reactors_own(monkeypatch: pytest.MonkeyPatch) -> None:
    reactor: Any = PosixReactorBase.__new__(PosixReactorBase)
    for module in (aigw.datapath, aigw.service):
        assert module.eager_sockets(reactor) is not reactor
    send_by_events(monkeypatch.setattr)
    for module in (aigw.datapath, aigw.service):
        assert module.eager_sockets(reactor) is reactor


def test_only_within_the_block() -> None:
    before = vars(requests.Repeated)["is_plain"], Answer._at_once
    with without_shortcuts():
        assert Answer._at_once is not before[1]
    assert (vars(requests.Repeated)["is_plain"], Answer._at_once) == before
