from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigw.balancing.retry_after import LONGEST_REST, retry_after

NOON = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 section 5.6.7."""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"20", 20.0),
        (b" 7\t", 7.0),
        (b"1.5", 1.5),
        (b"2.", 2.0),
        (b"120000", 300.0),
        (b"9" * 400, 300.0),
        (b"Sun, 06 Nov 1994 08:49:57 GMT", 20.0),
        (b"Sunday, 06-Nov-94 08:49:57 GMT", 20.0),
        (b"Sun Nov  6 08:49:57 1994", 20.0),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
    ],
)
def test_understood(value: bytes, seconds: float) -> None:
    assert retry_after(value, NOON) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"-1", b"+1", b"1e3", b"0x10", b"inf", b"nan", b"1_0", b"soon", b"1 2", b"20s", b".5", b"1,2", b"1\n"),
        *(b"9" * 100_000, b"\xc2\xb2", b"\xff"),
        b"Sun, 06 Nov 1994 08:49:36 GMT",
        b"Sun, 99 Nov 1994 08:49:57 GMT",
        b"Sun, 06 Nov 1994 99:49:57 GMT",
        b"Sun, 06 Nov 1994 08:49:57 -999999999999999999",
    ],
)
def test_not_understood(value: bytes) -> None:
    assert retry_after(value, NOON) is None


def test_the_cap_can_be_chosen() -> None:
    assert retry_after(b"20", NOON, longest=5.0) == 5.0


date_like = st.from_regex(rb"\A[A-Z][a-z]{2,8},? [0-9A-Za-z :-]{0,34}\Z")


@given(st.one_of(st.binary(max_size=60), date_like), st.floats(0, 4e9))
@example(b"Sun, 06 Nov 1994 08:49:57 -9999", NOON)
def test_anything_is_a_bounded_wait_or_nothing(value: bytes, now: float) -> None:
    seconds = retry_after(value, now)
    assert seconds is None or 0.0 <= seconds <= LONGEST_REST
