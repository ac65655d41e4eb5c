"""The strict reading of a request head: what is refused here reaches no other parser, and no upstream.

Functions over bytes. Clients repeat themselves, so lines that were read before are remembered, as far as they can hold
no secret. Sections are of RFC 9112, unless RFC 9110 is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from aigw.errors import BadRequest, ExpectationFailed, HeadersTooLarge, URITooLong, VersionNotSupported
from aigw.proxy.limits import Limits
from aigw.received import Field, ReceivedHeaders
from aigw.remembered import FieldMemory, remember
from aigw.routing.target import host_of

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rb"[\t -~\x80-\xff]*"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb"{1,32}) ([!-~]+) HTTP/([0-9]\.[0-9])")
_FIELD = re.compile(rb"(" + _TOKEN + rb"+):(" + _VALUE + rb")")
_VALID_VALUE = re.compile(_VALUE)
_LONGEST_LENGTH = 18
_LENGTH_FIELD = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_TCHAR = re.compile(_TOKEN)
_LONGEST_REPEATED = 4096
_FEW_FRESH, _SOME_FRESH = 4, 32
"""After so many heads in a row that were all different, only one in so many is looked for again."""

_UNIQUE = {
    b"host": "exactly one Host header is required",
    b"transfer-encoding": "the only Transfer-Encoding accepted is chunked, in HTTP/1.1, without Content-Length",
    b"content-length": "Content-Length is not one number",
}

RequestLine = tuple[bytes, bytes, bytes]
_request_lines: dict[bytes, RequestLine] = {}


@attrs.define(kw_only=True)
class Head:
    """A request head that passed. ``version``: ``b"HTTP/1.0"`` or ``b"HTTP/1.1"``.

    ``length``: of the body, in bytes; None = chunked. ``persistent``: the connection may serve another request.
    ``expects_continue``: the client waits for 100 before it sends the body.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: ReceivedHeaders
    length: int | None
    persistent: bool
    expects_continue: bool


def head_size(buffer: bytes, seen: int, limits: Limits) -> int:
    """How many bytes at the start of ``buffer`` are a head; 0 = its end has not come yet.

    ``seen``: how many of these bytes an earlier call looked at.

    :raises GatewayError: as soon as what is there can't become an acceptable head any more.
    """
    end = buffer.find(b"\r\n\r\n", max(0, seen - 3))
    if end >= 0:
        return end + 4
    if not _TCHAR.match(buffer):
        raise BadRequest("malformed request line")
    if _BARE_LF.search(buffer, seen):
        raise BadRequest("a line of the request head does not end with CRLF")
    _check_sizes(buffer.partition(b"\r\n")[0], len(buffer), limits)
    return 0


def read_head(block: bytes, limits: Limits) -> Head:
    """What a whole head says. ``block``: it, with the empty line at its end.

    :raises GatewayError: 400, 414, 417, 431 or 505; the connection can't be used any further.
    """
    lines = block[:-4].split(b"\r\n")
    request_line = lines.pop(0)
    _check_sizes(request_line, len(block), limits)
    if len(lines) > limits.header_count:
        raise HeadersTooLarge(f"more than {limits.header_count} header fields")
    method, target, version = _request_lines.get(request_line) or read_request_line(request_line)
    headers = ReceivedHeaders([*map(_field_lines.__getitem__, lines)])
    values = headers.by_name
    if len(values) < len(lines):  # else every name is there once
        _check_unique(headers)
    _check_host(values.get(b"host"), required=version == b"HTTP/1.1")
    length = _body_length(version, values)
    return Head(
        method=method,
        target=target,
        version=version,
        headers=headers,
        length=length,
        persistent=version == b"HTTP/1.1" and b"close" not in headers.listed(b"connection"),
        expects_continue=b"expect" in values
        and _expects_continue(version, headers.getRawHeaders(b"expect"))
        and length != 0,
    )


class Repeated:
    """The head that a connection had last. Clients send the same one again and again, but for the length of the body.

    ``head``: what it says; from one request to the next, its length and its headers are replaced.
    """

    __slots__ = ("_after", "_before", "_block", "_length", "head")

    def __init__(self, block: bytes, head: Head) -> None:
        """``block``: the whole head, which `is_plain`."""
        self._block: bytes | None = block
        self.head = head

    def _split(self, block: bytes) -> None:
        """What is around the length, found out when it is first of use: on many connections no other request comes."""
        found = _LENGTH_FIELD.search(block)
        self._before, self._length, self._after = (
            (block, b"", b"") if found is None else (block[: found.start(1)], found[1], block[found.end(1) :])
        )
        self._block = None

    @classmethod
    def of(cls, block: bytes, head: Head, fresh: int) -> Repeated | None:
        """The head to look for again, if it is one that may be kept. ``fresh``: so many heads have been read in a row,
        this one included, because none was the same as the one before.
        """
        if (fresh <= _FEW_FRESH or fresh % _SOME_FRESH == 0) and cls.is_plain(block, head):
            return cls(block, head)
        return None

    @staticmethod
    def is_plain(block: bytes, head: Head) -> bool:
        """Is the head one that may be kept, and whose only part that can differ is the length?"""
        return (
            len(block) <= _LONGEST_REPEATED
            and head.length is not None
            and head.persistent
            and b"expect" not in head.headers.by_name  # without a body there is nothing to expect, but the next has one
        )

    def size_in(self, data: bytes) -> int:
        """How many bytes at the start of ``data`` are this head again; 0 = it is another one, or not all of it."""
        if self._block is not None:
            self._split(self._block)
        before, after = self._before, self._after
        if not data.startswith(before):
            return 0
        start = len(before)
        if not after:
            return start
        end = data.find(after, start, start + _LONGEST_LENGTH + len(after))
        if end < 0:
            return 0
        length = data[start:end]
        if length != self._length:
            if not length.isdigit():
                return 0
            self._length = length
            head = self.head
            head.headers, head.length = head.headers.with_length(length), int(length)
        return end + len(after)


