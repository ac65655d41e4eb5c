"""What happens between a request and its reply: errors, clients that leave, and who is told."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from aigw.errors import GatewayError, RateLimited, RouteNotFound, UpstreamTimeout
from aigw.exchange import Attempt, Exchange, Outcome, Reply
from aigw.proxy.errors import render_error
from aigw.proxy.relay import Relay
from aigw.proxy.request import Request

END: dict[str, Callable[[Any], None]] = {
    "/stream": lambda sink: sink.finished(),
    "/broken": lambda sink: sink.broke(UpstreamTimeout("late")),
}


def raising(error: Exception) -> Any:
    async def handler(exchange: Exchange) -> Reply:
        raise error

    return handler


class TestErrors:
    def test_their_shape(self) -> None:
        reply = render_error(RateLimited("slow down", param="model", headers=((b"Retry-After", b"3"),)))
        assert (reply.status, reply.headers) == (
            429,
            [(b"Content-Type", b"application/json"), (b"Retry-After", b"3")],
        )
        assert json.loads(reply.body) == {
            "error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limited", "param": "model"},
            "error_msg": "slow down",
            "message": "slow down",
        }

    def test_apisix_has_its_own_words_for_404(self) -> None:
        assert json.loads(render_error(RouteNotFound("whatever")).body)["error_msg"] == "404 Route Not Found"

    def test_half_a_character_is_no_error_of_its_own(self) -> None:
        assert json.loads(render_error(GatewayError("bad \ud83d")).body)["error_msg"] == "bad ?"

    def test_a_refusal_of_the_handler(self, gateway: Any) -> None:
        error = UpstreamTimeout("too late")
        gateway.handler = raising(error)
        client = gateway.connect().post(b"{}")
        assert client.reply.status == 504
        assert json.loads(client.reply.body)["error"]["code"] == "upstream_timeout"
        (seen,) = gateway.seen
        assert (seen.status, seen.outcome, seen.error) == (504, Outcome.DONE, error)
        assert seen.sent == len(client.reply.body)

    def test_attempts_are_told_with_errors_too(self, gateway: Any) -> None:
        async def handler(exchange: Exchange) -> Reply:
            exchange.attempts.append(Attempt(instance="i"))
            raise UpstreamTimeout("too late")

        gateway.handler = handler
        headers = gateway.connect().get().reply.headers
        assert (headers["x-aigw-instance"], headers["x-aigw-attempts"]) == ("i", "1")

    def test_a_bug_is_logged_once_and_not_told(self, gateway: Any, expected_failures: list[str]) -> None:
        expected_failures.append("request {id} failed")
        gateway.handler = raising(RuntimeError("secret"))
        with capturedLogs() as events:
            client = gateway.connect().get(b"/", b"Authorization: Bearer sk-1")
        assert json.loads(client.reply.body)["error"]["message"] == "internal error"
        assert client.reply.status == 500
        failures = [e for e in events if "log_failure" in e]
        assert [e["id"] for e in failures] == ["id-0"]
        assert "sk-1" not in str(events)

    def test_a_handler_that_raises_before_it_is_a_coroutine(self, gateway: Any, expected_failures: list[str]) -> None:
        expected_failures.append("request {id} failed")
        gateway.handler = lambda exchange: 1 // 0
        assert gateway.connect().get().reply.status == 500

    def test_somebody_elses_cancellation_is_no_answer(self, gateway: Any, expected_failures: list[str]) -> None:
        expected_failures.append("request {id} failed")
        gateway.handler = raising(CancelledError())
        assert gateway.connect().get().reply.status == 500

    def test_a_reply_that_is_none(self, gateway: Any, expected_failures: list[str]) -> None:
        expected_failures.append("its relay failed")

        async def handler(exchange: Exchange) -> Any:
            return None

        gateway.handler = handler
        client = gateway.connect().get()
        assert client.transport.aborted
        assert len(gateway.seen) == 1
        assert gateway.site.in_flight == 0

    @pytest.mark.parametrize(("target", "status"), [(b"/none?x", 404), (b"/bad", 400)])
    @pytest.mark.parametrize("body", [b"", b"some body"])
    def test_no_route(self, gateway: Any, target: bytes, status: int, body: bytes) -> None:
        client = gateway.connect().post(body, target).get()
        assert [r.status for r in client.replies] == [status, 200]
        assert not client.closed
        (seen, _) = gateway.seen
        assert (seen.status, seen.exchange.route, seen.exchange.host) == (status, None, "gateway")
        assert seen.exchange.path == target.partition(b"?")[0].decode()
        assert gateway.site.face.memory.held == 0

    def test_a_bug_in_the_router(self, gateway: Any, expected_failures: list[str]) -> None:
        expected_failures.append("a bug in the router")
        assert gateway.connect().get(b"/bug").reply.status == 500

    def test_an_observer_that_fails_keeps_nothing_from_happening(
        self, gateway: Any, expected_failures: list[str]
    ) -> None:
        expected_failures.append("fail")

        def fail(*args: object) -> None:
            raise RuntimeError("fail")

        gateway.site.face._observers = (fail, *gateway.site.face._observers)
        client = gateway.connect().get().get()
        assert len(client.replies) == len(gateway.seen) == 2


class TestMethods:
    @pytest.mark.parametrize("line", [b"TRACE / HTTP/1.1", b"CONNECT a:443 HTTP/1.1", b"CONNECT / HTTP/1.1"])
    def test_that_are_not_answered(self, gateway: Any, line: bytes) -> None:
        reply = gateway.connect().send(line + b"\r\nHost: a\r\n\r\n").reply
        assert reply.status == 405
        assert "GET" in reply.headers["allow"]
        assert not gateway.exchanges

    def test_options_about_the_gateway(self, gateway: Any) -> None:
        reply = gateway.connect().get(b"*", method=b"OPTIONS").reply
        assert (reply.status, "POST" in reply.headers["allow"]) == (204, True)
        assert gateway.seen[0].exchange.path == "*"

    def test_options_of_a_route_are_its_own(self, gateway: Any) -> None:
        assert gateway.connect().get(b"/a", method=b"OPTIONS").reply.body == b"OPTIONS /a "

    def test_any_other_is_the_routes_business(self, gateway: Any) -> None:
        assert gateway.connect().get(b"/a", method=b"PURGE").reply.body == b"PURGE /a "


class TestMemory:
    """A cycle of references would keep each request, with its body, until the collector comes."""

    @pytest.mark.parametrize("target", [b"/whole", b"/stream", b"/error", b"/none", b"/broken"])
    def test_a_request_that_is_over_leaves_no_cycle(self, gateway: Any, make_source: Any, target: bytes) -> None:
        gateway.handler = self._answer_of(make_source)
        gateway.site.face._observers = ()
        before = self._alive()
        gc.disable()
        try:
            for _ in range(3):
                client = gateway.connect().post(b"0123456789ab", target)
                gateway.exchanges.clear()
            assert client.got
            assert self._alive() == before
        finally:
            gc.enable()

    def test_secrets_are_in_no_repr(self, gateway: Any) -> None:
        gateway.connect().send(
            b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: s3cret\r\nContent-Length: 6\r\n\r\ns3cret"
        )
        assert "s3cret" not in repr(gateway.seen)

    def _alive(self) -> int:
        return sum(isinstance(o, Exchange | Relay | Request) for o in gc.get_objects())

    def _answer_of(self, make_source: Any) -> Any:
        async def handler(exchange: Exchange) -> Reply:
            if exchange.path == "/whole":
                return Reply(status=200, body=b"whole")
            if exchange.path == "/error":
                raise UpstreamTimeout("late")
            source = make_source(b"some")
            source.start = lambda sink: [sink.write(b"some"), END[exchange.path](sink)]
            return Reply(status=200, source=source)

        return handler


class TestClientGone:
    def test_the_handler_is_cancelled(self, gateway: Any) -> None:
        waiting: Deferred[Reply] = Deferred()
        gateway.handler = lambda exchange: waiting
        client = gateway.connect().post(b"hello")
        assert (gateway.site.in_flight, gateway.site.face.memory.held) == (1, 5)
        client.leave()
        assert waiting.called
        (seen,) = gateway.seen
        assert (seen.status, seen.outcome, seen.error, seen.sent) == (499, Outcome.CLIENT_LEFT, None, 0)
        assert (gateway.site.in_flight, gateway.site.face.memory.held) == (0, 0)

    def test_a_handler_may_take_its_time_to_end(self, gateway: Any) -> None:
        cleaning: Deferred[None] = Deferred()

        async def handler(exchange: Exchange) -> Reply:
            try:
                await Deferred()
            finally:
                await cleaning
            raise AssertionError

        gateway.handler = handler
        client = gateway.connect().get()
        client.leave()
        assert not gateway.seen
        cleaning.callback(None)
        assert [s.outcome for s in gateway.seen] == [Outcome.CLIENT_LEFT]

    def test_a_reply_that_comes_all_the_same_is_disposed_of(self, gateway: Any, make_source: Any) -> None:
        source, told = make_source(), []
        reply = Reply(status=200, source=source).afterwards(lambda *args: told.append(args))

        async def handler(exchange: Exchange) -> Reply:
            with contextlib.suppress(CancelledError):
                await Deferred()
            return reply

        gateway.handler = handler
        gateway.connect().get().leave()
        assert source.calls == ["abort"]
        assert told == [(Outcome.CLIENT_LEFT, None)]
        assert [s.status for s in gateway.seen] == [499]

    def test_a_bug_on_the_way_out_is_logged(self, gateway: Any, expected_failures: list[str]) -> None:
        expected_failures.append("request {id} failed")

        async def handler(exchange: Exchange) -> Reply:
            try:
                await Deferred()
            finally:
                raise RuntimeError("a bug")

        gateway.handler = handler
        gateway.connect().get().leave()
        assert [s.outcome for s in gateway.seen] == [Outcome.CLIENT_LEFT]

    def test_after_the_reply_it_is_nobodys_business(self, gateway: Any) -> None:
        gateway.connect().get().leave()
        assert [s.outcome for s in gateway.seen] == [Outcome.DONE]
