from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.observe.series import Family, LabelSets
from aigw.observe.text import printable

NAMES = ("type", "node", "request_llm_model")


def sets_of(limit: int) -> LabelSets[list[str]]:
    return LabelSets(NAMES, limit, list)


def test_the_same_values_are_the_same_thing() -> None:
    sets = sets_of(4)
    assert sets.get(("total", "vllm", "m")) is sets.get(("total", "vllm", "m"))
    assert sets.get(("total", "vllm", "m")) is not sets.get(("ttft", "vllm", "m"))


def test_first_the_models_are_blurred_then_the_rest_then_nothing_more() -> None:
    sets = sets_of(4)
    for n in range(50):
        sets.get(("total", "vllm", f"m{n}"))
    assert sorted(sets.known) == [("total", "vllm", m) for m in ("m0", "m1", "m2", "other")]
    for n in range(50):
        sets.get(("total", f"n{n}", "m"))
        sets.get(("ttft", f"n{n}", "m"))
    assert sorted(set(sets.known) - {("total", "vllm", f"m{n}") for n in range(3)}) == [
        ("total", "other", "other"),
        ("total", "vllm", "other"),
        ("ttft", "other", "other"),
    ]


def test_who_is_known_stays_known() -> None:
    sets = sets_of(4)
    early = sets.get(("total", "vllm", "m"))
    for n in range(50):
        sets.get(("total", f"n{n}", f"m{n}"))
    assert sets.get(("total", "vllm", "m")) is early


def test_what_is_empty_is_not_blurred() -> None:
    sets = sets_of(4)
    for n in range(10):
        sets.get(("total", f"n{n}", ""))
    assert ("total", "other", "") in sets.known


def test_rows_of_two_processes_can_be_added_up() -> None:
    one, two = (Family("h", "H", "histogram", ("node",), bounds=(1, 10)) for _ in range(2))
    for family, values in ((one, (0.5, 5)), (two, (5, 50))):
        for value in values:
            family.observe(family.row(("vllm",)), value)
    for labels, row in two.rows.items():
        mine = one.row(labels)
        mine[:] = [a + b for a, b in zip(mine, row, strict=True)]
    assert {(s.name, s.labels.get("le")): s.value for s in one.metric().samples} == {
        ("h_bucket", "1"): 1,
        ("h_bucket", "10"): 3,
        ("h_bucket", "+Inf"): 4,
        ("h_count", None): 4,
        ("h_sum", None): 60.5,
    }


@given(st.text(st.characters(exclude_categories=()), max_size=200), st.integers(1, 150))
def test_printable(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown.encode()) <= limit
    assert shown.isprintable()
    assert printable(shown, limit) == shown


@pytest.mark.parametrize("text", ["", "gpt-4", "Qwen/Qwen32B", "llama 3.1", "模型-1"])
def test_honest_text_stays_as_it_is(text: str) -> None:
    assert printable(text, 128) == text
