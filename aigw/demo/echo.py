"""A model that says what it was told, in OpenAI's chat format: complete or as a stream, with usage; and, if asked, late
or with an error. It needs no key and no network.

The header ``X-Echo: status=503, delay=2, model=echo-a`` asks for a status other than 200, for seconds of silence before
the status, and says which model this is meant for (any, if left away).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from aigw.ports import Clock

SECONDS_PER_WORD = 0.02
LONGEST_DELAY = 600.0
MAX_BODY = 8 * 1024 * 1024


def echo_site(clock: Clock, name: str = "demo") -> Site:
    """The model as a site: ``POST /v1/chat/completions`` and ``GET /v1/models``; its answers begin with its name."""
    return EchoSite(EchoModel(clock, name), reactor=clock)  # type: ignore[no-untyped-call]


class EchoSite(Site):
    """A site that does not fill the log of the gateway it demonstrates."""

    noisy = False
    displayTracebacks = False

    def log(self, request: http.Request) -> None:
        """Nothing."""


@attrs.frozen(kw_only=True)
class Wish:
    """What ``X-Echo`` asks for."""

    status: int = 200
    delay: float = 0.0


def wish_for(model: str, header: str) -> Wish:
    """Read ``X-Echo`` for a model; what can't be understood is left out."""
    said = dict(re.findall(r"(\w+)\s*=\s*([^\s,]+)", header))
    if said.get("model", model) != model:
        return Wish()
    status, delay = said.get("status", "200"), said.get("delay", "0")
    return Wish(
        status=int(status) if re.fullmatch(r"[2-5]\d\d", status) else 200,
        delay=min(float(delay), LONGEST_DELAY) if re.fullmatch(r"\d+(\.\d+)?", delay) else 0.0,
    )


class EchoModel(Resource):
    """Answers every path below it."""

    isLeaf = True

    def __init__(self, clock: Clock, name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._name = name

    def render_GET(self, request: Request) -> bytes:
        """The models there are, whatever the path."""
        return _json(request, 200, {"object": "list", "data": [{"id": "echo", "object": "model", "owned_by": "demo"}]})

    def render_POST(self, request: Request) -> bytes | int:
        """A chat completion."""
        try:
            assert request.content is not None
            body = json.loads(request.content.read(MAX_BODY))
            messages = [_words(message) for message in body["messages"]]
            last = messages[-1]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return _json(request, 400, _error(400, "expected a JSON object with messages"))
        model = str(body.get("model", "echo"))
        wish = wish_for(model, (request.requestHeaders.getRawHeaders("x-echo") or [""])[0])
        words = [f"{self._name}:", "you", "said", *last]
        answer = Answer(request, self._clock, model, words, body, prompt_tokens=sum(map(len, messages)))
        answer.begin(wish)
        return NOT_DONE_YET


class Answer:
    """One answer on its way: after the delay its status, then a word at a time."""

    def __init__(
        self, request: Request, clock: Clock, model: str, words: list[str], body: dict[str, Any], prompt_tokens: int
    ) -> None:
        self._request = request
        self._clock = clock
        self._model = model
        self._words = words
        self._streams = bool(body.get("stream"))
        options = body.get("stream_options")
        self._tells_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        self._usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(words),
            "total_tokens": prompt_tokens + len(words),
        }
        self._timer: IDelayedCall | None = None
        finished: Deferred[None] = request.notifyFinish()
        finished.addErrback(self._client_left)

    def begin(self, wish: Wish) -> None:
        """Answer as was wished for."""
        answer = (self._send_error, wish.status) if wish.status != 200 else (self._send, None)
        self._timer = self._clock.callLater(wish.delay, *answer)

    def _client_left(self, reason: Failure) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _send_error(self, status: int) -> None:
        if status == 429:
            self._request.setHeader(b"retry-after", b"1")
        self._request.write(_json(self._request, status, _error(status, f"demo: status {status}, as asked for")))
        self._request.finish()

    def _send(self, _: None) -> None:
        if self._streams:
            self._request.setHeader(b"content-type", b"text/event-stream")
            self._events = self._event_stream()
            self._send_next()
            return
        message = {"role": "assistant", "content": " ".join(self._words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = self._object("chat.completion", [choice]) | {"usage": self._usage}
        self._request.write(_json(self._request, 200, whole))
        self._request.finish()

    def _send_next(self) -> None:
        event = next(self._events, None)
        if event is None:
            self._request.write(b"data: [DONE]\n\n")
            self._request.finish()
        else:
            self._request.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            self._timer = self._clock.callLater(SECONDS_PER_WORD, self._send_next)

    def _event_stream(self) -> Iterator[dict[str, Any]]:
        yield self._chunk({"role": "assistant", "content": ""}, None)
        for index, word in enumerate(self._words):
            yield self._chunk({"content": word if index == 0 else f" {word}"}, None)
        yield self._chunk({}, "stop")
        if self._tells_usage:
            yield self._object("chat.completion.chunk", []) | {"usage": self._usage}

    def _chunk(self, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
        return self._object("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": finish}])

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": "chatcmpl-demo", "object": kind, "created": 0, "model": self._model, "choices": choices}


def _words(message: dict[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content)
    return str(content or "").split()


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "demo", "code": str(status), "param": None}}


def _json(request: Request, status: int, value: object) -> bytes:
    body = json.dumps(value).encode()
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", b"%d" % len(body))
    return body
