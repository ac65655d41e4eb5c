"""What is compared: how each is configured and started. Everyone gets one core and the same upstreams."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks import gateway, processes
from benchmarks.chat_load import Target
from benchmarks.processes import Process


@attrs.frozen(kw_only=True)
class Place:
    """Where a contender is started: its core, its directory, and the ports of the upstreams."""

    core: int
    directory: Path
    chat_port: int
    stream_port: int
    arguments: gateway.Arguments = attrs.field(factory=gateway.Arguments)
    routes: int = 1000
    peer_directory: Path
    user: str = ""
    """nginx's directive that keeps it who we are."""


@attrs.frozen(kw_only=True)
class Running:
    """A started contender: its processes (none for the bare upstream), and where to ask it.

    The last of several processes is the one that has the streams.
    """

    processes: Sequence[Process]
    chat: Target
    stream: Target

    def cpu_seconds(self) -> float:
        """CPU of all its processes up to now."""
        return processes.cpu_seconds([process.pid for process in self.processes])

    def rss_bytes(self) -> int:
        """Resident memory of the process that has the streams, and of its descendants."""
        return processes.rss_bytes([self.processes[-1].pid])

    def settle(self) -> None:
        """Wait until it has done what clients left behind, for some seconds at the most."""
        for _ in range(40):
            before = self.cpu_seconds()
            time.sleep(0.1)
            if self.cpu_seconds() - before < 0.02:
                return
            time.sleep(0.15)

    def stop(self) -> None:
        """End them."""
        for process in self.processes:
            process.stop()


Start = Callable[[Place], Running]
"""Start a contender. Raises NotStarted."""


def start_direct(place: Place) -> Running:
    """Nobody in between."""
    return Running(processes=(), chat=Target(port=place.chat_port), stream=Target(port=place.stream_port))


_NGINX = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr; {user}
events {{ worker_connections 12288; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
    client_body_temp_path {directory}/nginx-body; proxy_temp_path {directory}/nginx-proxy;
    upstream chat {{ server 127.0.0.1:{chat}; keepalive 1024; keepalive_requests 1000000000; }}
    upstream streams {{ server 127.0.0.1:{stream}; keepalive 1024; keepalive_requests 1000000000; }}
    proxy_http_version 1.1; proxy_set_header Connection "";
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location /chat {{ proxy_pass http://chat; }}
        location /stream {{ proxy_pass http://streams; proxy_buffering off; }}
    }}
}}
"""


def start_nginx(place: Place) -> Running:
    """nginx as a plain reverse proxy: keep-alive to the upstreams, no access log, streams unbuffered."""
    (port,) = processes.free_ports(1)
    directory = place.directory
    config = directory / "nginx.conf"
    config.write_text(
        _NGINX.format(directory=directory, user=place.user, port=port, chat=place.chat_port, stream=place.stream_port)
    )
    argv: list[str | Path] = ["nginx", "-c", config, "-p", directory, "-e", "stderr"]
    process = processes.start(argv, name="nginx", core=place.core, directory=directory)
    processes.wait_until(lambda: processes.listening(port), process, seconds=10)
    return Running(processes=[process], chat=Target(port=port, path="/chat"), stream=Target(port=port, path="/stream"))


def start_aigw(place: Place) -> Running:
    """aigw with everything on: many routes, a fallback chain behind each, access log, metrics."""
    (port,) = processes.free_ports(1)
    process = gateway.start(
        place.directory,
        port=port,
        core=place.core,
        arguments=place.arguments,
        routes=lambda: gateway.routes(place.routes, chat_port=place.chat_port, stream_port=place.stream_port),
    )
    chat, stream = (Target(port=port, path=path) for path in gateway.paths(place.routes))
    return Running(processes=[process], chat=chat, stream=stream)


CONTENDERS: Mapping[str, Start] = {"direct": start_direct, "nginx": start_nginx, "aigw": start_aigw}
