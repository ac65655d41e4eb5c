"""The door: nothing behind it runs, and nothing about it is told, before a request has shown a key."""

from __future__ import annotations

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from werkzeug.exceptions import BadHost

from aigw.admin.answers import Answer, Refusal, WrongToken, send
from aigw.keys import AdminKey, matches

READING = (b"GET", b"HEAD", b"OPTIONS")


class Door(Resource):
    """Lets requests with the key to everything in, and with the viewer's key (if there is one) those that only read.

    The key is in the X-API-KEY header. Not in the URL, as APISIX takes it too: URLs end up in logs and histories.
    """

    isLeaf = True

    def __init__(self, inside: IResource, admin_key: AdminKey, viewer_key: AdminKey | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # it has no annotations
        self._inside = inside
        self._admin_key = admin_key
        self._viewer_key = viewer_key

    def render(self, request: IRequest) -> int:
        """Refuse, or go on inside."""
        try:
            self._authorise(request)
            self._check_text(request)
            rendered: int = self._inside.render(request)
            return rendered
        except BadHost:
            return _finish(Refusal(400, "the Host header is not a host name").answer, request)
        except Refusal as e:
            return _finish(e.answer, request)

    def _authorise(self, request: IRequest) -> None:
        given = request.getHeader(b"x-api-key")
        if not given:
            raise WrongToken("missing apikey")
        viewer = self._viewer_key is not None and matches(given, self._viewer_key)
        if matches(given, self._admin_key):
            return
        if not viewer:
            raise WrongToken("wrong apikey")
        if request.method not in READING:
            raise Refusal(403, "the viewer key may only read")

    def _check_text(self, request: IRequest) -> None:
        """Klein decodes these, and answers in plain text (and logs a traceback) where it can't."""
        for part in (request.method, request.getRequestHostname(), *request.prepath, *request.postpath):
            try:
                part.decode()
            except UnicodeDecodeError:
                raise Refusal(400, "invalid UTF-8 in the URL") from None


def _finish(answer: Answer, request: IRequest) -> int:
    request.write(send(answer, request))
    request.finish()
    return NOT_DONE_YET
