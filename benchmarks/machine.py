"""What a run was made with and on, and how much else went on there meanwhile."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import attrs

from benchmarks import processes

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def describe(cores: tuple[int, int]) -> Mapping[str, str]:
    """The machine, the versions, and which cores were used for what."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": _first_line("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
        "cpu": _cpu(),
        "cores": f"{os.cpu_count()}, contender on {cores[0]}, load and upstreams on {cores[1]}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nginx": _first_line("nginx", "-v"),
        "wrk": _first_line("wrk", "-v"),
    }


def _first_line(*argv: str) -> str:
    """What a program says first, on either stream."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    except OSError:
        return "?"
    return ((done.stdout + done.stderr).splitlines() or ["?"])[0]


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")


@attrs.frozen(kw_only=True)
class Meanwhile:
    """What the machine's CPUs did up to a moment: in all, and for us and what we started. Seconds."""

    when: float
    busy: float
    ours: float

    @classmethod
    def now(cls) -> Meanwhile:
        """Up to now. Stolen time, which the hypervisor gave to others, counts as busy; iowait does not."""
        user, nice, system, _idle, _iowait, irq, softirq, steal = (
            int(field) * _TICK for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
        )
        busy = user + nice + system + irq + softirq + steal
        return cls(when=time.monotonic(), busy=busy, ours=processes.cpu_seconds([os.getpid()]))

    def others_since(self, before: Meanwhile) -> float:
        """How many cores others kept busy in between, on average."""
        others = (self.busy - before.busy) - (self.ours - before.ours)
        return max(0.0, others / (self.when - before.when))
