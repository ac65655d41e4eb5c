"""Documents are merged, planted and replaced into new ones; the old ones stay as they were."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.admin.documents import NoSuchPath, at_steps, merged, planted, replaced
from aigw.admin.masking import secrets_of, unmasked
from aigw.model.schema import Findings, Path
from aigw.stores.sealing import Sealer


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merged(document: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(document)
    assert merged(document, patch) == result
    assert document == before


@pytest.mark.parametrize(
    ("steps", "value", "result"),
    [
        ((), 1, 1),
        (("a",), 1, {"a": 1, "l": [1, {"x": 2}]}),
        (("a", "b"), 1, {"a": {"b": 1}, "l": [1, {"x": 2}]}),
        (("n", "m"), 1, {"a": {}, "l": [1, {"x": 2}], "n": {"m": 1}}),
        (("n",), None, {"a": {}, "l": [1, {"x": 2}]}),
        (("a",), None, {"l": [1, {"x": 2}]}),
        (("l", "0"), None, {"a": {}, "l": [{"x": 2}]}),
        (("l", "1", "x"), [None], {"a": {}, "l": [1, {"x": [None]}]}),
    ],
)
def test_planted(steps: tuple[str, ...], value: Any, result: Any) -> None:
    document = {"a": {}, "l": [1, {"x": 2}]}
    before = copy.deepcopy(document)
    assert planted(document, steps, value) == result
    assert document == before
    if value is not None:
        assert at_steps(result, steps) == value


@pytest.mark.parametrize("steps", [("l", "2"), ("l", "-1"), ("l", "x"), ("l", "0", "x"), ("l", "\u0660")])
def test_nowhere_to_plant(steps: tuple[str, ...]) -> None:
    document = {"l": [1, {"x": 2}]}
    with pytest.raises(NoSuchPath):
        planted(document, steps, 1)
    with pytest.raises(NoSuchPath):
        at_steps(document, steps)


def test_replaced_shares_the_rest() -> None:
    document = {"a": {"b": 1}, "c": [{"d": 1}, {"e": 2}]}
    result = replaced(document, {("c", 0, "d"): "x"})
    assert result == {"a": {"b": 1}, "c": [{"d": "x"}, {"e": 2}]}
    assert document["c"][0] == {"d": 1}  # type: ignore[index]
    assert result["a"] is document["a"]
    assert replaced(document, {}) is document


SEALER = Sealer(bytes(32))


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.text(min_size=1, max_size=5)),
    st.randoms(use_true_random=False),
)
def test_shuffled_named_items_get_their_own_secrets_back(items: dict[str, str], random: Any) -> None:
    stored = [{"name": name, "key": secret} for name, secret in items.items()]
    shown = [{"name": name, "key": SEALER.mask(secret)} for name, secret in items.items()]
    random.shuffle(shown)
    back = unmasked(shown, keys(shown), stored, keys(stored), SEALER)
    assert sorted(back, key=str) == sorted(stored, key=str)


def keys(items: list[dict[str, str]]) -> Any:
    findings = Findings(secrets=[(index, "key") for index in range(len(items))])
    return secrets_of(findings, items)


def test_a_token_finds_its_secret_where_the_shape_has_changed() -> None:
    stored = {"auth": "s3cret"}
    shown = {"auth": {"header": SEALER.mask("s3cret")}}
    secrets: dict[Path, str] = {("auth", "header"): shown["auth"]["header"]}
    assert unmasked(shown, secrets, stored, {("auth",): "s3cret"}, SEALER) == {"auth": {"header": "s3cret"}}
