"""A Reply on its way to the client: what its source delivers passes the stages and goes out at once, as one write.

No byte is held back, and none is collected: a client that is slow pauses the source, one that is gone aborts it.
However a reply ends, that is told exactly once.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from aigw.errors import GatewayError, UpstreamBadReply, UpstreamCutShort
from aigw.exchange import Exchange, Outcome, Reply, Source
from aigw.proxy.errors import render_error
from aigw.proxy.face import Face, P, T
from aigw.proxy.slices import Slices
from aigw.proxy.stages import NO_STAGES, Stages
from aigw.proxy.wire import BODILESS, Wire

Over = Callable[[Outcome, GatewayError | None], None]


@implementer(IPushProducer)
class Relay:
    """One reply to one client: the Sink of its source, the producer of its connection.

    ``error``: what the reply itself tells the client of. ``over`` is called when it has ended, before the connection
    goes on. ``status``: what the client was told, which is an error's if the source broke before a byte was out.
    ``sent``: bytes of the body.
    """

    log = Logger()
    sent = 0
    _begun = False
    _started = False
    _sealed = False
    _attached = False
    _paused_at: float | None = None

    def __init__(
        self, *, reply: Reply, error: GatewayError | None, exchange: Exchange, wire: Wire, face: Face, over: Over
    ) -> None:
        self.status = reply.status
        self._reply = reply
        self._exchange = exchange
        self._wire = wire
        self._face = face
        self._over: Over | None = over
        self._verdict: tuple[Outcome, GatewayError | None] = (Outcome.DONE, error)
        self._bodiless = exchange.method == b"HEAD" or reply.status in BODILESS
        self._stages = Stages(reply.stages) if reply.stages else NO_STAGES
        self._source = reply.source
        self._length = None if reply.stages else reply.length

    def start(self) -> None:
        """Send what is there."""
        if not 200 <= self._reply.status <= 599:
            self._fail(UpstreamBadReply("the upstream answered with a status that can't be relayed"))
        elif self._bodiless:
            self._send_head()
        elif self._source is not None:
            self._stream(self._source)
        else:
            self._send_whole()

    def was_sent(self, size: int) -> None:
        """All of the reply is written, ``size`` bytes of body with it: wait until the client has taken it."""
        self.sent = size
        self._begun = self._sealed = True
        self._wait()

    def client_left(self) -> None:
        """Nobody is there any more. Idempotent."""
        if self._over is not None:
            self._abort_source()
            self._tell(Outcome.CLIENT_LEFT, None)

    def sweep(self, now: float) -> None:
        """Give up on a client that takes nothing."""
        if self._paused_at is not None and now - self._paused_at >= self._face.limits.send_timeout:
            self.log.debug("request {exchange}: the client takes nothing; cut off", exchange=self._exchange.id)
            self._wire.abort()
            self.client_left()

    # aigw.exchange.Sink

    def write(self, data: bytes) -> None:
        """Relay what the stages make of it."""
        if self._sealed:
            return
        out = data
        if self._stages is not NO_STAGES:
            try:
                out = self._stages.feed(data)
            except Exception:  # noqa: BLE001  # the edge: the log is told, and the client
                self._fail(self._face.error_of(self._exchange.id, self._stages.feed))
                return
        if self._length is not None and self.sent + len(out) > self._length:
            self._fail(UpstreamBadReply("the upstream's reply is longer than it said"))
        elif out:
            self._begin(len(out))
            self._wire.send(out)

    def forward(self, chunk: bytes, data: bytes) -> bool:
        """The same, where it comes to sending the chunk that ``data`` came in."""
        if self._sealed or not self._stages.passes(data) or not self._wire.forward(chunk):
            return False
        self.sent += len(data)
        return True

    def finished(self) -> None:
        """Relay what the stages were holding back, and the end."""
        if self._sealed:
            return
        self._source = None
        rest = self._attempt(self._stages.close) if self._stages else b""
        if isinstance(rest, GatewayError):
            self._fail(rest)
        elif self._length is not None and self.sent != self._length:
            self._fail(UpstreamCutShort("the upstream's reply ended early"))
        else:
            self._end(rest)

    def broke(self, error: GatewayError) -> None:
        """Tell the client in its own dialect, and see that it takes nothing for complete."""
        if not self._sealed:
            self._source = None
            self._fail(error)

    # IPushProducer

    def pauseProducing(self) -> None:
        """The client is slow."""
        if self._over is None:
            return
        if self._paused_at is None:
            self._paused_at = self._face.clock.seconds()
        if self._started and self._source is not None:
            self._source.pause()

    def resumeProducing(self) -> None:
        """It has caught up."""
        self._paused_at = None
        if self._sealed:
            self._conclude(self._wire.finish)
        elif self._source is not None:
            self._source.resume()

    def stopProducing(self) -> None:
        """It is gone."""
        self.client_left()

    # Ways to begin

    def _send_head(self) -> None:
        whole = len(self._reply.body) or None
        length = self._length if self._source is not None else whole
        self._abort_source()
        self._open(self._reply, None if self._reply.status in BODILESS else length)
        self._end(b"")

    def _send_whole(self) -> None:
        body = self._attempt(self._stages.pass_whole, self._reply.body) if self._stages else self._reply.body
        if isinstance(body, GatewayError):
            self._fail(body)
            return
        self._length, self._stages = len(body), NO_STAGES
        if len(body) > self._face.limits.write_size:
            self._source = Slices(body, self._face.limits.write_size)
            self._stream(self._source)
        else:
            self._open(self._reply, len(body))
            self._end(body)

    def _stream(self, source: Source) -> None:
        self._open(self._reply, self._length)
        self._attach()
        self._started = True
        failed = self._attempt(source.start, self)
        if failed is not None and not self._sealed:
            self._fail(failed)
        if self._sealed:
            return
        if self._paused_at is not None:
            source.pause()
        if not self._begun:
            self._begin(0)
            self._wire.send(b"")

    def _open(self, reply: Reply, length: int | None) -> None:
        self._wire.open(reply, self._exchange, length, bodiless=self._bodiless)

    def _begin(self, size: int) -> None:
        """``size`` bytes of the body go out now, and the head before them."""
        self.sent += size
        if not self._begun:
            self._begun = True
            self._exchange.timeline.first_byte = self._face.clock.seconds()

    # Ways to end

    def _end(self, rest: bytes) -> None:
        """Write the last of it."""
        self._sealed = True
        self._begin(len(rest))
        self._wire.end(rest)
        self._wait()

    def _wait(self) -> None:
        """It is over when the client took so much that no buffer can grow behind it."""
        if self._over is not None and not self._attached and self._wire.paused:
            self._attach()
        if self._paused_at is None:
            self._conclude(self._wire.finish)

    def _fail(self, error: GatewayError) -> None:
        """It can't be completed: an error instead if nothing is out, else an error event and a visible cut."""
        self._abort_source()
        self._sealed = True
        self._verdict = (Outcome.UPSTREAM_BROKE, error)
        if self._begun:
            self._send_error_event(error)
            self._conclude(self._wire.cut)
        else:
            self._answer(render_error(error))

    def _answer(self, reply: Reply) -> None:
        self.status = reply.status
        self._bodiless = self._exchange.method == b"HEAD"
        self._open(reply, len(reply.body))
        self._end(b"" if self._bodiless else reply.body)

    def _conclude(self, leave: Callable[[], None]) -> None:
        if self._over is not None:
            self._detach()
            self._tell(*self._verdict)
            leave()

    def _tell(self, outcome: Outcome, error: GatewayError | None) -> None:
        over, self._over = self._over, None
        self._sealed = True
        self._paused_at = None
        if over is not None:
            over(outcome, error)

    def _abort_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._sealed = True
            self._face.guard(self._exchange, source.abort)

    def _attach(self) -> None:
        self._attached = True
        self._wire.attach(self)
        if self._wire.paused:
            self.pauseProducing()

    def _detach(self) -> None:
        if self._attached:
            self._attached = False
            self._wire.detach()

    def _send_error_event(self, error: GatewayError) -> None:
        """Not where it could pass for the rest of a body whose length is known."""
        render = self._reply.error_event
        event = b"" if render is None or self._wire.delimited else self._attempt(render, error)
        if isinstance(event, bytes) and event:
            self._begin(len(event))
            self._wire.send(event)

    def _attempt(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | GatewayError:
        return self._face.attempt(self._exchange.id, call, *args, **kwargs)
