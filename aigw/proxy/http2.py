"""HTTP/2 to clients, as Twisted has it, made as patient and as strict as the HTTP/1 side. Needs ``twisted[http2]``.

What Twisted's own lacks: a producer is paused when the transport is full, not only when a window is; a stream without
a window waits instead of being tried again in every turn of the reactor; a frame for a stream that was answered early
is no error; a request without an answer yet does not time the connection out; draining.
"""

# mypy: allow-untyped-calls
# (the stock classes that are extended here have no annotations)
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web._http2 import H2Connection

from aigw.proxy.frames import FrameLengths
from aigw.proxy.streams import Http2Request

if TYPE_CHECKING:
    from aigw.proxy.channel import Channel
    from aigw.proxy.face import Face

FLUSH_INTERVAL = 0.05
"""Seconds between two looks whether a broken reply's last bytes have gone out."""


class Http2Channel(H2Connection):
    """One connection with many streams; its `Channel` hands it everything."""

    log: ClassVar[Logger] = Logger()
    face: Face
    site: Any
    factory: Any
    requestFactory: Any
    callLater: Any
    transport: Any
    _idle_since = 0.0
    _closing_since: float | None = None
    _draining = False
    _lost = False
    _starved: set[int]
    _frames: FrameLengths

    @classmethod
    def taking_over(cls, channel: Channel) -> Http2Channel:
        """Speak HTTP/2 on the transport of a channel that has not read anything yet."""
        face, transport = channel.site.face, channel.transport
        self = cls(face.clock)
        self.face = face
        self._starved = set()
        self._frames = FrameLengths(self.conn.max_inbound_frame_size)
        self.site = self.factory = channel.site
        self.requestFactory = Http2Request
        self.timeOut = None
        self.callLater = face.clock.callLater
        self._idle_since = face.clock.seconds()
        transport.unregisterProducer()
        self.makeConnection(transport)
        transport.registerProducer(self, True)
        return self

    def dataReceived(self, data: bytes) -> None:
        """Some frames. What they can do to the libraries below must not get past this connection."""
        if self.transport.disconnecting:
            return
        if self._frames.find_oversized(data):
            self._say_goodbye(ErrorCodes.FRAME_SIZE_ERROR)
            return
        try:
            super().dataReceived(data)
            self._feed_starved()
        except Exception:  # noqa: BLE001  # the edge: below is what a client can reach of h2 and priority
            self.log.failure("HTTP/2 from {peer} failed", peer=self.getPeer())
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone, _cancelTimeouts: bool = True) -> None:
        """All streams are gone."""
        self._lost = True
        super().connectionLost(reason, _cancelTimeouts)

    def sweep(self, now: float) -> None:
        """Look for missed deadlines."""
        for stream in tuple(self.streams.values()):
            stream._request.sweep(now)
        if self.transport.disconnecting:
            self._closing_since = now if self._closing_since is None else self._closing_since
            if now - self._closing_since >= self.face.limits.linger_timeout:
                self.transport.abortConnection()
        elif not self.streams and now - self._idle_since >= self.face.limits.idle_timeout:
            self._say_goodbye()

    def drain(self) -> None:
        """Refuse new streams (they are safe to try elsewhere), close when the last one is done."""
        self._draining = True
        if not self.streams:
            self._say_goodbye()

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """End a stream now, and forget what was queued for it."""
        try:
            self.conn.reset_stream(stream_id, error_code=code)
        except ProtocolError:
            return
        if self._tryToWriteControlData() and stream_id in self.streams:
            self._requestDone(stream_id)

    def cut(self, stream_id: int, deadline: float) -> None:
        """End a stream with an error, when what is queued for it is sent, or at ``deadline`` (of the clock)."""
        if stream_id not in self.streams:
            return
        if self._outboundStreamQueues[stream_id] and self.face.clock.seconds() < deadline:
            self.face.clock.callLater(FLUSH_INTERVAL, self.cut, stream_id, deadline)
        else:
            self.reset(stream_id, ErrorCodes.INTERNAL_ERROR)

    def pauseProducing(self) -> None:
        """The transport is full: pause every stream."""
        super().pauseProducing()
        self._pause_streams()

    def resumeProducing(self) -> None:
        """It is empty: resume those that have a window."""
        super().resumeProducing()
        for stream in tuple(self.streams.values()):
            stream.windowUpdated()

    def writeDataToStream(self, streamID: int, data: bytes) -> None:
        """Queue for a stream; where the transport is full, its producer learns it now."""
        if streamID not in self.streams:
            return
        super().writeDataToStream(streamID, data)
        if self._consumerBlocked is not None:
            self.streams[streamID].flowControlBlocked()

    def remainingOutboundWindow(self, streamID: int) -> int:
        """What a stream may still send. It is asked for after every frame: the moment to see that nothing is left."""
        queue = self._outboundStreamQueues[streamID]
        if queue and isinstance(queue[0], bytes) and self.conn.local_flow_control_window(streamID) <= 0:
            self.priority.block(streamID)
            self._starved.add(streamID)
        return int(super().remainingOutboundWindow(streamID))

    def _feed_starved(self) -> None:
        """Let streams go on that have a window again, by whichever frame."""
        for id in tuple(self._starved):
            if id not in self.streams:
                self._starved.discard(id)
            elif self.conn.local_flow_control_window(id) > 0:
                self._starved.discard(id)
                self.priority.unblock(id)
                waiting, self._sendingDeferred = self._sendingDeferred, None
                if waiting is not None:
                    waiting.callback(None)

    def _handleWindowUpdate(self, event: WindowUpdated) -> None:
        super()._handleWindowUpdate(event)
        if self._consumerBlocked is not None:
            self._pause_streams()

    def _requestReceived(self, event: RequestReceived) -> None:
        assert event.stream_id is not None
        if self._draining:
            self.reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        super()._requestReceived(event)
        stream = self.streams[event.stream_id]
        stream._request.stream_opened(self, stream)

    def _requestDataReceived(self, event: DataReceived) -> None:
        assert event.stream_id is not None
        if event.stream_id in self.streams:
            super()._requestDataReceived(event)
        else:
            self.openStreamWindow(event.stream_id, event.flow_controlled_length)
            self.reset(event.stream_id, ErrorCodes.NO_ERROR)

    def _requestEnded(self, event: StreamEnded) -> None:
        if event.stream_id in self.streams:
            super()._requestEnded(event)

    def _requestAborted(self, event: StreamReset) -> None:
        if event.stream_id in self.streams:
            super()._requestAborted(event)

    def _requestDone(self, streamID: int) -> None:
        super()._requestDone(streamID)
        self._idle_since = self.face.clock.seconds()
        if self._draining and not self.streams and not self._lost:
            self._say_goodbye()

    def _pause_streams(self) -> None:
        for stream in tuple(self.streams.values()):
            stream.flowControlBlocked()

    def _say_goodbye(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        if self.transport.disconnecting:
            return
        self.conn.close_connection(code)
        self.transport.write(self.conn.data_to_send())
        self.transport.unregisterProducer()  # TLS does not close while there is one
        self.transport.loseConnection()
