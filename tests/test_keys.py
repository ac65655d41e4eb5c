"""Where each key is looked for, in which order, and what is refused with one line that names the place."""

from __future__ import annotations

import base64
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.logger import capturedLogs

from aigw.keys import AdminKey, UnusableKey, admin_key, data_key, matches, viewer_key

GIVEN = "given-key-0123456789"
OTHER = "other-key-0123456789"
ADMIN = AdminKey(key=OTHER.encode(), origin="test")


def key_file(path: Path, text: str | bytes = GIVEN + "\n", mode: int = 0o600) -> Path:
    """A key file as an operator makes one."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def viewer(data: Path, key_file: Path | None, environ: dict[str, str]) -> AdminKey:
    """A viewer key, which is expected to be there."""
    key = viewer_key(data, key_file, environ, ADMIN)
    assert key is not None
    return key


def environ_name(name: str) -> str:
    """The variable of a key."""
    return f"AIGW_{name.upper()}_KEY"


Find = Callable[[Path, Path | None, dict[str, str]], AdminKey]
both = pytest.mark.parametrize(("find", "name"), [(admin_key, "admin"), (viewer, "viewer")], ids=["admin", "viewer"])


@both
def test_a_file_comes_before_the_variable_and_that_before_the_data_directory(
    tmp_path: Path, find: Find, name: str
) -> None:
    file = key_file(tmp_path / "file", "key-of-the-file-given\n")
    environ = {environ_name(name): "key-of-the-variable "}
    kept = key_file(tmp_path / f"{name}.key", "key-of-the-directory\n")
    assert find(tmp_path, file, environ) == AdminKey(key=b"key-of-the-file-given", origin=f"file {file}")
    assert find(tmp_path, None, environ) == AdminKey(key=b"key-of-the-variable", origin=environ_name(name))
    assert find(tmp_path, None, {}) == AdminKey(key=b"key-of-the-directory", origin=f"file {kept}")


def test_an_admin_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    before = os.umask(0)
    try:
        made = admin_key(data, None, {})
    finally:
        os.umask(before)
    assert made.origin == f"generated in {data / 'admin.key'}"
    assert len(made.key) >= 43
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "admin.key").stat().st_mode) == 0o600
    assert [file.name for file in data.iterdir()] == ["admin.key"]
    again = admin_key(data, None, {})
    assert again == AdminKey(key=made.key, origin=f"file {data / 'admin.key'}")


def test_made_keys_differ(tmp_path: Path) -> None:
    assert admin_key(tmp_path / "a", None, {}).key != admin_key(tmp_path / "b", None, {}).key
    assert data_key(tmp_path / "a", {}) != data_key(tmp_path / "b", {})


@pytest.mark.parametrize("find", [lambda data: admin_key(data, None, {}).key, lambda data: data_key(data, {})])
def test_starts_at_one_moment_agree_on_one_key(tmp_path: Path, find: Callable[[Path], bytes]) -> None:
    ready = threading.Barrier(8)
    keys: list[bytes] = []

    def start() -> None:
        ready.wait(10)
        keys.append(find(tmp_path / "data"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert keys == [keys[0]] * 8


def test_a_viewer_key_is_never_made(tmp_path: Path) -> None:
    assert viewer_key(tmp_path, None, {}, ADMIN) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "variable", "directory"])
def test_a_viewer_key_that_is_the_admin_key_is_refused(tmp_path: Path, place: str) -> None:
    file = key_file(tmp_path / "file", OTHER) if place == "file" else None
    environ = {"AIGW_VIEWER_KEY": OTHER} if place == "variable" else {}
    if place == "directory":
        key_file(tmp_path / "viewer.key", OTHER)
    with pytest.raises(UnusableKey, match="the viewer key is the admin key too") as caught:
        viewer_key(tmp_path, file, environ, ADMIN)
    assert OTHER not in str(caught.value)


@both
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"short", "is too short"),
        (b"x" * 15, "is too short"),
        (b"x" * 5000, "is too long"),
        (b"two words of a key file", "one word of printable ASCII"),
        (b"one-line-of-a-key\nanother-line", "one word of printable ASCII"),
        ("schlüssel-mit-umlaut".encode(), "one word of printable ASCII"),
        (b"with-a-zero-byte-\0-inside", "one word of printable ASCII"),
        (b"\xff\xfe" + b"x" * 20, "one word of printable ASCII"),
    ],
)
def test_a_key_that_is_no_good_is_refused_wherever_it_is(
    tmp_path: Path, find: Find, name: str, text: bytes, reason: str
) -> None:
    file = key_file(tmp_path / "file", text)
    with pytest.raises(UnusableKey) as caught:
        find(tmp_path, file, {})
    assert_refused(caught.value, str(file), reason, text)
    kept = key_file(tmp_path / f"{name}.key", text)
    with pytest.raises(UnusableKey) as caught:
        find(tmp_path, None, {})
    assert_refused(caught.value, str(kept), reason, text)
    with pytest.raises(UnusableKey) as caught:
        find(tmp_path, None, {environ_name(name): os.fsdecode(text)})
    assert_refused(caught.value, environ_name(name), reason, text)
    assert kept.read_bytes() == text


def assert_refused(error: UnusableKey, name: str, reason: str, secret: bytes) -> None:
    """One line that names the place and shows nothing of the key."""
    assert str(error).startswith(f"{name}: ")
    assert reason in str(error)
    assert "\n" not in str(error)
    assert len(secret.strip()) < 10 or os.fsdecode(secret.strip()) not in str(error)


@both
def test_a_file_that_can_not_be_read_is_refused(tmp_path: Path, find: Find, name: str) -> None:
    with pytest.raises(UnusableKey, match="/missing: can't be read: No such file or directory"):
        find(tmp_path, tmp_path / "missing", {environ_name(name): GIVEN})
    (tmp_path / f"{name}.key").mkdir()
    with pytest.raises(UnusableKey, match=rf"/{name}\.key: can't be read: Is a directory"):
        find(tmp_path, None, {})


@both
def test_a_link_to_nowhere_is_refused_and_not_followed_by_a_new_key(tmp_path: Path, find: Find, name: str) -> None:
    (tmp_path / f"{name}.key").symlink_to(tmp_path / "gone")
    with pytest.raises(UnusableKey, match="can't be read"):
        find(tmp_path, None, {})


def test_a_data_directory_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableKey, match=r"/data/admin\.key: can't be made: No such file or directory"):
        admin_key(tmp_path / "mistyped" / "data", None, {})
    with pytest.raises(UnusableKey, match=r"/data/data\.key: can't be made: No such file or directory"):
        data_key(tmp_path / "mistyped" / "data", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(UnusableKey, match=r"/file/admin\.key: can't be read: Not a directory"):
        admin_key(tmp_path / "file", None, {})


@both
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_that_others_can_use_is_taken_with_a_warning(tmp_path: Path, find: Find, name: str, mode: int) -> None:
    file = key_file(tmp_path / "file", mode=mode)
    found = find(tmp_path, file, {})
    assert found.key == GIVEN.encode()
    assert found.warning == f"{file}: not only its owner can use it (mode {mode:04o}); chmod 600 it"
    file.chmod(0o400)
    assert find(tmp_path, file, {}).warning is None


def test_a_key_can_come_through_a_pipe(tmp_path: Path) -> None:
    """As ``--admin-key-file <(command)`` gives it."""
    reader, writer = os.pipe()
    try:
        os.write(writer, GIVEN.encode())
        os.close(writer)
        assert admin_key(tmp_path, Path(f"/dev/fd/{reader}"), {}).key == GIVEN.encode()
    finally:
        os.close(reader)


def test_no_key_is_in_a_repr(tmp_path: Path) -> None:
    assert GIVEN not in repr(admin_key(tmp_path, None, {"AIGW_ADMIN_KEY": GIVEN}))


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (OTHER.encode(), True),
        (OTHER.encode() + b" ", False),
        (OTHER.encode()[:-1], False),
        (OTHER.upper().encode(), False),
        (b"", False),
        (b"\xff" * 100_000, False),
    ],
)
def test_only_the_key_matches(given: bytes, verdict: bool) -> None:
    assert matches(given, ADMIN) == verdict


RAW = bytes(range(32))
URLSAFE = b"\xfb\xff" * 16


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (base64.b64encode(RAW).decode(), RAW),
        (base64.b64encode(RAW).decode().rstrip("="), RAW),
        (f" {base64.b64encode(RAW).decode()}\n", RAW),
        (RAW.hex(), RAW),
        (RAW.hex().upper(), RAW),
        (base64.b64encode(URLSAFE).decode(), URLSAFE),
        (base64.urlsafe_b64encode(URLSAFE).decode(), URLSAFE),
    ],
)
def test_a_data_key_is_read_in_each_of_its_forms(tmp_path: Path, text: str, key: bytes) -> None:
    assert data_key(tmp_path, {"AIGW_DATA_KEY": text}) == key
    key_file(tmp_path / "data.key", text)
    assert data_key(tmp_path, {}) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "secret",
        base64.b64encode(RAW[:31]).decode(),
        base64.b64encode(RAW + b"x").decode(),
        RAW.hex()[:-1],
        RAW.hex()[:-2],
        RAW.hex() + "00",
        RAW.hex()[:-1] + "g",
        base64.b64encode(RAW).decode()[:20] + "\n" + base64.b64encode(RAW).decode()[20:],
        base64.b64encode(RAW).decode() + "====",
        "!" * 43,
        "ä" * 43,
        "\udcff" * 43,
        "x" * 10_000,
    ],
)
def test_what_is_no_data_key_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnusableKey) as caught:
        data_key(tmp_path, {"AIGW_DATA_KEY": text})
    assert_refused(caught.value, "AIGW_DATA_KEY", "expected 32 bytes in base64, or 64 hex digits", os.fsencode(text))
    kept = key_file(tmp_path / "data.key", os.fsencode(text))
    with pytest.raises(UnusableKey) as caught:
        data_key(tmp_path, {})
    assert_refused(caught.value, str(kept), "expected 32 bytes in base64, or 64 hex digits", os.fsencode(text))
    assert kept.read_bytes() == os.fsencode(text), "never replaced: it may be all that opens the store"


def test_a_data_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = data_key(data, {})
    assert len(made) == 32
    assert stat.S_IMODE((data / "data.key").stat().st_mode) == 0o600
    assert data_key(data, {}) == made
    assert data_key(data, {"AIGW_DATA_KEY": RAW.hex()}) == RAW


def test_no_data_key_is_made_for_a_store_that_is_there(tmp_path: Path) -> None:
    store = tmp_path / "aigw.sqlite"
    assert data_key(tmp_path / "new", {}, tmp_path / "new" / "aigw.sqlite")
    store.touch()
    with pytest.raises(UnusableKey, match=r"data\.key: missing, and only this key opens aigw\.sqlite"):
        data_key(tmp_path, {}, store)
    assert not (tmp_path / "data.key").exists()
    assert data_key(tmp_path, {"AIGW_DATA_KEY": RAW.hex()}, store) == RAW


def test_a_data_key_file_that_others_can_use_is_logged(tmp_path: Path) -> None:
    kept = key_file(tmp_path / "data.key", RAW.hex(), mode=0o644)
    with capturedLogs() as events:
        data_key(tmp_path, {})
    assert [event["warning"] for event in events] == [
        f"{kept}: not only its owner can use it (mode 0644); chmod 600 it"
    ]
    assert RAW.hex() not in repr(events)
