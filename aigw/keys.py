"""Where the keys come from: a file or a variable that the operator gave, else the data directory, else made there.

No key has a default, none is ever printed, and each comes with the place it came from, for the log.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import attrs
from twisted.logger import Logger

from aigw.ports import StoreError
from aigw.stores.private import make_private_directory, whole_file
from aigw.stores.sealing import KEY_BYTES

MIN_LENGTH = 16
"""Of an admin or viewer key, in characters."""

_MAX_LENGTH = 4096
_VISIBLE_ASCII = re.compile(rb"[!-~]*")
_HEX = re.compile(rb"[0-9A-Fa-f]{%d}" % (2 * KEY_BYTES))
_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")

log = Logger()


class UnusableKey(StoreError):
    """A key can't be read, kept or used; the message is one line that names the file or the variable, not the key."""


@attrs.frozen(kw_only=True)
class AdminKey:
    """A key to the admin face: to all of it, or (the viewer key) to reading.

    ``origin``: where it came from, for the log. ``warning``: what the operator should mend, or None.
    """

    key: bytes = attrs.field(repr=False)
    origin: str
    warning: str | None = None


def matches(given: bytes, key: AdminKey) -> bool:
    """Is it this key? Takes as long for every ``given`` of one length."""
    return hmac.compare_digest(sha256(given).digest(), sha256(key.key).digest())


def admin_key(data: Path, key_file: Path | None, environ: Mapping[str, str]) -> AdminKey:
    """The key of ``--admin-key-file``, else of AIGW_ADMIN_KEY, else of ``DATA/admin.key``, which is made if need be.

    :raises UnusableKey: if the one that comes first is no good; then no other is looked for.
    """
    kept = data / "admin.key"
    found = _given(key_file, "AIGW_ADMIN_KEY", environ) or _kept(kept)
    if found is not None:
        return found
    if _generate(kept, secrets.token_urlsafe(32)):
        return attrs.evolve(_from_file(kept), origin=f"generated in {kept}")
    return _from_file(kept)


def viewer_key(data: Path, key_file: Path | None, environ: Mapping[str, str], admin: AdminKey) -> AdminKey | None:
    """The key of ``--viewer-key-file``, else of AIGW_VIEWER_KEY, else of ``DATA/viewer.key``, else None.

    :raises UnusableKey: also if it is the admin key: whoever reads with it could write.
    """
    found = _given(key_file, "AIGW_VIEWER_KEY", environ) or _kept(data / "viewer.key")
    if found is not None and matches(found.key, admin):
        raise UnusableKey(f"{found.origin}: the viewer key is the admin key too; it has to be another one")
    return found


def data_key(data: Path, environ: Mapping[str, str], store: Path | None = None) -> bytes:
    """The 32 bytes that seal the store (`aigw.stores.sealing`): of AIGW_DATA_KEY, else of ``DATA/data.key``, else made.

    As text: base64, or 64 hex digits. ``store``: its file; if that exists, no key is made, since none would open it.

    :raises UnusableKey: if there is one that is no such key, or it is lost.
    """
    if "AIGW_DATA_KEY" in environ:
        return _decoded("AIGW_DATA_KEY", os.fsencode(environ["AIGW_DATA_KEY"]).strip())
    kept = data / "data.key"
    if not os.path.lexists(kept):
        if store is not None and os.path.lexists(store):
            raise UnusableKey(
                f"{kept}: missing, and only this key opens {store.name}: restore it, or set AIGW_DATA_KEY"
            )
        _generate(kept, base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())
    text, warning = _read(kept)
    if warning is not None:
        log.warn("{warning}", warning=warning)
    return _decoded(str(kept), text)


def _given(key_file: Path | None, variable: str, environ: Mapping[str, str]) -> AdminKey | None:
    if key_file is not None:
        return _from_file(key_file)
    if variable in environ:
        key = os.fsencode(environ[variable]).strip()
        return AdminKey(key=_checked(variable, key), origin=variable)
    return None


def _kept(path: Path) -> AdminKey | None:
    return _from_file(path) if os.path.lexists(path) else None


def _from_file(path: Path) -> AdminKey:
    key, warning = _read(path)
    return AdminKey(key=_checked(str(path), key), origin=f"file {path}", warning=warning)


def _read(path: Path) -> tuple[bytes, str | None]:
    """What a key file holds, and a warning if it is not its owner's alone."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read(_MAX_LENGTH + 1).strip()
    except OSError as e:
        raise UnusableKey(f"{path}: can't be read: {e.strerror or e}") from e
    if stat.S_ISREG(mode) and mode & 0o077:
        return key, f"{path}: not only its owner can use it (mode {stat.S_IMODE(mode):04o}); chmod 600 it"
    return key, None


def _checked(name: str, key: bytes) -> bytes:
    if not key:
        raise UnusableKey(f"{name}: is empty; a key has at least {MIN_LENGTH} characters")
    if len(key) < MIN_LENGTH:
        raise UnusableKey(f"{name}: is too short; a key has at least {MIN_LENGTH} characters")
    if len(key) > _MAX_LENGTH:
        raise UnusableKey(f"{name}: is too long; a key has at most {_MAX_LENGTH} characters")
    if not _VISIBLE_ASCII.fullmatch(key):
        raise UnusableKey(f"{name}: a key is one word of printable ASCII, so that a header can carry it")
    return key


def _decoded(name: str, text: bytes) -> bytes:
    try:
        if _HEX.fullmatch(text):
            return binascii.unhexlify(text)
        key = base64.b64decode(text.translate(_FROM_URLSAFE) + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise UnusableKey(f"{name}: no data key: expected {KEY_BYTES} bytes in base64, or {2 * KEY_BYTES} hex digits")
    return key


def _generate(path: Path, text: str) -> bool:
    """Keep a new key; False if another start has just kept one, which then counts."""
    try:
        make_private_directory(path.parent)
        with whole_file(path) as aside:
            aside.write_text(text + "\n")
    except FileExistsError:
        return False
    except OSError as e:
        raise UnusableKey(f"{path}: can't be made: {e.strerror or e}") from e
    return True
