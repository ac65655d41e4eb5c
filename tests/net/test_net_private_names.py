"""Every private name of Twisted that this package leans on is still there, and still takes what we give it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from twisted.internet import unix
from twisted.internet.abstract import FileDescriptor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.tcp import Port
from twisted.python.reflect import namedAny

import aigw.net
from aigw.net.private import REACTOR, TRANSPORT

LISTED = {**REACTOR, **TRANSPORT}


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in LISTED.items() for name in names])
def test_it_is_there(owner: str, name: str) -> None:
    """On the class, or set by it or by what it derives from."""
    kinds = inspect.getmro(namedAny(owner))
    sources = [inspect.getsource(kind) for kind in kinds if kind.__module__.startswith("twisted.")]
    assert hasattr(namedAny(owner), name) or any(f"self.{name}" in source for source in sources)


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (EPollReactor._doReadOrWrite, ["self", "selectable", "fd", "event"]),
        (EPollReactor._disconnectSelectable, ["self", "selectable", "why", "isRead", "faildict"]),
        (Port._fromListeningDescriptor, ["reactor", "fd", "addressFamily", "factory"]),
        (unix.Port._fromListeningDescriptor, ["reactor", "fd", "factory"]),
        (Port.__init__, ["self", "port", "factory", "backlog", "interface", "reactor"]),
    ],
)
def test_it_takes_what_it_took(method: object, parameters: list[str]) -> None:
    assert list(inspect.signature(method).parameters) == parameters  # type: ignore[arg-type]


def test_buffered_bytes_are_counted_where_we_look() -> None:
    """What `FileDescriptor.write` sets aside shows in the names that tell whether a byte may be sent at once."""
    source = inspect.getsource(FileDescriptor)
    assert "self._tempDataLen += len(data)" in source
    assert 'self.dataBuffer = b""' in source


def test_no_other_private_name_is_used() -> None:
    """Attributes with an underscore are our own (``self._x``, set somewhere in the package), or listed."""
    listed = {name for names in LISTED.values() for name in names}
    trees = [ast.parse(path.read_text()) for path in Path(aigw.net.__file__).parent.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    defined = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    functions = {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
    defined = (defined | functions) - listed
    used = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}
    foreign = {name for name in used - defined if name.startswith("_") and not name.startswith("__")}
    assert foreign | {"_makeTransport", "_type", "_preexistingSocket", "_shouldShutdown"} == listed
    assert {"_makeTransport", "_is_free"} <= functions
