"""How an error looks to a client: one JSON object that SDKs of all dialects and users of APISIX can read.

Those of OpenAI and Anthropic read ``error`` (and tell by the status what kind it is), AWS's ``message``.
"""

from __future__ import annotations

import msgspec

from aigw.errors import GatewayError, RouteNotFound
from aigw.exchange import Reply

NOT_FOUND = "404 Route Not Found"


def render_error(error: GatewayError) -> Reply:
    """``{"error": {"message", "type", "code", "param"}, "error_msg", "message"}``; the error's status and headers."""
    message = NOT_FOUND if isinstance(error, RouteNotFound) else _printable(error.message)
    document = {
        "error": {
            "message": message,
            "type": error.kind,
            "code": error.code,
            "param": None if error.param is None else _printable(error.param),
        },
        "error_msg": message,
        "message": message,
    }
    return Reply(
        status=error.status,
        headers=[(b"Content-Type", b"application/json"), *error.headers],
        body=msgspec.json.encode(document),
    )


def internal_error() -> GatewayError:
    """What a client is told of a bug: nothing."""
    return GatewayError("internal error")


def _printable(text: str) -> str:
    """A message may quote what a client or an upstream sent, lone surrogates included."""
    return text.encode("utf-8", "replace").decode("utf-8")
