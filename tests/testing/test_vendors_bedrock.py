"""The fake of Bedrock: AWS's own signed examples, what it refuses, and its frames byte by byte."""

from __future__ import annotations

import json
import struct
from binascii import crc32
from collections.abc import Callable
from typing import Any

import pytest

from aigw.testing.requests import Received
from aigw.testing.vendors import Account, Answer, Bedrock, Refused, Scenario
from aigw.testing.vendors.bedrock import SIGNATURE, frame
from aigw.testing.vendors.scenario import BREAKS, BUSY, TALK_AND_CALL
from aigw.testing.vendors.sigv4 import verify

Asked = Callable[..., Answer]
CONVERSE, STREAM = "/model/m/converse", "/model/m/converse-stream"
HELLO: Any = {"role": "user", "content": [{"text": "Good day"}]}
USE = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"text": "Sun"}]}}
TOOLS = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}

EXAMPLE = Account(access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
WHEN = 1440938160.0
VECTORS = [
    ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
]
"""Of AWS's Signature Version 4 test suite: get-vanilla, post-vanilla, get-vanilla-query-order-key-case."""


def signed(method: str, target: str, signature: str, **changes: str) -> Received:
    headers = {
        "Host": "example.amazonaws.com",
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            f"SignedHeaders=host;x-amz-date, Signature={signature}"
        ),
        **changes,
    }
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return Received(head="\r\n".join(lines).encode())


@pytest.mark.parametrize(("method", "target", "signature"), VECTORS)
def test_aws_examples(method: str, target: str, signature: str) -> None:
    verify(signed(method, target, signature), EXAMPLE, "service", lambda: WHEN)


@pytest.mark.parametrize(
    ("changes", "now", "code"),
    [
        ({}, WHEN + 301, "InvalidSignatureException"),
        ({}, WHEN - 301, "InvalidSignatureException"),
        ({"X-Amz-Date": "yesterday"}, WHEN, "IncompleteSignatureException"),
        ({"X-Amz-Date": "20150831T123600Z"}, WHEN, "InvalidSignatureException"),
        ({"X-Amz-Target": "unsigned"}, WHEN, "InvalidSignatureException"),
        ({"Host": "elsewhere.example"}, WHEN, "InvalidSignatureException"),
        ({"Authorization": "Bearer x"}, WHEN, "MissingAuthenticationTokenException"),
        ({"X-Amz-Security-Token": "x"}, WHEN, "UnrecognizedClientException"),
    ],
)
def test_a_wrong_signature(changes: dict[str, str], now: float, code: str) -> None:
    with pytest.raises(Refused) as caught:
        verify(signed("GET", "/", VECTORS[0][2], **changes), EXAMPLE, "service", lambda: now)
    assert (caught.value.status, caught.value.code) == (403, code)


class Open(Bedrock):
    """It takes what nobody has signed."""

    def authenticate(self, request: Received) -> None:
        """Nothing is checked."""


REFUSALS: dict[str, tuple[Any, str]] = {
    "no messages": ({}, "Value null at 'messages'"),
    "an unknown member": ({"messages": [HELLO], "model": "m"}, "model"),
    "no start by the user": ({"messages": [{**HELLO, "role": "assistant"}]}, "must start with a user message"),
    "one role twice": ({"messages": [HELLO, HELLO]}, "must alternate"),
    "no content": ({"messages": [{"role": "user", "content": []}]}, "is empty"),
    "a blank text": ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "is blank"),
    "two members of a union": ({"messages": [{"role": "user", "content": [{"text": "a", **USE}]}]}, "exactly one"),
    "no member of a union": ({"messages": [{"role": "user", "content": [{}]}]}, "exactly one"),
    "no result": (
        {"messages": [HELLO, {"role": "assistant", "content": [USE]}, HELLO], "toolConfig": TOOLS},
        "Expected toolResult blocks at messages.2.content",
    ),
    "an unasked result": ({"messages": [{"role": "user", "content": [RESULT]}], "toolConfig": TOOLS}, "exceeds"),
    "uses without tools": (
        {"messages": [HELLO, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT]}]},
        "toolConfig field must be defined",
    ),
    "no tools": ({"messages": [HELLO], "toolConfig": {"tools": []}}, "toolConfig.tools"),
    "too hot": ({"messages": [HELLO], "inferenceConfig": {"temperature": 2}}, "temperature"),
}


