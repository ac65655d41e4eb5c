"""Stages that watch and change nothing."""

from __future__ import annotations

import functools
import json

import pytest

from aigw.dialects.dialect import Verdict
from aigw.dialects.openai_chat import OpenAIChat
from aigw.dialects.passthrough import Passthrough
from aigw.dialects.usage import Usage
from aigw.errors import UpstreamError
from aigw.llm.scrubbing import Scrubber
from aigw.llm.watching import TAIL, Opening, UsageInTail, Watched
from aigw.testing import openai

CHAT = OpenAIChat()
KEY = "sk-0123456789"
ROLE = openai.event(openai.chunk({"role": "assistant", "content": ""}))
WORD = openai.event(openai.chunk({"content": "Hi"}))


def test_the_first_real_event_is_told_once_wherever_the_stream_is_cut() -> None:
    stream = openai.PING + ROLE + WORD + WORD
    for cut in range(len(stream) + 1):
        told: list[Verdict] = []
        opening = Opening(CHAT.holder(), told.append)
        known = [opening.judge(part) for part in (stream[:cut], stream[cut:])]
        assert known == [cut >= len(openai.PING + ROLE + WORD), True]
        assert told == [opening.verdict] == [Verdict.REAL]


def test_pings_and_roles_are_not_told() -> None:
    told: list[Verdict] = []
    opening = Opening(CHAT.holder(), told.append)
    assert not opening.judge(openai.PING + ROLE)
    assert (opening.verdict, told) == (Verdict.WAIT, [])


def test_an_error_is_told_for_what_it_is() -> None:
    told: list[Verdict] = []
    opening = Opening(CHAT.holder(), told.append)
    assert opening.judge(openai.event(openai.error(500)))
    assert opening.judge(WORD)
    assert told == [Verdict.FAILED]


def test_a_watched_stream_passes_and_its_end_is_told_once_it_is_there() -> None:
    stream = ROLE + WORD + openai.event(openai.chunk({}, finish="stop")) + openai.DONE
    for cut in range(len(stream)):
        ends: list[str] = []
        told: list[Verdict] = []
        opening = Opening(CHAT.holder(), told.append)
        stage = Watched(
            CHAT.watch(Usage(), False),
            scrubber=Scrubber([]),
            over=functools.partial(ends.append, "over"),
            opening=opening,
        )
        begun = stage.feed(stream[:cut])
        assert ends == []
        assert b"".join(begun + stage.feed(stream[cut:])) == stream
        assert ends == ["over"]
        assert (told, stage.close()) == ([Verdict.REAL], [])


def test_a_watched_streams_errors_tell_no_credentials() -> None:
    ends: list[str] = []
    over = functools.partial(ends.append, "over")
    told: list[Verdict] = []
    stage = Watched(
        CHAT.watch(Usage(), False),
        scrubber=Scrubber([KEY]),
        over=over,
        opening=Opening(CHAT.holder(), told.append),
    )
    failed = openai.event(openai.error(500, f"what is {KEY}?"))
    assert stage.feed(WORD + failed) == [WORD]
    assert ends == ["over"]
    assert told == [Verdict.REAL]
    with pytest.raises(UpstreamError, match=r"what is \*\*\*\*\?$"):
        stage.close()
    stage = Watched(CHAT.watch(Usage(), False), scrubber=Scrubber([KEY]), over=over)
    with pytest.raises(UpstreamError, match=r"what is \*\*\*\*\?$"):
        stage.feed(failed)
    assert ends == ["over"]


LONG = json.dumps({"choices": [{"text": '"usage": {"prompt_tokens": 99}' + "x" * 3 * TAIL}], "usage": openai.USAGE})

BODIES: list[tuple[str, tuple[int, int]]] = [
    (LONG, (7, 3)),
    (json.dumps(openai.completion()), (7, 3)),
    (json.dumps({"usage": openai.USAGE, "id": "x"}), (7, 3)),
    (json.dumps({"usage": openai.USAGE, "text": "x" * 2 * TAIL}), (0, 0)),
    (json.dumps({"outer": {"usage": openai.USAGE}}), (0, 0)),
    (json.dumps({"text": '"usage":{"prompt_tokens":99}'}), (0, 0)),
    ('{"usage": {"prompt_tokens": 9', (0, 0)),
    ('{"usage":', (0, 0)),
    ("", (0, 0)),
]


@pytest.mark.parametrize(("body", "tokens"), BODIES, ids=[str(i) for i in range(len(BODIES))])
@pytest.mark.parametrize("size", [1, 7, 1000, TAIL - 1, TAIL, TAIL + 1, 10**9])
def test_usage_is_found_in_the_last_bytes_however_they_come(body: str, tokens: tuple[int, int], size: int) -> None:
    usage, data = Usage(), body.encode()
    stage = UsageInTail(Passthrough(), usage)
    if size < 7 and len(data) > 2 * TAIL:
        data = data[-2 * TAIL :]
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert [out for piece in pieces for out in stage.feed(piece)] == pieces
    assert stage.close() == []
    assert (usage.prompt_tokens, usage.completion_tokens) == tokens
