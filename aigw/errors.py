"""One small tree of typed errors: each knows its HTTP status, its code and whether another instance may be tried.

This module imports nothing of the project. The faces render these errors; nobody else decides a status code.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Something the gateway refuses, or could not get done; its message is safe to show to a client.

    ``status``: the HTTP status a client gets. ``code``: stable machine-readable name. ``kind``: the ``type`` of an
    OpenAI error object. ``headers``: extra response headers (``Allow``, ``Retry-After``).
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    kind: ClassVar[str] = "server_error"

    def __init__(
        self, message: str, *, param: str | None = None, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers


class BadRequest(GatewayError):
    """The client's request can not be understood."""

    status, code, kind = 400, "bad_request", "invalid_request_error"


class InvalidJSON(BadRequest):
    """The body is not one JSON object in UTF-8."""

    code = "invalid_json"


class UnsupportedDialect(BadRequest):
    """The body is JSON, but in no dialect that the chosen provider speaks or that converts to one."""

    code = "unsupported_dialect"


class Unconvertible(BadRequest):
    """The request has a part that the dialect of no usable provider can carry; ``param`` names it."""

    code = "unconvertible"


class UnsupportedMediaType(BadRequest):
    """The body is not ``application/json``."""

    code = "unsupported_media_type"


class Unauthorized(GatewayError):
    """No credential, or a wrong one."""

    status, code, kind = 401, "unauthorized", "authentication_error"


class RouteNotFound(GatewayError):
    """No route matches; the message is APISIX's own."""

    status, code, kind = 404, "route_not_found", "invalid_request_error"


class MethodNotAllowed(GatewayError):
    """The route's handler does not answer this method."""

    status, code, kind = 405, "method_not_allowed", "invalid_request_error"


class RequestTimeout(GatewayError):
    """The client took too long to send its request."""

    status, code, kind = 408, "request_timeout", "invalid_request_error"


class BodyTooLarge(GatewayError):
    """The request body is over the limit of its route."""

    status, code, kind = 413, "body_too_large", "invalid_request_error"


class URITooLong(GatewayError):
    """The request line is over its limit."""

    status, code, kind = 414, "uri_too_long", "invalid_request_error"


class ExpectationFailed(GatewayError):
    """The client expects what can't be met."""

    status, code, kind = 417, "expectation_failed", "invalid_request_error"


class HeadersTooLarge(GatewayError):
    """The request's header section is over its limit."""

    status, code, kind = 431, "headers_too_large", "invalid_request_error"


class RateLimited(GatewayError):
    """The caller, or every instance, used up its rate."""

    status, code, kind = 429, "rate_limited", "rate_limit_error"


class NoInstance(GatewayError):
    """No instance is left that could be tried."""

    status, code = 503, "no_instance"


class NotServing(GatewayError):
    """The route has nothing behind it, or the gateway is leaving."""

    status, code = 503, "not_serving"


class VersionNotSupported(GatewayError):
    """The client speaks another version of HTTP."""

    status, code, kind = 505, "version_not_supported", "invalid_request_error"


class UpstreamError(GatewayError):
    """An instance failed in a way that another one may make good: a transport failure."""

    status, code, kind = 502, "upstream_error", "upstream_error"


class InstanceUnusable(UpstreamError):
    """The instance can't be called as it is configured (a variable that holds its key is not set)."""

    status, code = 503, "instance_unusable"


class UpstreamUnreachable(UpstreamError):
    """Refused, unknown host, unreachable network, failed TLS handshake: nothing was sent."""

    code = "upstream_unreachable"


class UpstreamReset(UpstreamError):
    """The connection broke after the request had gone out."""

    code = "upstream_reset"


class UpstreamBadReply(UpstreamError):
    """The instance answered, but not with anything that can be relayed as HTTP or in its dialect."""

    code = "upstream_bad_reply"


class UpstreamCutShort(UpstreamError):
    """The reply ended before it was complete."""

    code = "upstream_cut_short"


class UpstreamReplyTooLarge(UpstreamError):
    """The reply is over ``max_response_bytes``, or its head over the fixed limit."""

    code = "upstream_reply_too_large"


class UpstreamTimeout(UpstreamError):
    """The instance missed a deadline."""

    status, code = 504, "upstream_timeout"
