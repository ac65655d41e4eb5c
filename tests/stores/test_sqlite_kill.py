"""A gateway process that is killed at any moment loses nothing that it had acknowledged, and keeps no half batch."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from aigw.ports import Contents
from aigw.stores.sqlite import SqliteStore
from aigw.stores.testing import Turnstile

KILLS = 8
RECORDS_IN_A_BATCH = 3

# Commits without end, a few at a time so that groups form, and writes down each revision that is acknowledged. Three
# records of 3 kB take some pages, so that a batch is more than one write of the disk.
WRITER = """
import os, sys
from pathlib import Path
from twisted.internet import reactor
from aigw.ports import Batch, Record
from aigw.stores.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]), reactor.callFromThread)
revision = store.open().revision

def record(place):
    return Record(group="default", kind="routes", id=f"{revision}-{place}", value=bytes(3000),
                  created_index=revision, modified_index=revision)

def commit():
    global revision
    revision += 1
    commit = store.commit(Batch(revision=revision, put=[record(place) for place in range(3)]))
    commit.addCallback(acknowledge, revision)

def acknowledge(_, revision):
    os.write(1, b"%d\\n" % revision)
    commit()

for _ in range(5):
    reactor.callWhenRunning(commit)
reactor.run()
"""


def acknowledged_before_kill(path: Path, patience: int) -> list[int]:
    """Let a process write until it has acknowledged ``patience`` revisions, kill it, and see what else it did."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(patience)]
            assert all(lines), "the writer ended by itself"
        finally:
            process.kill()
        lines += process.stdout.readlines()
    return [int(line) for line in lines if line.endswith(b"\n")]


def contents(path: Path) -> Contents:
    """What the next gateway finds."""
    turnstile = Turnstile()
    store = SqliteStore(path, turnstile)
    found = store.open()
    turnstile.result(store.close())
    return found


def test_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "aigw.sqlite"
    moments = random.Random(9)
    acknowledged: list[int] = []
    for _ in range(KILLS):
        acknowledged += acknowledged_before_kill(path, patience=moments.randrange(1, 60))
        found = contents(path)
        kept = Counter(record.modified_index for record in found.records)
        assert set(kept.values()) == {RECORDS_IN_A_BATCH}
        assert sorted(kept) == list(range(1, found.revision + 1))
        assert set(acknowledged) <= set(kept)
        assert acknowledged == sorted(acknowledged)
