"""``python -m aigw.workers REACTOR FD``: one worker, started by the parent and by nobody else.

REACTOR: the module of the parent's reactor. FD: the descriptor of the channel.
"""

from __future__ import annotations

import importlib
import os
import sys


def main() -> None:
    """Live until the parent wants no more, or is gone."""
    module, fd = sys.argv[1], int(sys.argv[2])
    stand_in_for_systemd()
    importlib.import_module(module).install()
    from twisted.internet import reactor

    from aigw.workers.worker import Worker

    worker = Worker(reactor, dict(os.environ))
    worker.run(fd)
    sys.exit(worker.failed)


def stand_in_for_systemd() -> None:
    """Have ``systemd:`` endpoints find descriptors where the parent found them: Twisted checks that they are for us.

    What listens is the parent's socket all the same (`aigw.net.inherited`); these are only there to be closed.
    """
    passed = os.environ.get("LISTEN_FDS", "")
    if "LISTEN_PID" not in os.environ or not passed.isdecimal():
        return
    os.environ["LISTEN_PID"] = str(os.getpid())
    wanted = range(3, 3 + int(passed))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd in wanted:
        os.dup2(nothing, fd)
    if nothing not in wanted:
        os.close(nothing)


if __name__ == "__main__":
    main()
