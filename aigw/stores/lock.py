"""One gateway per store: a lock that the kernel drops when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aigw.ports import StoreError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` (mode 0600; it names the holder's process, and stays when the lock is given back).

    Taken after a daemon's fork: a lock is the process's that took it, and its child's.

    :raises StoreError: if another gateway holds it.
    :raises OSError: if there is no way to hold it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{path}: another gateway{_named(handle)} uses this store") from None
        os.truncate(handle, 0)
        os.write(handle, b"%d\n" % os.getpid())
        yield
    finally:
        os.close(handle)


def _named(handle: int) -> str:
    """The holder, if it has already written who it is."""
    holder = os.pread(handle, 20, 0).strip()
    return f" (process {int(holder)})" if holder.isdigit() else ""
