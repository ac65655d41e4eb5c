"""The lean reactor: errors are logged and end the one they concern, as in Twisted's; both are asked the same here."""

# mypy: allow-untyped-calls
from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone, ConnectionFdescWentAway, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, IReadDescriptor
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from zope.interface import implementer

from aigw.net.reactor import LeanEpollReactor

Raising = Callable[[], Any]


@implementer(IReadDescriptor)
class Readable:
    """One end of a socket pair, that does as it is told when there is something to read."""

    def __init__(self, name: str, act: Raising = lambda: None, at_end: Raising = lambda: None) -> None:
        self.name = name
        self.ours, self.theirs = socket.socketpair()
        self.read = 0
        self.lost: Failure | None = None
        self.act = act
        self.at_end = at_end

    def logPrefix(self) -> str:
        return self.name

    def fileno(self) -> int:
        return self.ours.fileno()

    def doRead(self) -> Any:
        self.ours.recv(100)
        self.read += 1
        return self.act()

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason
        self.at_end()


@pytest.fixture
def make(either_hand: Any) -> Iterator[Callable[..., Readable]]:
    """Makes one that is read, with something to read."""
    made: list[Readable] = []

    def make(*args: Any, kind: type[Readable] = Readable) -> Readable:
        readable = kind(*args)
        made.append(readable)
        either_hand.reactor.addReader(readable)
        readable.theirs.send(b"x")
        return readable

    yield make
    for readable in made:
        either_hand.reactor.removeReader(readable)
        readable.ours.close()
        readable.theirs.close()


def raising(error: BaseException) -> Raising:
    def act() -> None:
        raise error

    return act


def turn(hand: Any) -> list[tuple[str, type[BaseException]]]:
    """One turn; who logged which error."""
    with capturedLogs() as events:
        hand.reactor.iterate(0)
    critical = [event for event in events if event["log_level"] is LogLevel.critical]
    return [(event["system"], event["failure"].type) for event in critical]


@pytest.fixture
def silent(expected_failures: list[str]) -> None:
    """Errors are logged by the old way here; the tests look at them themselves."""
    expected_failures.append("{log_text}")