def read_request_line(line: bytes) -> RequestLine:
    """Method, target and version of a request line (section 3). Queries, which may hold a key, are not remembered."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequest("malformed request line")
    method, target, number = match.groups()
    if number not in (b"1.0", b"1.1"):
        raise VersionNotSupported("HTTP/1.1 and HTTP/1.0 are spoken here")
    check_target(method, target)
    read = method, target, b"HTTP/" + number
    if b"?" not in target:
        remember(_request_lines, line, read)
    return read


def check_target(method: bytes, target: bytes) -> None:
    """Only a path, or ``*`` for OPTIONS (section 3.2): of an absolute target, which host is asked would be in doubt.

    :raises BadRequest: for any other; CONNECT is refused later, for what it is.
    """
    if target.startswith(b"/") or method == b"CONNECT" or (target == b"*" and method == b"OPTIONS"):
        return
    raise BadRequest("the request target is not a path")


def read_field(line: bytes) -> Field:
    """A header or trailer field (section 5). What by its name may be a credential is not remembered."""
    match = _FIELD.fullmatch(line)
    if match is None:
        raise BadRequest("obsolete line folding" if line[:1] in (b" ", b"\t") else "malformed header field")
    field = name, _ = match[1].lower(), match[2].strip(b" \t")
    _field_lines.keep(name, line, len(line), field)
    return field


class _FieldLines(FieldMemory[bytes, Field]):
    """What lines of headers mean, on whatever connection they come."""

    def __missing__(self, line: bytes) -> Field:
        return read_field(line)


_field_lines = _FieldLines()


def check_http2(method: bytes, target: bytes, fields: Mapping[bytes, Sequence[bytes]], limits: Limits) -> None:
    """The same strictness for a head that came over HTTP/2, where framing is not in it. Field names are lower case.

    :raises GatewayError: 400 or 431.
    """
    if not re.fullmatch(_TOKEN + rb"{1,32}", method) or not re.fullmatch(rb"[!-~]+", target):
        raise BadRequest("malformed method or path")
    check_target(method, target)
    if len(target) > limits.request_line:
        raise URITooLong(f"the path is longer than {limits.request_line} bytes")
    if sum(map(len, fields.values())) > limits.header_count:
        raise HeadersTooLarge(f"more than {limits.header_count} header fields")
    for values in fields.values():
        if not all(map(_VALID_VALUE.fullmatch, values)):
            raise BadRequest("malformed header field")
    hosts = set(fields.get(b"host", ()))
    if len(hosts) > 1:
        raise BadRequest(_UNIQUE[b"host"])
    _check_host(next(iter(hosts), None), required=True)


def _check_sizes(request_line: bytes, size: int, limits: Limits) -> None:
    if len(request_line) > limits.request_line:
        raise URITooLong(f"the request line is longer than {limits.request_line} bytes")
    if size - len(request_line) > limits.header_section:
        raise HeadersTooLarge(f"the header section is longer than {limits.header_section} bytes")


def _check_unique(headers: ReceivedHeaders) -> None:
    """There is at most one of each field that says where the request goes and where it ends."""
    for name, complaint in _UNIQUE.items():
        if len(headers.getRawHeaders(name, ())) > 1:
            raise BadRequest(complaint)


def _check_host(value: bytes | None, *, required: bool) -> None:
    """Section 3.2: in HTTP/1.1 there is one, and what routes are matched by must not be in doubt."""
    if value is None:
        if required:
            raise BadRequest(_UNIQUE[b"host"])
        return
    try:
        host_of(value)
    except ValueError as e:
        raise BadRequest(str(e)) from None


def _body_length(version: bytes, values: Mapping[bytes, bytes]) -> int | None:
    """Section 6.3, without its lenience: two parsers that disagree about a length are how requests get smuggled."""
    length = values.get(b"content-length")
    if b"transfer-encoding" in values:
        if version != b"HTTP/1.1" or length is not None or values[b"transfer-encoding"].lower() != b"chunked":
            raise BadRequest(_UNIQUE[b"transfer-encoding"])
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > _LONGEST_LENGTH:
        raise BadRequest(_UNIQUE[b"content-length"])
    return int(length)


def _expects_continue(version: bytes, values: list[bytes]) -> bool:
    """RFC 9110 section 10.1.1: HTTP/1.0 has no expectations, and there is only one that can be met."""
    if version != b"HTTP/1.1":
        return False
    if len(values) > 1 or values[0].lower() != b"100-continue":
        raise ExpectationFailed("the only expectation that can be met is 100-continue")
    return True
