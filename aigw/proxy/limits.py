"""How much a client may send, and how long it may take. Sizes are bytes, times are seconds."""

from __future__ import annotations

import attrs

KIB = 1024
MIB = 1024 * KIB


@attrs.frozen(kw_only=True)
class Limits:
    """The limits of one proxy face.

    ``request_line``: over it, 414. ``header_section`` (of an HTTP/1 request) and ``header_count``: over them, 431.
    ``max_body``: of one request whose route sets none; over it, 413. ``body_memory``: of all request bodies together;
    over it, 503. ``pipeline``: what may arrive behind a request that is being answered; over it, it is dropped and the
    connection closes after the answer. ``write_size``: a longer body goes out in pieces, each when the client took the
    one before. ``max_connections``: over it, 503 and close.

    ``handshake_timeout``: TLS. ``head_timeout``: a whole request head, from its first byte. ``body_idle_timeout``: from
    one piece of a body to the next; a body as a whole may take that long plus a second for each ``body_min_rate``
    bytes. ``idle_timeout``: between requests. ``send_timeout``: a client that takes nothing of its answer is cut off.
    ``linger_timeout``: how long a refused client's bytes are thrown away, so that it gets to see why.
    """

    request_line: int = 8 * KIB
    header_section: int = 64 * KIB
    header_count: int = 200
    max_body: int = 64 * MIB
    body_memory: int = 1024 * MIB
    pipeline: int = 64 * KIB
    write_size: int = 128 * KIB
    max_connections: int = 10_000
    handshake_timeout: float = 15.0
    head_timeout: float = 20.0
    body_idle_timeout: float = 30.0
    body_min_rate: int = 500
    idle_timeout: float = 75.0
    send_timeout: float = 60.0
    linger_timeout: float = 5.0