ERRORS = [ZeroDivisionError("mishap"), KeyboardInterrupt("mishap"), SystemExit("mishap"), ConnectionDone("mishap")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.usefixtures("silent")
def test_an_error_while_reading(either_hand: Any, make: Callable[..., Readable], error: BaseException) -> None:
    before, broken, after = make("before"), make("broken", raising(error)), make("after")
    assert turn(either_hand) == [("broken", type(error))]
    assert broken.lost is not None
    assert broken.lost.type is type(error)
    assert broken not in either_hand.reactor.getReaders()
    assert [before.read, after.read, before.lost, after.lost] == [1, 1, None, None]
    before.theirs.send(b"x")
    assert turn(either_hand) == []
    assert before.read == 2


@pytest.mark.usefixtures("silent")
def test_an_error_at_the_end(either_hand: Any, make: Callable[..., Readable]) -> None:
    broken = make("broken", lambda: ConnectionLost(), raising(ZeroDivisionError("mishap")))
    after = make("after")
    assert turn(either_hand) == [("broken", ZeroDivisionError)]
    assert broken not in either_hand.reactor.getReaders()
    assert after.read == 1


@pytest.mark.usefixtures("silent")
def test_errors_while_reading_and_at_the_end(either_hand: Any, make: Callable[..., Readable]) -> None:
    make("broken", raising(KeyError("mishap")), raising(ZeroDivisionError("mishap")))
    assert turn(either_hand) == [("broken", KeyError), ("broken", ZeroDivisionError)]


@pytest.mark.usefixtures("silent")
def test_an_error_in_the_name(either_hand: Any, make: Callable[..., Readable]) -> None:
    broken = make("broken", raising(KeyError("mishap")))
    broken.logPrefix = raising(ZeroDivisionError("mishap"))  # type: ignore[method-assign]
    after = make("after")
    assert ("(buggy logPrefix method)", KeyError) in turn(either_hand)
    assert broken.lost is not None
    assert after.read == 1


@pytest.mark.parametrize("reason", [ConnectionDone(), ConnectionLost(), ConnectionFdescWentAway()])
def test_an_end(either_hand: Any, make: Callable[..., Readable], reason: Exception) -> None:
    ending = make("ending", lambda: reason)
    assert turn(either_hand) == []
    assert ending.lost is not None
    assert ending.lost.type is type(reason)
    assert ending not in either_hand.reactor.getReaders()


@implementer(IHalfCloseableDescriptor)
class HalfReadable(Readable):
    """Can go on without reading."""

    half_lost: Failure | None = None

    def readConnectionLost(self, reason: Failure) -> None:
        self.half_lost = reason

    def writeConnectionLost(self, reason: Failure) -> None:
        raise NotImplementedError


@pytest.mark.usefixtures("silent")
def test_an_end_of_reading_only(either_hand: Any, make: Callable[..., Readable]) -> None:
    ending = make("ending", ConnectionDone, kind=HalfReadable)
    broken = make("broken", ConnectionLost, kind=HalfReadable)
    raised = make("raised", raising(ConnectionDone()), kind=HalfReadable)
    turn(either_hand)
    assert [one.lost and one.lost.type for one in (ending, broken, raised)] == [None, ConnectionLost, ConnectionDone]
    assert [bool(one.half_lost) for one in (ending, broken, raised)] == [True, False, False]  # type: ignore[attr-defined]
    assert either_hand.internal == set(either_hand.reactor.getReaders())


def test_one_that_has_no_descriptor_any_more(either_hand: Any, make: Callable[..., Readable]) -> None:
    gone = make("gone")
    gone.fileno = lambda: -1  # type: ignore[method-assign]
    assert turn(either_hand) == []
    assert gone.read == 0
    assert gone.lost is not None
    assert str(gone.lost.value) == str(ConnectionFdescWentAway("File descriptor lost"))


@pytest.mark.usefixtures("silent")
def test_one_that_fails_to_say_its_descriptor(either_hand: Any, make: Callable[..., Readable]) -> None:
    broken = make("broken")
    fileno, broken.fileno = broken.fileno, raising(KeyError("mishap"))  # type: ignore[method-assign]
    events = turn(either_hand)
    broken.fileno = fileno  # type: ignore[method-assign]
    assert ("broken", KeyError) in events


def test_one_that_another_removed_in_the_same_turn(either_hand: Any, make: Callable[..., Readable]) -> None:
    pair: list[Readable] = []

    def remove_the_other() -> None:
        for readable in pair:
            if not readable.read:
                either_hand.reactor.removeReader(readable)

    pair += [make("one", remove_the_other), make("other", remove_the_other)]
    assert turn(either_hand) == []
    assert sorted(readable.read for readable in pair) == [0, 1]


def test_a_hangup_is_left_to_the_stock_path(either_hand: Any, make: Callable[..., Readable]) -> None:
    ending = make("ending", lambda: None)
    ending.theirs.close()
    turn(either_hand)  # what was sent before
    turn(either_hand)
    assert ending.read in (1, 2)


class Polled:
    """An epoll object with nothing to tell."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error = error
        self.asked: list[tuple[float, int]] = []

    def poll(self, timeout: float, maximum: int) -> list[Any]:
        self.asked.append((timeout, maximum))
        if self.error is not None:
            raise self.error
        return []


@pytest.mark.parametrize("timeout", [None, 0, 0.25, 3])
def test_timeouts(either_hand: Any, timeout: float | None) -> None:
    real, either_hand.reactor._poller = either_hand.reactor._poller, Polled()
    either_hand.reactor.doIteration(timeout)
    assert either_hand.reactor._poller.asked == [(-1 if timeout is None else timeout, 1)]
    either_hand.reactor._poller = real


def test_an_interrupted_poll_and_a_broken_one(either_hand: Any) -> None:
    real, either_hand.reactor._poller = either_hand.reactor._poller, Polled(OSError(errno.EINTR, "interrupted"))
    either_hand.reactor.doPoll(1)
    either_hand.reactor._poller.error = OSError(errno.EBADF, "broken")
    with pytest.raises(OSError, match="broken"):
        either_hand.reactor.doPoll(1)
    either_hand.reactor._poller = real


def test_it_runs(hand: Any) -> None:
    """The whole loop: calls from threads, delayed calls, stopping."""
    told: list[str] = []
    hand.reactor.callLater(0, hand.reactor.callInThread, lambda: hand.reactor.callFromThread(told.append, "thread"))
    hand.reactor.callLater(0.01, lambda: hand.until(lambda: told))
    hand.reactor.callLater(0.02, hand.reactor.stop)
    hand.reactor.run(installSignalHandlers=False)
    assert told == ["thread"]
    hand.internal &= set(hand.reactor.getReaders())


def test_it_is_one_loop(hand: Any) -> None:
    assert LeanEpollReactor.doIteration is LeanEpollReactor.doPoll
    assert LeanEpollReactor.doIteration is not EPollReactor.doIteration
    assert os.fstat(hand.reactor._poller.fileno())
