"""Twisted's own tests of reactors and transports pass on ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aigw

MODULES = ("core", "fdset", "newtls", "socket", "tcp", "threads", "time", "tls", "udp", "unix")


def test_they_pass(tmp_path: Path) -> None:
    pytest.importorskip("hamcrest", reason="Twisted's own tests need PyHamcrest")
    suite = Path(__file__).with_name("twisted_suite.py")
    command = [sys.executable, str(suite), *(f"twisted.internet.test.test_{module}" for module in MODULES)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(aigw.__file__).parents[1]), *sys.path])}
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "PASSED" in done.stdout
