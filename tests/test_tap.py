"""The command line: what it makes of options, and one line naming the option where it makes nothing of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService
from twisted.python.usage import UsageError

from aigw.service import StartupFailed
from aigw.settings import Settings
from aigw.tap import Options, makeService


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))  # type: ignore[no-untyped-call]
    return options


def settings(*arguments: str) -> Settings:
    return parsed(*arguments).settings


def test_what_holds_if_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIGW_TEST", "x")
    assert settings() == Settings(
        admin=["tcp:7080:interface=127.0.0.1"],
        proxy=["tcp:9080:backlog=1024"],
        control=["tcp:9091:interface=127.0.0.1"],
        data=tmp_path / "aigw-data",
        admin_key_file=None,
        viewer_key_file=None,
        gateway_group="default",
        priority_order="lowest_first",
        access_log=str(tmp_path / "aigw-data/access.log"),
        drain=600.0,
        demo=False,
        workers=1,
        environ=dict(os.environ),
    )


SAID: list[tuple[list[str], str, Any]] = [
    (["--admin=tcp:1", "--admin", "unix:/x"], "admin", ["tcp:1", "unix:/x"]),
    (["--proxy=tcp:1", "--proxy=tcp:2"], "proxy", ["tcp:1", "tcp:2"]),
    (["--control=tcp:1"], "control", ["tcp:1"]),
    (["--data=/d"], "data", Path("/d")),
    (["-d", "/d"], "data", Path("/d")),
    (["--data=/d"], "access_log", "/d/access.log"),
    (["--access-log=/a.log"], "access_log", "/a.log"),
    (["--access-log=-"], "access_log", "-"),
    (["--access-log=off"], "access_log", "off"),
    (["--demo"], "demo", True),
    (["--demo"], "access_log", "-"),
    (["--demo", "--access-log=off"], "access_log", "off"),
    (["--admin-key-file=/k"], "admin_key_file", Path("/k")),
    (["--viewer-key-file=/k"], "viewer_key_file", Path("/k")),
    (["--gateway-group=blue"], "gateway_group", "blue"),
    (["--priority-order=highest_first"], "priority_order", "highest_first"),
    (["--workers=1"], "workers", 1),
    (["--workers", "8"], "workers", 8),
    (["-w", "256"], "workers", 256),
    (["--drain=0"], "drain", 0.0),
    (["--drain=1.5"], "drain", 1.5),
    (["--drain=86400"], "drain", 86400.0),
]


@pytest.mark.parametrize(("arguments", "field", "value"), SAID)
def test_what_is_said(arguments: list[str], field: str, value: Any) -> None:
    assert getattr(settings(*arguments), field) == value


def test_relative_paths_hold_after_a_daemon_has_changed_its_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    said = settings("--data=d", "--admin-key-file=k", "--viewer-key-file=v", "--access-log=a.log")
    assert (said.data, said.admin_key_file, said.viewer_key_file) == (tmp_path / "d", tmp_path / "k", tmp_path / "v")
    assert said.access_log == str(tmp_path / "a.log")


def test_no_option_is_shared_by_two_of_a_process() -> None:
    settings("--proxy=tcp:1")
    assert settings().proxy == ["tcp:9080:backlog=1024"]


WRONG: list[tuple[list[str], str]] = [
    (["--priority-order=sideways"], '--priority-order: expected lowest_first or highest_first, got "sideways"'),
    (["--drain=-1"], '--drain: expected 0 to 86400 seconds, got "-1"'),
    (["--drain=86401"], '--drain: expected 0 to 86400 seconds, got "86401"'),
    (["--drain=nan"], '--drain: expected 0 to 86400 seconds, got "nan"'),
    (["--drain=inf"], '--drain: expected 0 to 86400 seconds, got "inf"'),
    (["--drain=soon"], '--drain: expected 0 to 86400 seconds, got "soon"'),
    (["--workers=0"], '--workers: expected 1 to 256 processes, got "0"'),
    (["--workers=-1"], '--workers: expected 1 to 256 processes, got "-1"'),
    (["--workers=257"], '--workers: expected 1 to 256 processes, got "257"'),
    (["--workers=x"], '--workers: expected 1 to 256 processes, got "x"'),
    (["--workers="], '--workers: expected 1 to 256 processes, got ""'),
    (["--workers=1e2"], '--workers: expected 1 to 256 processes, got "1e2"'),
    (["--workers=" + "9" * 5000], "--workers: expected 1 to 256 processes"),
    (["--workers=²"], '--workers: expected 1 to 256 processes, got "²"'),
    (["--nonsense"], "nonsense"),
    (["--proxy"], "proxy"),
    (["surplus"], "arguments"),
    (["--demo=yes"], "demo"),
    (["--gateway-group="], "--gateway-group: expected 1 to 64 of letters, digits, - _ ."),
    (["--gateway-group=a b"], "--gateway-group: expected 1 to 64 of letters, digits, - _ ."),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_what_is_wrong_is_one_line_that_names_it(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(*arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_help_tells_of_every_option() -> None:
    text = str(Options())
    for option in (
        "admin",
        "proxy",
        "control",
        "data",
        "gateway-group",
        "priority-order",
        "access-log",
        "workers",
        "drain",
        "demo",
    ):
        assert f"--{option}" in text


def test_keys_are_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGW_ADMIN_KEY", "sk-secret")
    assert "sk-secret" not in repr(settings())


def test_the_service_opens_nothing_before_it_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    assert IService.providedBy(makeService(parsed(f"--data={tmp_path / 'data'}")))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_start_is_one_line_and_anything_else_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    makeService(parsed(f"--data={tmp_path}"))
    told = []
    for error in (StartupFailed("--proxy: the port is taken"), RuntimeError("a bug")):
        sys.excepthook(type(error), error, None)
        told.append(capsys.readouterr().err)
    assert told[0] == "aigw: --proxy: the port is taken\n"
    assert "RuntimeError: a bug" in told[1]
