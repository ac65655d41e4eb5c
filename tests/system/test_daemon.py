"""``twistd aigw`` as a daemon, as it is listed, and what importing it does not do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from aigw.testing.asking import ask
from aigw.testing.process import ADMIN_KEY, LOOPBACK, TWISTD


def run(*arguments: str, environ: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, **environ, "AIGW_ADMIN_KEY": ADMIN_KEY}
    return subprocess.run(arguments, env=full, cwd=cwd, capture_output=True, text=True, timeout=30)


@pytest.fixture
def pid_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "aigw.pid"
    yield path
    if path.exists():
        os.kill(int(path.read_text()), signal.SIGKILL)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_daemon(tmp_path: Path, pid_file: Path, environ: Mapping[str, str]) -> None:
    log = tmp_path / "aigw.log"
    faces = [f"--{face}={LOOPBACK}" for face in ("admin", "proxy", "control")]
    options = [f"--pidfile={pid_file}", f"--logfile={log}"]
    done = run(*TWISTD, *options, "aigw", "--data=data", *faces, environ=environ, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int(pid_file.read_text())
    ports = dict(re.findall(r"(\w+) listens on IPv4Address\(.*port=(\d+)\)", log.read_text()))
    url = f"http://127.0.0.1:{ports['admin']}/apisix/admin/routes"
    assert ask("PUT", f"{url}/a", {"uri": "/a"}, headers={"X-API-KEY": ADMIN_KEY}).status == 201
    assert (tmp_path / "data" / "aigw.sqlite").exists()
    os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert not pid_file.exists()
    assert "Traceback" not in log.read_text()


def test_a_daemon_that_cannot_start(tmp_path: Path, pid_file: Path, environ: Mapping[str, str]) -> None:
    log = tmp_path / "aigw.log"
    options = [f"--pidfile={pid_file}", f"--logfile={log}"]
    done = run(*TWISTD, *options, "aigw", "--data=/proc/nowhere", environ=environ, cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + log.read_text()
    assert "/proc/nowhere" in done.stderr + log.read_text()
    assert not pid_file.exists()


def test_it_is_listed(tmp_path: Path, environ: Mapping[str, str]) -> None:
    assert re.search(r"^ +aigw +\S", run(*TWISTD, "--help", environ=environ, cwd=tmp_path).stdout, re.MULTILINE)


@pytest.mark.parametrize("module", ["aigw.tap", "aigw.service", "aigw.testing", "aigw.testing.process"])
def test_importing_installs_no_reactor(module: str, tmp_path: Path, environ: Mapping[str, str]) -> None:
    script = f"import sys, {module}; sys.exit('twisted.internet.reactor' in sys.modules)"
    done = run(sys.executable, "-W", "error", "-c", script, environ=environ, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
