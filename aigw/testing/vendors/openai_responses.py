"""OpenAI's Responses API: requests read strictly, answers whole and as the full sequence of numbered events.

https://platform.openai.com/docs/api-reference/responses and .../responses-streaming; but in the ``error`` event, what
that page has beside the type stands in an object (https://github.com/openai/openai-dotnet/issues/881)
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aigw.testing.vendors.checking import checked
from aigw.testing.vendors.responses_request import ResponsesRequest, heard, obey_rules, with_types
from aigw.testing.vendors.scenario import Call, Stop, Tokens, Turn, slices, words
from aigw.testing.vendors.vendor import CREATED, Answer, Vendor, event, stream, whole

if TYPE_CHECKING:
    Item = dict[str, Any]

INCOMPLETE = {Stop.LENGTH: "max_output_tokens", Stop.FILTER: "content_filter"}
FAILURE = {"code": "server_error", "message": "The server had an error while processing your request."}


def answer_response(vendor: Vendor, document: Any) -> Answer:
    """Check the request and answer it.

    :raises Refused: if OpenAI would.
    """
    request, _ = checked(ResponsesRequest, with_types(document))
    obey_rules(request)
    turn = vendor.perform(heard(request))
    items = items_of(turn)
    if not request.stream:
        return whole(_ended(request, turn, items))
    numbers = itertools.count()
    events = list(_events(request, turn, items))
    numbered = [_numbered(kind, fields, next(numbers)) for kind, fields in events]
    cut = len(events) if turn.breaks_after is None else turn.breaks_after + 1
    failed = _response(request, "failed", []) | {"error": FAILURE}
    broken = _numbered("error", {"error": {"type": "server_error", **FAILURE, "param": None}}, cut)
    return stream(numbered, turn, broken + _numbered("response.failed", {"response": failed}, cut + 1))


def items_of(turn: Turn) -> list[Item]:
    """What the model says, as the items of the output."""
    items: list[Item] = []
    if turn.thinking:
        summary = [{"type": "summary_text", "text": turn.thinking}]
        items.append({"id": "rs_fake", "type": "reasoning", "summary": summary})
    if turn.text or not turn.calls:
        message = {"id": "msg_fake", "type": "message", "role": "assistant", "content": [_part(turn, turn.text)]}
        items.append({**message, "status": "incomplete" if turn.stop in INCOMPLETE else "completed"})
    return [*items, *map(_call, turn.calls)]


def usage(tokens: Tokens) -> dict[str, Any]:
    """What the Responses API says of tokens."""
    return {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.written},
        "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.total,
    }


def _events(request: ResponsesRequest, turn: Turn, items: list[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
    begun = {"response": _response(request, "in_progress", [])}
    yield "response.created", begun
    yield "response.in_progress", begun
    for index, item in enumerate(items):
        yield from (
            (f"response.{kind}", {"output_index": index, **fields}) for kind, fields in _item_events(turn, item)
        )
    ended = _ended(request, turn, items)
    yield f"response.{ended['status']}", {"response": ended}


def _item_events(turn: Turn, item: Item) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "output_item.added", {"item": {**item, **_EMPTY[item["type"]]}}
    inside = {"message": _text_events, "reasoning": _reasoning_events, "function_call": _call_events}[item["type"]]
    yield from ((kind, {"item_id": item["id"], **fields}) for kind, fields in inside(turn, item))
    yield "output_item.done", {"item": item}


_EMPTY: Mapping[str, Mapping[str, Any]] = {
    "message": {"content": [], "status": "in_progress"},
    "reasoning": {"summary": []},
    "function_call": {"arguments": "", "status": "in_progress"},
}
"""What is different of an item that has only begun."""


def _text_events(turn: Turn, item: Item) -> Iterator[tuple[str, dict[str, Any]]]:
    refuses = turn.stop is Stop.REFUSAL
    kind = "refusal" if refuses else "output_text"
    more: dict[str, Any] = {} if refuses else {"logprobs": []}
    yield "content_part.added", {"content_index": 0, "part": _part(turn, "")}
    for piece in words(turn.text):
        yield f"{kind}.delta", {"content_index": 0, "delta": piece, **more}
    yield f"{kind}.done", {"content_index": 0, "refusal" if refuses else "text": turn.text, **more}
    yield "content_part.done", {"content_index": 0, "part": item["content"][0]}


def _reasoning_events(turn: Turn, item: Item) -> Iterator[tuple[str, dict[str, Any]]]:
    empty, full = {"type": "summary_text", "text": ""}, item["summary"][0]
    yield "reasoning_summary_part.added", {"summary_index": 0, "part": empty}
    for piece in words(turn.thinking):
        yield "reasoning_summary_text.delta", {"summary_index": 0, "delta": piece}
    yield "reasoning_summary_text.done", {"summary_index": 0, "text": turn.thinking}
    yield "reasoning_summary_part.done", {"summary_index": 0, "part": full}


def _call_events(turn: Turn, item: Item) -> Iterator[tuple[str, dict[str, Any]]]:
    for piece in slices(item["arguments"]):
        yield "function_call_arguments.delta", {"delta": piece}
    yield "function_call_arguments.done", {"arguments": item["arguments"], "name": item["name"]}


def _part(turn: Turn, text: str) -> dict[str, Any]:
    if turn.stop is Stop.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(call: Call) -> Item:
    what = {"call_id": call.id, "name": call.name, "arguments": json.dumps(dict(call.arguments))}
    return {"id": f"fc_{call.id}", "type": "function_call", "status": "completed", **what}


def _ended(request: ResponsesRequest, turn: Turn, items: list[Item]) -> dict[str, Any]:
    reason = INCOMPLETE.get(turn.stop)
    response = _response(request, "incomplete" if reason else "completed", items)
    details = {"reason": reason} if reason else None
    return response | {"incomplete_details": details, "usage": usage(turn.tokens)}


def _response(request: ResponsesRequest, status: str, output: list[Item]) -> dict[str, Any]:
    return {
        "id": "resp_fake",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "output": output,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "reasoning": {"effort": None, "summary": None},
        "store": request.store is not False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": request.text or {"format": {"type": "text"}},
        "tool_choice": request.tool_choice or "auto",
        "tools": request.tools or [],
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": request.truncation or "disabled",
        "usage": None,
        "user": request.user,
        "metadata": request.metadata or {},
    }


def _numbered(kind: str, fields: Mapping[str, Any], number: int) -> bytes:
    return event({"type": kind, "sequence_number": number, **fields}, kind)
