"""What all fake vendors have in common: a request is routed, checked and answered; what was wrong with it is kept.

A `Vendor` is a behaviour of a `FakeUpstream`: ``ServedUpstream(thread, Anthropic())`` for a real port. It may also be
asked directly, or stand behind the models of a `MemoryGateway`, see `attend`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from aigw.testing.behaviours import framed, head
from aigw.testing.models import Asked
from aigw.testing.requests import Received
from aigw.testing.upstream import Talk
from aigw.testing.vendors.scenario import TEXT, Heard, Scenario, Turn

KEY = "sk-of-a-fake-vendor"
"""What a vendor takes for a key, unless told otherwise."""
CREATED = 1_700_000_000
"""When everything that a fake vendor makes was made, Unix seconds."""

T = TypeVar("T")


class Refused(Exception):
    """The vendor does not do it. ``scripted``: there is nothing wrong with the request, a `Scenario` says so.

    ``code``, ``param``, ``more``: what else the vendor tells; each uses what its format has.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        scripted: bool = False,
        retry_after: int | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.scripted = scripted
        self.retry_after = retry_after
        self.more = dict(more or {})


@attrs.frozen(kw_only=True)
class Answer:
    """What is answered. ``pieces``: of the body; of a stream, one each event, which then has no length."""

    status: int = 200
    media_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    pieces: Sequence[bytes] = ()
    streams: bool = False

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


class Vendor:
    """``key``: the one it takes. ``scenario``: what its model does when `will` has nothing else in store.

    ``received``: all requests so far. ``complaints``: why it refused some (what a scenario made it refuse does not
    count). ``ignored``: where requests had what the real vendor takes no notice of.
    """

    routes: ClassVar[Sequence[tuple[str, str, str]]] = ()
    """Method, pattern of the path, name of the method that answers; it gets the request and the pattern's groups."""
    call_prefix: ClassVar[str] = "call_"
    provider: ClassVar[str] = ""
    """What a configuration calls it."""

    def __init__(self, *, key: str = KEY, scenario: Scenario = TEXT, pace: float = 0.0) -> None:
        self.key = key
        self.scenario = scenario
        self.pace = pace
        self.received: list[Received] = []
        self.complaints: list[Refused] = []
        self.ignored: list[str] = []
        self._script: deque[Scenario] = deque()

    async def __call__(self, talk: Talk) -> None:
        """Answer, as the behaviour of a `FakeUpstream`; ``pace`` seconds between the pieces of a stream."""
        answer = self.answer(talk.request)
        if not answer.streams:
            talk.send(head(answer.status, answer.media_type.encode(), length=len(answer.body), headers=answer.headers))
            talk.send(answer.body)
            return
        talk.send(head(answer.status, answer.media_type.encode(), chunked=True, headers=answer.headers))
        for piece in answer.pieces:
            talk.send(framed(piece))
            await talk.writable()
            if self.pace:
                await talk.sleep(self.pace)
        talk.send(framed(b""))

    def as_model(self, url: str, **fields: Any) -> dict[str, Any]:
        """A configuration of ai-proxy for this vendor. ``url``: where it is served."""
        auth = {"header": {"Authorization": f"Bearer {self.key}"}}
        return {"provider": self.provider, "auth": auth, "override": {"endpoint": url}, **fields}

    def will(self, *scenarios: Scenario) -> None:
        """Do this with the next requests, one each."""
        self._script.extend(scenarios)

    def answer(self, request: Received) -> Answer:
        """What is answered to this."""
        self.received.append(request)
        try:
            return self.routed(request)
        except Refused as refused:
            if not refused.scripted:
                self.complaints.append(refused)
            return self.refusal(refused)

    def routed(self, request: Received) -> Answer:
        """Authenticate, find who answers, have it answer.

        :raises Refused: if the vendor would.
        """
        path = urlsplit(request.target).path
        found = [(method, re.fullmatch(pattern, path), name) for method, pattern, name in self.routes]
        here = [(method, match, name) for method, match, name in found if match is not None]
        if not here:
            raise Refused(404, f"Invalid URL ({request.method} {path})")
        self.authenticate(request)
        for method, match, name in here:
            if method == request.method:
                answering: Callable[..., Answer] = getattr(self, name)
                return answering(request, **{group: unquote(text) for group, text in match.groupdict().items()})
        raise Refused(405, f"Not allowed to {request.method} on {path}.")

    def authenticate(self, request: Received) -> None:
        """Check the credentials: by default a bearer token.

        :raises Refused: if they are not right.
        """
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refused(401, "Incorrect API key provided.", code="invalid_api_key")

    def refusal(self, refused: Refused) -> Answer:
        """An error in the vendor's format."""
        raise NotImplementedError

    def perform(self, heard: Heard) -> Turn:
        """What the model says to that.

        :raises Refused: if the scenario is an error.
        """
        scenario = self._script.popleft() if self._script else self.scenario
        if scenario.status != 200:
            raise Refused(scenario.status, "told to fail", scripted=True, retry_after=scenario.retry_after)
        return scenario.turn(heard, f"{self.call_prefix}{len(self.received)}")


def whole(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return Answer(status=status, pieces=[dumped(value)], headers=headers or {})


def stream(pieces: Iterable[bytes], turn: Turn, broken: bytes, opening: Iterable[bytes] = (), **fields: Any) -> Answer:
    """A stream of events; where the turn says so, it ends with ``broken`` before its end."""
    said = list(pieces)
    if turn.breaks_after is not None:
        said = [*said[: turn.breaks_after + 1], broken]
    fields.setdefault("media_type", "text/event-stream")
    return Answer(pieces=[*opening, *said], streams=True, **fields)


def dumped(value: Any) -> bytes:
    """JSON without spaces, as vendors write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event(value: Any, name: str = "") -> bytes:
    """One server-sent event."""
    named = f"event: {name}\n".encode() if name else b""
    return named + b"data: " + dumped(value) + b"\n\n"


def query_of(request: Received) -> dict[str, str]:
    """The query's parameters."""
    return dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))


def attend(vendor: Vendor, asked: Asked) -> None:
    """Have the vendor answer a request that waits in memory (see `aigw.testing.models`)."""
    parts = urlsplit(asked.url)
    lines = [f"{asked.method} {parts._replace(scheme='', netloc='').geturl() or '/'} HTTP/1.1", f"host: {parts.netloc}"]
    for name, values in asked.headers.getAllRawHeaders():
        lines += [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for value in values]
    answer = vendor.answer(Received(head="\r\n".join([*lines, "", ""]).encode("latin-1"), body=asked.data))
    response = asked.begin(
        answer.status, answer.media_type, answer.headers, None if answer.streams else len(answer.body)
    )
    for piece in answer.pieces:
        response.send(piece)
    response.end()
