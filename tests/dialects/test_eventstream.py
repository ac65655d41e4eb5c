"""AWS's event stream framing: known messages, every cut, hostile lengths and headers."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.dialects.eventstream import (
    HEADERS_LIMIT,
    MESSAGE_LIMIT,
    HeaderValue,
    Message,
    MessageSplitter,
    decode,
    decode_headers,
    encode,
    headers_of,
    payload_of,
)

EMPTY = bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")
"""No headers, no payload: the shortest message there is."""
JSON = bytes.fromhex(
    "0000003d 00000020 07fd8396 0c636f6e 74656e74 2d747970 65070010 6170706c"
    "69636174 696f6e2f 6a736f6e 7b27666f 6f273a27 62617227 7d8d9c08 b1"
)
"""A header ``content-type`` and a short payload, as in the test vectors of the SDKs."""
ALL_TYPES: dict[str, HeaderValue] = {
    "true": True,
    "false": False,
    "byte": -128,
    "short": 32_767,
    "integer": -(2**31),
    "long": 2**63 - 1,
    "bytes": b"\x00\xff",
    "text": "é ☃",
    "timestamp": datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    "uuid": UUID("01020304-0506-0708-090a-0b0c0d0e0f10"),
}
STREAM = [EMPTY, JSON, encode(ALL_TYPES, b"{}"), encode({":event-type": "x"}, b"y" * 40)]


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    """The stream in one piece, in two of every kind, and byte by byte."""
    yield [stream]
    for i in range(1, len(stream)):
        yield [stream[:i], stream[i:]]
    yield [stream[i : i + 1] for i in range(len(stream))]


def framed(section: bytes, payload: bytes = b"", *, length: int | None = None, headers: int | None = None) -> bytes:
    """A message with any header section, and any lengths in its prelude; the checksums are right."""
    length = 16 + len(section) + len(payload) if length is None else length
    lengths = struct.pack(">II", length, len(section) if headers is None else headers)
    message = lengths + struct.pack(">I", crc32(lengths)) + section + payload
    return message + struct.pack(">I", crc32(message))


def test_known_messages() -> None:
    assert decode(EMPTY) == Message(headers={})
    assert decode(JSON) == Message(headers={"content-type": "application/json"}, payload=b"{'foo':'bar'}")
    assert encode({}) == EMPTY
    assert encode({"content-type": "application/json"}, b"{'foo':'bar'}") == JSON
    assert (headers_of(JSON)[:1], payload_of(JSON)) == (b"\x0c", b"{'foo':'bar'}")


def test_all_types_of_headers() -> None:
    assert decode(encode(ALL_TYPES, b"p")) == Message(headers=ALL_TYPES, payload=b"p")
    assert [type(value) for value in decode(encode(ALL_TYPES)).headers.values()] == list(map(type, ALL_TYPES.values()))


def test_texts_of_headers() -> None:
    message = decode(encode({"a": "b", "n": 1}))
    assert [message.told(name) for name in ("a", "n", "x")] == ["b", "", ""]


NAMES = st.text(min_size=1, max_size=60)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=300),
    st.text(max_size=90),
    st.uuids(),
    st.datetimes(timezones=st.just(UTC)).map(lambda d: d.replace(microsecond=d.microsecond // 1000 * 1000)),
)


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.binary(max_size=100))
def test_what_is_encoded_can_be_decoded(headers: dict[str, HeaderValue], payload: bytes) -> None:
    message = encode(headers, payload)
    splitter = MessageSplitter()
    assert splitter.feed(message) == [message]
    assert decode(message) == Message(headers=headers, payload=payload)


def test_a_stream_cut_at_every_byte() -> None:
    for pieces in cuts(b"".join(STREAM)):
        splitter = MessageSplitter()
        found = [message for piece in pieces for message in splitter.feed(piece)]
        assert (found, splitter.begun, splitter.broken) == (STREAM, False, "")


def test_a_message_comes_out_with_its_last_byte() -> None:
    splitter = MessageSplitter()
    for i in range(len(JSON) - 1):
        assert splitter.feed(JSON[i : i + 1]) == []
        assert splitter.begun
    assert splitter.feed(JSON[-1:]) == [JSON]
    assert not splitter.begun
    assert splitter.feed(b"") == []


def test_a_flipped_bit_anywhere_is_noticed() -> None:
    for place in range(len(JSON)):
        flipped = JSON[:place] + bytes((JSON[place] ^ 0x10,)) + JSON[place + 1 :]
        splitter = MessageSplitter()
        assert splitter.feed(EMPTY + flipped + EMPTY) == [EMPTY]
        assert splitter.broken.startswith("the checksum of a ")
        assert splitter.feed(EMPTY) == []


@pytest.mark.parametrize(
    ("length", "headers", "broken"),
    [
        (15, 0, "the lengths in a prelude do not agree"),
        (0, 0, "the lengths in a prelude do not agree"),
        (16, 1, "the lengths in a prelude do not agree"),
        (100, 2**32 - 1, "the lengths in a prelude do not agree"),
        (2**32 - 1, 0, "a message is too long"),
        (MESSAGE_LIMIT + 1, 0, "a message is too long"),
        (MESSAGE_LIMIT, HEADERS_LIMIT + 1, "a message is too long"),
    ],
)
def test_hostile_lengths_are_refused_with_the_prelude(length: int, headers: int, broken: str) -> None:
    prelude = framed(b"", length=length, headers=headers)[:12]
    for pieces in cuts(prelude):
        splitter = MessageSplitter()
        assert [splitter.feed(piece) for piece in pieces] == [[]] * len(pieces)
        assert (splitter.broken, splitter.begun) == (broken, False)


def test_the_longest_message() -> None:
    message = framed(b"", b"x" * 84)
    assert MessageSplitter(100).feed(message) == [message]
    splitter = MessageSplitter(99)
    assert (splitter.feed(message), splitter.broken) == ([], "a message is too long")


@pytest.mark.parametrize(
    "section",
    [
        b"\x01",
        b"\x02a",
        b"\x01a",
        b"\x01a\x0a",
        b"\x01a\xff",
        b"\x00\x00",
        b"\x01a\x02",
        b"\x01a\x03\x00",
        b"\x01a\x04\x00\x00\x00",
        b"\x01a\x05" + bytes(7),
        b"\x01a\x06\x00",
        b"\x01a\x06\x00\x01",
        b"\x01a\x07\xff\xffx",
        b"\x01a\x07\x00\x01\xff",
        b"\x01\xff\x00",
        b"\x01a\x08" + bytes(7),
        b"\x01a\x08\x7f" + b"\xff" * 7,
        b"\x01a\x09" + bytes(15),
        b"\x01a\x00\x01a\x00",
    ],
)
def test_hostile_headers(section: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|decode"):
        decode(framed(section))


@given(st.binary(max_size=60))
def test_any_headers_are_decoded_or_refused(section: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode_headers(section)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_are_waited_for_or_refused(pieces: list[bytes]) -> None:
    splitter = MessageSplitter(1000)
    for piece in pieces:
        assert all(decode(message) for message in splitter.feed(piece))


@pytest.mark.parametrize(
    "headers", [{"": True}, {"x" * 256: True}, {"a": 2**63}, {"a": "x" * 32_768}, {"a": -(2**63) - 1}]
)
def test_what_has_no_place_in_a_header(headers: dict[str, HeaderValue]) -> None:
    with pytest.raises(ValueError, match="header"):
        encode(headers)
