"""One attempt at one instance: send, await the head, hold a stream until its first real event, make the Reply.

Whatever goes wrong here before there is a Reply is a `GatewayError` that another instance may make good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from aigw.balancing.candidates import Candidates, Turn
from aigw.balancing.deadlines import attempt_deadline
from aigw.dialects.dialect import Verdict
from aigw.errors import GatewayError, UpstreamBadReply, UpstreamReplyTooLarge, UpstreamTimeout
from aigw.exchange import Exchange, HeaderList, Reply
from aigw.llm.call import OPAQUE, Call
from aigw.llm.endpoint import JSON, outgoing_headers, relayed_headers
from aigw.llm.scrubbing import Scrubber
from aigw.llm.target import Target
from aigw.llm.watching import FirstToken, UsageInTail
from aigw.llm.ways import PASSTHROUGH, Way
from aigw.ports import CallLabels, Clock
from aigw.received import derived_of
from aigw.upstream.body import UpstreamBody
from aigw.upstream.headers import HeaderBlock
from aigw.upstream.timeouts import Timeout, Timeouts

HELD_STREAM = 256 * 1024
"""The most bytes of a stream that are held while its first real event is awaited; past that it is relayed."""
COLLECTED = 1024 * 1024
"""A complete answer up to this size is collected before it is sent on; a longer one is relayed as it comes."""
CONVERTED = 32 * 1024 * 1024
"""The largest answer that is converted, which has to be collected for that."""
JSON_TYPE = b"application/json"
_WITH_BODY = ("POST", "PUT", "PATCH")
DECODED = frozenset({b"gzip", b"x-gzip", b"deflate"})


@attrs.define(kw_only=True, eq=False)
class Try:
    """One attempt. ``candidates``: who could still take over. ``status``: the upstream's, once it is there.

    ``turn``, ``labels``: by which balancing and metrics know it.
    """

    exchange: Exchange
    call: Call
    target: Target
    clock: Clock
    now: Callable[[], float]
    timeouts: Timeouts
    candidates: Candidates[Target]
    started: float
    turn: Turn[Target]
    labels: CallLabels
    status: int | None = None
    _hide_usage: bool = False
    _sent_headers: HeaderBlock | None = None
    _timeout: Timeout | None = None
    _wait: float | None = None
    _expired: bool = False
    _way: Way = attrs.field(init=False)
    _head: Deferred[Any] = attrs.field(init=False)
    _fields: HeaderList = attrs.field(init=False)
    _names: list[bytes] = attrs.field(init=False)
    _media_type: bytes = attrs.field(init=False)
    _encoding: bytes = attrs.field(init=False)

    def reply(self) -> Deferred[Reply]:
        """The instance's answer, whatever its status; fails with an `UpstreamError` if none can be relayed.

        :raises GatewayError: if nothing can be sent.
        """
        target, call, exchange = self.target, self.call, self.exchange
        self._way = way = target.way(call.dialect.name)
        if call.opaque:
            url, data = target.passed_url(exchange.path, exchange.target), exchange.body
        else:
            url, data = self._outgoing(way)
        method = exchange.method.decode("ascii")
        headers = self._headers_to_send()
        signed = headers if target.signer is None else target.signer.sign(method, url, headers, data)
        if isinstance(signed, Deferred):
            self._head = signed.addCallback(lambda ready: self._send(method, url, ready, data))
        else:
            self._head = self._send(method, url, signed, data)
        self._start_timeout(target.deadlines.first_byte)
        return self._head.addCallbacks(self._answered, self._unanswered)

    def _outgoing(self, way: Way) -> tuple[bytes, bytes]:
        """Where the request goes, and its body there."""
        target, call, exchange = self.target, self.call, self.exchange
        body, prepared, decided = call.body, call.prepared, target.decided
        if way.converter is not None:
            body = call.converted(way, exchange.model)
        if decided or way.converter is not None:
            prepared = way.dialect.prepare(body.changed(decided) if decided else body)
        self._hide_usage = not prepared.client_asked_usage and way.converter is None
        if call.dialect.name == PASSTHROUGH:
            url = target.passed_url(exchange.path, exchange.target)
        else:
            url = target.url(way.dialect.name, streams=target.streams(call), model=exchange.model)
        return url, way.shape_for(call.body).outgoing(body, prepared.sets)

    def _send(self, method: str, url: bytes, headers: HeaderBlock, data: bytes) -> Deferred[Any]:
        self._sent_headers = headers
        head: Deferred[Any] = self.target.client.request(
            method, url, headers=headers, data=data if data or method in _WITH_BODY else None
        )
        return head

    def _headers_to_send(self) -> HeaderBlock:
        """The client's, as far as they go along, and ours; worked out once for heads that come again and again."""
        target, client = self.target, self.exchange.headers
        derived = derived_of(client)
        opaque = self.call.opaque
        key = (target, OPAQUE) if opaque else target
        block: HeaderBlock | None = derived.get(key)
        if block is None:
            defaults = [] if opaque else JSON
            more = [(name.encode(), value.encode()) for name, value in target.provider.headers.items()]
            block = outgoing_headers(
                client, target.headers, target.header_names, target.brings_own_key, [*defaults, *more]
            )
            derived[key] = block
        return block

    def _start_timeout(self, first_byte: float | None) -> None:
        self._wait = wait = self._time_left(first_byte)
        if wait is not None:
            start = self.timeouts.start if wait == first_byte else self.timeouts.start_alone
            self._timeout = start(wait, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._head.cancel()

    def _unanswered(self, failure: Failure) -> Failure:
        if self._timeout is not None:
            self._timeout.stop()
        if self._expired and failure.check(CancelledError):
            return Failure(UpstreamTimeout(f"the upstream sent no status within {self._wait:g} s"))
        return failure

    def _answered(self, response: Any) -> Reply | Deferred[Reply]:
        """The head of the response is here, and often all of it."""
        if self._timeout is not None:
            self._timeout.stop()
        self.exchange.timeline.upstream_head = self.clock.seconds()
        self.status = response.code
        self._fields, self._names = _fields_of(response)
        self._media_type = self._first(b"content-type").partition(b";")[0].rstrip()
        self._encoding = self._first(b"content-encoding")
        if not (200 <= response.code < 300 or 400 <= response.code < 600):
            response.deliverBody(rejected := self._body(response, streams=False))
            rejected.abort()
            raise UpstreamBadReply(_why_not_relayed(response.code))
        if response.code == 401 and self.target.signer is not None and self._sent_headers is not None:
            self.target.signer.refused(self._sent_headers)
        streams = response.code == 200 and self._media_type == self._way.dialect.stream_type
        if not streams and (reply := self._at_once(response)) is not None:
            return reply
        body = self._body(response, streams)
        response.deliverBody(body)
        return Deferred.fromCoroutine(self._stream(response, body) if streams else self._answer(response, body))

    def _time_left(self, phase: float | None) -> float | None:
        """Seconds for a phase that begins now, within the attempt's and the request's deadline; None = no limit."""
        deadlines = self.target.deadlines
        if deadlines.attempt is None and deadlines.total is None:
            return phase
        end = self._deadline()
        left = None if end is None else max(0.0, end - self.clock.seconds())
        return min((t for t in (phase, left) if t is not None), default=None)

    def _deadline(self) -> float | None:
        return attempt_deadline(self.target.deadlines, self.started, self.exchange.timeline.started)

    def _body(self, response: IResponse, streams: bool) -> UpstreamBody:
        deadlines = [self._deadline()]
        if streams and self.target.max_stream is not None:
            deadlines.append(self.clock.seconds() + self.target.max_stream)
        return UpstreamBody(
            self.clock,
            idle=self.target.deadlines.idle,
            deadline=min((d for d in deadlines if d is not None), default=None),
            max_bytes=self.target.max_bytes,
            encoding=self._encoding if self._encoding in DECODED else b"",
        )

    # An answer that is complete in itself.

    def _at_once(self, response: Any) -> Reply | None:
        """The reply, if a short answer has come in one piece with its head and nothing about it is unusual."""
        if response.code != 200 or self._encoding or self._media_type != b"application/json":
            return None
        raw: bytes | None = response.whole() if hasattr(response, "whole") else None
        if raw is None:
            return None
        if self.target.max_bytes is not None and len(raw) > self.target.max_bytes:
            raise UpstreamReplyTooLarge("the upstream's reply is over max_response_bytes")
        return self._whole(200, raw)

    def _whole(self, status: int, raw: bytes) -> Reply:
        """The reply for a complete answer."""
        self._first_token_came()
        self._way.dialect.body_usage(raw, self.exchange.usage)
        converter = self._way.converter
        if converter is None:
            return Reply(status=status, headers=self._headers(), body=raw)
        body = self._scrubbed(lambda: converter.answer(self.call.body, raw, int(self.now())))
        return Reply(status=status, headers=self._headers(JSON_TYPE), body=body)

    def _scrubbed(self, work: Callable[[], bytes]) -> bytes:
        """What a converter makes of an answer; what it complains of may quote the answer."""
        try:
            return work()
        except GatewayError as error:
            raise type(error)(self._scrubber.text(error.message), param=error.param) from None

    async def _answer(self, response: IResponse, body: UpstreamBody) -> Reply:
        converter = self._way.converter
        collects = self._media_type == b"application/json" and self.exchange.buffering
        if self.candidates.goes_on_after(response.code, self.clock.seconds()):
            return Reply(status=response.code, headers=self._headers(), source=body)
        if converter is not None or collects or response.code >= 400:
            await body.watch(_never_enough, COLLECTED if converter is None else CONVERTED)
        if response.code >= 400:
            self._first_token_came()
            return self._error(response, body)
        if converter is not None and not body.complete:
            body.abort()
            raise UpstreamReplyTooLarge(f"the upstream's reply is over {CONVERTED} bytes, more than is converted")
        if body.complete:
            return self._whole(response.code, body.held())
        self._first_token_came()
        length = None if response.length is UNKNOWN_LENGTH or self._encoding in DECODED else response.length
        reply = Reply(status=response.code, headers=self._headers(), source=body, length=length)
        return reply.through(UsageInTail(self._way.dialect, self.exchange.usage))

    def _error(self, response: IResponse, body: UpstreamBody) -> Reply:
        """An error that quotes the credentials it refused must not show them to the client."""
        scrubber, converter = self._scrubber, self._way.converter
        if converter is not None:
            raw = scrubber.whole(body.held())
            if not body.complete:
                body.abort()
            answer = converter.error(response.code, raw)
            return Reply(status=response.code, headers=self._headers(JSON_TYPE), body=answer)
        headers = self._headers()
        if body.complete:
            return Reply(status=response.code, headers=headers, body=scrubber.whole(body.held()))
        return Reply(status=response.code, headers=headers, source=body).through(scrubber.stream())

    @property
    def _scrubber(self) -> Scrubber:
        """For the instance's credentials, those of this one request included."""
        target, sent = self.target, self._sent_headers
        more = [] if target.signer is None or sent is None else target.signer.secrets(sent)
        return Scrubber([*target.scrubber.values, *more]) if more else target.scrubber

    def _first(self, name: bytes) -> bytes:
        """The lower-case value of the first field of this name, or nothing."""
        return self._fields[self._names.index(name)][1].strip().lower() if name in self._names else b""

    def _headers(self, media_type: bytes | None = None) -> HeaderList:
        """What of the upstream's header reaches the client; ``media_type``: what its answer was converted to."""
        headers = relayed_headers(self._fields, self._names, decoded=self._encoding in DECODED)
        if media_type is None:
            return headers
        kept = [field for field in headers if not field[0].lower().startswith(b"content-")]
        return [(b"Content-Type", media_type), *kept]

    # A stream of events.

    async def _stream(self, response: IResponse, body: UpstreamBody) -> Reply:
        way, began = self._way, False
        if self.candidates.has_more(self.clock.seconds()):
            began = await self._hold(body)
        client = self.call.dialect
        headers = self._headers(None if way.converter is None else client.stream_type)
        reply = Reply(status=response.code, headers=headers, source=body, error_event=client.error_event)
        if began:
            self._first_token_came()
        else:
            self._await_first_token(reply, body)
        watch = way.dialect.watch(self.exchange.usage, hide_usage=self._hide_usage)
        body.ends_when(lambda: watch.over)
        scrubber = self._scrubber
        reply.through(scrubber.errors_of(watch))
        if way.converter is not None:
            converted = way.converter.stream(self.call.body, int(self.now()))
            reply.through(scrubber.errors_of(converted))
        return reply

    async def _hold(self, body: UpstreamBody) -> bool:
        """Hold the stream until its first real event (True), or until it has been held long enough (False).

        :raises UpstreamError: if it fails, ends or stalls before; nobody has seen a byte of it then.
        """
        holder = self._way.dialect.holder()
        verdict = Verdict.WAIT

        def judge(data: bytes) -> bool:
            nonlocal verdict
            verdict = holder.feed(data)
            return verdict is not Verdict.WAIT

        release = self.clock.callLater(self._hold_time(), body.release)
        wait = self._first_token_wait()
        late = None if wait is None else self.clock.callLater(wait, body.fail, _no_token())
        try:
            await body.watch(judge, HELD_STREAM)
        finally:
            for timer in (release, late):
                if timer is not None and timer.active():
                    timer.cancel()
        if verdict is Verdict.WAIT and body.complete:
            verdict = holder.close()
        if verdict is Verdict.FAILED:
            body.abort()
            told = self._scrubber.text(holder.message)
            raise UpstreamBadReply(f"the upstream's stream did not begin: {told}")
        return verdict is Verdict.REAL

    def _hold_time(self) -> float:
        ends = self.candidates.takeover_ends
        hold = self.target.deadlines.hold
        return hold if ends is None else max(0.0, min(hold, ends - self.clock.seconds()))

    def _first_token_wait(self) -> float | None:
        limit = self.target.deadlines.first_token
        return None if limit is None else max(0.0, self.started + limit - self.clock.seconds())

    def _await_first_token(self, reply: Reply, body: UpstreamBody) -> None:
        """Have the relayed stream watched for its first real event, and cut if that comes too late."""
        wait = self._first_token_wait()
        late = None if wait is None else self.clock.callLater(wait, body.fail, _no_token())

        def done(*_: object) -> None:
            if late is not None and late.active():
                late.cancel()

        def began(verdict: Verdict) -> None:
            done()
            if verdict is Verdict.REAL:
                self._first_token_came()

        reply.through(FirstToken(self._way.dialect.holder(), began)).afterwards(done)

    def _first_token_came(self) -> None:
        self.exchange.timeline.first_token = self.clock.seconds()


def _why_not_relayed(status: int) -> str:
    if 300 <= status < 400:
        return f"the upstream answered with a redirect ({status}), which is not followed"
    return f"the upstream answered with a status that means nothing ({status})"


def _never_enough(data: bytes) -> bool:
    return False


def _fields_of(response: Any) -> tuple[HeaderList, list[bytes]]:
    """The header fields in order, and their lower-case names; those of our own client have them ready."""
    fields: HeaderList | None = getattr(response, "fields", None)
    if fields is not None:
        return fields, response.names
    fields = [(name, value) for name, values in response.headers.getAllRawHeaders() for value in values]
    return fields, [name.lower() for name, _ in fields]


def _no_token() -> UpstreamTimeout:
    return UpstreamTimeout("the upstream's stream did not begin in time")
