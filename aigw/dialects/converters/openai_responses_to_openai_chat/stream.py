"""A stream of chat completion chunks as the events of a response.

One item of text or reasoning is open at a time, and any number of calls, whose pieces may come in turns. All end with
the finish reason; the response itself ends with the stream, because usage comes last.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from aigw.dialects.body import Body
from aigw.dialects.converters.openai_responses_to_openai_chat.completion import (
    calls_in,
    function_in,
    incomplete_reason,
    logprobs_in,
    refusal_in,
    string,
    text_in,
)
from aigw.dialects.converters.openai_responses_to_openai_chat.events import Call, Sender, Speech
from aigw.dialects.converters.openai_responses_to_openai_chat.request import wants_logprobs
from aigw.dialects.converters.openai_responses_to_openai_chat.response import Envelope, envelope_of
from aigw.dialects.converters.reading import Object
from aigw.dialects.openai_chat import first_choice
from aigw.dialects.rawjson import object_of
from aigw.dialects.reasoning import reasoning_in
from aigw.dialects.sse import EventSplitter, data_of, events
from aigw.dialects.usage import Usage, record
from aigw.errors import UpstreamReplyTooLarge


class ResponseEvents:
    """A `ConvertedStream`."""

    def __init__(self, request: Body, now: int) -> None:
        self._request = request
        self._now = now
        self._splitter = EventSplitter()
        self._sender = Sender()
        self._response: OpenResponse | None = None
        self._over = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events that these bytes make.

        :raises UpstreamReplyTooLarge: if the answer, or one event, is too long to be kept.
        """
        self._take_all(self._splitter.feed(data))
        if self._splitter.overlong:
            raise UpstreamReplyTooLarge("the upstream's stream has an event too long to be converted")
        return self._sender.leaving()

    def close(self) -> list[bytes]:
        """The end, if ``[DONE]`` has not brought it yet."""
        self._take_all(self._splitter.rest())
        self._end()
        return self._sender.leaving()

    def _take_all(self, stretch: bytes) -> None:
        for event in events(stretch):
            if self._over:
                return
            self._take(event)

    def _take(self, event: bytes) -> None:
        data = data_of(event)
        if not data:
            if event.startswith(b":"):
                self._sender.ping()
        elif data.strip() == b"[DONE]":
            self._end()
        else:
            chunk = object_of(data)
            if isinstance(chunk.get("choices"), list):
                self._open(chunk).take(chunk)

    def _open(self, chunk: Object) -> OpenResponse:
        if self._response is None:
            envelope = envelope_of(self._request, chunk, self._now)
            self._response = OpenResponse(self._sender, envelope, wants_logprobs(self._request))
        return self._response

    def _end(self) -> None:
        if not self._over:
            self._open({}).end()
            self._over = True


class OpenResponse:
    """A response that grows."""

    def __init__(self, sender: Sender, envelope: Envelope, logprobs: bool) -> None:
        self._sender = sender
        self._envelope = envelope
        self._logprobs = logprobs
        self._usage = Usage()
        self._told_usage = self._finished = False
        self._reason: str | None = None
        self._places = 0
        self._speech: Speech | None = None
        self._calls: dict[int, Call] = {}
        self._output: dict[int, Raw] = {}
        response = {"response": envelope.response("in_progress", [], None)}
        sender.send("response.created", response)
        sender.send("response.in_progress", response)

    def take(self, chunk: Object) -> None:
        """One chunk."""
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._told_usage = True
            record(self._usage, usage)
        choice = first_choice(chunk)
        delta = choice.get("delta")
        if self._finished or not choice:
            return
        if isinstance(delta, dict):
            self._take_delta(delta, choice)
        if choice.get("finish_reason"):
            self._reason = incomplete_reason(choice)
            self._finish()

    def end(self) -> None:
        """The stream is over."""
        self._finish()
        status = self._status
        output = [self._output[place] for place in sorted(self._output)]
        usage = self._usage if self._told_usage else None
        response = self._envelope.response(status, output, usage, self._reason)
        self._sender.send(f"response.{status}", {"response": response})

    @property
    def _status(self) -> str:
        return "incomplete" if self._reason else "completed"

    def _take_delta(self, delta: Object, choice: Object) -> None:
        if thought := reasoning_in(delta)[1]:
            self._speaking(reasoning=True).grow("reasoning_text", thought)
        if text := text_in(delta):
            self._speaking().grow("output_text", text, logprobs_in(choice) if self._logprobs else ())
        if refusal := refusal_in(delta):
            self._speaking().grow("refusal", refusal)
        for position, call in enumerate(calls_in(delta)):
            self._take_call(call, position)

    def _speaking(self, *, reasoning: bool = False) -> Speech:
        """The item of text or of reasoning that is open; the other one ends."""
        if self._speech is not None and self._speech.reasoning is not reasoning:
            self._end_speech("completed")
        if self._speech is None:
            self._speech = Speech(self._sender, self._envelope, self._next_place(), reasoning=reasoning)
        return self._speech

    def _take_call(self, piece: Object, position: int) -> None:
        """A piece of a call. Those of one call have one ``index``; where a server gives all calls the same one, or
        none, another id tells them apart.
        """
        index: Any = piece.get("index")
        index = index if type(index) is int else position
        identity = string(piece.get("id"))
        name, arguments = function_in(piece)
        call = self._calls.get(index)
        if call is None or _is_another(call, name, identity, piece):
            if call is not None:
                self._end_call(index)
            self._end_speech("completed")
            call = self._calls[index] = Call(self._sender, self._envelope, self._next_place(), identity)
        call.grow(name, arguments)

    def _next_place(self) -> int:
        self._places += 1
        return self._places - 1

    def _finish(self) -> None:
        """All items end; a response without any gets a message in which nothing is said."""
        if self._finished:
            return
        self._finished = True
        if not self._places:
            self._speaking().grow("output_text", "")
        self._end_speech(self._status)
        for index in list(self._calls):
            self._end_call(index, self._status)

    def _end_speech(self, status: str) -> None:
        if self._speech is not None:
            speech, self._speech = self._speech, None
            self._output[speech.index] = speech.end(status)

    def _end_call(self, index: int, status: str = "completed") -> None:
        call = self._calls.pop(index)
        self._output[call.index] = call.end(status)


def _is_another(call: Call, name: str, identity: str, piece: Object) -> bool:
    """Does a piece in the place of a call begin another one?"""
    if not name or not call.name:
        return False
    return identity != call.given if identity else type(piece.get("index")) is not int
