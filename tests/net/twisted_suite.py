"""Runs tests of Twisted itself, those that it repeats for each of its reactors, on our reactor and transports.

    python twisted_suite.py twisted.internet.test.test_tcp ...

Needs PyHamcrest, as Twisted's tests do.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.test.connectionmixins import ConnectionTestsMixin
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.scripts.trial import run

from aigw.net.reactor import LeanEpollReactor
from aigw.net.sockets import EagerSockets


class EPollReactor(LeanEpollReactor):
    """What `EagerSockets` replaces, replaced in the reactor itself. Some tests know an epoll reactor by its name."""

    def listenTCP(self, *args: Any, **kwargs: Any) -> Any:
        return EagerSockets(self).listenTCP(*args, **kwargs)

    def connectTCP(self, *args: Any, **kwargs: Any) -> Any:
        return EagerSockets(self).connectTCP(*args, **kwargs)

    def listenSSL(self, *args: Any, **kwargs: Any) -> Any:
        return EagerSockets(self).listenSSL(*args, **kwargs)

    def connectSSL(self, *args: Any, **kwargs: Any) -> Any:
        return EagerSockets(self).connectSSL(*args, **kwargs)


def leave_out_what_differs_by_design() -> None:
    """Tests that expect what our reactor and transports were made not to do."""
    from twisted.internet.test import test_tcp, test_udp

    tests: dict[Any, str] = {
        ConnectionTestsMixin.test_logPrefix: "no logging context around a read",
        test_udp.UDPServerTestsBuilder.test_logPrefix: "no logging context around a read",
        test_tcp.WriteSequenceTestsMixin.test_streamingProducer: "1000 bytes are sent before anyone is paused for them",
    }
    for test, reason in tests.items():
        test.skip = reason


if __name__ == "__main__":
    sys.modules["twisted_suite"] = sys.modules["__main__"]
    ReactorBuilder._reactors = ["twisted_suite.EPollReactor"]
    leave_out_what_differs_by_design()
    sys.argv = ["trial", *sys.argv[1:]]
    run()
