"""Sealing: what a store keeps is unreadable without the data key, and what is shown of a secret tells nothing of it.

A sealed value is one version byte, a random nonce of 12 bytes, and the AES-256-GCM ciphertext with its tag (NIST SP
800-38D). Version and place are authenticated, so that no value can pass for another one's. A new scheme is a new byte.
"""

from __future__ import annotations

import hmac
import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32

_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16

_MASK = re.compile(r"(\w+ )?\*{4}[0-9a-f]{4}")
_REFERENCE = re.compile(r"(\w+ )?\$(env|secret)://\S+", re.IGNORECASE)

# Words that say how a credential is meant (RFC 9110 section 11.1, and vendors' own). Any other first word may be a part
# of a passphrase, and is not shown.
_SCHEMES = "apikey|basic|bearer|digest|dpop|jwt|key|negotiate|oauth|token"
_SCHEME = re.compile(rf"(?:{_SCHEMES}) (?=\S+\Z)", re.IGNORECASE)


class WrongKey(Exception):
    """A value can't be unsealed; the message is one line, and shows nothing of it."""


class Sealer:
    """Seals and masks under one data key of 32 bytes, from which a key for each of the two is derived (RFC 5869)."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a data key has {KEY_BYTES} bytes")
        self._cipher = AESGCM(_derived(key, b"aigw sealing 1"))
        self._mask_key = _derived(key, b"aigw masks 1")

    def seal(self, plain: bytes, where: str) -> bytes:
        """``plain``, readable only with the data key and only as the value of ``where`` (``default/routes/a``)."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, _bound_to(where))

    def unseal(self, sealed: bytes, where: str) -> bytes:
        """What `seal` was given.

        :raises WrongKey: if it was sealed under another key, for another place, or was altered since.
        """
        version, nonce, rest = sealed[:1], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if version != _VERSION:
            raise WrongKey("not sealed in a way that this aigw knows")
        if len(rest) < _TAG_BYTES:
            raise WrongKey("sealed, but cut short")
        try:
            return self._cipher.decrypt(nonce, rest, _bound_to(where))
        except InvalidTag:
            raise WrongKey(
                "sealed with another data key than the present one (is data.key or AIGW_DATA_KEY lost?), or altered"
            ) from None

    def mask(self, secret: str) -> str:
        """What is shown instead of a secret: ``Bearer ****3f9c``.

        The scheme stays; the four digits say only whether two secrets are likely the same. References (``$env://X``)
        name a secret, are none, and stay as they are.
        """
        if _REFERENCE.fullmatch(secret):
            return secret
        scheme = _SCHEME.match(secret)
        digest = hmac.digest(self._mask_key, secret.encode("utf-8", "surrogatepass"), "sha256")
        return f"{scheme.group() if scheme else ''}****{digest.hex()[:4]}"


def is_mask(text: str) -> bool:
    """Has ``text`` the form of what `Sealer.mask` gives?"""
    return _MASK.fullmatch(text) is not None


def _bound_to(where: str) -> bytes:
    return _VERSION + where.encode()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)
