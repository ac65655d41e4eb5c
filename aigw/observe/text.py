"""Text from outside, made fit to be shown: bounded, printable, valid UTF-8."""

from __future__ import annotations


def printable(value: str, limit: int) -> str:
    """``value`` in at most ``limit`` bytes of UTF-8, each unprintable character replaced by ``?``.

    Clients choose model names, hosts and user agents: a lone surrogate must not break an encoder, a control character
    not reach a terminal, a megabyte not be kept.
    """
    if len(value) <= limit and value.isascii() and value.isprintable():
        return value
    shown = "".join(c if c.isprintable() else "?" for c in value[:limit])
    return shown.encode()[:limit].decode(errors="ignore")
