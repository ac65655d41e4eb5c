"""Where bodies are kept: limits of one and of all, and what small pieces cost."""

from __future__ import annotations

import pytest

from aigw.errors import BodyTooLarge, NotServing
from aigw.proxy.body import Body, BodyMemory


def test_pieces_are_joined_in_order() -> None:
    body = Body(10_000, BodyMemory(10_000))
    for i in range(1000):
        body.add(b"%d," % i)
    assert body.join() == b"".join(b"%d," % i for i in range(1000))


def test_one_piece_is_not_copied() -> None:
    piece = b"x" * 1000
    body = Body(1000, BodyMemory(1000))
    body.add(piece)
    assert body.join() is piece


def test_large_and_small_pieces_stay_in_order() -> None:
    body = Body(10**8, BodyMemory(10**8))
    pieces = [bytes([i % 256]) * (10_000 if i % 700 < 300 else 1) for i in range(2000)]
    for piece in pieces:
        body.add(piece)
    assert body.join() == b"".join(pieces)


def test_its_own_limit() -> None:
    body = Body(10, BodyMemory(100))
    body.expect(10)
    body.add(b"12345")
    body.add(b"67890")
    with pytest.raises(BodyTooLarge):
        body.add(b"!")
    with pytest.raises(BodyTooLarge):
        body.expect(11)


def test_the_limit_of_all_bodies() -> None:
    memory = BodyMemory(10)
    first, second = Body(10, memory), Body(10, memory)
    first.add(b"123456")
    second.add(b"1234")
    with pytest.raises(NotServing):
        second.add(b"5")
    first.join()
    with pytest.raises(NotServing):
        second.add(b"5")
    first.release()
    first.release()
    second.add(b"5")
    assert memory.held == 5


def test_a_discarded_body_is_counted_but_not_kept() -> None:
    memory = BodyMemory(10)
    body = Body(20, memory)
    body.add(b"12345")
    body.discard()
    body.add(b"1234567890")
    assert (body.join(), body.received, memory.held) == (b"", 15, 0)
    with pytest.raises(BodyTooLarge):
        body.add(b"1234567890")
