"""Load of whole answers: wrk posts a 400-byte chat and waits for the answer, on so many connections at once.

It is a closed loop: a connection asks again when it was answered, so latencies at many connections are those of a
gateway (or a load generator) that is full.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import attrs

BODY_BYTES = 400

_SCRIPT = """
wrk.method = "POST"
wrk.body = %(body)s
%(headers)s
done = function(summary, latency, requests)
    local e = summary.errors
    local errors = e.connect + e.read + e.write + e.status + e.timeout
    io.write(string.format('RESULT {"requests": %%d, "us": %%d, "errors": %%d, "p50": %%d, "p99": %%d, "max": %%d}\\n',
        summary.requests, summary.duration, errors, latency:percentile(50), latency:percentile(99), latency.max))
end
"""


@attrs.frozen(kw_only=True)
class Target:
    """Where to ask: a port of loopback, a path, and what a contender needs besides."""

    port: int
    path: str = "/v1/chat/completions"
    model: str = "gpt-4o-mini"
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def body(self, text: str, *, size: int, stream: bool) -> bytes:
        """A chat request of ``size`` bytes whose user says ``text``."""
        messages = [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": text}]
        fields = {"model": self.model, "messages": messages, "temperature": 0.7, "stream": stream}
        padding = size - len(json.dumps(fields))
        messages[1]["content"] += " " + "x" * (padding - 1)
        return json.dumps(fields).encode()

    def all_headers(self) -> dict[str, str]:
        """What every request has."""
        usual = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Bearer sk-bench"}
        return {**usual, "User-Agent": "benchmark/1", **self.headers}


@attrs.frozen(kw_only=True)
class ChatFigures:
    """One run of wrk. Latencies in microseconds, as the client sees them."""

    requests: int
    errors: int
    rate: float
    p50: float
    p99: float
    worst: float


def load(target: Target, *, connections: int, seconds: int, directory: Path) -> ChatFigures:
    """Run wrk, on the core that we run on.

    :raises subprocess.SubprocessError: if it can't connect, or does not end.
    """
    body = target.body("Hello, how are you?", size=BODY_BYTES, stream=False).decode()
    headers = "\n".join(f"wrk.headers[{_lua(k)}] = {_lua(v)}" for k, v in target.all_headers().items())
    script = directory / "chat.lua"
    script.write_text(_SCRIPT % {"body": _lua(body), "headers": headers})
    url = f"http://127.0.0.1:{target.port}{target.path}"
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise subprocess.SubprocessError(f"wrk: {(done.stderr or done.stdout).strip()}")
    figures = json.loads(lines[0].removeprefix("RESULT "))
    return ChatFigures(
        requests=figures["requests"],
        errors=figures["errors"],
        rate=figures["requests"] / figures["us"] * 1e6,
        p50=figures["p50"],
        p99=figures["p99"],
        worst=figures["max"],
    )


def _lua(text: str) -> str:
    """A string literal of Lua; JSON's escapes of plain ASCII are Lua's too."""
    return json.dumps(text)
