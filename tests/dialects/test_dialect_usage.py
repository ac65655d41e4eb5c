"""Token counts, whoever tells them."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.dialects.usage import Usage, record, record_body

CHAT = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
RESPONSES = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 15,
}
FULL = Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15, cached_tokens=4, reasoning_tokens=3)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (CHAT, FULL),
        (RESPONSES, FULL),
        ({"prompt_tokens": 8, "total_tokens": 8}, Usage(prompt_tokens=8, total_tokens=8)),
        ({"prompt_tokens": 8, "completion_tokens": 2}, Usage(prompt_tokens=8, completion_tokens=2, total_tokens=10)),
        ({"prompt_tokens": 8, "prompt_cache_hit_tokens": 6}, Usage(prompt_tokens=8, total_tokens=8, cached_tokens=6)),
        ({"prompt_tokens": 8.0}, Usage(prompt_tokens=8, total_tokens=8)),
        ({"prompt_tokens": "8", "completion_tokens": -1, "total_tokens": True}, Usage()),
        ({"prompt_tokens": 10**40, "completion_tokens": 1e300, "total_tokens": float("nan")}, Usage()),
        ({"prompt_tokens": 1, "prompt_tokens_details": [], "completion_tokens_details": "x"}, None),
        ({}, Usage()),
        (None, Usage()),
        ([1], Usage()),
        ("text", Usage()),
    ],
)
def test_records_what_is_sane(told: Any, expected: Usage | None) -> None:
    usage = Usage()
    record(usage, told)
    assert usage == (expected or Usage(prompt_tokens=1, total_tokens=1))


def test_a_later_count_replaces_and_a_missing_one_does_not() -> None:
    usage = Usage()
    record(usage, {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11})
    record(usage, {"completion_tokens": 7})
    assert usage == Usage(prompt_tokens=10, completion_tokens=7, total_tokens=17)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"choices":[{"message":{"content":"\\"usage\\":{}"}}],"usage":{"prompt_tokens":1,"total_tokens":1},"x":1}',
        b'{"choices":[{"usage":{"prompt_tokens":99}}],"usage": {"prompt_tokens": 1}}',
        b'{"choices":[{"message":{"content":"cut \\ud83d"}}],"usage":{"prompt_tokens":1}}',
    ],
)
def test_finds_the_usage_of_a_complete_reply(raw: bytes) -> None:
    usage = Usage()
    record_body(usage, raw)
    assert usage == Usage(prompt_tokens=1, total_tokens=1)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"usage":null}',
        b'{"usage":7}',
        b'{"usage":{"prompt_tokens":1}',
        b'{"a":"\xff\\ud83d',
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_a_reply_that_tells_no_usage_changes_nothing(raw: bytes) -> None:
    usage = Usage()
    record_body(usage, raw)
    assert usage == Usage()
