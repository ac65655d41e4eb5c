"""The tables of docs/dialects.rst are those that the code makes."""

from __future__ import annotations

from pathlib import Path

from docutils.core import publish_doctree

from aigw.llm.pairs import CLIENTS, pairs, simple_table, vendors
from aigw.providers import PROVIDERS

DOCS = (Path(__file__).parents[2] / "docs" / "dialects.rst").read_text()


def test_the_documentation_has_the_tables() -> None:
    """If not: put what ``python -m aigw.llm.pairs`` prints there."""
    assert pairs() in DOCS
    assert vendors() in DOCS


def test_they_name_all_providers() -> None:
    for table in (pairs(), vendors()):
        assert all(f"``{name}``" in table for name in PROVIDERS)
    assert len(CLIENTS) == 6


def test_a_table_is_one() -> None:
    table = simple_table([["", "b"], ["c", ""], ["longer", "d"]])
    assert table == "======  ==\n..      b\n======  ==\nc       \\-\nlonger  d\n======  =="
    cells = publish_doctree(table).findall(lambda node: node.tagname == "entry")
    assert [cell.astext() for cell in cells] == ["", "b", "c", "-", "longer", "d"]
