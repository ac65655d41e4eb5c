"""A gateway without its shortcuts: what is left is the full path, and must be seen to do the same.

``python -m aigw.testing.full_path twistd OPTIONS`` runs ``twistd`` that way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aigw.datapath
import aigw.llm.answer
import aigw.llm.endpoint
import aigw.proxy.head
import aigw.proxy.headers
import aigw.proxy.resource
import aigw.remembered
import aigw.service
import aigw.upstream.chunked
import aigw.upstream.head
import aigw.upstream.repeated

Change = Callable[[Any, str, Any], object]
"""`setattr`, or pytest's ``monkeypatch.setattr``."""


def read_heads_afresh(change: Change = setattr) -> None:
    """No head and no line of one is known from before."""
    change(aigw.proxy.head.Repeated, "is_plain", staticmethod(lambda block, head: False))
    change(aigw.upstream.repeated.Repeated, "whole_in", lambda repeated, data: None)
    change(aigw.remembered, "LONGEST", -1)


def collect_answers(change: Change = setattr) -> None:
    """An answer that is complete in one read is awaited like any other."""
    change(aigw.llm.answer.Answer, "_at_once", lambda answer: None)


def relay_all(change: Change = setattr) -> None:
    """A reply that is complete and short goes to the client as one that is not."""
    change(aigw.proxy.resource.Answer, "_fits_one_write", lambda answer, reply: False)


def relay_every_event(change: Change = setattr) -> None:
    """An event that came as a chunk goes through all that stands between the two connections, too."""
    change(aigw.upstream.chunked.ChunkedDecoder, "whole", lambda decoder, data: b"")


WITHIN_A_GATEWAY = (read_heads_afresh, collect_answers, relay_all, relay_every_event)
"""All of them but those of its transports."""


def send_by_events(change: Change = setattr) -> None:
    """Transports are the reactor's own."""
    for module in (aigw.datapath, aigw.service):
        change(module, "eager_sockets", lambda reactor: reactor)


@contextmanager
def without_shortcuts() -> Iterator[None]:
    """A block in which no gateway in this process takes any, but for those of its transports."""
    before: list[tuple[Any, str, Any]] = []

    def change(target: Any, name: str, value: Any) -> None:
        before.append((target, name, vars(target)[name]))
        setattr(target, name, value)

    try:
        for leave_out in WITHIN_A_GATEWAY:
            leave_out(change)
        forget_lines()
        yield
    finally:
        for target, name, value in reversed(before):
            setattr(target, name, value)


def forget_lines() -> None:
    """Those of heads that were read, or written, until now."""
    requests, replies = aigw.proxy.head, aigw.upstream.head
    for memory in (
        requests._field_lines,
        requests._request_lines,
        replies._lines,
        replies._statuses,
        aigw.upstream.chunked._sizes,
    ):
        memory.clear()
    aigw.proxy.headers._known.clear()
    aigw.llm.endpoint._lines.cache_clear()


def main() -> None:
    """Leave out all of that, and run what the command line names."""
    from twisted.scripts.twistd import run

    for leave_out in (*WITHIN_A_GATEWAY, send_by_events):
        leave_out()
    del sys.argv[0]
    run()


if __name__ == "__main__":
    main()
