"""JSON against attrs classes: exact complaints with their paths, unknown fields, secrets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import attrs
import pytest
from msgspec import Meta

from aigw.model.schema import (
    MAX_GUESSES,
    Complaint,
    Invalid,
    Secret,
    check,
    decode,
    did_you_mean,
    json_schema,
    render_path,
)


@attrs.frozen(kw_only=True)
class Auth:
    header: dict[Annotated[str, Meta(pattern=r"^[A-Za-z-]+$")], Secret] = attrs.field(factory=dict)
    token: Secret | None = None


@attrs.frozen(kw_only=True)
class Item:
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    weight: Annotated[int, Meta(ge=0)]
    auth: Auth | None = None

    def __attrs_post_init__(self) -> None:
        if self.name == "bad":
            raise ValueError("name: is bad")
        if self.name == "worse":
            raise ValueError("is worse, as a whole")


@attrs.frozen(kw_only=True)
class Everything:
    flag: bool = False
    count: Annotated[int, Meta(ge=1, le=10)] = 1
    above: Annotated[int, Meta(gt=0, lt=5)] = 1
    ratio: Annotated[float, Meta(ge=0)] = 0.0
    text: str = ""
    filled: Annotated[str, Meta(min_length=1)] = "x"
    long: Annotated[str, Meta(min_length=3)] = "xxx"
    key: Annotated[str, Meta(pattern=r"^[a-z]{1,3}$")] = "a"
    switch: Literal[0, 1] = 0
    mode: Literal["on", "off"] = "on"
    only: Literal["this"] = "this"
    names: list[str] = attrs.field(factory=list)
    some: Annotated[list[int], Meta(min_length=1)] = attrs.field(factory=lambda: [1])
    few: Annotated[list[int], Meta(min_length=1, max_length=2)] = attrs.field(factory=lambda: [1])
    table: dict[str, Annotated[str, Meta(max_length=3)]] = attrs.field(factory=dict)
    free: dict[str, Any] = attrs.field(factory=dict)
    anything: Any = None
    item: Item | None = None
    items: list[Item] = attrs.field(factory=list)
    strategy: Literal["a", "b"] | list[Literal["a", "b"]] | None = None
    either: Item | str | None = None
    maybe: Annotated[int, Meta(ge=3)] | None = None
    auth: Auth = attrs.field(factory=Auth)


COMPLAINTS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"flag": 1}, ["flag: expected true or false, got 1"]),
    ({"flag": None}, ["flag: expected true or false, got null"]),
    ({"count": "1"}, ['count: expected an integer >= 1 and <= 10, got "1"']),
    ({"count": 0}, ["count: expected an integer >= 1 and <= 10, got 0"]),
    ({"count": 11}, ["count: expected an integer >= 1 and <= 10, got 11"]),
    ({"count": True}, ["count: expected an integer >= 1 and <= 10, got true"]),
    ({"count": 1.0}, ["count: expected an integer >= 1 and <= 10, got 1.0"]),
    ({"above": 0}, ["above: expected an integer > 0 and < 5, got 0"]),
    ({"above": 5}, ["above: expected an integer > 0 and < 5, got 5"]),
    ({"ratio": 1}, []),
    ({"ratio": -0.5}, ["ratio: expected a number >= 0, got -0.5"]),
    ({"ratio": False}, ["ratio: expected a number >= 0, got false"]),
    ({"text": 5}, ["text: expected a string, got 5"]),
    ({"text": ["x"]}, ["text: expected a string, got an array"]),
    ({"text": {"x": 1}}, ["text: expected a string, got an object"]),
    ({"filled": ""}, ['filled: expected a non-empty string, got ""']),
    ({"long": "ab"}, ['long: expected a string of at least 3 characters, got "ab"']),
    ({"key": "A"}, ['key: expected a string matching ^[a-z]{1,3}$, got "A"']),
    ({"key": "abc\n"}, ['key: expected a string matching ^[a-z]{1,3}$, got "abc\\n"']),
    ({"switch": True}, ["switch: expected one of 0, 1, got true"]),
    ({"switch": 2}, ["switch: expected one of 0, 1, got 2"]),
    ({"mode": "of"}, ['mode: expected one of off, on, got "of"']),
    ({"only": "that"}, ['only: expected "this", got "that"']),
    ({"names": "a"}, ['names: expected an array, got "a"']),
    ({"names": ["a", 1, "b", None]}, ["names[1]: expected a string, got 1", "names[3]: expected a string, got null"]),
    ({"some": []}, ["some: expected a non-empty array, got an array"]),
    ({"few": [1, 2, 3]}, ["few: expected an array of 1 to 2 items, got an array"]),
    ({"table": {"x": "four"}}, ['table.x: expected a string of 0 to 3 characters, got "four"']),
    ({"free": []}, ["free: expected an object"]),
    ({"free": {"whatever": [{"it": None}]}, "anything": [1]}, []),
    ({"item": {}}, ["item.name: required: a string of 1 to 5 characters", "item.weight: required: an integer >= 0"]),
    ({"item": {"name": "a", "weight": "1"}}, ['item.weight: expected an integer >= 0, got "1"']),
    ({"item": []}, ["item: expected an object"]),
    (
        {"items": [{"name": "a", "weight": 1}, {"name": "", "weight": -1}, 7]},
        [
            'items[1].name: expected a string of 1 to 5 characters, got ""',
            "items[1].weight: expected an integer >= 0, got -1",
            "items[2]: expected an object",
        ],
    ),
    ({"strategy": "a"}, []),
    ({"strategy": ["a", "b"]}, []),
    ({"strategy": None}, []),
    ({"strategy": "c"}, ['strategy: expected one of a, b or an array, got "c"']),
    ({"strategy": ["a", "c"]}, ['strategy[1]: expected one of a, b, got "c"']),
    ({"strategy": 1}, ["strategy: expected one of a, b or an array, got 1"]),
    ({"either": "text"}, []),
    ({"either": {"name": "a"}}, ["either.weight: required: an integer >= 0"]),
    ({"either": 1}, ["either: expected an object or a string"]),
    ({"maybe": None}, []),
    ({"maybe": 2}, ["maybe: expected an integer >= 3, got 2"]),
    ({"text": "x" * 100, "count": "y" * 100}, [f'count: expected an integer >= 1 and <= 10, got "{"y" * 56}...']),
    (
        {"flag": 1, "count": 0},
        ["flag: expected true or false, got 1", "count: expected an integer >= 1 and <= 10, got 0"],
    ),
    # What stands in place of a secret, or of something that holds one, is not shown.
    ({"auth": {"header": {"Authorization": 12345678}}}, ["auth.header.Authorization: expected a string"]),
    ({"auth": {"header": "Bearer sk-1"}}, ["auth.header: expected an object"]),
    ({"auth": "Bearer sk-1"}, ["auth: expected an object"]),
    ({"auth": {"token": 5}}, ["auth.token: expected a string"]),
    ({"auth": {"header": {"X Y": "v"}}}, ["auth.header.X Y: name: expected a string matching ^[A-Za-z-]+$"]),
]


@pytest.mark.parametrize(("document", "complaints"), COMPLAINTS, ids=[str(i) for i in range(len(COMPLAINTS))])
def test_complains_of_everything_at_once(document: dict[str, Any], complaints: list[str]) -> None:
    assert list(map(str, check(document, Everything).complaints)) == complaints
    if complaints:
        with pytest.raises(Invalid) as caught:
            decode(document, Everything)
        assert str(caught.value) == "; ".join(complaints)
    else:
        assert isinstance(decode(document, Everything), Everything)


@pytest.mark.parametrize("document", [None, [], "x", 1, True])
def test_a_document_is_an_object(document: Any) -> None:
    assert list(map(str, check(document, Everything).complaints)) == ["expected an object"]


def test_what_is_right_is_typed() -> None:
    item = decode({"item": {"name": "a", "weight": 2, "auth": {"header": {"X": "y"}}}}, Everything).item
    assert item == Item(name="a", weight=2, auth=Auth(header={"X": "y"}))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"item": {"name": "bad", "weight": 1}}, Complaint(("item", "name"), "is bad")),
        (
            {"items": [{"name": "a", "weight": 1}, {"name": "bad", "weight": 1}]},
            Complaint(("items", 1, "name"), "is bad"),
        ),
        ({"item": {"name": "worse", "weight": 1}}, Complaint(("item",), "is worse, as a whole")),
    ],
)
def test_what_a_class_itself_complains_of_gets_its_path(document: dict[str, Any], complaint: Complaint) -> None:
    with pytest.raises(Invalid) as caught:
        decode(document, Everything)
    assert caught.value.complaints == [complaint]


def test_unknown_fields_are_told_with_the_nearest_name_and_in_order() -> None:
    document = {"conut": 1, "zzz": 1, "items": [{"name": "a", "weight": 1, "wieght": 2}], "Text": ""}
    unknown = check(document, Everything).unknown
    assert list(map(str, unknown)) == [
        "items[0].wieght: unknown, did you mean weight?",
        "conut: unknown, did you mean count?",
        "zzz: unknown",
        "Text: unknown, did you mean text?",
    ]


def test_guessing_has_a_limit() -> None:
    unknown = check({f"tex{n}": 1 for n in range(MAX_GUESSES + 10)}, Everything).unknown
    assert sum("did you mean" in complaint.message for complaint in unknown) == MAX_GUESSES
    assert len(unknown) == MAX_GUESSES + 10


def test_did_you_mean() -> None:
    assert did_you_mean("fallback_stratgy", ["fallback_strategy", "max_retries"]) == ", did you mean fallback_strategy?"
    assert did_you_mean("x", ["fallback_strategy"]) == ""


def test_secrets_are_found_wherever_they_are() -> None:
    document = {
        "auth": {"header": {"Authorization": "a", "X-Key": "b"}, "token": "c"},
        "items": [{"name": "a", "weight": 1}, {"name": "b", "weight": 1, "auth": {"token": "d", "header": {"Y": 7}}}],
        "text": "no secret",
        "either": {"name": "c", "weight": 0, "auth": {"token": "e"}},
    }
    assert set(check(document, Everything).secrets) == {
        ("auth", "header", "Authorization"),
        ("auth", "header", "X-Key"),
        ("auth", "token"),
        ("items", 1, "auth", "token"),
        ("either", "auth", "token"),
    }


def test_render_path() -> None:
    assert render_path(()) == ""
    assert render_path(("plugins", "ai-proxy-multi", "instances", 1, "weight")) == (
        "plugins.ai-proxy-multi.instances[1].weight"
    )


def test_complaints_seen_from_outside() -> None:
    inner = Invalid([Complaint(("weight",), "is wrong"), Complaint((), "all of it")])
    assert str(inner.under("instances", 1)) == "instances[1].weight: is wrong; instances[1]: all of it"


def test_a_class_describes_itself() -> None:
    schema = json_schema(Everything)
    properties = schema["$defs"]["Everything"]["properties"]
    assert properties["count"] == {"type": "integer", "minimum": 1, "maximum": 10, "default": 1}
    assert properties["mode"]["enum"] == ["off", "on"]
    assert schema["$defs"]["Item"]["required"] == ["name", "weight"]
