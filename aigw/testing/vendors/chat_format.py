"""Answers in OpenAI's chat format, whole and streamed, with what a vendor does differently as data.

https://platform.openai.com/docs/api-reference/chat/object and .../chat-streaming
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs

from aigw.testing.vendors.chat_request import ChatRequest, heard, obey_rules
from aigw.testing.vendors.checking import checked
from aigw.testing.vendors.scenario import Call, Stop, Tokens, Turn, slices, words
from aigw.testing.vendors.vendor import CREATED, Answer, Vendor, event, stream, whole

DONE = b"data: [DONE]\n\n"
FINISH: Mapping[Stop, str] = {
    Stop.END: "stop",
    Stop.LENGTH: "length",
    Stop.SEQUENCE: "stop",
    Stop.TOOLS: "tool_calls",
    Stop.REFUSAL: "stop",
    Stop.FILTER: "content_filter",
}


def usage(tokens: Tokens) -> dict[str, Any]:
    """What OpenAI says of tokens: both details are parts of what they detail."""
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def error_event(message: str, **fields: Any) -> bytes:
    """What comes in mid-stream, before the connection closes without ``[DONE]``."""
    return event({"error": {"message": message, "type": "server_error", "param": None, "code": None, **fields}})


@attrs.frozen(kw_only=True)
class ChatFormat:
    """One vendor's way of it.

    ``request``: what it takes; ``lenient``: it takes no notice of the rest. ``reasoning``: the field that carries the
    thinking; None = it is kept secret. ``refusals``: refusing has a field of its own. ``usage_with``: of a stream, the
    usage stands in a chunk of its own, in that of the ``finish`` reason, or in every one. ``usage_always``: asked for
    or not.
    ``whole_calls``: a call is streamed in one piece. ``extra``: further members of each object. ``opening``: what a
    stream begins with. ``broken``: how it ends in trouble. ``dress``: changes each choice (also those of chunks).
    """

    request: type[ChatRequest] = ChatRequest
    lenient: bool = False
    reasoning: str | None = None
    refusals: bool = False
    usage: Callable[[Tokens], dict[str, Any]] = usage
    usage_with: Literal["own", "finish", "every"] = "own"
    usage_always: bool = False
    whole_calls: bool = False
    id: str = "chatcmpl-fake"
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    opening: Sequence[bytes] = ()
    broken: bytes = error_event("The server had an error while processing your request. Sorry about that!")
    dress: Callable[[dict[str, Any]], dict[str, Any]] = lambda choice: choice

    def answer(self, vendor: Vendor, document: Any, *, thinks: bool = False) -> Answer:
        """Check the request and answer it.

        :raises Refused: if the vendor would.
        """
        request, ignored = checked(self.request, document, lenient=self.lenient)
        vendor.ignored += ignored
        obey_rules(request)
        turn = vendor.perform(heard(request, thinks))
        if not request.stream:
            return whole(self.completion(turn, request.model))
        with_usage = self.usage_always or bool(request.stream_options and request.stream_options.include_usage)
        return stream(self.chunks(turn, request.model, with_usage), turn, self.broken, self.opening)

    def completion(self, turn: Turn, model: str) -> dict[str, Any]:
        """All at once."""
        message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
        if self.refusals:
            message["refusal"] = None
        if self.refusals and turn.stop is Stop.REFUSAL:
            message |= {"content": None, "refusal": turn.text}
        if self.reasoning and turn.thinking:
            message[self.reasoning] = turn.thinking
        if turn.calls:
            message["tool_calls"] = [_call(call) for call in turn.calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[turn.stop]}
        return self._object("chat.completion", model, [choice]) | {"usage": self.usage(turn.tokens)}

    def chunks(self, turn: Turn, model: str, with_usage: bool) -> Iterator[bytes]:
        """Bit by bit."""
        told = {"usage": self.usage(turn.tokens)}
        none: dict[str, Any] = {"usage": None}
        where = self.usage_with if with_usage else "nowhere"
        along = {"own": none, "every": told}.get(where, {})
        for delta in self._deltas(turn):
            yield self._chunk(model, delta, None, along)
        yield self._chunk(model, {}, FINISH[turn.stop], told if where == "finish" else along)
        if where == "own":
            yield event(self._object("chat.completion.chunk", model, []) | told)
        yield DONE

    def _deltas(self, turn: Turn) -> Iterator[dict[str, Any]]:
        says = "refusal" if self.refusals and turn.stop is Stop.REFUSAL else "content"
        yield {"role": "assistant", "content": None if turn.calls and not turn.text else ""}
        if self.reasoning:
            yield from ({self.reasoning: piece, "content": None} for piece in words(turn.thinking))
        yield from ({says: piece} for piece in words(turn.text))
        for index, call in enumerate(turn.calls):
            yield from ({"tool_calls": [{"index": index, **part}]} for part in self._parts(call))

    def _parts(self, call: Call) -> Iterator[dict[str, Any]]:
        """Of a call: its name comes first, then its arguments, cut anywhere."""
        if self.whole_calls:
            yield _call(call)
            return
        yield _call(call) | {"function": {"name": call.name, "arguments": ""}}
        yield from ({"function": {"arguments": piece}} for piece in slices(json.dumps(dict(call.arguments))))

    def _chunk(self, model: str, delta: Mapping[str, Any], finish: str | None, more: Mapping[str, Any]) -> bytes:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return event({**self._object("chat.completion.chunk", model, [choice]), **more})

    def _object(self, kind: str, model: str, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        about = {"id": self.id, "object": kind, "created": CREATED, "model": model}
        return {**about, **self.extra, "choices": [self.dress(choice) for choice in choices]}


def _call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(dict(call.arguments))}
    return {"id": call.id, "type": "function", "function": function}
