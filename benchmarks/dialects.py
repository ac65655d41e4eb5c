"""What the dialects cost: microseconds an event of a stream, a request body, a reply.

Run: ``python -m benchmarks.dialects``.

Each figure is the least of several rounds, which is the one that the machine's other work disturbed least.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from aigw.dialects import DIALECTS, detect
from aigw.dialects.body import Body
from aigw.dialects.dialect import Dialect
from aigw.dialects.usage import Usage

ROUNDS = 7
EVENTS = 20_000

CHAT = next(d for d in DIALECTS if d.name == "openai-chat")
RESPONSES = next(d for d in DIALECTS if d.name == "openai-responses")

_HEAD = b'data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx","object":"chat.completion.chunk","created":1718000000,'
_CHUNK = _HEAD + b'"model":"gpt-4o-mini","system_fingerprint":"fp_0123456789","choices":[%b]%b}\n\n'
_DELTA = b'{"index":0,"delta":{"content":" %b"},"logprobs":null,"finish_reason":null}'
_COUNTS = b'{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}'
_TEXT_DELTA = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":4,'
    b'"item_id":"msg_0123456789abcdef","output_index":0,"content_index":0,"delta":" hello","logprobs":[]}\n\n'
)

STREAMS: list[tuple[str, Dialect, bytes]] = [
    ("chat", CHAT, _CHUNK % (_DELTA % b"hello", b"")),
    ("chat, usage null", CHAT, _CHUNK % (_DELTA % b"hello", b',"usage":null')),
    ("chat, usage in each", CHAT, _CHUNK % (_DELTA % b"hello", b',"usage":' + _COUNTS)),
    ("chat, talks of errors", CHAT, _CHUNK % (_DELTA % b"an error", b',"usage":null')),
    ("chat, CRLF", CHAT, (_CHUNK % (_DELTA % b"hello", b"")).replace(b"\n", b"\r\n")),
    ("responses", RESPONSES, _TEXT_DELTA),
]


def least(run: Callable[[], object], count: int) -> float:
    """Microseconds for each of the ``count`` things that one run does."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        rounds.append(time.perf_counter() - start)
    return min(rounds) / count * 1e6


def repeated(once: Callable[[], object], times: int) -> Callable[[], object]:
    """A run that does something several times."""

    def run() -> None:
        for _ in range(times):
            once()

    return run


def stream_cost(dialect: Dialect, event: bytes, reads: list[bytes]) -> float:
    """Microseconds an event, for a stream that arrives in these reads."""

    def run() -> None:
        watch = dialect.watch(Usage(), True)
        feed = watch.feed
        for data in reads:
            feed(data)

    return least(run, sum(map(len, reads)) // len(event))


def in_reads(event: bytes, size: int) -> list[bytes]:
    """Many events, cut every ``size`` bytes."""
    whole = event * EVENTS
    return [whole[i : i + size] for i in range(0, len(whole), size)]


def print_streams() -> None:
    """One line a kind of stream."""
    print(f"{'stream, us an event':28}{'1 a read':>10}{'50 a read':>10}{'16 KiB':>10}{'0.9 a read':>12}{'bytes':>8}")
    for title, dialect, event in STREAMS:
        sizes = (len(event), 50 * len(event), 16384, len(event) * 9 // 10)
        costs = [stream_cost(dialect, event, in_reads(event, size)) for size in sizes]
        print(f"{title:28}{costs[0]:10.3f}{costs[1]:10.3f}{costs[2]:10.3f}{costs[3]:12.3f}{len(event):8}")


def chat_body(size: int) -> dict[str, object]:
    """A request of about this many bytes."""
    turn = {"role": "user", "content": "Why is the sky blue? " * 4}
    return {"model": "gpt-4o-mini", "messages": [turn] * (size // 110), "temperature": 0.7, "stream": True}


def print_bodies() -> None:
    """One line a request body and what is done with it."""
    print(f"\n{'request body, us':28}{'parse':>10}{'+ set model':>12}{'whole':>10}{'bytes':>10}")
    for title, size in (("400 B", 330), ("1 MB", 1_000_000)):
        compact = msgspec.json.encode(chat_body(size))
        spaced = compact.replace(b'":', b'": ').replace(b',"', b', "')
        cut = compact.replace(b"blue?", b"blue\\ud83d", 1)
        for kind, raw in (("compact", compact), ("spaced", spaced), ("lone surrogate", cut)):
            times = max(1, 2_000_000 // len(raw) // 4)
            parse = least(repeated(lambda raw=raw: Body.parse(raw), times), times)  # type: ignore[misc]
            edit = least(repeated(lambda raw=raw: Body.parse(raw).edited({"model": "other"}), times), times)  # type: ignore[misc]
            whole = least(repeated(lambda raw=raw: request(raw), times), times)  # type: ignore[misc]
            print(f"{title + ', ' + kind:28}{parse:10.2f}{edit:12.2f}{whole:10.2f}{len(raw):10}")


def request(raw: bytes) -> bytes:
    """All that is done for one attempt: parse, detect, ask for usage, set the model."""
    body = Body.parse(raw)
    dialect = detect("/v1/chat/completions", body)
    dialect.model(body)
    return body.edited({**dialect.prepare(body).sets, "model": "other"})


def print_replies() -> None:
    """Usage of complete replies."""
    text = b"It is Rayleigh scattering. " * 16
    reply = b'{"id":"chatcmpl-1","choices":[{"index":0,"message":{"content":"%b"}}],"usage":%b}' % (text, _COUNTS)
    cost = least(repeated(lambda: CHAT.body_usage(reply, Usage()), 5000), 5000)
    print(f"\nusage of a reply of {len(reply)} B: {cost:.2f} us")


if __name__ == "__main__":
    print_streams()
    print_bodies()
    print_replies()
