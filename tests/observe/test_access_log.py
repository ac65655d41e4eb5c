from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from aigw.errors import UpstreamCutShort
from aigw.exchange import Attempt, Exchange, Outcome, Timeline, Usage
from aigw.observe.access_log import AccessLog, access_log
from aigw.observe.line_writer import LineWriter
from aigw.observe.log_record import MOST_ATTEMPTS

MakeExchange = Callable[..., Exchange]


class Memory:
    """A destination that takes everything."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def reopen(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def logged(exchange: Exchange, status: int = 200, **ending: Any) -> dict[str, Any]:
    """The one line that this request leaves."""
    memory = Memory()
    log = AccessLog(LineWriter(memory, Clock()), lambda: 1_700_000_000.0426)
    log(exchange, status, ending.get("outcome", Outcome.DONE), ending.get("error"), 1234)
    log.close()
    assert memory.data.count(b"\n") == 1
    assert memory.data.endswith(b"\n")
    assert len(memory.data) < 16_000
    assert memory.data.decode()[:-1].isprintable()
    line: dict[str, Any] = json.loads(memory.data)
    return line


def test_a_line(make_exchange: MakeExchange) -> None:
    attempts = [
        Attempt(instance="vllm", error="upstream_timeout", duration_ms=30000.04),
        Attempt(instance="cloud", status=200, duration_ms=1500.06),
    ]
    assert logged(make_exchange(attempts=attempts, consumer="jack")) == {
        "time": "2023-11-14T22:13:20.042Z",
        "request_id": "req-1",
        "remote_addr": "192.0.2.7",
        "host": "gw.example",
        "request_method": "POST",
        "uri": "/v1/chat/completions",
        "status": 200,
        "body_bytes_sent": 1234,
        "request_length": 26,
        "request_time": 1.502,
        "upstream_response_time": 1.5,
        "apisix_upstream_response_time": 1500,
        "route_id": "vllm-route",
        "service_id": "llm",
        "consumer": "jack",
        "node": "cloud",
        "request_type": "ai_stream",
        "request_llm_model": "gpt-3",
        "llm_model": "llama-4",
        "llm_time_to_first_token": 250,
        "llm_prompt_tokens": 8,
        "llm_completion_tokens": 300,
        "llm_total_tokens": 308,
        "attempts": [
            {"instance": "vllm", "status": None, "error": "upstream_timeout", "duration_ms": 30000.0},
            {"instance": "cloud", "status": 200, "error": None, "duration_ms": 1500.1},
        ],
        "outcome": "done",
        "error": None,
        "http_user_agent": "curl/8.5",
    }


def test_a_request_that_got_nowhere(make_exchange: MakeExchange) -> None:
    line = logged(
        make_exchange(
            route=None,
            attempts=[],
            timeline=Timeline(started=5.0, finished=4.0),
            headers=Headers(),
            usage=Usage(),
            request_type="",
        ),
        404,
    )
    assert line["route_id"] is line["service_id"] is line["node"] is line["http_user_agent"] is None
    assert line["upstream_response_time"] is line["llm_time_to_first_token"] is None
    assert line["request_type"] == "traditional_http"
    assert line["request_time"] == 0
    assert line["attempts"] == []


def test_a_broken_stream(make_exchange: MakeExchange) -> None:
    line = logged(make_exchange(), outcome=Outcome.UPSTREAM_BROKE, error=UpstreamCutShort("secret details"))
    assert (line["outcome"], line["error"], line["status"]) == ("upstream_broke", "upstream_cut_short", 200)
    assert "secret" not in json.dumps(line)


def test_no_secret_gets_in(make_exchange: MakeExchange) -> None:
    assert "sk-in" not in json.dumps(logged(make_exchange()))


HOSTILE = [
    'x"}\n{"status":500',
    "\r\n\r\nfake",
    "\x00\x1b[31mred\x9b0m\x7f",
    "\u2028\u2029\x85",
    "lone \ud83d surrogate",
    "\udcff",
    "\\u000a\\n",
    "x" * 100_000,
    "€" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("id", "request_id"),
        ("path", "uri"),
        ("host", "host"),
        ("remote_addr", "remote_addr"),
        ("request_model", "request_llm_model"),
        ("model", "llm_model"),
        ("consumer", "consumer"),
    ],
)
def test_one_request_is_one_line(make_exchange: MakeExchange, field: str, name: str, text: str) -> None:
    line = logged(make_exchange(**{field: text}))
    assert line["status"] == 200
    assert len(line[name].encode()) <= 2048


@given(agent=st.binary(max_size=2000), method=st.binary(max_size=300), instance=st.text(max_size=300))
def test_whatever_bytes_come(agent: bytes, method: bytes, instance: str) -> None:
    agent = agent.replace(b"\r", b"").replace(b"\n", b"")  # Headers keeps these out by itself
    from_client = Exchange(
        id="1",
        method=method,
        target=b"/",
        path="/",
        headers=Headers({b"user-agent": [agent]}),
        body=b"",
        host="h",
        remote_addr="::1",
        scheme="http",
        route=None,
        params={},
        timeline=Timeline(started=0.0),
        attempts=[Attempt(instance=instance)],
    )
    assert logged(from_client)["status"] == 200


def test_a_lie_about_usage_does_not_break_the_line(make_exchange: MakeExchange) -> None:
    line = logged(make_exchange(usage=Usage(prompt_tokens=10**400, completion_tokens=-(10**400))))
    assert (line["llm_prompt_tokens"], line["llm_completion_tokens"]) == (2**53, 0)


def test_attempts_are_bounded(make_exchange: MakeExchange) -> None:
    attempts = [Attempt(instance=f"i{n}") for n in range(1000)]
    line = logged(make_exchange(attempts=attempts))
    assert len(line["attempts"]) == MOST_ATTEMPTS
    assert line["node"] == "i999"


def test_time_moves_on(make_exchange: MakeExchange) -> None:
    memory, moments = Memory(), iter([0.0, 0.9996, 1.0, 86399.5])
    log = AccessLog(LineWriter(memory, Clock()), lambda: next(moments))
    for _ in range(4):
        log(make_exchange(), 200, Outcome.DONE, None, 0)
    log.close()
    assert [json.loads(line)["time"] for line in memory.data.splitlines()] == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.999Z",
        "1970-01-01T00:00:01.000Z",
        "1970-01-01T23:59:59.500Z",
    ]


def test_off_is_no_observer() -> None:
    assert access_log("off", Clock()) is None


def test_a_file(tmp_path: Path, make_exchange: MakeExchange) -> None:
    path, clock = tmp_path / "access.log", Clock()
    log = access_log(str(path), clock)
    assert log is not None
    log(make_exchange(), 200, Outcome.DONE, None, 0)
    assert path.read_bytes() == b""
    clock.advance(1)
    assert json.loads(path.read_text())["status"] == 200
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0
    log.close()
    assert clock.getDelayedCalls() == []


def test_a_file_that_was_rotated(tmp_path: Path, make_exchange: MakeExchange) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    log = access_log(str(path), Clock())
    assert log is not None
    log(make_exchange(id="before"), 200, Outcome.DONE, None, 0)
    log.flush()
    path.rename(moved)
    log.reopen()
    assert path.read_bytes() == b""
    log(make_exchange(id="after"), 200, Outcome.DONE, None, 0)
    log.close()
    assert [json.loads(p.read_text())["request_id"] for p in (moved, path)] == ["before", "after"]


def test_a_file_that_can_not_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        access_log(str(tmp_path / "missing" / "access.log"), Clock())


def test_standard_output(capfd: pytest.CaptureFixture[str], make_exchange: MakeExchange) -> None:
    log = access_log("-", Clock())
    assert log is not None
    log(make_exchange(), 200, Outcome.DONE, None, 0)
    log.close()
    assert json.loads(capfd.readouterr().out)["status"] == 200
    os.fstat(1)
