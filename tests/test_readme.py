"""Every command of README.rst and docs/dialects.rst is run here, in its order, and must print what is said there.

Only ports change (to free ones), and ``.venv`` becomes the environment that runs the tests, but for the one command
that makes it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from aigw.testing.thread import ReactorThread, ServedUpstream
from aigw.testing.vendors import Account, Bedrock

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text()
DIALECTS = (ROOT / "docs" / "dialects.rst").read_text()
PORTS = ("7080", "9080", "9091", "8001", "8002")
PATIENCE = 20.0


@attrs.frozen
class Example:
    """A block of code: ``language`` is console or python; others are not run."""

    language: str
    text: str
    label: str


def examples(document: str = README) -> Iterator[Example]:
    """The code blocks, with the comment that stands in front of some."""
    pattern = re.compile(r"(?:^\.\. (the \w+ command)\n\n)?^\.\. code-block:: (\w+)\n\n((?:(?:   .*)?\n)+)", re.M)
    for label, language, body in pattern.findall(document):
        yield Example(language, "\n".join(line[3:] for line in body.splitlines()), label)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output that follows it."""
    lines = text.splitlines()
    while lines:
        command = lines.pop(0).removeprefix("$ ")
        while lines and not is_complete(command):
            command += "\n" + lines.pop(0)
        output = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        yield command, "\n".join(output).strip()


def is_complete(command: str) -> bool:
    """Would a shell run this, or wait for another line?"""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")


def free_ports() -> dict[str, str]:
    """The README's ports -> free ones."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = {port: str(s.getsockname()[1]) for port, s in zip(PORTS, sockets, strict=True)}
    for s in sockets:
        s.close()
    return ports


def faces(ports: Mapping[str, str]) -> str:
    """The options that make a gateway listen on them."""
    return " ".join(
        f"--{face} tcp:{ports[port]}:interface=127.0.0.1"
        for face, port in (("admin", "7080"), ("proxy", "9080"), ("control", "9091"))
    )


@attrs.define
class Terminal:
    """What somebody who follows the README has in front of them: a directory, variables, programs that run."""

    directory: Path
    ports: Mapping[str, str]
    running: list[subprocess.Popen[bytes]] = attrs.field(factory=list)
    exports: list[str] = attrs.field(factory=list)

    def substituted(self, command: str) -> str:
        bin = str(Path(sys.executable).parent)
        command = command.replace(".venv/bin/", f"{bin}/")
        for port, free in self.ports.items():
            command = re.sub(rf"\b{port}\b", free, command)
        return re.sub(r"(twistd .*? aigw)(?= |$)", rf"\1 {faces(self.ports)}", command)

    def run(self, command: str) -> str:
        """Run it as a shell would; programs that stay go on in the background."""
        if command.startswith("export "):
            self.exports.append(command)
            return ""
        if "twistd -n" in command or "aigw.demo" in command:
            self._start(command)
            return ""
        if "--logfile" in command:
            self.stop()
        script = "\n".join([*self.exports, self.substituted(command)])
        done = subprocess.run(["bash", "-c", script], cwd=self.directory, env=environment(), capture_output=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.decode()

    def _start(self, command: str) -> None:
        words = shlex.split(self.substituted(command))
        with (self.directory / f"{len(self.running)}.log").open("wb") as log:
            self.running.append(subprocess.Popen(words, cwd=self.directory, env=environment(), stdout=log, stderr=log))
        url = "9091/readyz" if "twistd" in command else f"{command.split('--port ')[1][:4]}/v1/models"
        port, path = url.split("/", 1)
        await_url(f"http://127.0.0.1:{self.ports[port]}/{path}")

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(PATIENCE)
        self.running.clear()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def await_url(url: str) -> None:
    """Until it answers."""
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(["curl", "-sf", "-o", "/dev/null", url]).returncode:
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.1)


def prints(expected: str, got: str) -> bool:
    """Is the output what the README shows, with anything where it shows ``...``?"""
    parts = [re.escape(" ".join(part.split())) for part in expected.split("...")]
    return re.match(r"\s*.*?\s*".join(parts), " ".join(got.split()), re.S) is not None


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, free_ports())
    yield terminal
    terminal.stop()
    pid = tmp_path / "aigw.pid"
    if pid.exists():
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_the_five_minute_path_prints_what_the_readme_shows(terminal: Terminal) -> None:
    seen = 0
    for example in examples():
        if example.label or "/demo " in example.text:
            continue  # the other test's
        if example.language == "python":
            script = terminal.directory / "example.py"
            script.write_text(terminal.substituted(example.text))
            assert "you said Hello" in terminal.run(f".venv/bin/python {script}")
            continue
        for command, expected in commands(example.text):
            got = terminal.run(command)
            if command.startswith("tail ") and not got:
                time.sleep(1.5)  # the access log is written once a second
                got = terminal.run(command)
            assert prints(expected, got), f"{command}\n--- expected\n{expected}\n--- got\n{got}"
            seen += 1
    assert seen >= 20
    await_end(terminal.directory / "aigw.pid")


def test_the_examples_of_dialects_print_what_they_show(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS is a fake, but for the route that is written."""
    account, languages = Account(), Counter[str]()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", account.secret_key)
    with ReactorThread() as thread:
        bedrock = ServedUpstream(thread, Bedrock(account))
        override = json.dumps({"plugins": {"ai-proxy": {"override": {"endpoint": bedrock.url}}}})
        for example in examples(DIALECTS):
            languages[example.language] += 1
            if example.language == "python":
                script = terminal.directory / "example.py"
                script.write_text(terminal.substituted(example.text))
                assert "Hello" in terminal.run(f".venv/bin/python {script}")
            for command, expected in commands(example.text) if example.language == "console" else ():
                got = terminal.run(command)
                assert prints(expected, got), f"{command}\n--- expected\n{expected}\n--- got\n{got}"
                if "routes/bedrock" in command:
                    url = "http://127.0.0.1:7080/apisix/admin/routes/bedrock"
                    terminal.run(f"""curl -f {url} -X PATCH -H "X-API-KEY: $ADMIN_API_KEY" -d '{override}'""")
        bedrock.stop()
    assert languages == {"console": 5, "python": 3, "sh": 2, "toml": 1}


