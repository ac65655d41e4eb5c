"""Events found in bytes, wherever the network cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.dialects.sse import EventSplitter, data_of, event_name, events, values_of, whole_events

STREAMS = [
    b"data: a\n\ndata: b\n\n",
    b"data: a\r\n\r\ndata: b\r\n\r\n",
    b"data: a\r\rdata: b\r\r",
    b"data: a\n\r\ndata: b\r\n\ndata: c\n\rdata: d\r\r\ndata: e\r\r",
    b"\xef\xbb\xbfdata: a\n\n: ping\n\n\n\ndata: b\nid: 7\n\n",
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\r"])
def test_every_pair_of_line_ends_ends_an_event(end: bytes, blank: bytes) -> None:
    if end + blank == b"\r\n":
        assert whole_events(b"data: a\r\n") == 0
        return
    event = b"data: a" + end + blank
    assert whole_events(event) == (0 if event.endswith(b"\n\r") else len(event))  # an LF may belong to that CR
    assert whole_events(event + b"data: b" + end) == len(event)
    assert list(events(event + event)) == [event, event]


@pytest.mark.parametrize("stream", STREAMS)
def test_cut_anywhere_the_whole_comes_out(stream: bytes) -> None:
    for cut in range(len(stream) + 1):
        for second in range(cut, len(stream) + 1):
            splitter = EventSplitter()
            pieces = [splitter.feed(p) for p in (stream[:cut], stream[cut:second], stream[second:]) if p]
            assert b"".join(pieces) + splitter.rest() == stream
            assert [data_of(e) for piece in pieces for e in events(piece)] == [data_of(e) for e in events(stream)]
            assert not splitter.rest().strip(b"\r\n")


@pytest.mark.parametrize("stream", STREAMS)
def test_byte_by_byte_each_event_passes_when_its_blank_line_is_there(stream: bytes) -> None:
    splitter = EventSplitter()
    pieces = [splitter.feed(stream[i : i + 1]) for i in range(len(stream))]
    texts = [data_of(e) for piece in pieces for e in events(piece) if data_of(e)]
    assert texts == [data_of(e) for e in events(stream) if data_of(e)]


def test_an_event_in_the_making_is_kept() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\ndata: b") == b"data: a\n\n"
    assert splitter.rest() == b"data: b"
    assert splitter.feed(b"c\n") == b""
    assert splitter.feed(b"\nd") == b"data: bc\n\n"
    assert splitter.rest() == b"d"


def test_an_overlong_event_passes_in_pieces_and_splitting_goes_on_after_it() -> None:
    splitter = EventSplitter(limit=10)
    passed = []
    for piece in (b"data: 1234", b"5", b"678\n", b"\ndata: x\n\nda"):
        passed.append((splitter.feed(piece), splitter.overlong))
    assert passed == [(b"", False), (b"data: 123", True), (b"4567", True), (b"8\n\ndata: x\n\n", False)]
    assert splitter.rest() == b"da"


def test_never_keeps_more_than_the_limit() -> None:
    splitter = EventSplitter(limit=10)
    out = b""
    for _ in range(1000):
        out += splitter.feed(b"x" * 7)
        assert len(splitter.rest()) <= 10
    assert out + splitter.rest() == b"x" * 7000


@given(st.lists(st.text("\r\nab:", max_size=6).map(str.encode)), st.integers(1, 12))
def test_any_bytes_in_any_pieces(pieces: list[bytes], limit: int) -> None:
    splitter = EventSplitter(limit)
    out = []
    for piece in pieces:
        out.append(splitter.feed(piece))
        assert len(splitter.rest()) <= max(limit, len(piece), 2)
    assert b"".join(out) + splitter.rest() == b"".join(pieces)
    assert b"".join(events(b"".join(pieces))) == b"".join(pieces)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a \n\n", b" a "),
        (b"data: a\r\n\r\n", b"a"),
        (b"data: a\r\r", b"a"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data\n\n", b""),
        (b"data:\ndata:\n\n", b"\n"),
        (b"\xef\xbb\xbfdata: a\n\n", b"a"),
        (b"\ndata: a\n\n", b"a"),
        (b"event: x\ndata: a\nid: 1\n\n", b"a"),
        (b": comment\n\n", b""),
        (b"database: a\n\n", b""),
        (b" data: a\n\n", b""),
        (b"data: a", b"a"),
        (b"data: a\n", b"a"),
        (b"", b""),
    ],
)
def test_reads_data(event: bytes, data: bytes) -> None:
    assert data_of(event) == data


def test_reads_other_fields() -> None:
    assert event_name(b"event: ping\nevent: error\ndata: {}\n\n") == b"error"
    assert event_name(b"data: event: error\n\n") == b""
    assert values_of(b'error: {"a":1}\n\n', b"error") == [b'{"a":1}']
