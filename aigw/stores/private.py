"""Files that only their owner may read, and that are whole or not there at all.

Everything here raises OSError; the callers know what to tell the operator.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Make the directory with mode 0700 unless it is there; its parent has to be: a mistyped path should be noticed."""
    if not path.is_dir():
        path.mkdir(mode=0o700, exist_ok=True)
        sync(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """An empty file of mode 0600 beside ``path``, to be filled: it becomes ``path``, synced, if the block ends well.

    :raises FileExistsError: if ``path`` is there by then: it is never overwritten.
    """
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        sync(aside)
        os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Return when a file's content, or a directory's list of names, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
