"""What a fake model does when nobody tells it, and how requests are checked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.testing.vendors.checking import Complaint, Strict, checked
from aigw.testing.vendors.scenario import SCENARIOS, TEXT, Call, Heard, Scenario, Stop, Tool, slices, words

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["celsius", "kelvin"]},
        "days": {"type": "integer"},
        "where": {"type": "object", "properties": {"north": {"type": "number"}}},
        "exact": {"type": "boolean"},
    },
    "required": ["city", "unit", "days", "where"],
}
TOOLS = [Tool("get_weather", SCHEMA), Tool("get_time")]


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (Heard(model="m", text="Good day"), []),
        (Heard(model="m", text="Good day", tools=TOOLS), ["get_weather"]),
        (Heard(model="m", text="Sun", tools=TOOLS, answered=True), []),
        (Heard(model="m", text="Sun", tools=TOOLS, forced="get_time"), ["get_time"]),
        (Heard(model="m", text="Sun", tools=TOOLS, answered=True, forced=""), ["get_weather"]),
    ],
)
def test_without_a_scenario(heard: Heard, said: list[str]) -> None:
    turn = TEXT.turn(heard, "call_")
    assert [call.name for call in turn.calls] == said
    assert (turn.text, turn.stop) == (("", Stop.TOOLS) if said else (heard.text, Stop.END))


def test_a_call_has_arguments_as_the_tool_wants_them() -> None:
    (call,) = TEXT.turn(Heard(model="m", tools=TOOLS), "call_").calls
    expected = {"city": "Paris", "unit": "celsius", "days": 7, "where": {"north": 7.5}}
    assert call == Call("get_weather", expected, "call_0")


def test_it_thinks_where_it_is_asked_to() -> None:
    thinking = [TEXT.turn(Heard(model="m", thinks=thinks), "").thinking for thinks in (True, False)]
    assert thinking == ["Let me think.", ""]


def test_a_stop_sequence_is_one_of_the_requests() -> None:
    turn = SCENARIOS["stopped"].turn(Heard(model="m", stops=["three", "four"]), "")
    assert turn.sequence == "three"
    assert Scenario(stop=Stop.SEQUENCE).turn(Heard(model="m"), "").sequence == "END"


@given(st.text())
def test_pieces_come_to_the_whole(text: str) -> None:
    assert "".join(words(text)) == text
    assert "".join(slices(text)) == text


class Inner(Strict):
    name: str


class Outer(Strict):
    inner: list[Inner] = []
    number: int = 0


@pytest.mark.parametrize(
    ("document", "where", "problem"),
    [
        ([], "", "invalid"),
        ({"number": "x"}, "number", "invalid"),
        ({"other": 1}, "other", "unknown"),
        ({"inner": [{"name": "a"}, {}]}, "inner[1].name", "missing"),
        ({"inner": [{"name": "a", "b": 1}]}, "inner[0].b", "unknown"),
    ],
)
def test_a_complaint_tells_where(document: Any, where: str, problem: str) -> None:
    with pytest.raises(Complaint) as caught:
        checked(Outer, document)
    assert (caught.value.where, caught.value.problem) == (where, problem)


def test_who_is_lenient_tells_what_was_ignored() -> None:
    document = {"inner": [{"name": "a", "b": 1}], "other": {}, "number": 3}
    value, ignored = checked(Outer, document, lenient=True)
    assert msgspec.to_builtins(value) == {"inner": [{"name": "a"}], "number": 3}
    assert sorted(ignored) == ["inner[0].b", "other"]
    with pytest.raises(Complaint):
        checked(Outer, {"other": 1, "number": "x"}, lenient=True)
