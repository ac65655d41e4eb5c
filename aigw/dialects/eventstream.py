"""AWS's event streams: binary messages one after the other, each with headers, a payload and checksums.

https://smithy.io/2.0/aws/amazon-eventstream.html: a prelude (length of the message, length of its headers, CRC of
both), the headers, the payload, the CRC of all before it; all numbers are big-endian, all CRCs those of gzip. What a
message is about is said in headers: ``:message-type`` is event, exception or error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

import msgspec

MEDIA_TYPE = b"application/vnd.amazon.eventstream"

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CRC.size

HEADERS_LIMIT = 128 * 1024
MESSAGE_LIMIT = _LEAST + HEADERS_LIMIT + 24 * 1024 * 1024
"""The most bytes that a message may have: as many are held back until it is whole, and none of a longer one."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

HeaderValue = bool | int | str | bytes | datetime | UUID
"""A header's value; timestamps are in UTC, to the millisecond."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. ``headers``: name (of 1 to 255 bytes) -> value."""

    headers: Mapping[str, HeaderValue]
    payload: bytes = b""

    def told(self, name: str) -> str:
        """What a header says; "" if there is none, or it is not text."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class MessageSplitter:
    """Finds the whole messages of a stream, however it is cut, and checks their checksums.

    It keeps ``limit`` bytes at most (or what one `feed` brought, if that is more). ``broken``: what is wrong with the
    stream behind the last message that came out, "" = nothing; in what is wrong nobody looks for messages.
    """

    __slots__ = ("_held", "_limit", "_wanted", "broken")

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self._held = bytearray()
        self._limit = limit
        self._wanted = _PRELUDE.size
        self.broken = ""

    @property
    def begun(self) -> bool:
        """Is the beginning of a message kept?"""
        return bool(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now, each with all its bytes."""
        if self.broken:
            return []
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return []
            data = bytes(self._held)
            self._held.clear()
        return list(self._messages(data))

    def _messages(self, data: bytes) -> Iterator[bytes]:
        start = 0
        while True:
            self._wanted = _PRELUDE.size
            if len(data) - start >= self._wanted:
                self._wanted = self._length(data, start)
            if self.broken:
                return
            end = start + self._wanted
            if end > len(data):
                self._held += data[start:]
                return
            if crc32(memoryview(data)[start : end - _CRC.size]) != _CRC.unpack_from(data, end - _CRC.size)[0]:
                self.broken = "the checksum of a message is wrong"
                return
            yield data[start:end]
            start = end

    def _length(self, data: bytes, start: int) -> int:
        """That of the message, by its prelude."""
        length, headers, crc = _PRELUDE.unpack_from(data, start)
        if crc32(data[start : start + _PRELUDE.size - _CRC.size]) != crc:
            self.broken = "the checksum of a prelude is wrong"
        elif not _LEAST + headers <= length:
            self.broken = "the lengths in a prelude do not agree"
        elif length > self._limit or headers > HEADERS_LIMIT:
            self.broken = "a message is too long"
        return int(length)


def headers_of(message: bytes) -> bytes:
    """The header section of a whole message, undecoded."""
    return message[_PRELUDE.size : _PRELUDE.size + _PRELUDE.unpack_from(message)[1]]


def payload_of(message: bytes) -> bytes:
    """The payload of a whole message."""
    return message[_PRELUDE.size + _PRELUDE.unpack_from(message)[1] : -_CRC.size]


def decode(message: bytes) -> Message:
    """A whole message, of which `MessageSplitter` has checked length and checksums.

    :raises ValueError: if its headers are none.
    """
    return Message(headers=decode_headers(headers_of(message)), payload=payload_of(message))


def decode_headers(section: bytes) -> dict[str, HeaderValue]:
    """The headers of a section; names are unique.

    :raises ValueError: if it has anything else in it.
    """
    headers: dict[str, HeaderValue] = {}
    position = 0
    try:
        while position < len(section):
            start = position + 1
            position = start + section[position]
            name = section[start:position].decode()
            if not name or name in headers:
                raise ValueError("a header has no name, or that of another one")
            headers[name], position = _value(section, position)
    except (struct.error, IndexError, OverflowError):
        raise ValueError("a header is cut short, or its value out of range") from None
    if position != len(section):
        raise ValueError("a header is longer than all of them")
    return headers


def encode(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    """A message. An integer goes out in the shortest type that holds it.

    :raises ValueError: for a name or value that has no place in a header.
    """
    section = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack(">II", _LEAST + len(section) + len(payload), len(section))
    message = lengths + _CRC.pack(crc32(lengths)) + section + payload
    return message + _CRC.pack(crc32(message))


_NUMBERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
"""By type: byte, short, integer, long."""
_LENGTH = struct.Struct(">H")
_BYTES, _TEXT, _TIMESTAMP, _UUID = 6, 7, 8, 9


def _value(section: bytes, position: int) -> tuple[HeaderValue, int]:
    """The value whose type stands at a position, and where it ends."""
    kind = section[position]
    start = position + 1
    if kind in (0, 1):
        return kind == 0, start
    if kind in _NUMBERS:
        return _NUMBERS[kind].unpack_from(section, start)[0], start + _NUMBERS[kind].size
    if kind in (_BYTES, _TEXT):
        start += _LENGTH.size
        end = start + _LENGTH.unpack_from(section, start - _LENGTH.size)[0]
        value = section[start:end]
        return value if kind == _BYTES else value.decode(), end
    if kind == _TIMESTAMP:
        return _EPOCH + timedelta(milliseconds=_NUMBERS[5].unpack_from(section, start)[0]), start + 8
    if kind == _UUID:
        return UUID(bytes=struct.unpack_from("16s", section, start)[0]), start + 16
    raise ValueError("a header is of no known type")


def _header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) < 256:
        raise ValueError("the name of a header has 1 to 255 bytes")
    return bytes((len(encoded),)) + encoded + _typed(value)


def _typed(value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return b"\x00" if value else b"\x01"
    if isinstance(value, int):
        return _number(value)
    if isinstance(value, datetime):
        return bytes((_TIMESTAMP,)) + _NUMBERS[5].pack((value - _EPOCH) // timedelta(milliseconds=1))
    if isinstance(value, UUID):
        return bytes((_UUID,)) + value.bytes
    kind, encoded = (_TEXT, value.encode()) if isinstance(value, str) else (_BYTES, value)
    if len(encoded) > 0x7FFF:
        raise ValueError("the value of a header has 32,767 bytes at most")
    return bytes((kind,)) + _LENGTH.pack(len(encoded)) + encoded


def _number(value: int) -> bytes:
    for kind, form in _NUMBERS.items():
        if -(1 << 8 * form.size - 1) <= value < 1 << 8 * form.size - 1:
            return bytes((kind,)) + form.pack(value)
    raise ValueError("the number in a header has 64 bits at most")
