"""Sealed values open with their key, in their place, unaltered, or not at all; masks tell nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.stores.sealing import Sealer, WrongKey, is_mask

KEY = bytes(range(32))
WHERE = "default/routes/a"
PLAIN = b'{"auth": {"header": {"Authorization": "Bearer sk-secret"}}}'


@given(st.binary(max_size=1000), st.text(st.characters(codec="utf-8"), max_size=50))
def test_what_was_sealed_is_unsealed(plain: bytes, where: str) -> None:
    assert Sealer(KEY).unseal(Sealer(KEY).seal(plain, where), where) == plain


def test_nothing_of_the_value_shows() -> None:
    sealed = Sealer(KEY).seal(PLAIN, WHERE)
    assert all(PLAIN[i : i + 4] not in sealed for i in range(len(PLAIN) - 3))


def test_a_value_is_never_sealed_the_same_twice() -> None:
    sealer = Sealer(KEY)
    assert len({sealer.seal(PLAIN, WHERE)[1:13] for _ in range(100)}) == 100


def test_the_version_comes_first() -> None:
    assert Sealer(KEY).seal(b"", WHERE)[:1] == b"\x01"
    assert len(Sealer(KEY).seal(b"", WHERE)) == 1 + 12 + 16


def test_a_value_sealed_by_the_first_release_is_unsealed() -> None:
    """The format is kept: this was written once, and stays."""
    sealed = bytes.fromhex(FIRST_RELEASE)
    assert Sealer(KEY).unseal(sealed, WHERE) == b"kept"


FIRST_RELEASE = "010707070707070707070707071584916b74b47f03eda207e4b39840af94cf6ac0"


def test_another_key_does_not_unseal() -> None:
    sealed = Sealer(KEY).seal(PLAIN, WHERE)
    with pytest.raises(WrongKey, match="sealed with another data key than the present one") as caught:
        Sealer(bytes(32)).unseal(sealed, WHERE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("elsewhere", ["default/routes/b", "other/routes/a", "default/services/a", "", WHERE + "/"])
def test_a_value_can_not_be_moved(elsewhere: str) -> None:
    sealed = Sealer(KEY).seal(PLAIN, WHERE)
    with pytest.raises(WrongKey):
        Sealer(KEY).unseal(sealed, elsewhere)


def test_a_value_that_was_altered_anywhere_is_refused() -> None:
    sealed = Sealer(KEY).seal(PLAIN, WHERE)
    for at in range(len(sealed)):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(WrongKey):
            Sealer(KEY).unseal(altered, WHERE)


def test_a_value_that_was_cut_or_lengthened_is_refused() -> None:
    sealed = Sealer(KEY).seal(PLAIN, WHERE)
    for length in range(len(sealed)):
        with pytest.raises(WrongKey):
            Sealer(KEY).unseal(sealed[:length], WHERE)
    with pytest.raises(WrongKey):
        Sealer(KEY).unseal(sealed + b"\0", WHERE)


def test_a_value_that_was_never_sealed_is_refused() -> None:
    with pytest.raises(WrongKey, match="not sealed in a way that this aigw knows"):
        Sealer(KEY).unseal(PLAIN, WHERE)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(bytes(length))


def test_the_key_does_not_show() -> None:
    assert "0x" in repr(Sealer(b"k" * 32))
    assert "kkk" not in repr(vars(Sealer(b"k" * 32)))


@pytest.mark.parametrize(
    ("secret", "pattern"),
    [
        ("sk-1234567890", r"\*{4}[0-9a-f]{4}"),
        ("Bearer sk-1234567890", r"Bearer \*{4}[0-9a-f]{4}"),
        ("bearer sk-1234567890", r"bearer \*{4}[0-9a-f]{4}"),
        ("Basic dXNlcjpwYXNz", r"Basic \*{4}[0-9a-f]{4}"),
        ("Token abc", r"Token \*{4}[0-9a-f]{4}"),
        ("correct horse battery staple", r"\*{4}[0-9a-f]{4}"),
        ("hunter2 again", r"\*{4}[0-9a-f]{4}"),
        ("Bearer  two-spaces", r"\*{4}[0-9a-f]{4}"),
        ("Bearer two words", r"\*{4}[0-9a-f]{4}"),
        ("Bearer line\n", r"\*{4}[0-9a-f]{4}"),
        ("Bearer ", r"\*{4}[0-9a-f]{4}"),
        ("Bearer", r"\*{4}[0-9a-f]{4}"),
        (" Bearer x", r"\*{4}[0-9a-f]{4}"),
        ("", r"\*{4}[0-9a-f]{4}"),
        ("\ud83d", r"\*{4}[0-9a-f]{4}"),
        ("sk-1$env://NAME", r"\*{4}[0-9a-f]{4}"),
        ("$env://NAME and sk-1", r"\*{4}[0-9a-f]{4}"),
        ("$env://", r"\*{4}[0-9a-f]{4}"),
        ("$other://NAME", r"\*{4}[0-9a-f]{4}"),
        ("$env://NAME", r"\$env://NAME"),
        ("$ENV://NAME/sub-key", r"\$ENV://NAME/sub-key"),
        ("$secret://vault/1/openai/key", r"\$secret://vault/1/openai/key"),
        ("Bearer $env://NAME", r"Bearer \$env://NAME"),
    ],
)
def test_a_mask_keeps_the_scheme_and_references_only(secret: str, pattern: str) -> None:
    mask = Sealer(KEY).mask(secret)
    assert re.fullmatch(pattern, mask)
    assert is_mask(mask) == (mask != secret)


def test_masks_of_different_secrets_differ_as_a_rule() -> None:
    sealer = Sealer(KEY)
    assert len({sealer.mask(f"Bearer sk-{n}") for n in range(100)}) > 90


def test_a_mask_is_the_same_for_the_same_secret_and_key_only() -> None:
    assert Sealer(KEY).mask("Bearer sk-1") == Sealer(KEY).mask("Bearer sk-1")
    assert Sealer(KEY).mask("Bearer sk-1") != Sealer(bytes(32)).mask("Bearer sk-1")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("****3f9c", True),
        ("Bearer ****3f9c", True),
        ("Splunk ****0000", True),
        ("****3F9C", False),
        ("****3f9", False),
        ("***3f9c", False),
        ("****3f9cc", False),
        ("****3f9c\n", False),
        ("Bearer  ****3f9c", False),
        ("a b ****3f9c", False),
        ("Bearer****3f9c", False),
        ("Bearer sk-1", False),
        ("", False),
    ],
)
def test_what_a_mask_is(text: str, verdict: bool) -> None:
    assert is_mask(text) == verdict


@given(st.text())
def test_every_secret_is_masked_or_is_a_reference(secret: str) -> None:
    mask = Sealer(KEY).mask(secret)
    assert is_mask(mask) or "://" in secret
