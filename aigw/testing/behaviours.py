"""Behaviours for a `FakeUpstream`: one that is good, and `play`, which does anything that can be written down.

play(head(200, b"text/event-stream"), event(chunk({"content": "Hi"})), SILENCE)
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aigw.testing import openai
from aigw.testing.upstream import Behaviour, Talk

FLUSH = 0.02
"""Seconds that the kernel gets to carry what was sent, before a reset would throw it away."""

TURN = 0.001
"""Seconds between two writes of what has no end, so that others get their turn."""

JSON, EVENTS = b"application/json", b"text/event-stream"


class Ending(enum.Enum):
    """How a connection ends, in place of going on."""

    CLOSE = "FIN"
    RESET = "RST"
    SILENCE = "nothing, until the other side closes"


CLOSE, RESET, SILENCE = Ending.CLOSE, Ending.RESET, Ending.SILENCE

Step = bytes | float | Ending | Iterable[bytes]
"""Bytes (or many of them) to send, seconds to wait, or an end."""


def play(*steps: Step) -> Behaviour:
    """Do this, then that."""

    async def behave(talk: Talk) -> None:
        for step in steps:
            await _do(step, talk)

    return behave


def answer(status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answer with a status and a JSON body (OpenAI's error object, if none is given)."""
    content = json.dumps(openai.error(status) if body is None else body).encode()
    return play(head(status, JSON, length=len(content), headers=headers) + content)


def unless_reused(behaviour: Behaviour, otherwise: Behaviour) -> Behaviour:
    """``behaviour`` for the first request of a connection, ``otherwise`` for those after it."""

    async def behave(talk: Talk) -> None:
        await (behaviour if talk.request.nth == 1 else otherwise)(talk)

    return behave


def chat(
    text: str | None = None,
    *,
    pieces: Iterable[str] | None = None,
    pace: float = 0.0,
    usage: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Behaviour:
    """A good model: whole or streamed, as asked for, with usage if asked for, calling the first tool it is offered.

    ``text``: what it says, by default the last message. ``pieces``: the same, as it is streamed. ``pace``: seconds
    between events. ``usage``: does this server know ``stream_options``? ``headers``: further ones.
    """
    fixed = None if pieces is None else list(pieces)

    async def behave(talk: Talk) -> None:
        body = talk.request.json()
        model = str(body.get("model", "fake"))
        said = "".join(fixed) if fixed is not None else text if text is not None else _last_words(body)
        calls = [openai.WEATHER_CALL] if body.get("tools") else []
        if not body.get("stream"):
            whole = openai.completion(said, model=model, tool_calls=calls)
            await answer(200, whole, headers)(talk)
            return
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        parts = fixed if fixed is not None else _words(said)
        await _stream(
            talk, openai.stream(parts, model=model, tool_calls=calls, with_usage=usage and asked), pace, headers
        )

    return behave


def endless(data: bytes, opening: bytes) -> Behaviour:
    """After ``opening``, send ``data`` again and again, as fast as it is taken."""

    async def behave(talk: Talk) -> None:
        talk.send(opening)
        while True:
            talk.send(data)
            await talk.sleep(TURN)
            await talk.writable()

    return behave


async def deaf(talk: Talk) -> None:
    """Accept, read nothing, say nothing."""
    talk.stop_reading()
    await talk.silence()


def head(
    status: int = 200,
    media_type: bytes = EVENTS,
    *,
    length: int | None = None,
    chunked: bool = False,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A response's head. Without ``length`` and ``chunked`` the body ends with the connection."""
    lines = [b"HTTP/1.1 %d Whatever" % status, b"Content-Type: " + media_type]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    lines += [f"{name}: {value}".encode("latin-1") for name, value in (headers or {}).items()]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def framed(data: bytes) -> bytes:
    """One chunk of the chunked coding (RFC 9112 section 7.1); ``b""`` is the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _do(step: Step, talk: Talk) -> None:
    if isinstance(step, bytes):
        talk.send(step)
    elif isinstance(step, int | float):
        await talk.sleep(step)
    elif isinstance(step, Ending):
        await _ENDINGS[step](talk)
    else:
        for data in step:
            talk.send(data)
            await talk.writable()


async def _close(talk: Talk) -> None:
    talk.close()


async def _reset(talk: Talk) -> None:
    if talk.request.written:
        await talk.sleep(FLUSH)
    talk.reset()


async def _be_silent(talk: Talk) -> None:
    await talk.silence()


_ENDINGS: Mapping[Ending, Callable[[Talk], Any]] = {
    Ending.CLOSE: _close,
    Ending.RESET: _reset,
    Ending.SILENCE: _be_silent,
}


async def _stream(talk: Talk, events: Iterable[bytes], pace: float, headers: Mapping[str, str] | None) -> None:
    talk.send(head(200, EVENTS, chunked=True, headers=headers))
    for data in events:
        talk.send(framed(data))
        await talk.writable()
        if pace:
            await talk.sleep(pace)
    talk.send(framed(b""))


def _last_words(body: Any) -> str:
    messages = body.get("messages") or [{}]
    content = messages[-1].get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word if index == 0 else f" {word}" for index, word in enumerate(words)]
