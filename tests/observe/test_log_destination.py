from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aigw.observe.log_destination import CHUNK, LogFile, StandardOutput


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    file = LogFile(str(path))
    assert file.write(b"new\n") == 4
    file.close()
    assert path.read_bytes() == b"old\nnew\n"


def test_rotation_by_move_and_by_removal(tmp_path: Path) -> None:
    path, moved = tmp_path / "a.log", tmp_path / "a.log.1"
    file = LogFile(str(path))
    file.write(b"1\n")
    path.rename(moved)
    file.write(b"2\n")
    path.unlink()
    file.write(b"3\n")
    file.close()
    assert (moved.read_bytes(), path.read_bytes()) == (b"1\n", b"3\n")


def test_rotation_by_truncation(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = LogFile(str(path))
    file.write(b"1\n")
    os.truncate(path, 0)
    file.write(b"2\n")
    file.close()
    assert path.read_bytes() == b"2\n"


def test_a_new_file_put_in_place_by_the_rotator_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = LogFile(str(path))
    path.rename(tmp_path / "a.log.1")
    path.write_bytes(b"")
    file.write(b"1\n")
    file.close()
    assert path.read_bytes() == b"1\n"


def test_a_directory_that_went_away_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    file = LogFile(str(directory / "a.log"))
    (directory / "a.log").unlink()
    directory.rmdir()
    with pytest.raises(FileNotFoundError):
        file.write(b"1\n")
    directory.mkdir()
    assert file.write(b"1\n") == 2
    file.close()
    assert (directory / "a.log").read_bytes() == b"1\n"


@contextmanager
def small_files() -> Iterator[None]:
    """A disk that is full after ten bytes, as far as this process can tell (no fixture: pytest writes a file too)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_tears_no_line_in_the_next_file(tmp_path: Path) -> None:
    path, moved = tmp_path / "a.log", tmp_path / "a.log.1"
    file = LogFile(str(path))
    data = b"line 1\nline 2\nline 3\n"
    with small_files():
        assert file.write(data) == 10
        with pytest.raises(OSError, match="File too large"):
            file.write(data[10:])
        path.rename(moved)
        assert file.write(data[10:]) == 11
        file.close()
    assert (moved.read_bytes(), path.read_bytes()) == (b"line 1\nlin", b"line 3\n")


def test_a_named_pipe_never_blocks(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = LogFile(str(path))
    taken = file.write(b"x" * 10_000_000 + b"\n")
    assert 0 < taken < 10_000_000
    with pytest.raises(BlockingIOError):
        file.write(b"y\n")
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        file.write(b"y\n")
    file.close()


def test_standard_output_takes_what_its_pipe_has_room_for() -> None:
    reader, writer = os.pipe()
    output = StandardOutput(writer)
    data = bytes(range(256)) * 4096
    taken = output.write(data)
    assert CHUNK <= taken < len(data)
    assert output.write(b"more") == 0
    assert os.get_blocking(writer)
    assert os.read(reader, taken) == data[:taken]
    assert output.write(b"more") == 4
    output.close()
    os.close(reader)
    os.close(writer)


def test_standard_output_whose_reader_left_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        StandardOutput(writer).write(b"x\n")
    os.close(writer)
