"""What the admin face says: answers, and refusals raised from anywhere below the edge. This module sees no socket
until `send`, the one place that writes a reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec
from twisted.web.iweb import IRequest


@attrs.frozen(kw_only=True)
class Answer:
    """One reply. ``body``: anything JSON, None = no body at all. ``revision``: the ``ETag``. ``allow``: ``Allow``."""

    status: int = 200
    body: Any = None
    revision: int | None = None
    allow: Sequence[str] = ()


class Refusal(Exception):
    """The request is answered with an error; its message goes to the client and holds no secret."""

    def __init__(self, status: int, message: str, *, allow: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.answer = Answer(status=status, body={"error_msg": message}, allow=allow)


class KeyNotFound(Refusal):
    """There is no such object; the body is APISIX's own."""

    def __init__(self) -> None:
        super().__init__(404, "Key not found")
        self.answer = Answer(status=404, body={"message": "Key not found"})


class WrongToken(Refusal):
    """No key, or not ours; ``description`` is ``missing apikey`` or ``wrong apikey``, as APISIX has it."""

    def __init__(self, description: str) -> None:
        super().__init__(401, "failed to check token")
        self.answer = Answer(status=401, body={"error_msg": "failed to check token", "description": description})


def etag(revision: int) -> str:
    """The strong entity tag of a revision (RFC 9110 section 8.8.3)."""
    return f'"{revision}"'


def send(answer: Answer, request: IRequest) -> bytes:
    """Set status and headers of the reply; returns its body, still to be written.

    :raises Exception: if the body can't be encoded; then nothing was set.
    """
    content = b"" if answer.body is None else msgspec.json.encode(answer.body)
    request.setResponseCode(answer.status)
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"x-content-type-options", b"nosniff")
    if answer.body is not None:
        request.setHeader(b"content-type", b"application/json")
    if answer.status not in (204, 304):
        request.setHeader(b"content-length", b"%d" % len(content))
    if answer.revision is not None:
        request.setHeader(b"etag", etag(answer.revision).encode())
    if answer.allow:
        request.setHeader(b"allow", ", ".join(answer.allow).encode())
    return content