def await_end(pid_file: Path) -> None:
    """The daemon was sent SIGTERM by the README's own command: it removes its pid file when it ends."""
    deadline = time.monotonic() + PATIENCE
    while pid_file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_run_command_installs_and_demonstrates(tmp_path: Path) -> None:
    """In a copy of what git tracks, with a new virtual environment, as on a fresh machine."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (label, command) = next(
        (e.label, c) for e in examples() if e.label == "the run command" for c, _ in commands(e.text)
    )
    assert label
    ports = free_ports()
    before = {p.name for p in tmp_path.iterdir()}
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    line = f"{command} {faces(ports)}".replace(" && .venv/bin/twistd", " && exec .venv/bin/twistd")
    with (tmp_path / ".log").open("wb") as log:
        demo = subprocess.Popen(["bash", "-c", line], cwd=tmp_path, env=clean, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 300
        while subprocess.run(["curl", "-sf", "-o", "/dev/null", f"http://127.0.0.1:{ports['9091']}/readyz"]).returncode:
            assert demo.poll() is None, (tmp_path / ".log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.3)
        told = (tmp_path / ".log").read_text()
        curls = re.findall(r"^  (curl .+)$", told, re.M)
        assert len(curls) == 6
        for curl in curls:
            done = subprocess.run(["bash", "-c", curl], capture_output=True)
            assert b"demo" in done.stdout, (curl, done)
        example = next(e for e in examples() if "/demo " in e.text)
        for shown, expected in commands(example.text):
            shown = shown.replace(":9080", f":{ports['9080']}")
            got = subprocess.run(["bash", "-c", shown], capture_output=True).stdout.decode()
            assert prints(expected, got), got
    finally:
        demo.terminate()
        demo.wait(PATIENCE)
    listed = subprocess.run([".venv/bin/twistd", "--help"], cwd=tmp_path, env=clean, capture_output=True).stdout
    assert b"aigw" in listed
    left = {p.name for p in tmp_path.iterdir()} - before - {".venv", "build", "aigw.egg-info", ".log"}
    assert left <= {"twistd.pid"}, "a demo keeps nothing"


@pytest.mark.parametrize("path", [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))], ids=lambda p: p.name)
def test_is_good_restructured_text(path: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "docutils", "--report=2", "--halt=2", str(path), os.devnull], capture_output=True
    )
    assert checked.returncode == 0, checked.stderr.decode()
