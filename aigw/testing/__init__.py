"""For tests of what talks to models, or runs behind aigw: a model that behaves exactly as badly as a test asks for.

`FakeUpstream` is a Twisted factory, for a real port or a transport in memory; `behaviours` and `openai` are what it can
be told to do and to say. `ReactorThread` and `GatewayProcess` are for tests from outside, on real sockets.
"""

from aigw.testing.behaviours import CLOSE, RESET, SILENCE, Ending, answer, chat, play, unless_reused
from aigw.testing.exchange import exchange_of
from aigw.testing.upstream import Behaviour, FakeUpstream, Moment, Received, Talk

__all__ = [
    "CLOSE",
    "RESET",
    "SILENCE",
    "Behaviour",
    "Ending",
    "FakeUpstream",
    "Moment",
    "Received",
    "Talk",
    "answer",
    "chat",
    "exchange_of",
    "play",
    "unless_reused",
]
