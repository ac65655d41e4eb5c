"""Which reactor a process ends up with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aigw

TREE = Path(aigw.__file__).parents[1]
LEAN = "aigw.net.reactor.LeanEpollReactor"
NAME_IT = """
from twisted.internet import reactor
from twisted.python.reflect import qual
print(qual(type(reactor)))
"""
SERVICE = """
from twisted.application.service import Service
from twisted.python.usage import Options

def makeService(options):
    from aigw.net.choice import choose_reactor
    choose_reactor()
    from twisted.internet import reactor
    reactor.callWhenRunning(reactor.stop)
    return Service()
"""
PLUGIN = """
from twisted.application.service import ServiceMaker
from twisted.application.reactors import Reactor
probe = ServiceMaker("probe", "probing", "For a test.", "probe")
lean = Reactor("lean", "aigw.net.reactor", "For a test.")
"""


def python(*arguments: str, cwd: Path) -> str:
    """What a fresh process says."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(cwd), str(TREE)]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("before", "reactor"),
    [
        ("", LEAN),
        (
            "from twisted.internet import selectreactor; selectreactor.install()",
            "twisted.internet.selectreactor.SelectReactor",
        ),
        ("import select; del select.epoll", "twisted.internet.pollreactor.PollReactor"),
    ],
    ids=["free", "chosen", "no epoll"],
)
def test_choose(before: str, reactor: str, tmp_path: Path) -> None:
    said = python(
        "-c", f"{before}\nfrom aigw.net.choice import choose_reactor\nchoose_reactor()\n{NAME_IT}", cwd=tmp_path
    )
    assert said == reactor


@pytest.mark.parametrize("module", ["choice", "reactor", "sockets", "transport"])
def test_importing_installs_nothing(module: str, tmp_path: Path) -> None:
    said = python(
        "-c", f"import sys, aigw.net.{module}\nprint('twisted.internet.reactor' in sys.modules)", cwd=tmp_path
    )
    assert said == "False"


def test_installing_twice_is_an_error(tmp_path: Path) -> None:
    script = """
from aigw.net.reactor import install
from twisted.internet.error import ReactorAlreadyInstalledError
install()
try:
    install()
except ReactorAlreadyInstalledError:
    print("refused")
"""
    assert python("-c", script, cwd=tmp_path) == "refused"


@pytest.mark.parametrize(
    ("option", "reactor"),
    [([], LEAN), (["--reactor=lean"], LEAN), (["--reactor=poll"], "twisted.internet.pollreactor.PollReactor")],
)
def test_twistd(option: list[str], reactor: str, tmp_path: Path) -> None:
    (tmp_path / "probing.py").write_text(SERVICE)
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "probe_plugin.py").write_text(PLUGIN)
    said = python(
        "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", *option, "probe", cwd=tmp_path
    )
    assert f"reactor class: {reactor}." in said
