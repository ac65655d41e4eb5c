"""Values that name where a secret is kept: ``$env://NAME`` and ``$env://NAME/json-subkey``, resolved when used.

An authentication scheme may stand in front: ``Bearer $env://NAME``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

REFERENCE = re.compile(r"^(?P<scheme>[A-Za-z][\w-]* )?\$(?i:env)://(?P<name>[A-Za-z_]\w*)(?:/(?P<key>.+))?$")

_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters would end a header; lone surrogates stand for bytes that are no UTF-8."""


class Unresolved(LookupError):
    """A reference to something that isn't there; the message names it and holds no secret."""


def is_reference(value: str) -> bool:
    """Does this value only name where the secret is?"""
    return REFERENCE.match(value) is not None


def resolve(value: str, environ: Mapping[str, str], *, lines: bool = False) -> str:
    """The value itself, or what it refers to.

    Space around a secret is of the file that it came from, and no part of it. ``lines``: it may have several, as a
    document has, because it is not what is sent.

    :raises Unresolved: if the variable is not set, its JSON has no such key, or what it holds can't stand in a request.
    """
    match = REFERENCE.match(value)
    if match is None:
        return value
    name, key = match["name"], match["key"]
    if name not in environ:
        raise Unresolved(f"environment variable {name} is not set")
    found = (environ[name] if key is None else _subkey(name, environ[name], key)).strip()
    if not lines and _UNSENDABLE.search(found):
        raise Unresolved(f"environment variable {name} holds characters that can't be sent")
    return (match["scheme"] or "") + found


def _subkey(name: str, text: str, key: str) -> str:
    try:
        value = json.loads(text)
        for step in key.split("/"):
            value = value[step]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise Unresolved(f"environment variable {name} holds no JSON object with {key}") from None
    if not isinstance(value, str):
        raise Unresolved(f"{key} of environment variable {name} is no string")
    return value
