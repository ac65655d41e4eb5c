"""The control face: metrics for Prometheus, health for whoever restarts or routes. It reads, it changes nothing."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

import msgspec
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from aigw.observe.exposition import expose, negotiate
from aigw.ports import Clock

IDLE_SECONDS = 60.0
SCRAPE_SECONDS = 60.0
"""How long a scraper may take to read its scrape."""


Refresh = Callable[[], Deferred[None]]
"""Brings the metrics up to date; what it returns fires when they are, and never fails."""


def control_site(
    metrics_registry: CollectorRegistry, readiness: Callable[[], bool], clock: Clock, refresh: Refresh | None = None
) -> Site:
    """The face that listens on ``--control``. ``readiness``: whether new requests are welcome at the proxy face.

    ``refresh``: comes before each scrape; None = the metrics are always up to date.
    """
    return _ControlSite(  # type: ignore[no-untyped-call]
        ControlFace(metrics_registry, readiness, clock, refresh),
        requestFactory=_ControlRequest,
        parsePOSTFormSubmission=False,
        timeout=IDLE_SECONDS,
        reactor=clock,
    )


class ControlFace(Resource):
    """All pages of the control face: GET and HEAD only."""

    isLeaf = True

    def __init__(
        self, metrics_registry: CollectorRegistry, readiness: Callable[[], bool], clock: Clock, refresh: Refresh | None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._refresh = refresh
        self._registry = metrics_registry
        self._readiness = readiness
        self._clock = clock
        self._pages: dict[bytes, Callable[[Request], None]] = {
            b"/apisix/prometheus/metrics": self._metrics,
            b"/healthz": self._healthz,
            b"/readyz": self._readyz,
        }

    def render(self, request: Request) -> int:
        """Answer with a page, 404 or 405."""
        request.responseHeaders.removeHeader(b"server")
        page = self._pages.get(request.path)
        if page is None:
            _answer(request, http.NOT_FOUND, b"application/json", b'{"error_msg":"404 Not Found"}\n')
        elif request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            _answer(request, http.NOT_ALLOWED, b"application/json", b'{"error_msg":"405 Not Allowed"}\n')
        else:
            page(request)
        return NOT_DONE_YET

    def _healthz(self, request: Request) -> None:
        _answer(request, http.OK, b"text/plain; charset=utf-8", b"ok\n")

    def _readyz(self, request: Request) -> None:
        ready = self._readiness()
        body = msgspec.json.encode({"ready": ready}) + b"\n"
        _answer(request, http.OK if ready else http.SERVICE_UNAVAILABLE, b"application/json", body)

    def _metrics(self, request: Request) -> None:
        if self._refresh is None:
            self._expose(request)
            return
        left: list[Failure] = []
        request.notifyFinish().addErrback(left.append)
        self._refresh().addCallback(lambda _: None if left else self._expose(request))

    def _expose(self, request: Request) -> None:
        content_type = negotiate(request.getHeader(b"accept") or b"")
        request.setHeader(b"content-type", content_type)
        request.setHeader(b"vary", b"Accept, Accept-Encoding")
        pieces = expose(self._registry, content_type)
        if _accepts_gzip(request):
            request.setHeader(b"content-encoding", b"gzip")
            pieces = _gzipped(pieces)
        if request.method == b"HEAD":
            request.finish()
        else:
            _Scrape(request, pieces, self._clock).start()


@implementer(IPushProducer)
class _Scrape:
    """Writes pieces to a request, one in a turn of the reactor, and no faster than the scraper reads.

    A scraper that is too slow is cut off before the last chunk, so that it can't take a part for the whole.
    """

    def __init__(self, request: Request, pieces: Iterator[bytes], clock: Clock) -> None:
        self._request = request
        self._pieces = pieces
        self._clock = clock
        self._paused = False
        self._turn: IDelayedCall | None = None

    def start(self) -> None:
        """Write everything, then finish the request."""
        self._request.notifyFinish().addErrback(self._left)
        if isinstance(self._request.channel, http.HTTPChannel):  # an HTTP/2 connection has a timeout of its own
            self._request.channel.setTimeout(SCRAPE_SECONDS)
        self._request.registerProducer(self, True)
        self._go_on()

    def pauseProducing(self) -> None:
        """The scraper is slow."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The scraper has read what there was."""
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """Nobody reads any more."""
        self._paused = True
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _left(self, reason: Failure) -> None:
        self.stopProducing()

    def _go_on(self) -> None:
        if self._turn is None and not self._paused:
            self._turn = self._clock.callLater(0, self._step)

    def _step(self) -> None:
        self._turn = None
        if self._paused:
            return
        piece = next(self._pieces, None)
        if piece is None:
            self._request.unregisterProducer()
            self._request.finish()
            return
        self._request.write(piece)
        self._go_on()


class _ControlRequest(Request):
    """A request whose body is thrown away as it comes."""

    def gotLength(self, length: int | None) -> None:
        """Keep nothing, however long the body will be."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep nothing."""

    def process(self) -> None:
        """Answer ``OPTIONS *`` as any unknown path: the stock answer would tell which server this is."""
        if self.path == b"*":
            self.path = b"/*"
        super().process()  # type: ignore[no-untyped-call]


class _ControlSite(Site):
    """Scrapes and probes come every few seconds, and are no traffic: they leave no line in the log."""

    noisy = False

    def log(self, request: http.Request) -> None:
        """Say nothing."""


def _answer(request: Request, status: int, content_type: bytes, body: bytes) -> None:
    request.setResponseCode(status)
    request.setHeader(b"content-type", content_type)
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"cache-control", b"no-store")
    if request.method != b"HEAD":
        request.write(body)
    request.finish()


def _accepts_gzip(request: Request) -> bool:
    """Is gzip named, with a quality that is not zero?"""
    codings = (request.getHeader(b"accept-encoding") or b"").lower().replace(b" ", b"").split(b",")
    for name, _, quality in (coding.partition(b";q=") for coding in codings):
        if name == b"gzip":
            return not quality or quality.strip(b"0.") != b""
    return False


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    squeeze = zlib.compressobj(level=1, wbits=31)  # 31: with gzip's header
    for piece in pieces:
        if squeezed := squeeze.compress(piece):
            yield squeezed
    yield squeeze.flush()
