"""From the head of an instance's response to the Reply: whole, relayed, converted, or held until its first real event.

Whatever goes wrong here is a `GatewayError` that another instance may make good: the client has not seen a byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.web.iweb import UNKNOWN_LENGTH

from aigw.dialects.converters.converter import ConvertedStream
from aigw.dialects.dialect import Verdict
from aigw.errors import GatewayError, UpstreamBadReply, UpstreamReplyTooLarge, UpstreamTimeout
from aigw.exchange import HeaderList, Reply
from aigw.llm.endpoint import relayed_headers
from aigw.llm.scrubbing import Scrubber
from aigw.llm.watching import Opening, UsageInTail, Watched
from aigw.upstream.body import UpstreamBody
from aigw.upstream.timeouts import Timeout

if TYPE_CHECKING:
    from aigw.llm.attempt import Try

T = TypeVar("T")

HELD_STREAM = 256 * 1024
"""The most bytes of a stream that are held while its first real event is awaited; past that it is relayed."""
COLLECTED = 1024 * 1024
"""A complete answer up to this size is collected before it is sent on; a longer one is relayed as it comes."""
CONVERTED = 32 * 1024 * 1024
"""The largest answer that is converted, which has to be collected for that."""
JSON_TYPE = b"application/json"
DECODED = frozenset({b"gzip", b"x-gzip", b"deflate"})


@attrs.define(kw_only=True, eq=False)
class Answer:
    """What came of an attempt. ``response``: an `IResponse`; those of our own client can tell more."""

    attempt: Try
    response: Any
    _fields: HeaderList = attrs.field(init=False)
    _names: list[bytes] = attrs.field(init=False)
    _media_type: bytes = attrs.field(init=False)
    _encoding: bytes = attrs.field(init=False)

    def reply(self) -> Reply | Deferred[Reply]:
        """The reply, at once if all of it is here.

        :raises UpstreamError: if there is none that could be relayed; a Deferred fails with it.
        """
        response, attempt = self.response, self.attempt
        self._fields, self._names = _fields_of(response)
        self._media_type = self._first(b"content-type").partition(b";")[0].rstrip()
        self._encoding = self._first(b"content-encoding")
        if not (200 <= response.code < 300 or 400 <= response.code < 600):
            response.deliverBody(rejected := self._body(streams=False))
            rejected.abort()
            raise UpstreamBadReply(_why_not_relayed(response.code))
        streams = response.code == 200 and self._media_type == attempt.way.dialect.stream_type
        if not streams and (reply := self._at_once()) is not None:
            return reply
        response.deliverBody(body := self._body(streams))
        return self._stream(body) if streams else Deferred.fromCoroutine(self._answer(body))

    def _body(self, streams: bool) -> UpstreamBody:
        deadline, longest = self.attempt.deadline(), self.attempt.target.max_stream
        if streams and longest is not None:
            end = self.attempt.clock.seconds() + longest
            deadline = end if deadline is None else min(end, deadline)
        return UpstreamBody(
            self.attempt.clock,
            idle=self.attempt.target.deadlines.idle,
            deadline=deadline,
            max_bytes=self.attempt.target.max_bytes,
            encoding=self._encoding if self._encoding in DECODED else b"",
            timeouts=self.attempt.backend.timeouts,
        )

    # An answer that is complete in itself.

    def _at_once(self) -> Reply | None:
        """The reply, if a short answer has come in one piece with its head and nothing about it is unusual."""
        if self.response.code != 200 or self._encoding or self._media_type != b"application/json":
            return None
        raw: bytes | None = self.response.whole() if hasattr(self.response, "whole") else None
        if raw is None:
            return None
        if self.attempt.target.max_bytes is not None and len(raw) > self.attempt.target.max_bytes:
            raise UpstreamReplyTooLarge("the upstream's reply is over max_response_bytes")
        return self._whole(200, raw)

    def _whole(self, status: int, raw: bytes) -> Reply:
        """The reply for a complete answer."""
        self._first_token_came()
        self.attempt.way.dialect.body_usage(raw, self.attempt.exchange.usage)
        converter = self.attempt.way.converter
        if converter is None:
            return Reply(status=status, headers=self._headers(), body=raw)
        try:
            body = converter.answer(self.attempt.call.body, raw, int(self.attempt.now()))
        except GatewayError as error:
            raise self._scrubber.error(error) from None  # it may quote the answer
        return Reply(status=status, headers=self._headers(JSON_TYPE), body=body)

    async def _answer(self, body: UpstreamBody) -> Reply:
        converter = self.attempt.way.converter
        collects = self._media_type == b"application/json" and self.attempt.exchange.buffering
        if self.attempt.candidates.goes_on_after(self.response.code, self.attempt.clock.seconds()):
            return Reply(status=self.response.code, headers=self._headers(), source=body)
        if converter is not None or collects or self.response.code >= 400:
            await body.watch(_never_enough, COLLECTED if converter is None else CONVERTED)
        if self.response.code >= 400:
            self._first_token_came()
            return self._error(body)
        if converter is not None and not body.complete:
            body.abort()
            raise UpstreamReplyTooLarge(f"the upstream's reply is over {CONVERTED} bytes, more than is converted")
        if body.complete:
            return self._whole(self.response.code, body.held())
        self._first_token_came()
        length = None if self.response.length is UNKNOWN_LENGTH or self._encoding in DECODED else self.response.length
        reply = Reply(status=self.response.code, headers=self._headers(), source=body, length=length)
        if not self._media_type.endswith(b"json"):
            return reply  # a file, speech: it tells no usage, and a client may want to know how long it is
        return reply.through(UsageInTail(self.attempt.way.dialect, self.attempt.exchange.usage))

    def _error(self, body: UpstreamBody) -> Reply:
        """An error that quotes the credentials it refused must not show them to the client."""
        scrubber, converter = self._scrubber, self.attempt.way.converter
        if converter is not None:
            raw = scrubber.whole(body.held())
            if not body.complete:
                body.abort()
            answer = converter.error(self.response.code, raw)
            return Reply(status=self.response.code, headers=self._headers(JSON_TYPE), body=answer)
        headers = self._headers()
        if body.complete:
            return Reply(status=self.response.code, headers=headers, body=scrubber.whole(body.held()))
        return Reply(status=self.response.code, headers=headers, source=body).through(scrubber.stream())

    @property
    def _scrubber(self) -> Scrubber:
        """For the instance's credentials, those of this one request included."""
        target, sent = self.attempt.target, self.attempt.sent_headers
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

    def _stream(self, body: UpstreamBody) -> Reply | Deferred[Reply]:
        """The reply; at once if its first real event came with the head, or nobody could take over any more."""
        converted = self._converted(body)
        early = body.early
        if early and self.attempt.way.dialect.holder().feed(early) is Verdict.REAL:
            return self._relayed(body, converted, begun=True)
        if not self.attempt.candidates.has_more(self.attempt.clock.seconds()):
            return self._relayed(body, converted, begun=False)
        opening = Opening(self.attempt.way.dialect.holder())
        held = body.watch(opening.judge, HELD_STREAM)
        self._limit(held, body)
        return held.addCallback(lambda _: self._opened(body, converted, opening))

    def _converted(self, body: UpstreamBody) -> ConvertedStream | None:
        """What turns the stream into the client's.

        :raises UpstreamBadReply: if that is none that streams.
        """
        way, attempt = self.attempt.way, self.attempt
        try:
            return None if way.converter is None else way.converter.stream(attempt.call.body, int(attempt.now()))
        except GatewayError:
            body.abort()
            raise

    def _limit(self, held: Deferred[None], body: UpstreamBody) -> None:
        """Hold a stream no longer than it may be."""
        timeouts, usual = self.attempt.backend.timeouts, self.attempt.target.deadlines.hold
        release = timeouts.start_one_of(usual, self._hold_time(), body.release)
        late = self._fail_without_token(body)

        def stop(result: T) -> T:
            release.stop()
            if late is not None:
                late.stop()
            return result

        held.addBoth(stop)

    def _opened(self, body: UpstreamBody, converted: ConvertedStream | None, opening: Opening) -> Reply:
        """The reply, once its first real event is here, or it has been held long enough.

        :raises UpstreamBadReply: if it failed or ended before; nobody has seen a byte of it then.
        """
        verdict = opening.verdict
        if verdict is Verdict.WAIT and body.complete:
            verdict = opening.holder.close()
        if verdict is Verdict.FAILED:
            body.abort()
            told = self._scrubber.text(opening.holder.message)
            raise UpstreamBadReply(f"the upstream's stream did not begin: {told}")
        return self._relayed(body, converted, begun=verdict is Verdict.REAL)

    def _relayed(self, body: UpstreamBody, converted: ConvertedStream | None, *, begun: bool) -> Reply:
        way, client, scrubber = self.attempt.way, self.attempt.call.dialect, self._scrubber
        headers = self._headers(None if way.converter is None else client.stream_type)
        reply = Reply(status=self.response.code, headers=headers, source=body, error_event=client.error_event)
        watch = way.dialect.watch(self.attempt.exchange.usage, hide_usage=self.attempt.hide_usage)
        if begun:
            self._first_token_came()
        opening = None if begun else self._opening_of(reply, body)
        reply.through(Watched(watch, scrubber=scrubber, over=body.suffice, opening=opening))
        if converted is not None:
            reply.through(scrubber.errors_of(converted))
        return reply

    def _hold_time(self) -> float:
        ends = self.attempt.candidates.takeover_ends
        hold = self.attempt.target.deadlines.hold
        return hold if ends is None else max(0.0, min(hold, ends - self.attempt.clock.seconds()))

    def _fail_without_token(self, body: UpstreamBody) -> Timeout | None:
        """Have a stream end if its first real event comes too late."""
        limit = self.attempt.target.deadlines.first_token
        if limit is None:
            return None
        wait = max(0.0, self.attempt.started + limit - self.attempt.clock.seconds())
        return self.attempt.backend.timeouts.start_alone(wait, lambda: body.fail(_no_token()))

    def _opening_of(self, reply: Reply, body: UpstreamBody) -> Opening:
        """Of a stream that is relayed before its first real event has come."""
        late = self._fail_without_token(body)
        if late is not None:
            reply.afterwards(lambda *_: late.stop())

        def began(verdict: Verdict) -> None:
            if late is not None:
                late.stop()
            if verdict is Verdict.REAL:
                self._first_token_came()

        return Opening(self.attempt.way.dialect.holder(), began)

    def _first_token_came(self) -> None:
        self.attempt.exchange.timeline.first_token = self.attempt.clock.seconds()


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
