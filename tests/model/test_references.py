"""Values that only name where a secret is kept."""

from __future__ import annotations

import pytest

from aigw.model.references import Unresolved, is_reference, resolve

ENVIRON = {
    "KEY": "sk-1",
    "EMPTY": "",
    "JSON": '{"openai": "sk-2", "nested": {"deep": "sk-3"}, "number": 5, "list": ["a"]}',
    "_x9": "sk-4",
}

RESOLVED = [
    ("sk-plain", "sk-plain"),
    ("", ""),
    ("$env://KEY", "sk-1"),
    ("$ENV://KEY", "sk-1"),
    ("Bearer $env://KEY", "Bearer sk-1"),
    ("my-scheme $env://_x9", "my-scheme sk-4"),
    ("$env://EMPTY", ""),
    ("$env://JSON/openai", "sk-2"),
    ("Bearer $env://JSON/nested/deep", "Bearer sk-3"),
    # No references: they are taken as they are.
    ("$env:/KEY", "$env:/KEY"),
    ("$env://", "$env://"),
    ("$env://9", "$env://9"),
    ("x$env://KEY", "x$env://KEY"),
    ("two words $env://KEY", "two words $env://KEY"),
    ("$secret://vault/1/key", "$secret://vault/1/key"),
]


@pytest.mark.parametrize(("value", "meant"), RESOLVED)
def test_resolves(value: str, meant: str) -> None:
    assert resolve(value, ENVIRON) == meant
    assert is_reference(value) == (value != meant)


UNRESOLVED = [
    ("$env://MISSING", "environment variable MISSING is not set"),
    ("Bearer $env://MISSING/key", "environment variable MISSING is not set"),
    ("$env://KEY/sub", "environment variable KEY holds no JSON object with sub"),
    ("$env://JSON/missing", "environment variable JSON holds no JSON object with missing"),
    ("$env://JSON/openai/deeper", "environment variable JSON holds no JSON object with openai/deeper"),
    ("$env://JSON/list/0", "environment variable JSON holds no JSON object with list/0"),
    ("$env://JSON/number", "number of environment variable JSON is no string"),
    ("$env://JSON/nested", "nested of environment variable JSON is no string"),
]


@pytest.mark.parametrize(("value", "message"), UNRESOLVED)
def test_says_what_is_missing_and_no_secret(value: str, message: str) -> None:
    assert is_reference(value)
    with pytest.raises(Unresolved) as caught:
        resolve(value, ENVIRON)
    assert str(caught.value) == message


def test_json_that_is_too_deep_is_none() -> None:
    with pytest.raises(Unresolved, match="holds no JSON object with a"):
        resolve("$env://DEEP/a", {"DEEP": "[" * 100_000})


@pytest.mark.parametrize("value", ["sk-\udcff", "sk-\x00", "sk-1\r\nX-Injected: 1", '{"k": "\\ud83d"}'])
def test_what_could_not_stand_in_a_request_is_not_resolved(value: str) -> None:
    reference = "$env://BAD/k" if value.startswith("{") else "Bearer $env://BAD"
    with pytest.raises(Unresolved) as caught:
        resolve(reference, {"BAD": value})
    assert str(caught.value).endswith("BAD holds characters that can't be sent")


def test_a_document_may_have_lines() -> None:
    assert resolve("$env://DOCUMENT", {"DOCUMENT": '{\n "a": 1\r\n}\n'}, lines=True) == '{\n "a": 1\r\n}'


@pytest.mark.parametrize("value", ["sk-1\n", " sk-1", "sk-1\r\n", "\tsk-1 "])
def test_space_around_a_variable_is_no_part_of_the_secret(value: str) -> None:
    assert resolve("Bearer $env://KEY", {"KEY": value}) == "Bearer sk-1"