def body_of(answer: Answer) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize("name", REFUSALS)
def test_it_refuses(name: str, asked: Asked) -> None:
    body, words = REFUSALS[name]
    answer = asked(Open(), CONVERSE, body)
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"].startswith("ValidationException:")
    assert words in body_of(answer)["message"]


def test_the_model_is_in_the_path(asked: Asked) -> None:
    arn = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-fake-v1:0"
    once = arn.replace(":", "%3A").replace("/", "%2F")
    body = {"messages": [HELLO]}
    assert asked(Open(), f"/model/{once}/converse", body).status == 200
    twice = once.replace("%", "%25")
    assert body_of(asked(Open(), f"/model/{twice}/converse", body))["message"].endswith("identifier is invalid.")
    assert asked(Open(), f"/model/{arn}/converse", body).status == 404


def frames(stream: bytes) -> list[tuple[dict[str, str], Any]]:
    found = []
    while stream:
        total, length = struct.unpack(">II", stream[:8])
        message, stream = stream[:total], stream[total:]
        assert crc32(message[:8]) == struct.unpack(">I", message[8:12])[0]
        assert crc32(message[:-4]) == struct.unpack(">I", message[-4:])[0]
        found.append((headers_of(message[12 : 12 + length]), json.loads(message[12 + length : -4])))
    return found


def headers_of(data: bytes) -> dict[str, str]:
    headers = {}
    while data:
        name, data = data[1 : 1 + data[0]].decode(), data[1 + data[0] :]
        kind, length = struct.unpack(">BH", data[:3])
        assert kind == 7
        headers[name], data = data[3 : 3 + length].decode(), data[3 + length :]
    return headers


def test_one_frame() -> None:
    """By hand, after the description of the format."""
    names = (
        b"\x0d:message-type\x07\x00\x05event\x0b:event-type\x07\x00\x01x\x0d:content-type\x07\x00\x10application/json"
    )
    prelude = struct.pack(">II", len(names) + 2 + 16, len(names))
    message = prelude + struct.pack(">I", crc32(prelude)) + names + b"{}"
    assert frame({}, event="x") == message + struct.pack(">I", crc32(message))


def test_a_stream(asked: Asked) -> None:
    thinking = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
    body = {"messages": [HELLO], "toolConfig": TOOLS, **thinking}
    answer = asked(Open(scenario=TALK_AND_CALL), STREAM, body)
    assert answer.media_type == "application/vnd.amazon.eventstream"
    said = frames(answer.body)
    names = [headers[":event-type"] for headers, _ in said]
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]
    assert names.count("contentBlockStart") == 1  # texts and thinking have none
    assert names.count("contentBlockStop") == 3
    assert all(set(payload["p"]) <= set("abcdefghijklmnopqrstuvwxyz") for _, payload in said)
    deltas = [payload["delta"] for headers, payload in said if headers[":event-type"] == "contentBlockDelta"]
    assert "".join(d["toolUse"]["input"] for d in deltas if "toolUse" in d) == '{"city": "Paris"}'
    assert {"reasoningContent": {"signature": SIGNATURE}} in deltas


def test_errors(asked: Asked) -> None:
    vendor = Open()
    vendor.will(BUSY, BREAKS, Scenario(status=424))
    body = {"messages": [HELLO]}
    busy = asked(vendor, CONVERSE, body)
    assert (busy.status, busy.headers["x-amzn-errortype"].split(":")[0]) == (503, "ServiceUnavailableException")
    headers, payload = frames(asked(vendor, STREAM, body).body)[-1]
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "internalServerException")
    assert "unexpected error" in payload["message"]
    assert asked(vendor, STREAM, body).headers["x-amzn-errortype"].startswith("ModelErrorException")
    assert asked(Bedrock(), CONVERSE, body).status == 403
