"""The processes of a benchmark: started pinned to a core, measured as a tree, and never left behind.

CPU is what the kernel's scheduler counted (``clock_getcpuclockid(3)``, nanoseconds, all threads), not ticks. A tree is
a process and all that descends from it or runs in its session.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class NotStarted(Exception):
    """A process that ended, or did not answer, before it could be measured. The message has the end of its output."""


@attrs.define(kw_only=True)
class Process:
    """A started process with its descendants. Its output goes to ``log``."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End the whole tree: politely, then by force."""
        pids = tree([self.pid])
        self.popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout=2)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.popen.wait(timeout=5)


def start(
    argv: Sequence[str | Path],
    *,
    name: str,
    core: int,
    directory: Path,
    environ: Mapping[str, str] | None = None,
) -> Process:
    """Start a program on one core, in a session of its own, to die with us at the latest.

    :raises NotStarted: if there is no such program.
    """

    nice = os.getpriority(os.PRIO_PROCESS, 0)

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        if nice:
            be_nice(nice)
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    log = directory / f"{name}.log"
    with log.open("ab") as output:
        try:
            popen = subprocess.Popen(
                [os.fspath(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
                preexec_fn=prepare,
            )
        except OSError as error:
            raise NotStarted(f"{name}: {error}") from error
    return Process(name=name, popen=popen, log=log)


def open_many_files() -> None:
    """Let us, and those we start, have as many descriptors as is allowed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def be_nice(nice: int) -> None:
    """Take a niceness, this process and its session: where sessions are scheduled as groups, only theirs counts."""
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text(f"{nice}\n")


@contextlib.contextmanager
def stopped_if_it_fails(process: Process) -> Iterator[None]:
    """Whatever is raised inside, the process does not outlive it."""
    try:
        yield
    except BaseException:
        process.stop()
        raise


def wait_until(ready: Callable[[], bool], process: Process, *, seconds: float) -> None:
    """Wait for a process to be of use; it is stopped if it is not.

    :raises NotStarted: if it ends, or is not ready in time.
    """
    deadline = time.monotonic() + seconds
    with stopped_if_it_fails(process):
        while not ready():
            if process.popen.poll() is not None:
                raise NotStarted(f"{process.name} ended with status {process.popen.returncode}:\n{process.output()}")
            if time.monotonic() > deadline:
                raise NotStarted(f"{process.name} was not ready in {seconds:.0f} s:\n{process.output()}")
            time.sleep(0.05)


def listening(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listened on a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def tree(roots: Sequence[int]) -> list[int]:
    """The processes that descend from ``roots`` or are in their sessions, the roots included."""
    found = dict.fromkeys(roots)
    for pid, parent, session in sorted(_everyone()):
        if parent in found or session in found:
            found[pid] = None
    return list(found)


def _everyone() -> Iterator[tuple[int, int, int]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            yield int(entry), int(fields[1]), int(fields[3])


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on (proc(5)); none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(roots: Sequence[int]) -> float:
    """CPU, user and system, of trees up to now. Descendants that ended count, to a tick, once their parent noticed."""
    return sum(_cpu_seconds(pid) for pid in tree(roots))


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    try:
        own = time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0
    return own + sum(int(field) for field in fields[13:15]) * _TICK


def rss_bytes(roots: Sequence[int]) -> int:
    """Resident memory of trees; pages that several of their processes share count in each."""
    return sum(_rss_bytes(pid) for pid in tree(roots))


def _rss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Rss:"))
