"""Credentials that an upstream quotes."""

from __future__ import annotations

import pytest

from aigw.errors import RateLimited, UpstreamError
from aigw.llm.scrubbing import Scrubber

KEY = "sk-0123456789"

WHOLE: list[tuple[list[str], str, str]] = [
    ([], KEY, KEY),
    (["short"], "short", "short"),
    ([KEY], f"<{KEY}>", "<****>"),
    ([f"Bearer {KEY}"], f"<{KEY}> <Bearer {KEY}>", "<****> <****>"),
    ([f"Bearer {KEY}"], f"<Basic {KEY}>", "<Basic ****>"),
    (["Bearer short"], "<Bearer short> <short>", "<****> <short>"),
    ([KEY, KEY + "-2"], f"{KEY}-2 {KEY}", "**** ****"),
    (["k.y+(1)[2]"], "k.y+(1)[2] kxy+(1)[2]", "**** kxy+(1)[2]"),
    (["geheimnis-\u00fc"], "geheimnis-\u00fc", "****"),
]


@pytest.mark.parametrize(("values", "told", "shown"), WHOLE)
def test_masks_whole_credentials_and_nothing_else(values: list[str], told: str, shown: str) -> None:
    scrubber = Scrubber(values)
    assert scrubber.whole(told.encode()).decode() == scrubber.text(told) == shown
    for cut in range(len(told.encode()) + 1):
        stage, data = scrubber.stream(), told.encode()
        out = [piece for part in (data[:cut], data[cut:]) for piece in stage.feed(part)] + stage.close()
        assert b"".join(out).decode() == shown
        assert b"" not in out


def test_byte_by_byte() -> None:
    stage = Scrubber([f"Bearer {KEY}"]).stream()
    told = f"no: Bearer {KEY}, nor {KEY}".encode()
    out = [piece for byte in told for piece in stage.feed(bytes([byte]))] + stage.close()
    assert KEY.encode() not in b"".join(out)
    assert b"".join(out).startswith(b"no: ")
    assert b"".join(out).count(b"****") == 2


def test_text_that_no_encoding_has() -> None:
    assert Scrubber([KEY]).text(f"\ud83d {KEY}") == "\ud83d ****"


class Failing:
    """A stage that tells too much."""

    def feed(self, data: bytes) -> list[bytes]:
        if data == b"bad":
            raise RateLimited(f"no more for {KEY}", param="x", headers=((b"Retry-After", b"1"),))
        return [data]

    def close(self) -> list[bytes]:
        raise UpstreamError(f"{KEY} is over")


def test_errors_of_a_stage_keep_everything_but_the_credentials() -> None:
    stage = Scrubber([KEY]).errors_of(Failing())
    assert stage.feed(KEY.encode()) == [KEY.encode()]
    with pytest.raises(RateLimited) as caught:
        stage.feed(b"bad")
    assert (caught.value.message, caught.value.param) == ("no more for ****", "x")
    assert caught.value.headers == ((b"Retry-After", b"1"),)
    with pytest.raises(UpstreamError, match=r"^\*\*\*\* is over$"):
        stage.close()


def test_without_credentials_a_stage_stays_what_it_is() -> None:
    stage = Failing()
    assert Scrubber([]).errors_of(stage) is stage
