"""What keeps the gateway from starting is told in one clear line, and the store stays as it was."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from aigw.testing.asking import ask
from aigw.testing.process import GatewayProcess
from aigw.testing.thread import ServedUpstream

Gateways = Callable[..., GatewayProcess]


@pytest.fixture(scope="module")
def used_data(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Path:
    """The data directory of a gateway that has run and was stopped."""
    gateway = GatewayProcess(tmp_path_factory.mktemp("used"), environ=environ).start()
    gateway.put_route("kept", {"ai-proxy": {"provider": "openai", "auth": {"header": {"Authorization": "Bearer x"}}}})
    gateway.stop()
    return gateway.data


@pytest.fixture
def data(used_data: Path, tmp_path: Path) -> Path:
    """A copy of it, where `gateways` looks for it."""
    return Path(shutil.copytree(used_data, tmp_path / "data"))


def complaint(gateway: GatewayProcess) -> str:
    """The line with which it refuses to start."""
    gateway.spawn()
    status = gateway.wait(20)
    assert status not in (0, -signal.SIGKILL)
    assert "Traceback" not in gateway.log
    lines = [line for line in gateway.log.splitlines() if line.startswith(("aigw:", "/", "twistd:"))]
    (told,) = [line for line in lines if "usage" not in line.lower()]
    return told


def snapshot(data: Path) -> dict[str, bytes]:
    """Keys and store, without the marks that SQLite's readers leave."""
    return {path.name: path.read_bytes() for path in data.iterdir() if path.suffix in (".key", ".sqlite")}


@pytest.mark.parametrize("face", ["admin", "proxy", "control"])
def test_a_port_is_taken(face: str, gateways: Gateways) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = complaint(gateways(f"--{face}=tcp:{port}:interface=127.0.0.1"))
    assert f"--{face}" in told
    assert str(port) in told
    assert "in use" in told.lower()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--priority-order=sideways", "--priority-order"),
        ("--drain=-1", "--drain"),
        ("--drain=soon", "--drain"),
        ("--nonsense", "nonsense"),
        ("--proxy=nonsense:1", "--proxy"),
        ("--proxy=tcp:http", "--proxy"),
        ("--control=ssl:0:privateKey=/etc/passwd", "--control"),
        ("--admin-key-file=/nowhere/key", "/nowhere/key"),
        ("--access-log=/nowhere/access.log", "/nowhere"),
    ],
)
def test_a_bad_option(option: str, words: str, gateways: Gateways) -> None:
    assert words in complaint(gateways(option))


@pytest.mark.parametrize("key", ["2short", "with a space in it", ""])
def test_a_bad_admin_key(key: str, gateways: Gateways) -> None:
    told = complaint(gateways(AIGW_ADMIN_KEY=key))
    assert "AIGW_ADMIN_KEY" in told
    assert not key or key not in told


def corrupt(store: Path) -> None:
    content = bytearray(store.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    store.write_bytes(content)


def truncate(store: Path) -> None:
    store.write_bytes(store.read_bytes()[:5000])


def replace_by_text(store: Path) -> None:
    store.write_text("this is no store")


def make_newer(store: Path) -> None:
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA user_version = 999")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "words"),
    [(corrupt, "damaged"), (truncate, "malformed"), (replace_by_text, "not a store"), (make_newer, "newer")],
)
def test_a_store_that_cannot_be_read(
    damage: Callable[[Path], None], words: str, data: Path, gateways: Gateways
) -> None:
    damage(data / "aigw.sqlite")
    before = snapshot(data)
    told = complaint(gateways())
    assert words in told
    assert "aigw.sqlite" in told
    assert snapshot(data) == before


@pytest.mark.parametrize("how", ["gone", "another"])
def test_the_data_key_is_lost(how: str, data: Path, gateways: Gateways) -> None:
    (data / "data.key").unlink()
    before = snapshot(data)
    told = complaint(gateways(**({} if how == "gone" else {"AIGW_DATA_KEY": "ab" * 32})))
    assert "key" in told
    assert snapshot(data) == before


def test_two_gateways_on_one_store(gateways: Gateways) -> None:
    first = gateways().start()
    second = gateways()
    second.log_file = second.log_file.with_name("second.log")
    assert "another gateway" in complaint(second)
    first.stop()


def test_what_was_put_works_after_a_restart(gateways: Gateways, upstream: ServedUpstream) -> None:
    gateway = gateways().start()
    gateway.put_route("kept", {"ai-proxy": upstream.as_model()})
    gateway.stop()
    gateway.start()
    assert ask("POST", gateway.url("proxy", "/kept"), {"messages": []}).status == 200
    assert upstream.received[0].headers["authorization"] == f"Bearer {upstream.key}"
    gateway.stop()
