"""Which reactor this process gets, if nobody has chosen one yet."""

from __future__ import annotations

import select
import sys


def choose_reactor() -> None:
    """Install the lean reactor, unless a reactor is installed already or the platform has no epoll.

    ``twistd --reactor`` installs what it is told while it reads its options, before any service is made; without it,
    nothing is installed until a service or the log names the reactor. So the first line of a ``makeService`` is both
    late enough to respect the option and early enough to choose.
    """
    if "twisted.internet.reactor" in sys.modules or not hasattr(select, "epoll"):
        return
    from aigw.net.reactor import install

    install()
