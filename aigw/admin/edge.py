"""The edge between Klein and the handlers: decode the request, call the handler, turn what comes back, or what is
raised, into one reply. Nothing else in this package sees a request, and no other place catches everything."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from klein import Klein
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from aigw.admin.answers import Answer, Refusal, send
from aigw.admin.call import Call
from aigw.admin.examining import joined
from aigw.model.kinds import KINDS
from aigw.model.schema import Invalid, did_you_mean
from aigw.ports import StoreError

Handler = Callable[..., Awaitable[Answer]]
"""Called with a `Call` and the parts of the URL as keywords."""


class Edge:
    """One Klein application. ``default_group``: the gateway group of a request that names none."""

    log = Logger()

    def __init__(self, default_group: str) -> None:
        self.app = Klein()
        self.app.url_map.merge_slashes = False  # werkzeug would redirect to a cleaned URL, with a page of HTML
        self.app.url_map.strict_slashes = False
        self.app.handle_errors(HTTPException)(self._not_routed)
        self._default_group = default_group

    def route(self, method: str, url: str, handler: Handler) -> None:
        """Have ``handler`` answer a method at a URL (a werkzeug rule)."""

        async def serve(request: IRequest, **parts: str) -> bytes:
            return await self._serve(request, handler, parts)

        self.app.route(url, methods=[method], endpoint=f"{method} {url}")(serve)

    async def _serve(self, request: IRequest, handler: Handler, parts: dict[str, str]) -> bytes:
        try:
            return send(await handler(Call.of(request, self._default_group), **parts), request)
        except CancelledError:  # the client left
            raise
        except Refusal as e:
            return send(e.answer, request)
        except Invalid as e:
            return send(_refused(400, joined(e.complaints)), request)
        except StoreError as e:
            self.log.error("admin: the store refused a write: {error}", error=str(e))
            return send(_refused(503, f"nothing was changed: {e}"), request)
        except Exception as e:  # noqa: BLE001 - the edge
            self._report(request, e)
            return send(_refused(500, "internal error"), request)

    def _report(self, request: IRequest, error: Exception) -> None:
        """Where it happened, not what was said: the message of a foreign exception may quote a secret."""
        self.log.error(
            "admin: {method} {path} failed: {kind} at {where}",
            method=request.method,
            path=request.path,
            kind=type(error).__name__,
            where=" > ".join(f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)),
        )

    def _not_routed(self, request: IRequest, failure: Failure) -> bytes:
        error: Any = failure.value
        if isinstance(error, MethodNotAllowed):
            allow = sorted({*(error.valid_methods or ()), "OPTIONS"})
            if request.method == b"OPTIONS":
                return send(Answer(status=204, allow=allow), request)
            return send(Refusal(405, "method not allowed here", allow=allow).answer, request)
        return send(_refused(404, _nothing_at(request.path)), request)


def _nothing_at(path: bytes) -> str:
    kind = path.removeprefix(b"/apisix/admin/").partition(b"/")[0].decode("utf-8", "replace")
    return (
        "not found" if kind in KINDS else f'not found: there is nothing called "{kind[:64]}"{did_you_mean(kind, KINDS)}'
    )


def _refused(status: int, message: str) -> Answer:
    return Refusal(status, message).answer
