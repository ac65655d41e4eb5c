"""What the SQLite file holds, version by version, and the way from each version to the next: statements, no code.

A released version's statements never change. A new version is a new `LAYOUT`, the next number, and an entry in
`UPGRADES` whose result is `LAYOUT` to the letter (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

APPLICATION_ID = 0x41494757
"""``AIGW``, which ``file`` shows too (SQLite file format, section 1.3.17)."""

VERSION = 2
"""Kept in the file as ``user_version``."""

# The columns are the fields of `aigw.ports.Record`, in their order.
_RECORDS = """\
CREATE TABLE records (
    "group" TEXT NOT NULL CHECK ("group" <> ''),
    kind TEXT NOT NULL CHECK (kind <> ''),
    id TEXT NOT NULL CHECK (id <> ''),
    value BLOB NOT NULL CHECK (typeof(value) = 'blob'), -- sealed
    created_index INTEGER NOT NULL CHECK (typeof(created_index) = 'integer'),
    modified_index INTEGER NOT NULL CHECK (typeof(modified_index) = 'integer'),
    expires_at REAL CHECK (typeof(expires_at) IN ('real', 'null')), -- epoch seconds
    PRIMARY KEY ("group", kind, id)
)"""

_GATEWAY = """\
CREATE TABLE gateway (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL CHECK (typeof(revision) = 'integer')
)"""

LAYOUT: Sequence[str] = (
    _RECORDS,
    _GATEWAY,
    "INSERT INTO gateway VALUES (1, 0)",
)
"""Of a new file."""

# Version 1 kept group, kind and id as one key, knew no expiry, and took the highest index for the revision, which so
# fell back when the newest resource was deleted.
_FROM_1 = (
    _RECORDS,
    _GATEWAY,
    "INSERT INTO gateway SELECT 1, coalesce(max(modified), 0) FROM resources",
    """\
WITH halves AS (
    SELECT *, substr(key, 1, instr(key, '/') - 1) AS head, substr(key, instr(key, '/') + 1) AS tail FROM resources
)
INSERT INTO records
SELECT head, substr(tail, 1, instr(tail, '/') - 1), substr(tail, instr(tail, '/') + 1), value, created, modified, NULL
FROM halves""",
    "DROP TABLE resources",
)

UPGRADES: Mapping[int, Sequence[str]] = {1: _FROM_1}
"""Version -> the statements that make the next one of it."""
