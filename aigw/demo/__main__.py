"""``python -m aigw.demo --port 8001 --name self-hosted``: the echo model on its own, an upstream to try routes with."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m aigw.demo", description="An OpenAI-compatible model that echoes.")
    parser.add_argument("--port", type=int, default=8000, help="on 127.0.0.1 (default 8000; 0 = any)")
    parser.add_argument("--name", default="demo", help="what its answers begin with (default demo)")
    options = parser.parse_args()

    from twisted.internet import reactor as global_reactor
    from twisted.internet.error import CannotListenError

    from aigw.demo.echo import echo_site

    reactor: Any = global_reactor
    try:
        port = reactor.listenTCP(options.port, echo_site(reactor, options.name), interface="127.0.0.1")
    except CannotListenError as e:
        sys.exit(f"aigw.demo: --port {options.port}: {e.socketError}")
    url = f"http://127.0.0.1:{port.getHost().port}/v1/chat/completions"
    sys.stdout.write(f"{options.name} listens on {url}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
