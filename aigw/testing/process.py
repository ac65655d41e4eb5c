"""A whole gateway in a process of its own, as an operator runs it: ``twistd -n aigw`` with a data directory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aigw.testing.asking import Answered, ask

TWISTD = (str(Path(sys.executable).with_name("twistd")),)
ADMIN_KEY = "admin-key-of-a-test"
LOOPBACK = "tcp:0:interface=127.0.0.1"
START_PATIENCE = 30.0
_LISTENS = re.compile(r"(admin|proxy|control) listens on IPv4Address\(type='TCP', host='[\d.]+', port=(\d+)\)")
_SERVES = re.compile(r"worker (\d+) serves, pid (\d+)")
_MISHAPS = ("Traceback", "Unhandled", "Main loop terminated abnormally")


class GatewayProcess:
    """Begins with `start`, ends with `stop` or `kill`; may be started again on the same data.

    ``place``: a directory for its data and its log. ``options``: further ones of ``twistd aigw``, after those of the
    variable ``AIGW_TEST_OPTIONS`` (such as ``--workers=2``). ``environ``: further variables. ``twistd``: options of
    twistd itself. ``wrapper``: a command that runs the command it is given. ``passed``: descriptors that it inherits.
    """

    def __init__(
        self,
        place: Path,
        options: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        *,
        twistd: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        passed: Sequence[int] = (),
    ) -> None:
        self.data = place / "data"
        self.log_file = place / "twistd.log"
        self._options = (*os.environ.get("AIGW_TEST_OPTIONS", "").split(), *options)
        self._command = [*wrapper, *TWISTD, "--nodaemon", "--pidfile=", *twistd, "aigw"]
        self._passed = passed
        self._environ = {**os.environ, "AIGW_ADMIN_KEY": ADMIN_KEY, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}
        self._log_start = 0

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged since it was started."""
        with self.log_file.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")

    @property
    def worker_pids(self) -> dict[int, int]:
        """Of the workers that were the last to serve, by their numbers."""
        return {int(number): int(pid) for number, pid in _SERVES.findall(self.log)}

    def ports(self, face: str) -> list[int]:
        """All TCP ports of a face, in the order of its endpoints."""
        return [int(port) for name, port in _LISTENS.findall(self.log) if name == face]

    def url(self, face: str, path: str = "") -> str:
        """Of ``admin``, ``proxy`` or ``control``."""
        return f"http://127.0.0.1:{self._ports[face]}{path}"

    # Life

    def start(self) -> GatewayProcess:
        """Start, and wait until it is ready.

        :raises RuntimeError: with what it said, if it ends instead.
        """
        self.spawn()
        self.until(lambda: len(self._listening()) == len(("admin", "proxy", "control")), START_PATIENCE)
        self._ports = self._listening()
        self.until(lambda: ask("GET", self.url("control", "/readyz")).status == 200, START_PATIENCE)
        return self

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start, and wait for nothing."""
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        faces = [f"--{face}={LOOPBACK}" for face in ("admin", "proxy", "control") if not self._says(face)]
        command = [*self._command, f"--data={self.data}", *faces, *self._options]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdout=log, stderr=log, env=self._environ, pass_fds=self._passed
            )
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, patience: float = 20.0) -> int:
        """Its exit status, once it has ended.

        :raises TimeoutError: if it does not; then it is killed.
        """
        assert self._process is not None
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"the gateway did not end within {patience} s:\n{self.log[-4000:]}") from None

    def kill(self) -> None:
        """Kill -9, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and see that it was well until then.

        :raises AssertionError: if it did not end properly, or logged what it should not have to.
        """
        if self._process is None or self._process.poll() is not None:
            return
        self.signal(signal.SIGTERM)
        status = self.wait()
        mishaps = [word for word in _MISHAPS if word in self.log]
        assert not mishaps, f"in the gateway's log: {mishaps}\n{self.log[-8000:]}"
        assert status in (0, -signal.SIGTERM), f"exit status {status}\n{self.log[-4000:]}"

    def until(self, condition: Callable[[], object], patience: float = 5.0) -> None:
        """Wait for something that happens soon, as long as the process lives."""
        ends = time.monotonic() + patience
        while not condition():
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the gateway has ended:\n{self.log[-4000:]}")
            if time.monotonic() > ends:
                raise TimeoutError(f"nothing came of it within {patience} s:\n{self.log[-4000:]}")
            time.sleep(0.01)

    # What can be asked of it

    def admin(self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None) -> Answered:
        """Ask the admin face, with the key. ``path``: below ``/apisix/admin``."""
        url = self.url("admin", f"/apisix/admin{path}")
        return ask(method, url, document, headers={"X-API-KEY": ADMIN_KEY, **(headers or {})})

    def put_route(self, id: str, plugins: Mapping[str, Any], **fields: Any) -> str:
        """Have a route at ``/ID``; returns its URL.

        :raises ValueError: if it is refused.
        """
        document = {"uri": f"/{id}", "plugins": plugins, **fields}
        answered = self.admin("PUT", f"/routes/{id}", document)
        if answered.status not in (200, 201):
            raise ValueError(answered.body.decode())
        return self.url("proxy", f"/{id}")

    def metrics(self) -> str:
        """What Prometheus would get."""
        return ask("GET", self.url("control", "/apisix/prometheus/metrics")).body.decode()

    def _says(self, option: str) -> bool:
        return any(given.startswith(f"--{option}=") for given in self._options)

    def _listening(self) -> dict[str, int]:
        return {face: int(port) for face, port in _LISTENS.findall(self.log)}
