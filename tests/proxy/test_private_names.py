"""Every private name of Twisted that the proxy face leans on is still there, and still takes what we give it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.python.reflect import namedAny
from twisted.web._http2 import H2Connection, H2Stream

import aigw.proxy
from aigw.proxy.private import PRIVATE

OURS = {"site", "factory", "face"}


@pytest.mark.parametrize(("owner", "name"), [(o, n) for o, names in PRIVATE.items() for n in names])
def test_it_is_there(owner: str, name: str) -> None:
    made = H2Connection(reactor=Clock()) if owner.endswith("H2Connection") else None
    assert hasattr(namedAny(owner), name) or hasattr(made, name) or name in inspect.getsource(namedAny(owner))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (H2Connection.__init__, ["self", "reactor"]),
        (H2Connection._handleWindowUpdate, ["self", "event"]),
        (H2Connection._requestAborted, ["self", "event"]),
        (H2Connection._requestDataReceived, ["self", "event"]),
        (H2Connection._requestDone, ["self", "streamID"]),
        (H2Connection._requestEnded, ["self", "event"]),
        (H2Connection._requestReceived, ["self", "event"]),
        (H2Connection.connectionLost, ["self", "reason", "_cancelTimeouts"]),
        (H2Connection.openStreamWindow, ["self", "streamID", "increment"]),
        (H2Connection.writeDataToStream, ["self", "streamID", "data"]),
        (H2Stream.flowControlBlocked, ["self"]),
        (H2Stream.windowUpdated, ["self"]),
    ],
)
def test_it_takes_what_it_took(method: object, parameters: list[str]) -> None:
    assert list(inspect.signature(method).parameters) == parameters  # type: ignore[arg-type]


def test_no_other_private_name_is_used() -> None:
    """Attributes with an underscore are our own (``self._x``, set somewhere in the package), or listed."""
    listed = {name for names in PRIVATE.values() for name in names}
    trees = [ast.parse(path.read_text()) for path in Path(aigw.proxy.__file__).parent.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    defined = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    defined |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    used = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}
    foreign = {name for name in used - defined if name.startswith("_") and not name.startswith("__")}
    assert foreign <= listed
