"""A blocking HTTP client for tests from outside, that tells a complete answer from one that was cut."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import attrs

PATIENCE = 30.0
"""Seconds without a byte after which an answer counts as hanging."""


@attrs.frozen(kw_only=True)
class Answered:
    """``headers``: names in lower case. ``cut``: the connection closed before the answer was complete.

    ``closes``: the server said that it closes the connection. ``seconds``: it took.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool
    closes: bool
    seconds: float

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of the server-sent events, each of one line."""
        return [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]

    @property
    def said(self) -> str:
        """What the deltas of a chat stream come to."""
        chunks = [json.loads(data) for data in self.events if data != "[DONE]"]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
        return "".join(delta.get("content") or "" for delta in deltas)


def ask(
    method: str,
    url: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> Answered:
    """One request on a connection of its own. ``body``: bytes, or what is sent as JSON.

    :raises TimeoutError: if nothing comes for ``patience`` seconds.
    :raises OSError: if there is no connection, or it breaks before a status.
    """
    began = time.monotonic()
    with asking(method, url, body, headers=headers, patience=patience) as response:
        content, cut = _read(response)
        return Answered(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=content,
            cut=cut,
            closes=response.will_close,
            seconds=time.monotonic() - began,
        )


def chat_with(url: str, text: str = "Good day", *, stream: bool = False, patience: float = PATIENCE) -> Answered:
    """Say something to a model, see `ask`."""
    return ask("POST", url, {"messages": [{"role": "user", "content": text}], "stream": stream}, patience=patience)


@contextmanager
def asking(
    method: str, url: str, body: Any = None, *, headers: Mapping[str, str] | None = None, patience: float = PATIENCE
) -> Iterator[HTTPResponse]:
    """The same, with the head of the answer to begin with; the connection closes with the block."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    typed = {"Content-Type": "application/json"} if content is not None else {}
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body=content, headers={**typed, **(headers or {})})
        response = connection.getresponse()
        try:
            yield response
        finally:
            response.close()
    except HTTPException as e:
        raise ConnectionError(f"no answer: {e!r}") from e
    finally:
        connection.close()


def _read(response: HTTPResponse) -> tuple[bytes, bool]:
    pieces = []
    try:
        while piece := response.read1(65536):
            pieces.append(piece)
    except (IncompleteRead, ConnectionResetError):
        return b"".join(pieces), True
    short = response.length is not None and response.length > 0
    return b"".join(pieces), short
