"""What a fake model does with a request, in no vendor's words: each vendor puts it into its own.

Without a word from the test it calls the first tool it is offered, and otherwise repeats what it was told last.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

OVERLOADED = 529
"""Anthropic's status for a vendor that is short of capacity; the others say 503."""

_SAMPLES: Mapping[Any, Any] = {"string": "Paris", "integer": 7, "number": 7.5, "boolean": True, "array": []}
_ARGUMENT_PIECE = 5
_WORDS = re.compile(r"\s*\S+\s*$|\s*\S+")


class Stop(enum.Enum):
    """Why the model stops."""

    END = "it has said everything"
    LENGTH = "it may not say more"
    SEQUENCE = "it came to one of the stop sequences"
    TOOLS = "it waits for the results of its calls"
    REFUSAL = "it does not want to"
    FILTER = "the vendor does not want it to"


@attrs.frozen(kw_only=True)
class Tokens:
    """``prompt``: all of the input, what is ``cached`` (read) and ``written`` to the cache included; ``completion``:
    all of the output, ``reasoning`` included.
    """

    prompt: int = 20
    completion: int = 10
    cached: int = 0
    written: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        """Of both."""
        return self.prompt + self.completion


@attrs.frozen
class Tool:
    """One that the model is offered. ``schema``: JSON Schema of its arguments."""

    name: str
    schema: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Call:
    """A call of a tool. ``id``: "" in a `Scenario`; each vendor makes up its own."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@attrs.frozen(kw_only=True)
class Heard:
    """What matters of a request. ``answered``: its last message is the result of a tool. ``forced``: the model has to
    call this tool ("" = any). ``thinks``: thinking was asked for.
    """

    model: str
    text: str = ""
    tools: Sequence[Tool] = ()
    answered: bool = False
    forced: str | None = None
    stops: Sequence[str] = ()
    streams: bool = False
    thinks: bool = False


@attrs.frozen(kw_only=True)
class Turn:
    """What the model says. ``breaks_after``: pieces of its stream after which an error comes in place of the rest."""

    text: str
    thinking: str
    calls: Sequence[Call]
    stop: Stop
    sequence: str | None
    tokens: Tokens
    breaks_after: int | None


@attrs.frozen(kw_only=True)
class Scenario:
    """What to do with a request, see `Turn`.

    ``text``: None = what was heard last. ``calls``: None = the first tool that is offered, once. ``thinking``: said
    first, where thinking was asked for. ``status``: 200, or that of the error that comes instead, after which
    ``retry_after`` seconds should pass.
    """

    text: str | None = None
    thinking: str = "Let me think."
    calls: Sequence[Call] | None = None
    stop: Stop = Stop.END
    tokens: Tokens = Tokens()
    status: int = 200
    retry_after: int | None = None
    breaks_after: int | None = None

    def turn(self, heard: Heard, prefix: str) -> Turn:
        """What to say to this. ``prefix``: of the calls' ids."""
        calls = [attrs.evolve(call, id=f"{prefix}{index}") for index, call in enumerate(self._calls(heard))]
        text = self.text if self.text is not None else "" if calls else heard.text
        stop = Stop.TOOLS if calls and self.stop is Stop.END else self.stop
        return Turn(
            text=text,
            thinking=self.thinking if heard.thinks else "",
            calls=calls,
            stop=stop,
            sequence=(list(heard.stops) or ["END"])[0] if stop is Stop.SEQUENCE else None,
            tokens=self.tokens,
            breaks_after=self.breaks_after,
        )

    def _calls(self, heard: Heard) -> Sequence[Call]:
        if self.calls is not None:
            return self.calls
        offered = [tool for tool in heard.tools if not heard.forced or tool.name == heard.forced]
        if not offered or self.stop is not Stop.END or (heard.answered and heard.forced is None):
            return ()
        return [Call(offered[0].name, _arguments_for(offered[0].schema))]


TEXT = Scenario()
TOOL_CALL = Scenario(calls=[Call("get_weather", {"city": "Paris"})])
PARALLEL_CALLS = Scenario(calls=[Call("get_weather", {"city": "Paris"}), Call("get_weather", {"city": "Rome"})])
TALK_AND_CALL = Scenario(text="I look it up.", calls=[Call("get_weather", {"city": "Paris"})])
CACHED = Scenario(tokens=Tokens(prompt=100, completion=10, cached=60, written=30, reasoning=4))
CUT = Scenario(text="It goes on and", stop=Stop.LENGTH)
STOPPED = Scenario(text="One, two, ", stop=Stop.SEQUENCE)
REFUSED = Scenario(text="I can't help with that.", stop=Stop.REFUSAL)
FILTERED = Scenario(text="What comes next is", stop=Stop.FILTER)
RATE_LIMITED = Scenario(status=429, retry_after=1)
BROKEN = Scenario(status=500)
BUSY = Scenario(status=OVERLOADED)
BREAKS = Scenario(text="This will not be all of it", breaks_after=2)

SCENARIOS: Mapping[str, Scenario] = {
    "text": TEXT,
    "tool-call": TOOL_CALL,
    "parallel-calls": PARALLEL_CALLS,
    "talk-and-call": TALK_AND_CALL,
    "cached": CACHED,
    "cut": CUT,
    "stopped": STOPPED,
    "refused": REFUSED,
    "filtered": FILTERED,
    "rate-limited": RATE_LIMITED,
    "broken": BROKEN,
    "busy": BUSY,
    "breaks": BREAKS,
}
"""By the name that a command line takes."""


def words(text: str) -> list[str]:
    """As a stream carries a text: a word at a time, each with the space before it."""
    return _WORDS.findall(text) or ([text] if text else [])


def slices(text: str) -> list[str]:
    """As a stream carries a call's arguments: cut anywhere."""
    return [text[start : start + _ARGUMENT_PIECE] for start in range(0, len(text), _ARGUMENT_PIECE)]


def _arguments_for(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    wanted = schema.get("required") or list(properties)
    return {name: _sample(properties.get(name) or {}) for name in wanted}


def _sample(schema: Mapping[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "object":
        return _arguments_for(schema)
    return _SAMPLES.get(schema.get("type"), "Paris")
