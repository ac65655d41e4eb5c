"""Bedrock: the Converse API, whole and as an AWS event stream; each request has to be signed rightly.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and .../API_runtime_ConverseStream,
frames: https://smithy.io/2.0/aws/amazon-eventstream.html. Texts have no ``contentBlockStart``, and each event a member
``p`` whose only use is its length.
"""

from __future__ import annotations

import json
import re
import struct
import time
from binascii import crc32
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from aigw.testing.requests import Received
from aigw.testing.vendors.bedrock_request import ConverseRequest, heard, obey_rules
from aigw.testing.vendors.checking import Complaint, checked, decoded
from aigw.testing.vendors.scenario import Stop, Tokens, Turn, slices, words
from aigw.testing.vendors.sigv4 import Account, verify
from aigw.testing.vendors.vendor import Answer, Refused, Vendor, dumped, stream, whole

EVENT_STREAM = "application/vnd.amazon.eventstream"
SIGNATURE = "c2lnbmF0dXJlIG9mIGEgZmFrZQ=="
MODEL_ID = re.compile(r"[a-zA-Z0-9_.:-]+|arn:aws[\w-]*:bedrock:[a-z0-9-]{1,20}:\d{0,12}:[a-z-]+/[a-zA-Z0-9_.:/-]+")
EXCEPTIONS: Mapping[int, str] = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
STOPS: Mapping[Stop, str] = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.SEQUENCE: "stop_sequence",
    Stop.TOOLS: "tool_use",
    Stop.REFUSAL: "content_filtered",
    Stop.FILTER: "guardrail_intervened",
}


class Bedrock(Vendor):
    """``account``: whose signatures it takes. ``now``: Unix time, which the signatures' has to be near."""

    provider = "bedrock"
    routes = (
        ("POST", "/model/(?P<model>[^/]+)/converse", "converse"),
        ("POST", "/model/(?P<model>[^/]+)/converse-stream", "converse_stream"),
    )
    call_prefix = "tooluse_"

    def __init__(self, account: Account | None = None, *, now: Callable[[], float] = time.time, **fields: Any) -> None:
        super().__init__(**fields)
        self.account = account or Account()
        self._now = now

    def as_model(self, url: str, **fields: Any) -> dict[str, Any]:
        """With the keys of the account."""
        keys = {"access_key_id": self.account.access_key, "secret_access_key": self.account.secret_key}
        token = {} if self.account.token is None else {"session_token": self.account.token}
        conf = {"region": self.account.region}
        return super().as_model(url, **{"auth": {"aws": {**keys, **token}}, "provider_conf": conf, **fields})

    def authenticate(self, request: Received) -> None:
        """Check the signature.

        :raises Refused: if it is not right.
        """
        verify(request, self.account, "bedrock", self._now)

    def converse(self, request: Received, model: str) -> Answer:
        """All at once."""
        turn = self._turn(request, model, streams=False)
        message = {"role": "assistant", "content": _blocks(turn)}
        answer = {"metrics": {"latencyMs": 1}, "output": {"message": message}, "stopReason": STOPS[turn.stop]}
        return _answered(whole({**answer, "usage": usage(turn.tokens)}))

    def converse_stream(self, request: Received, model: str) -> Answer:
        """Bit by bit."""
        turn = self._turn(request, model, streams=True)
        message = "The system encountered an unexpected error during processing. Try your request again."
        broken = frame({"message": message}, exception="internalServerException")
        return _answered(stream(_events(turn), turn, broken, media_type=EVENT_STREAM))

    def refusal(self, refused: Refused) -> Answer:
        """An exception: its name is in a header."""
        status = 503 if refused.status == 529 else refused.status
        name = refused.code or EXCEPTIONS.get(status, "ValidationException")
        message = _worded(refused) if isinstance(refused, Complaint) else refused.message
        headers = {"x-amzn-requestid": "fake", "x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/fake/"}
        return whole({"message": message}, status, headers)

    def _turn(self, request: Received, model: str, *, streams: bool) -> Turn:
        if MODEL_ID.fullmatch(model) is None:
            raise Refused(400, "The provided model identifier is invalid.")
        asked, _ = checked(ConverseRequest, decoded(request.body))
        obey_rules(asked)
        return self.perform(heard(asked, model, streams))


def frame(payload: Any, **named: str) -> bytes:
    """One message of an event stream. Named: ``event``, or ``exception``."""
    ((kind, name),) = named.items()
    values = {":message-type": kind, f":{kind}-type": name, ":content-type": "application/json"}
    headers = b"".join(_header(name, value) for name, value in values.items())
    body = dumped(payload)
    prelude = struct.pack(">II", len(headers) + len(body) + 16, len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + body
    return message + struct.pack(">I", crc32(message))


def usage(tokens: Tokens) -> dict[str, Any]:
    """What Bedrock says of tokens: what is cached is no part of the input, but of the total."""
    told = {"inputTokens": tokens.prompt - tokens.cached - tokens.written, "outputTokens": tokens.completion}
    cached = {"cacheReadInputTokens": tokens.cached, "cacheWriteInputTokens": tokens.written}
    return {**told, "totalTokens": tokens.total, **cached}


def _events(turn: Turn) -> Iterator[bytes]:
    yield _padded("messageStart", {"role": "assistant"})
    for index, block in enumerate(_blocks(turn)):
        at = {"contentBlockIndex": index}
        if "toolUse" in block:
            start = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
            yield _padded("contentBlockStart", {**at, "start": {"toolUse": start}})
        for delta in _deltas(block):
            yield _padded("contentBlockDelta", {**at, "delta": delta})
        yield _padded("contentBlockStop", at)
    yield _padded("messageStop", {"stopReason": STOPS[turn.stop]})
    yield _padded("metadata", {"metrics": {"latencyMs": 1}, "usage": usage(turn.tokens)})


def _deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "text" in block:
        yield from ({"text": piece} for piece in words(block["text"]))
    elif "toolUse" in block:
        yield from ({"toolUse": {"input": piece}} for piece in slices(json.dumps(block["toolUse"]["input"])))
    else:
        text = block["reasoningContent"]["reasoningText"]
        yield from ({"reasoningContent": {"text": piece}} for piece in words(text["text"]))
        yield {"reasoningContent": {"signature": text["signature"]}}


def _blocks(turn: Turn) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if turn.thinking:
        blocks.append({"reasoningContent": {"reasoningText": {"text": turn.thinking, "signature": SIGNATURE}}})
    if turn.text:
        blocks.append({"text": turn.text})
    calls = [{"toolUseId": call.id, "name": call.name, "input": dict(call.arguments)} for call in turn.calls]
    return blocks + [{"toolUse": call} for call in calls]


def _padded(name: str, payload: Mapping[str, Any]) -> bytes:
    return frame({**payload, "p": "abcdefghijklmnopqrstuvwxyz"[: len(dumped(payload)) % 26]}, event=name)


def _header(name: str, value: str) -> bytes:
    """A header whose value is a string (type 7)."""
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value)) + value.encode()


def _answered(answer: Answer) -> Answer:
    return attrs.evolve(answer, headers={**answer.headers, "x-amzn-requestid": "fake"})


def _worded(complaint: Complaint) -> str:
    if complaint.problem == "missing":
        failed = "failed to satisfy constraint: Member must not be null"
        return f"1 validation error detected: Value null at '{complaint.dotted}' {failed}"
    return f"1 validation error detected: {complaint.message}"
