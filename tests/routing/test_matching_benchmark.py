"""The benchmark of matching still runs, and prints a row for each layout and size."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "matching.py"


def test_prints_a_row_for_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("matching_benchmark", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(["--layout", "host", "--size", "1", "--size", "20"])
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["layout", "routes", "match_ns"]
    assert [row.split()[:2] for row in rows] == [["host", "1"], ["host", "20"]]
