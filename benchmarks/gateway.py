"""aigw from outside: started as users start it, configured through its admin API."""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks import processes
from benchmarks.processes import NotStarted, Process

_ROOT = Path(__file__).parent.parent
_KEY = "benchmark-admin-key"

Route = Mapping[str, Any]
Routes = Callable[[], Iterator[Route]]


@attrs.frozen(kw_only=True)
class Arguments:
    """What to start it with besides: options of twistd (``--reactor=poll``), and of aigw (``--workers=2``)."""

    twistd: Sequence[str] = ()
    aigw: Sequence[str] = ()

    @staticmethod
    def add_to(parser: argparse.ArgumentParser) -> None:
        """Have a command line take them."""
        parser.add_argument(
            "--aigw-arg", action="append", default=[], help="an option for aigw, as --aigw-arg=--workers=2"
        )
        parser.add_argument(
            "--twistd-arg", action="append", default=[], help="one for twistd: --twistd-arg=--reactor=poll"
        )

    @classmethod
    def given(cls, options: argparse.Namespace) -> Arguments:
        """Those of a command line."""
        return cls(twistd=options.twistd_arg, aigw=options.aigw_arg)


def paths(count: int) -> tuple[str, str]:
    """Of the routes that are measured, those in the middle: for whole answers, for streams."""
    middle = count // 4
    return f"/tenants/{middle}/v1/chat/completions", f"/streams/{middle}/v1/chat/completions"


def routes(count: int, *, chat_port: int, stream_port: int) -> Iterator[Mapping[str, Any]]:
    """Half of the routes go to the upstream of whole answers, half to the one of streams."""
    for i in range(count // 2):
        yield _route(f"tenant-{i}", f"/tenants/{i}/v1/chat/completions", chat_port)
        yield _route(f"stream-{i}", f"/streams/{i}/v1/chat/completions", stream_port)


def _route(name: str, path: str, port: int) -> Mapping[str, Any]:
    instances = [_instance("self-hosted", port, 1), _instance("cloud-fallback", port, 2)]
    plugin = {"fallback_strategy": ["http_429", "http_5xx"], "instances": instances}
    return {"id": name, "uri": path, "methods": ["POST"], "plugins": {"ai-proxy-multi": plugin}}


def _instance(name: str, port: int, priority: int) -> Mapping[str, Any]:
    return {
        "name": name,
        "provider": "openai-compatible",
        "auth": {"header": {"Authorization": "Bearer upstream-key"}},
        "options": {"model": "meta-llama/Llama-3.1-8B-Instruct"},
        "override": {"endpoint": f"http://127.0.0.1:{port}/v1/chat/completions"},
        "weight": 1,
        "priority": priority,
    }


def start(
    directory: Path,
    *,
    port: int,
    core: int,
    arguments: Arguments,
    routes: Routes,
) -> Process:
    """Start aigw with these routes. What one start has stored, the next one of the same run finds.

    :raises NotStarted: if it does not come up, or takes no route.
    """
    kept, data = directory / "aigw-kept", directory / "aigw-data"
    filled = kept.exists()
    shutil.rmtree(data, ignore_errors=True)
    if filled:
        shutil.copytree(kept, data)
    process, admin = launch(directory, port=port, core=core, arguments=arguments)
    if not filled:
        with processes.stopped_if_it_fails(process), Admin(admin) as connection:
            connection.put_routes(routes())
        process.stop()
        shutil.copytree(data, kept)
        process, _ = launch(directory, port=port, core=core, arguments=arguments)
    return process


def launch(directory: Path, *, port: int, core: int, arguments: Arguments) -> tuple[Process, int]:
    """Start it on the data that is there, and give the port of its admin API."""
    admin, control = processes.free_ports(2)
    argv: list[str | Path] = [
        Path(sys.executable).with_name("twistd"),
        *("--pidfile=", f"--logfile={directory}/twistd.log", "-n", *arguments.twistd, "aigw"),
        *("--data", "aigw-data", "--drain", "1"),
        *("--admin", f"tcp:{admin}:interface=127.0.0.1"),
        *("--proxy", f"tcp:{port}:interface=127.0.0.1:backlog=8192"),
        *("--control", f"tcp:{control}:interface=127.0.0.1"),
        *arguments.aigw,
    ]
    environ = {"PYTHONPATH": str(_ROOT), "AIGW_ADMIN_KEY": _KEY}
    process = processes.start(argv, name="aigw", core=core, directory=directory, environ=environ)
    processes.wait_until(lambda: _ready(control), process, seconds=60)
    return process, admin


def _ready(control: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", control, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Admin:
    """A kept connection to the admin API."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def put_routes(self, routes: Iterator[Mapping[str, Any]]) -> None:
        """Write routes, one request each.

        :raises NotStarted: if one is refused.
        """
        for route in routes:
            self.put_route(route)

    def put_route(self, route: Mapping[str, Any]) -> None:
        """Write one route.

        :raises NotStarted: if it is refused.
        """
        headers = {"X-API-KEY": _KEY, "Content-Type": "application/json"}
        self._connection.request("PUT", f"/apisix/admin/routes/{route['id']}", json.dumps(route), headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status not in (200, 201):
            raise NotStarted(f"aigw refused a route with {response.status}: {answer.decode()}")
